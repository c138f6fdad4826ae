//! Handlers that hear when nobody wants their answer any more, and such as may be stopped then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use chappe_proto::rpc::RpcError;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use crate::handler::Handler;
use crate::request::Request;

/// Tells the handler of a call that its client gives the call up (`rpc_drop_answer`), as ours does
/// when the future of a call is dropped.
///
/// The end of a connection is no such wish: the client comes back for its answers (SES-16).
#[derive(Clone, Debug, Default)]
pub struct Cancellation(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_requested: AtomicBool,
    told: Notify,
}

impl Cancellation {
    /// Whether the client has given the call up.
    pub fn is_requested(&self) -> bool {
        self.0.is_requested.load(Ordering::Acquire)
    }

    /// Waits until the client gives the call up: for ever if it never does. The future may be
    /// dropped at any time, and others may wait beside it.
    pub async fn requested(&self) {
        // Made before the look at the flag, it hears what happens in between.
        let told = self.0.told.notified();
        if !self.is_requested() {
            told.await;
        }
    }

    pub(crate) fn request(&self) {
        self.0.is_requested.store(true, Ordering::Release);
        self.0.told.notify_waiters();
    }
}

/// Lets the client stop a handler: its future is dropped where it waits when the call is given up.
///
/// For handlers that may end at any `await`, such as queries. All others run to their end, whoever
/// still wants their answer, or take a [`Cancellation`] and choose where to stop.
///
/// ```
/// # use chappe_server::{Router, RpcError, cancellable};
/// # use chappe_proto::schema::functions::Ping as Search;
/// # use chappe_proto::schema::types::Pong as Found;
/// async fn search(call: Search) -> Result<Found, RpcError> {
///     Err(RpcError::bad_request("NOTHING_FOUND"))
/// }
///
/// let router = Router::new(()).function(cancellable(search));
/// ```
pub fn cancellable<H>(handler: H) -> Cancellable<H> {
    Cancellable(handler)
}

/// A handler that a client may stop; made by [`cancellable`].
#[derive(Clone, Copy, Debug)]
pub struct Cancellable<H>(H);

impl<A, S, H: Handler<A, S>> Handler<A, S> for Cancellable<H> {
    type Call = H::Call;

    fn handle(self, request: Request, state: S) -> BoxFuture<'static, Result<Bytes, RpcError>> {
        let cancellation = request.cancellation.clone();
        let handling = self.0.handle(request, state);
        Box::pin(async move {
            tokio::select! {
                biased;
                result = handling => result,
                // Layers see it; the client is told that its call was dropped.
                () = cancellation.requested() => Err(RpcError::bad_request("CALL_CANCELLED")),
            }
        })
    }
}

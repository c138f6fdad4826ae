//! Calls whose transaction was undone run again, from the beginning.
//!
//! What undoes one, another transaction or a lost connection, has left nothing behind, and a
//! handler bears to run twice: a client that hears nothing makes its calls again as well.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use chappe_proto::rpc::RpcError;
use chappe_server::Request;
use futures_util::future::BoxFuture;
use tower::{Layer, Service};
use tracing::warn;

/// Stands around all handlers.
pub(crate) struct Repeat;

#[derive(Clone)]
pub(crate) struct Repeated<S>(S);

impl<S> Layer<S> for Repeat {
    type Service = Repeated<S>;

    fn layer(&self, calls: S) -> Self::Service {
        Repeated(calls)
    }
}

impl<S> Service<Request> for Repeated<S>
where
    S: Service<Request, Response = Bytes, Error = RpcError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Bytes;
    type Error = RpcError;
    type Future = BoxFuture<'static, Result<Bytes, RpcError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), RpcError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The one that is ready, and a copy for next time, as of [`Service`].
        let next = self.0.clone();
        let mut calls = std::mem::replace(&mut self.0, next);
        Box::pin(async move {
            for tries in 0..TRIES_MAX {
                if tries > 0 {
                    tokio::time::sleep(PAUSE * (1 << tries)).await;
                }
                let outcome = calls.call(request.clone()).await;
                if outcome.as_ref().err() != Some(&undone()) {
                    return outcome;
                }
                std::future::poll_fn(|context| calls.poll_ready(context)).await?;
            }
            warn!(function = request.id(), "a call was undone each of {TRIES_MAX} times");
            Err(RpcError::internal())
        })
    }
}

/// How a handler says that its transaction was undone; no client hears it.
pub(crate) fn undone() -> RpcError {
    RpcError::new(500, "TRANSACTION_UNDONE")
}

/// Half the wait before the second time; it doubles each time, so that rivals come apart.
const PAUSE: Duration = Duration::from_millis(1);
/// Times that a call is run. A rival that undoes it has got through, so somebody always does.
const TRIES_MAX: usize = 8;

//! From a call to its answer: in whose name it is made, its handler, what that comes to.
//!
//! A handler that is ready at once costs no task: it is polled here first and moves to a task of its
//! own only if it waits.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use chappe_backend::{ConnectionInfo, StoreError};
use chappe_crypto::AuthKeyId;
use chappe_net::listen::Ends;
use chappe_proto::rpc::{RpcError, Unwrapped};
use chappe_proto::schema::functions::auth::{BindTempAuthKey, DropTempAuthKeys};
use chappe_proto::session::server::IncomingCall;
use chappe_proto::{LinkId, MsgId, Now};
use chappe_tl::Constructor;
use futures_util::FutureExt;
use tracing::{Instrument, debug_span, error, trace, warn};

use super::{Done, Hearing, SessionTask};
use crate::binding;
use crate::keys::{Connection, KeyRecord};
use crate::metrics::Gauged;
use crate::push::Pusher;
use crate::question::Question;
use crate::request::{Caller, Request};
use crate::shared::Shared;

/// A call whose handler has come to its end.
pub(super) struct Answered {
    pub(super) msg_id: MsgId,
    function: u32,
    begun: Duration,
    outcome: Outcome,
}

type Outcome = Result<Result<Bytes, RpcError>, Box<dyn Any + Send>>;

impl SessionTask {
    /// Begins a call and, if its handler is ready at once, ends it.
    pub(super) fn start(&mut self, now: Now, incoming: IncomingCall) {
        let IncomingCall { msg_id, link, call } = incoming;
        let function = call.id();
        if function == BindTempAuthKey::ID {
            return self.bind_key(now, msg_id, link, call.query);
        }
        let begun = binding::authorise(&self.shared, &self.record, &call)
            .and_then(|identity| Ok((self.note_client(&call, &identity)?, identity)));
        let (save, identity) = match begun {
            Ok(begun) => begun,
            Err(error) => return self.session.answer(now, msg_id, Err(error)),
        };
        if function == DropTempAuthKeys::ID {
            return self.drop_keys(msg_id, identity.id(), call.query);
        }
        let Some(Ends { peer, local }) = self.ends_of(link) else {
            // No link was ever attached, so no call can have come.
            return self.session.answer(now, msg_id, Err(RpcError::internal()));
        };
        let saved = identity.connection();
        let caller = Caller {
            auth_key_id: identity.id(),
            temporary_key_id: self.record.end().map(|_| self.record.id()),
            session_id: self.handle.id(),
            msg_id,
            peer,
            local,
            function,
            now,
            layer: call.layer.or(saved.as_ref().map(|saved| saved.layer)),
            client: saved.map(|saved| saved.client),
            without_updates: call.without_updates,
        };
        let mut request = Request::new(caller, call.query, Pusher::new(&self.shared));
        if self.shared.policy.missed.contains(&function) {
            request.question = Question::open();
            self.questions.insert(msg_id, request.question.clone());
            self.session.ask(msg_id);
        }
        let shared = Arc::clone(&self.shared);
        let cancellation = request.cancellation.clone();
        let is_running = self.run_call(now, msg_id, link, function, async move {
            if let Some(connection) = save {
                save_connection(&shared, &request.caller, &connection).await?;
            }
            shared.calls.run(request).await
        });
        if is_running {
            self.cancellations.insert(msg_id, cancellation);
        }
    }

    fn bind_key(&mut self, now: Now, msg_id: MsgId, link: LinkId, query: Bytes) {
        let (shared, record) = (Arc::clone(&self.shared), Arc::clone(&self.record));
        let session_id = self.handle.id();
        self.run_call(now, msg_id, link, BindTempAuthKey::ID, async move {
            binding::bind(&shared, &record, session_id, msg_id, &query).await
        });
    }

    fn drop_keys(&mut self, msg_id: MsgId, permanent: AuthKeyId, query: Bytes) {
        let shared = Arc::clone(&self.shared);
        self.running.spawn(async move {
            Done::KeysDropped(msg_id, binding::drop_keys(&shared, permanent, query).await)
        });
    }

    /// Runs what answers a call: here if that is ready at once, else beside the session. Whether
    /// it runs on.
    fn run_call(
        &mut self,
        now: Now,
        msg_id: MsgId,
        link: LinkId,
        function: u32,
        future: impl Future<Output = Result<Bytes, RpcError>> + Send + 'static,
    ) -> bool {
        let begun = now.mono;
        let span = debug_span!(
            "call", %msg_id, function = %self.shared.metrics.functions.name(function), link = link.0
        );
        let mut future = Box::pin(AssertUnwindSafe(future).catch_unwind().instrument(span));
        match poll_once(future.as_mut()) {
            Poll::Ready(outcome) => {
                self.answer(Answered { msg_id, function, begun, outcome });
                false
            }
            Poll::Pending => {
                let counted = Gauged::new(&self.shared.metrics.calls_running);
                self.running.spawn(async move {
                    let outcome = future.await;
                    drop(counted);
                    Done::Call(Answered { msg_id, function, begun, outcome })
                });
                true
            }
        }
    }

    /// Notes what a call says of its client (SVC-48, SVC-50), with the key in whose name it is
    /// made. Gives what has to be saved.
    fn note_client(
        &mut self,
        call: &Unwrapped,
        identity: &KeyRecord,
    ) -> Result<Option<Connection>, RpcError> {
        if let Some(layer) = call.layer
            && !self.shared.config.layers.contains(&layer)
        {
            return Err(RpcError::bad_request("CONNECTION_LAYER_INVALID"));
        }
        self.has_called |= !call.without_updates && !self.shared.policy.quiet.contains(&call.id());
        self.handle.set_hearing(if self.has_called { Hearing::Yes } else { Hearing::No });
        let (Some(client), Some(layer)) = (&call.client, call.layer) else { return Ok(None) };
        let connection = Connection { layer, client: Arc::new(client.clone()) };
        let stored = connection.to_stored().filter(|stored| stored.check_size().is_ok());
        // Read anew from its own few bytes: as slices of the call its texts would keep a whole
        // packet for as long as the key is remembered.
        let Some(Ok(connection)) = stored.as_ref().map(Connection::from_stored) else {
            return Err(RpcError::bad_request("INPUT_REQUEST_TOO_LONG"));
        };
        let changed = identity.set_connection(connection.clone());
        let first = self.record.set_initialised();
        Ok((changed || first).then_some(connection))
    }

    /// Where a call came from: its link, or the last one attached if that is gone already.
    fn ends_of(&self, link: LinkId) -> Option<Ends> {
        let attached = self.links.iter().find(|attached| attached.id == link);
        attached.map(|attached| &attached.ends).or(self.last_ends.as_ref()).map(|ends| **ends)
    }

    /// Counts and gives the answer of a call.
    pub(super) fn answer(&mut self, answered: Answered) {
        let Answered { msg_id, function, begun, outcome } = answered;
        let now = self.shared.clock.now();
        let functions = &self.shared.metrics.functions;
        let result = judge(outcome, self.shared.config.result_max_bytes).inspect_err(|fault| {
            error!(%msg_id, function = %functions.name(function), fault, "a call failed");
        });
        let result = result.unwrap_or_else(|_| Err(RpcError::internal()));
        let took = now.mono.saturating_sub(begun);
        functions.answered(function, &result, took);
        trace!(%msg_id, function = %functions.name(function), ?took, "call answered");
        let is_told = result.is_ok();
        self.session.answer(now, msg_id, result);
        if let Some(question) = self.questions.remove(&msg_id) {
            self.session.told(now, msg_id, question.told().filter(|_| is_told));
        }
    }
}

/// Keeps what a client said of itself, before it can believe so (SVC-49): with the key in whose
/// name it calls, and beside a bound temporary key the bare fact that it did (PFS-13).
async fn save_connection(
    shared: &Shared,
    caller: &Caller,
    connection: &Connection,
) -> Result<(), RpcError> {
    let key = caller.auth_key_id;
    let Some(stored) = connection.to_stored() else { return Ok(()) };
    let store = shared.backend.store();
    let saved = async {
        store.save_connection(key, stored).await?;
        if let Some(temporary) = caller.temporary_key_id.filter(|temporary| *temporary != key) {
            let fact = ConnectionInfo { layer: connection.layer, data: Bytes::new() };
            store.save_connection(temporary, fact).await?;
        }
        Ok(())
    };
    saved.await.map_err(|error: StoreError| {
        warn!(%error, "what a client said of itself cannot be saved");
        RpcError::internal()
    })
}

/// Polls a future that will be polled again elsewhere unless it is ready.
fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The answer that the outcome of a handler leads to, or the handler's fault.
fn judge(outcome: Outcome, result_max: usize) -> Result<Result<Bytes, RpcError>, &'static str> {
    match outcome {
        Ok(Ok(result)) if result.len() > result_max => Err("its result is too large"),
        Ok(result) => Ok(result),
        Err(_) => Err("its handler panicked"),
    }
}

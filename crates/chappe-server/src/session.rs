//! The task of a session: messages in, calls run, answers out.
//!
//! It waits for its inputs and its handlers, never for a link. A handler that is ready at once
//! costs no task: it is polled here first and moves to a task of its own only if it waits.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use chappe_backend::{ConnectionInfo, StoreError};
use chappe_crypto::AuthKeyId;
use chappe_net::listen::Ends;
use chappe_net::shutdown::{Stage, Watcher};
use chappe_proto::link::Received;
use chappe_proto::rpc::{RpcError, Unwrapped};
use chappe_proto::schema::functions::auth::{BindTempAuthKey, DropTempAuthKeys};
use chappe_proto::session::server::{
    IncomingCall, KeyDestroyed, Refused, ServerEvent, ServerSession, Tally,
};
use chappe_proto::{LinkId, MsgId, Now, SessionId};
use chappe_tl::Constructor;
use futures_util::FutureExt;
use tokio::task::JoinError;
use tokio::task::coop::cooperative;
use tokio::time::{Sleep, sleep_until};
use tracing::{Instrument, debug, debug_span, error, info_span, trace, warn};

use crate::binding;
use crate::cancel::Cancellation;
use crate::keys::{Connection, KeyRecord};
use crate::memory::{Share, Verdict};
use crate::metrics::{self, Gauged};
use crate::push::Pusher;
use crate::question::Question;
use crate::queue::Receiver;
use crate::registry::{LinkCommand, Sealing};
use crate::request::{Caller, Request};
use crate::shared::Shared;

mod beside;
mod handle;

use beside::Beside;

pub(crate) use handle::{AttachedLink, Hearing, Input, SessionHandle};

/// Starts the task of a session.
pub(crate) fn open(
    shared: &Arc<Shared>,
    record: &Arc<KeyRecord>,
    id: SessionId,
    watcher: Watcher,
) -> Arc<SessionHandle> {
    let (handle, inputs) = SessionHandle::new(id, &shared.config.sessions);
    let salts = shared.salts(record.id(), record.first_salt);
    let config = Arc::clone(&shared.session_config);
    let task = Box::new(SessionTask {
        session: ServerSession::new(id, salts, config, shared.rng()),
        shared: Arc::clone(shared),
        record: Arc::clone(record),
        handle: Arc::clone(&handle),
        inputs,
        links: Vec::new(),
        last_ends: None,
        running: Beside::default(),
        cancellations: BTreeMap::new(),
        questions: BTreeMap::new(),
        orders: Vec::new(),
        memory: shared.memory.open(),
        open: None,
        has_called: false,
        lost: 0,
        is_destroying_key: false,
        gone: Vec::new(),
        stop: Stop::No,
        watcher,
    });
    let auth_key_id = record.id();
    // Of no link: the session outlives the one that it begins with.
    let span = info_span!(parent: None, "session", %auth_key_id, session_id = %id);
    tokio::spawn(task.run().instrument(span));
    handle
}

struct SessionTask {
    session: ServerSession,
    shared: Arc<Shared>,
    record: Arc<KeyRecord>,
    handle: Arc<SessionHandle>,
    inputs: Receiver<Input>,
    links: Vec<AttachedLink>,
    last_ends: Option<Arc<Ends>>,
    running: Beside<Done>,
    /// Of the handlers that run, to be told when their client gives the call up.
    cancellations: BTreeMap<MsgId, Cancellation>,
    /// Of those that ask what was missed, to be told what their answers tell.
    questions: BTreeMap<MsgId, Question>,
    /// What links are told after the messages that are ready for them.
    orders: Vec<(LinkId, LinkCommand)>,
    memory: Share,
    /// Counts while the session is not forgotten.
    open: Option<Gauged>,
    has_called: bool,
    /// Pushes given up since the client was told of it.
    lost: u64,
    is_destroying_key: bool,
    /// Keys destroyed by what was asked here, to be forgotten once the answer is on its way.
    gone: Vec<AuthKeyId>,
    stop: Stop,
    watcher: Watcher,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    /// When nothing runs any more.
    Draining,
    Now,
}

/// What a session waits for.
enum Wake {
    /// None will come any more.
    Unheard,
    Input(Input),
    Done(Result<Done, JoinError>),
    Due,
}

/// What ran beside the session.
enum Done {
    Call(Answered),
    KeysDropped(MsgId, Result<Vec<AuthKeyId>, RpcError>),
    KeyDestroyed(MsgId, KeyDestroyed, Vec<AuthKeyId>),
}

/// A call whose handler has come to its end.
struct Answered {
    msg_id: MsgId,
    function: u32,
    begun: Duration,
    outcome: Outcome,
}

type Outcome = Result<Result<Bytes, RpcError>, Box<dyn Any + Send>>;

/// Inputs taken before what they led to is sent, so that answers share packets.
const BATCH_MAX: usize = 32;
/// Pushes given up until a client that was told of it is told again.
const LOSS_UNTOLD_MAX: u64 = 100;

impl SessionTask {
    /// Boxed, since a task would hold it twice.
    async fn run(mut self: Box<Self>) {
        if self.watcher.stage() > Stage::Running {
            self.stop = Stop::Draining;
        }
        loop {
            self.settle();
            self.session.rest();
            let is_done = self.running.is_empty() && self.inputs.is_empty();
            if self.stop == Stop::Now || (self.stop == Stop::Draining && is_done) {
                self.session.hurry_responses();
                self.settle();
                break;
            }
            // Boxed, since a session that waits for its client has no timer.
            let due = self.session.poll_timeout().map(|due| self.shared.clock.instant(due));
            let mut timer = due.map(|due| Box::pin(sleep_until(due)));
            // Inputs that never run out must not keep the thread from other tasks.
            match cooperative(poll_fn(|context| self.poll_wake(context, &mut timer))).await {
                Wake::Unheard => break,
                Wake::Input(input) => {
                    self.handle_input(input);
                    for _ in 1..BATCH_MAX {
                        let Some(input) = self.inputs.try_next() else { break };
                        self.handle_input(input);
                    }
                }
                Wake::Done(done) => self.finish(done),
                Wake::Due => self.session.handle_timeout(self.shared.clock.now()),
            }
        }
        self.forgotten();
        // Whoever waits for these calls is gone; what they do to the world they finish (SES-16).
        self.running.detach_all();
        if self.stop == Stop::Draining {
            for link in &self.links {
                let _ = link.sender.send(LinkCommand::Close);
            }
        }
    }

    /// Looks for the first that comes. By hand, since a future for each is more than the rest of a
    /// task that waits.
    fn poll_wake(
        &mut self,
        context: &mut Context<'_>,
        timer: &mut Option<Pin<Box<Sleep>>>,
    ) -> Poll<Wake> {
        if let Poll::Ready(input) = self.inputs.poll_next(context) {
            return Poll::Ready(input.map_or(Wake::Unheard, Wake::Input));
        }
        if let Poll::Ready(done) = self.running.poll_next(context) {
            return Poll::Ready(Wake::Done(done));
        }
        match timer {
            Some(timer) => timer.as_mut().poll(context).map(|()| Wake::Due),
            None => Poll::Pending,
        }
    }

    fn handle_input(&mut self, input: Input) {
        let now = self.shared.clock.now();
        match input {
            Input::Attach(link) => {
                if self.open.is_none() {
                    self.open = Some(Gauged::new(&self.shared.metrics.sessions));
                    self.shared.metrics.sessions_opened.increment(1);
                    debug!("session opened");
                    self.shared.events.session_opened(self.record.id(), self.handle.id());
                }
                debug!(link = link.id.0, peer = %link.ends.peer, "link attached");
                self.last_ends = Some(Arc::clone(&link.ends));
                if link.is_datagrams {
                    self.session.use_datagrams(link.id);
                }
                // Nearly always there is one.
                self.links.reserve_exact(1);
                self.links.push(*link);
            }
            Input::Message(link, received) => {
                let Received { message, quick_ack } = *received;
                self.handle.free(message.body.len());
                let is_of = |attached: &AttachedLink| attached.id == link && attached.is_http;
                if self.links.iter().any(is_of) {
                    self.session.handle_request(now, link, message);
                } else {
                    let is_taken = self.session.handle_message(now, link, message);
                    // Before anything that follows from the message.
                    if let Some(token) = quick_ack.filter(|_| is_taken) {
                        self.order(link, LinkCommand::QuickAck(token));
                    }
                }
                // Calls begin before the next input, which may be the end of their link.
                self.handle_events(now);
            }
            Input::Push(body, mark) => {
                self.handle.free(body.len());
                self.shared.metrics.pushes.increment(1);
                match mark {
                    Some(mark) => self.session.push_in_line(now, mark, body),
                    None => self.session.push(now, body),
                }
            }
            Input::Detach(link) => self.detach(link),
            Input::Forget => {
                self.forgotten();
                self.session.forget(now);
                self.has_called = false;
                self.handle.set_hearing(Hearing::Undecided);
            }
            Input::Drain => self.stop = Stop::Draining,
            Input::End => self.stop = Stop::Now,
        }
    }

    fn detach(&mut self, link: LinkId) {
        self.links.retain(|attached| attached.id != link);
        self.session.handle_link_closed(link);
    }

    fn forgotten(&mut self) {
        if self.open.take().is_some() {
            self.shared.metrics.sessions_forgotten.increment(1);
            debug!("session forgotten");
            self.shared.events.session_forgotten(self.record.id(), self.handle.id());
        }
    }

    /// Does everything that can be done without waiting.
    fn settle(&mut self) {
        while let Some(done) = self.running.try_next() {
            self.finish(done);
        }
        let now = self.shared.clock.now();
        if !self.gone.is_empty() {
            // Its answer has to leave while there is a key for it.
            self.session.hurry_responses();
        }
        // What is to be said of lost pushes leaves with the rest.
        if let Some(tally) = self.session.take_tally() {
            self.note(&tally);
        }
        loop {
            self.handle_events(now);
            let Some((link, message)) = self.session.poll_transmit(now) else { break };
            let key = Arc::clone(&self.record.key);
            self.order(link, LinkCommand::Message(Box::new(Sealing { key, message })));
        }
        for (link, command) in std::mem::take(&mut self.orders) {
            self.order(link, command);
        }
        if let Some(tally) = self.session.take_tally() {
            self.note(&tally);
        }
        self.weigh();
        for key in std::mem::take(&mut self.gone) {
            self.shared.directory.remove_key(key);
        }
    }

    /// Makes room where all sessions together take too much (SES-06).
    fn weigh(&mut self) {
        let Shared { memory, directory, .. } = &*self.shared;
        if let Verdict::TooMuch { has_more } =
            memory.note(&mut self.memory, self.session.footprint())
            && !directory.forget_idlest()
            && has_more
        {
            debug!("forgetting the session: there is no memory for what it holds");
            self.handle.forget();
        }
    }

    /// Counts and logs what the session has judged.
    fn note(&mut self, tally: &Tally) {
        let metrics = &self.shared.metrics;
        for (code, Refused { count, last }) in &tally.refused {
            debug!(code, count, msg_id = %last, "messages refused");
            metrics.messages_refused.add(&code.to_string(), *count);
        }
        metrics.messages_repeated.increment(tally.repeated);
        metrics.calls_refused.increment(tally.flooded);
        metrics.future_salts.increment(tally.future_salts);
        let (pushes, answers) = (tally.dropped_pushes, tally.dropped_answers);
        if pushes + answers > 0 {
            metrics.messages_dropped.add(metrics::PUSH, pushes);
            metrics.messages_dropped.add(metrics::ANSWER, answers);
            debug!(pushes, answers, "messages given up: too much is unacknowledged");
        }
        if pushes > 0 {
            let key = self.record.id();
            self.shared.events.pushes_dropped(key, self.handle.id(), pushes);
            self.tell_of_loss(pushes);
        }
    }

    /// Says that pushes were given up: once, and again when so many more were that the word of it
    /// may be among them.
    fn tell_of_loss(&mut self, pushes: u64) {
        let Some(word) = self.shared.policy.loss.clone() else { return };
        let was_told = self.lost > 0;
        self.lost += pushes;
        if !was_told || self.lost > LOSS_UNTOLD_MAX {
            self.lost = 1;
            self.session.push(self.shared.clock.now(), word);
        }
    }

    fn order(&mut self, link: LinkId, command: LinkCommand) {
        let attached = self.links.iter().find(|attached| attached.id == link);
        if attached.is_some_and(|attached| attached.sender.send(command).is_err()) {
            debug!(link = link.0, "a link takes nothing any more");
            self.detach(link);
        }
    }

    fn handle_events(&mut self, now: Now) {
        while let Some(event) = self.session.poll_event() {
            self.handle_event(now, event);
        }
    }

    fn handle_event(&mut self, now: Now, event: ServerEvent) {
        let key = self.record.id();
        match event {
            ServerEvent::Call(call) => self.start(now, call),
            // Its effects may be half done: it runs to its end (SVC-29), unless it says otherwise.
            ServerEvent::CallDropped(call) => {
                if self.questions.remove(&call).is_some() {
                    self.session.told(now, call, None);
                }
                if let Some(cancellation) = self.cancellations.get(&call) {
                    cancellation.request();
                }
            }
            ServerEvent::DestroySession { request, session_id } => {
                let existed = self.shared.directory.destroy_session(key, session_id);
                self.session.session_destroyed(now, request, session_id, existed);
            }
            // One at a time: a client that asks a thousand times costs the store one query.
            ServerEvent::DestroyAuthKey { request } if self.is_destroying_key => {
                self.session.auth_key_destroyed(now, request, KeyDestroyed::Fail);
            }
            ServerEvent::DestroyAuthKey { request } => {
                self.is_destroying_key = true;
                let (shared, record) = (Arc::clone(&self.shared), Arc::clone(&self.record));
                self.running.spawn(async move {
                    let (outcome, keys) = binding::destroy(&shared, &record).await;
                    Done::KeyDestroyed(request, outcome, keys)
                });
            }
            ServerEvent::DisconnectAfter(link, delay) => {
                self.orders.push((link, LinkCommand::DisconnectAfter(delay)));
            }
            ServerEvent::CloseLink(link, code) => {
                self.orders.push((link, LinkCommand::Fail(-code)));
            }
        }
    }

    /// Begins a call and, if its handler is ready at once, ends it.
    fn start(&mut self, now: Now, incoming: IncomingCall) {
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
    fn answer(&mut self, answered: Answered) {
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

    fn finish(&mut self, done: Result<Done, JoinError>) {
        let now = self.shared.clock.now();
        match done {
            Ok(Done::Call(answered)) => {
                self.cancellations.remove(&answered.msg_id);
                self.answer(answered);
            }
            Ok(Done::KeysDropped(call, dropped)) => {
                let result = dropped.map(|keys| {
                    self.gone.extend(keys);
                    binding::yes()
                });
                self.session.answer(now, call, result);
            }
            Ok(Done::KeyDestroyed(request, outcome, keys)) => {
                self.is_destroying_key = false;
                self.session.auth_key_destroyed(now, request, outcome);
                self.gone.extend(keys);
            }
            // Panics of handlers are caught within; only the end of the runtime cancels a task.
            Err(error) => warn!(%error, "a call was lost"),
        }
    }
}

impl Drop for SessionTask {
    fn drop(&mut self) {
        self.shared.memory.close(&self.memory);
        self.handle.close();
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

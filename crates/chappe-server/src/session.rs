//! The task of a session: messages in, calls run, answers out.
//!
//! It waits for its inputs and its handlers, never for a link. A handler that is ready at once
//! costs no task: it is polled here first and moves to a task of its own only if it waits.

use std::any::Any;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use chappe_backend::{ConnectionInfo, StoreError};
use chappe_crypto::AuthKeyId;
use chappe_net::shutdown::{Stage, Watcher};
use chappe_proto::envelope::encrypted::Message;
use chappe_proto::rpc::{RpcError, Unwrapped};
use chappe_proto::schema::functions::auth::{BindTempAuthKey, DropTempAuthKeys};
use chappe_proto::session::server::{IncomingCall, KeyDestroyed, ServerEvent, ServerSession};
use chappe_proto::{LinkId, MsgId, Now, SessionId};
use chappe_tl::Constructor;
use futures_util::FutureExt;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tracing::{debug, error, warn};

use crate::binding;
use crate::keys::{Connection, KeyRecord};
use crate::push::Pusher;
use crate::registry::{LinkCommand, LinkSender, Sealing};
use crate::request::{Caller, Request};
use crate::shared::Shared;

/// The way to a session. Its inputs keep their order; those that a peer can cause take up room.
pub(crate) struct SessionHandle {
    id: SessionId,
    inputs: mpsc::UnboundedSender<Input>,
    /// Free places among the inputs; closed once the session has ended.
    room: Semaphore,
    /// Not forgotten. One that is forgotten only remembers ids until it is opened again.
    alive: AtomicBool,
    /// Made no call yet but such that want no updates (SVC-50).
    muted: AtomicBool,
}

/// What a session is told.
pub(crate) enum Input {
    /// A link is bound to it. Links say so once, before their first message.
    Attach(Box<AttachedLink>),
    /// A message came. Takes up room.
    Message(LinkId, Box<Message>),
    /// Push this body. Takes up room.
    Push(Bytes),
    /// A link is gone or bound elsewhere.
    Detach(LinkId),
    /// Forget everything but the ids.
    Forget,
    /// Finish what runs, then close the links and end.
    Drain,
    /// End.
    End,
}

pub(crate) struct AttachedLink {
    pub(crate) id: LinkId,
    pub(crate) sender: LinkSender,
    pub(crate) ends: Ends,
}

/// The two addresses of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
}

impl SessionHandle {
    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    pub(crate) fn is_muted(&self) -> bool {
        self.muted.load(Ordering::Relaxed)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.room.is_closed()
    }

    /// Makes the session forget; whether there was anything to forget.
    pub(crate) fn forget(&self) -> bool {
        let was_alive = self.alive.swap(false, Ordering::AcqRel);
        if was_alive {
            self.tell(Input::Forget);
        }
        was_alive
    }

    pub(crate) fn revive(&self) {
        self.alive.store(true, Ordering::Release);
    }

    pub(crate) fn end(&self) {
        self.alive.store(false, Ordering::Release);
        self.tell(Input::End);
    }

    /// Tells what takes up no room.
    pub(crate) fn tell(&self, input: Input) {
        // A session that has ended needs to hear nothing.
        let _ = self.inputs.send(input);
    }

    /// Waits for room, then tells; gives the input back if the session has ended.
    pub(crate) async fn tell_in_turn(&self, input: Input) -> Result<(), Input> {
        let Ok(permit) = self.room.acquire().await else { return Err(input) };
        // The session frees the place once it has dealt with the input.
        permit.forget();
        self.inputs.send(input).map_err(|error| error.0)
    }
}

/// Starts the task of a session.
pub(crate) fn open(
    shared: &Arc<Shared>,
    record: &Arc<KeyRecord>,
    id: SessionId,
    watcher: Watcher,
) -> Arc<SessionHandle> {
    let (sender, inputs) = mpsc::unbounded_channel();
    let handle = Arc::new(SessionHandle {
        id,
        inputs: sender,
        room: Semaphore::new(shared.config.sessions.inputs_max),
        alive: AtomicBool::new(true),
        muted: AtomicBool::new(false),
    });
    let salts = shared.salts(record.id(), record.first_salt);
    let task = Box::new(SessionTask {
        session: ServerSession::new(id, salts, shared.config.session.clone(), shared.rng()),
        shared: Arc::clone(shared),
        record: Arc::clone(record),
        handle: Arc::clone(&handle),
        links: Vec::new(),
        last_ends: None,
        running: JoinSet::new(),
        orders: Vec::new(),
        is_open: false,
        has_called: false,
        gone: Vec::new(),
        stop: Stop::No,
        watcher,
    });
    tokio::spawn(task.run(inputs));
    handle
}

struct SessionTask {
    session: ServerSession,
    shared: Arc<Shared>,
    record: Arc<KeyRecord>,
    handle: Arc<SessionHandle>,
    links: Vec<AttachedLink>,
    last_ends: Option<Ends>,
    running: JoinSet<Done>,
    /// What links are told after the messages that are ready for them.
    orders: Vec<(LinkId, LinkCommand)>,
    is_open: bool,
    has_called: bool,
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

/// What ran beside the session.
enum Done {
    Call(MsgId, Result<Bytes, RpcError>),
    KeysDropped(MsgId, Result<Vec<AuthKeyId>, RpcError>),
    KeyDestroyed(MsgId, KeyDestroyed, Vec<AuthKeyId>),
}

type Outcome = Result<Result<Bytes, RpcError>, Box<dyn Any + Send>>;

/// Inputs taken before what they led to is sent, so that answers share packets.
const BATCH_MAX: usize = 32;

impl SessionTask {
    /// Boxed, since a task would hold it twice.
    async fn run(mut self: Box<Self>, mut inputs: mpsc::UnboundedReceiver<Input>) {
        if self.watcher.stage() > Stage::Running {
            self.stop = Stop::Draining;
        }
        loop {
            self.settle();
            let is_done = self.running.is_empty() && inputs.is_empty();
            if self.stop == Stop::Now || (self.stop == Stop::Draining && is_done) {
                break;
            }
            let due = self.session.poll_timeout();
            tokio::select! {
                biased;
                input = inputs.recv() => {
                    let Some(input) = input else { break };
                    self.handle_input(input);
                    for _ in 1..BATCH_MAX {
                        let Ok(input) = inputs.try_recv() else { break };
                        self.handle_input(input);
                    }
                }
                Some(done) = self.running.join_next(), if !self.running.is_empty() => {
                    self.finish(done);
                }
                () = self.shared.clock.sleep_until(due), if due.is_some() => {
                    self.session.handle_timeout(self.shared.clock.now());
                }
            }
        }
        self.forgotten();
        // Whoever waits for these calls is gone; what they do to the world they finish (SES-16).
        self.running.detach_all();
        if self.stop == Stop::Draining {
            for link in &self.links {
                link.sender.send(LinkCommand::Close);
            }
        }
    }

    fn handle_input(&mut self, input: Input) {
        let now = self.shared.clock.now();
        match input {
            Input::Attach(link) => {
                if !self.is_open {
                    self.is_open = true;
                    self.shared.events.session_opened(self.record.id(), self.handle.id);
                }
                self.last_ends = Some(link.ends);
                self.links.push(*link);
            }
            Input::Message(link, message) => {
                self.handle.room.add_permits(1);
                self.session.handle_message(now, link, *message);
                // Calls begin before the next input, which may be the end of their link.
                self.handle_events(now);
            }
            Input::Push(body) => {
                self.handle.room.add_permits(1);
                self.session.push(now, body);
            }
            Input::Detach(link) => self.detach(link),
            Input::Forget => {
                self.forgotten();
                self.session.forget(now);
                self.has_called = false;
                self.handle.muted.store(false, Ordering::Relaxed);
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
        if std::mem::take(&mut self.is_open) {
            self.shared.events.session_forgotten(self.record.id(), self.handle.id);
        }
    }

    /// Does everything that can be done without waiting.
    fn settle(&mut self) {
        while let Some(done) = self.running.try_join_next() {
            self.finish(done);
        }
        let now = self.shared.clock.now();
        loop {
            self.handle_events(now);
            let Some((link, message)) = self.session.poll_transmit(now) else { break };
            let key = Arc::clone(&self.record.key);
            self.order(link, LinkCommand::Message(Box::new(Sealing { key, message })));
        }
        for (link, command) in std::mem::take(&mut self.orders) {
            self.order(link, command);
        }
        for key in std::mem::take(&mut self.gone) {
            self.shared.directory.remove_key(key);
        }
    }

    fn order(&mut self, link: LinkId, command: LinkCommand) {
        let attached = self.links.iter().find(|attached| attached.id == link);
        if attached.is_some_and(|attached| !attached.sender.send(command)) {
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
            // Its effects may be half done: it runs to its end (SVC-29).
            ServerEvent::CallDropped(_) => {}
            ServerEvent::DestroySession { request, session_id } => {
                let existed = self.shared.directory.destroy_session(key, session_id);
                self.session.session_destroyed(now, request, session_id, existed);
            }
            ServerEvent::DestroyAuthKey { request } => {
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
            return self.bind_key(now, msg_id, call.query);
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
            session_id: self.handle.id,
            msg_id,
            peer,
            local,
            now,
            layer: call.layer.or(saved.as_ref().map(|saved| saved.layer)),
            client: saved.map(|saved| saved.client),
            without_updates: call.without_updates,
        };
        let request = Request::new(caller, call.query, Pusher::new(&self.shared));
        let shared = Arc::clone(&self.shared);
        self.run_call(now, msg_id, function, async move {
            if let Some(connection) = save {
                save_connection(&shared, &request.caller, &connection).await?;
            }
            shared.calls.run(request).await
        });
    }

    fn bind_key(&mut self, now: Now, msg_id: MsgId, query: Bytes) {
        let (shared, record) = (Arc::clone(&self.shared), Arc::clone(&self.record));
        let session_id = self.handle.id;
        self.run_call(now, msg_id, BindTempAuthKey::ID, async move {
            binding::bind(&shared, &record, session_id, msg_id, &query).await
        });
    }

    fn drop_keys(&mut self, msg_id: MsgId, permanent: AuthKeyId, query: Bytes) {
        let shared = Arc::clone(&self.shared);
        self.running.spawn(async move {
            Done::KeysDropped(msg_id, binding::drop_keys(&shared, permanent, query).await)
        });
    }

    /// Runs what answers a call: here if that is ready at once, else beside the session.
    fn run_call(
        &mut self,
        now: Now,
        msg_id: MsgId,
        function: u32,
        future: impl Future<Output = Result<Bytes, RpcError>> + Send + 'static,
    ) {
        let mut future = Box::pin(AssertUnwindSafe(future).catch_unwind());
        let result_max = self.shared.config.result_max_bytes;
        match poll_once(future.as_mut()) {
            Poll::Ready(outcome) => {
                self.session.answer(now, msg_id, judge(outcome, function, result_max));
            }
            Poll::Pending => {
                self.running.spawn(async move {
                    Done::Call(msg_id, judge(future.await, function, result_max))
                });
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
        self.has_called |= !call.without_updates;
        self.handle.muted.store(!self.has_called, Ordering::Relaxed);
        let (Some(client), Some(layer)) = (&call.client, call.layer) else { return Ok(None) };
        let connection = Connection { layer, client: Arc::new(client.clone()) };
        let is_small = connection.to_stored().is_some_and(|stored| stored.check_size().is_ok());
        if !is_small {
            return Err(RpcError::bad_request("INPUT_REQUEST_TOO_LONG"));
        }
        let changed = identity.set_connection(connection.clone());
        let first = self.record.set_initialised();
        Ok((changed || first).then_some(connection))
    }

    /// Where a call came from: its link, or the last one attached if that is gone already.
    fn ends_of(&self, link: LinkId) -> Option<Ends> {
        let attached = self.links.iter().find(|attached| attached.id == link);
        attached.map(|attached| attached.ends).or(self.last_ends)
    }

    fn finish(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let now = self.shared.clock.now();
        match done {
            Ok(Done::Call(call, result)) => self.session.answer(now, call, result),
            Ok(Done::KeysDropped(call, dropped)) => {
                let result = dropped.map(|keys| {
                    self.gone.extend(keys);
                    binding::yes()
                });
                self.session.answer(now, call, result);
            }
            Ok(Done::KeyDestroyed(request, outcome, keys)) => {
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
        // Links that wait for room learn that nobody will make any.
        self.handle.alive.store(false, Ordering::Release);
        self.handle.room.close();
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
        warn!(auth_key = %key, %error, "what a client said of itself cannot be saved");
        RpcError::internal()
    })
}

/// Polls a future that will be polled again elsewhere unless it is ready.
fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The answer that the outcome of a handler leads to.
fn judge(outcome: Outcome, function: u32, result_max: usize) -> Result<Bytes, RpcError> {
    match outcome {
        Ok(Ok(result)) if result.len() > result_max => {
            let bytes = result.len();
            error!(function = format_args!("{function:08x}"), bytes, "a result is too large");
            Err(RpcError::internal())
        }
        Ok(result) => result,
        Err(_) => {
            error!(function = format_args!("{function:08x}"), "a handler panicked");
            Err(RpcError::internal())
        }
    }
}

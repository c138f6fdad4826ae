//! The task of a session: messages in, calls run, answers out.
//!
//! It waits for its inputs and its handlers, never for a link.
//!
//! | file | holds |
//! | --- | --- |
//! | `handle` | the way to the task, and how much may wait on it |
//! | `calls` | from a call to its answer |
//! | `beside` | tasks of calls that wait |
//! | `tally` | what the session has judged, counted, logged and told |

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use chappe_crypto::AuthKeyId;
use chappe_net::listen::Ends;
use chappe_net::shutdown::{Stage, Watcher};
use chappe_proto::link::Received;
use chappe_proto::rpc::RpcError;
use chappe_proto::session::server::{KeyDestroyed, ServerEvent, ServerSession};
use chappe_proto::{LinkId, MsgId, Now, SessionId};
use tokio::task::JoinError;
use tokio::task::coop::cooperative;
use tokio::time::{Sleep, sleep_until};
use tracing::{Instrument, debug, info_span, warn};

use crate::binding;
use crate::cancel::Cancellation;
use crate::keys::KeyRecord;
use crate::memory::{Share, Verdict};
use crate::metrics::Gauged;
use crate::question::Question;
use crate::queue::Receiver;
use crate::registry::{LinkCommand, Sealing};
use crate::shared::Shared;

mod beside;
mod calls;
mod handle;
mod tally;

use beside::Beside;
use calls::Answered;

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

/// Inputs taken before what they led to is sent, so that answers share packets.
const BATCH_MAX: usize = 32;
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

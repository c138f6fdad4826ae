//! The task of a client: its keys, a channel for each of them, and the calls over all of these.
//!
//! [`Keys`] says which keys to make, to bind, to use and to drop. Each has a [`Channel`]: an
//! exchange, a session and one link at a time, which is dialled again whenever it is lost. Links
//! are tasks of their own ([`link`]) and tell this one what comes; nothing here waits for them.
//!
//! ```text
//! commands ─┐                            ┌─ channel of the key in use ── link
//! news ─────┼─▶ handle ─▶ settle ─▶ ─────┼─ channel of the next key ──── link
//! timers ───┘                            └─ channel of the last key ──── link
//! ```
//!
//! [`channels`] holds what happens on a channel, [`dial`] how a connection is had, [`http`] how
//! requests make a link, [`end`] how it all ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chappe_crypto::{AuthKeyId, Rng};
use chappe_net::Clock;
use chappe_proto::dials::Dials;
use chappe_proto::keys::{Keys, Slot};
use chappe_proto::session::time::ServerClock;
use chappe_proto::{LinkId, Now};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinError, JoinSet};

use crate::builder::Builder;
use crate::calls::Calls;
use crate::client::Command;
use crate::error::{ConnectError, InvokeError, LinkError};
use crate::exchange::Done;
use crate::keeper::Keeper;
use crate::metrics::Metrics;
use crate::push::{Push, PushSender};
use crate::routes::Routes;
use crate::storage::{KeyRecord, ServerId, StorageError};
use crate::way::Way;
use crate::web::Web;

mod channel;
mod channels;
mod dial;
mod end;
mod http;
mod key;
mod link;
mod udp;

use channel::Channel;
use link::{LastRead, LinkCommand, News};

/// All that a client is, behind its handles.
pub(crate) struct Task {
    settings: Builder,
    /// The ways to the server, for the links of all channels.
    routes: Routes,
    web: Arc<Web>,
    /// How often the MTProto proxy was dialled, where there is one.
    dials: Option<Dials>,
    clock: Clock,
    rng: Rng,
    commands: mpsc::UnboundedReceiver<Command>,
    pushes: PushSender,
    /// Who waits for the first proof of the server.
    ready: Option<oneshot::Sender<Result<(), ConnectError>>>,
    calls: Calls,
    keys: Keys,
    channels: BTreeMap<Slot, Channel>,
    /// The permanent key as it is stored, or about to be.
    kept: Option<Kept>,
    /// What is known of the server's clock; sessions know it better.
    server_clock: ServerClock,
    /// Every link, and the channel it belongs to.
    links: BTreeMap<LinkId, Line>,
    last_link: u64,
    link_tasks: JoinSet<()>,
    news: mpsc::Receiver<(LinkId, News)>,
    tell: mpsc::Sender<(LinkId, News)>,
    /// Steps of exchanges that are being computed.
    works: JoinSet<(Slot, Done)>,
    keeper: Keeper,
    last_error: Option<LinkError>,
    /// A key was lost: the next one is news to the owner.
    has_lost_key: bool,
    /// A key was in use before: the server may have pushed where we heard nothing.
    was_in_use: bool,
    started: Duration,
    /// Since when the server has been out of reach.
    down_since: Option<Duration>,
    /// What calls fail with at once, while there is no hope for them.
    hopeless: Option<InvokeError>,
    is_stopping: bool,
    forgetting: Option<oneshot::Sender<Result<(), StorageError>>>,
    closers: Vec<oneshot::Sender<()>>,
    metrics: Arc<Metrics>,
}

/// What connects a task with those who use the client.
pub(crate) struct Handles {
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    pub(crate) pushes: PushSender,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) ready: oneshot::Sender<Result<(), ConnectError>>,
}

/// What the storage holds beside the permanent key.
struct Kept {
    server: ServerId,
    salt: i64,
    /// It is in the storage.
    is_stored: bool,
}

/// The way to a link.
struct Line {
    slot: Slot,
    way: Way,
    /// Which address it leads to, once it is open.
    address: Option<usize>,
    commands: mpsc::UnboundedSender<LinkCommand>,
    last_read: Arc<LastRead>,
    /// Over HTTP: no request waits for the server to speak.
    poll_is_idle: bool,
    task: AbortHandle,
}

/// Something that the task has to do.
enum Note {
    Command(Option<Command>),
    News(LinkId, News),
    Worked(Result<(Slot, Done), JoinError>),
    Saved(AuthKeyId, Result<(), StorageError>),
}

/// News that wait for the task; then links wait, too.
const NEWS_MAX: usize = 64;
/// Notes taken before what follows from them is sent, so that one packet carries it all.
const NOTES_MAX: usize = 64;

impl Task {
    pub(crate) fn new(
        settings: Builder,
        routes: Routes,
        mut rng: Rng,
        known: Option<(ServerId, KeyRecord)>,
        handles: Handles,
    ) -> Self {
        let Handles { commands, pushes, metrics, ready } = handles;
        let clock = settings.clock;
        let now = clock.now();
        let permanent = known.as_ref().map(|(_, record)| Arc::new(record.key.clone()));
        let kept = known.as_ref().map(|(server, record)| Kept {
            server: *server,
            salt: record.salt,
            is_stored: true,
        });
        let skew = known.as_ref().map_or(0, |(_, record)| record.server_minus_unix);
        let (tell, news) = mpsc::channel(NEWS_MAX);
        Self {
            web: Arc::new(settings.web_settings()),
            dials: settings.has_mtproxy().then(Dials::default),
            routes,
            clock,
            commands,
            pushes,
            ready: Some(ready),
            calls: Calls::new(settings.init.clone(), settings.without_updates),
            keys: Keys::new(now, settings.keys.clone(), permanent, rng.fork()),
            rng,
            channels: BTreeMap::new(),
            kept,
            server_clock: ServerClock::guess(now, skew),
            links: BTreeMap::new(),
            last_link: 0,
            link_tasks: JoinSet::new(),
            news,
            tell,
            works: JoinSet::new(),
            keeper: Keeper::new(Arc::clone(&settings.storage), known),
            last_error: None,
            has_lost_key: false,
            was_in_use: false,
            started: now.mono,
            down_since: Some(now.mono),
            hopeless: None,
            is_stopping: false,
            forgetting: None,
            closers: Vec::new(),
            metrics,
            settings,
        }
    }

    /// Runs until the client is closed.
    pub(crate) async fn run(mut self) {
        self.settle(self.clock.now());
        while !self.is_stopping {
            let clock = self.clock;
            let deadline = self.poll_timeout();
            tokio::select! {
                note = self.next_note() => self.handle_note(clock.now(), note),
                () = clock.sleep_until(deadline) => self.handle_timeout(clock.now()),
            }
            self.handle_waiting_notes().await;
            self.settle(clock.now());
        }
        self.finish().await;
    }

    /// The next thing to do. The future may be dropped without loss.
    async fn next_note(&mut self) -> Note {
        tokio::select! {
            command = self.commands.recv() => Note::Command(command),
            Some((link, news)) = self.news.recv() => Note::News(link, news),
            Some(done) = self.works.join_next() => Note::Worked(done),
            (key, result) = self.keeper.saved() => Note::Saved(key, result),
        }
    }

    /// Takes what else has come already.
    async fn handle_waiting_notes(&mut self) {
        for _ in 0..NOTES_MAX {
            if self.is_stopping {
                return;
            }
            tokio::select! {
                biased;
                note = self.next_note() => self.handle_note(self.clock.now(), note),
                () = std::future::ready(()) => return,
            }
        }
    }

    fn handle_note(&mut self, now: Now, note: Note) {
        match note {
            Note::Command(Some(command)) => self.handle_command(now, command),
            Note::Command(None) => self.stop(now),
            Note::News(link, news) => self.handle_news(now, link, news),
            Note::Worked(Ok((slot, done))) => self.handle_done(now, slot, done),
            // Only a fault of ours ends here; it shows as one.
            Note::Worked(Err(error)) => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
            Note::Saved(id, result) => self.saved(now, id, result),
        }
    }

    fn handle_command(&mut self, now: Now, command: Command) {
        match command {
            Command::Call(id, call) => match &self.hopeless {
                Some(error) => call.refuse(error.clone()),
                None => self.calls.add(id, call),
            },
            Command::Drop(id) => {
                let placed = self.calls.give_up(id);
                self.drop_calls(placed);
            }
            Command::Reconnect => {
                for slot in self.slots() {
                    self.fail_link(now, slot, LinkError::Silent);
                }
            }
            Command::Forget(done) => {
                self.forgetting = Some(done);
                self.stop(now);
            }
            Command::Close(done) => {
                self.closers.push(done);
                self.stop(now);
            }
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        for slot in self.slots() {
            self.handle_channel_timeout(now, slot);
        }
        self.handle_deadline(now);
    }

    fn poll_timeout(&self) -> Option<Duration> {
        let channels = self.channels.values().map(Channel::poll_timeout);
        let dial = self.channels.values().filter_map(Channel::dial_at).min();
        let dial = dial.map(|at| at.max(self.dial_from()));
        channels.chain([dial, self.keys.poll_timeout(), self.deadline()]).flatten().min()
    }

    /// Before this moment no link is dialled, even if its time has come.
    fn dial_from(&self) -> Duration {
        let is_wanted = self.ready.is_some() || !self.calls.is_empty();
        self.dials.as_ref().map_or(Duration::ZERO, |dials| dials.next(is_wanted))
    }

    fn slots(&self) -> Vec<Slot> {
        self.channels.keys().copied().collect()
    }

    fn push(&self, push: Push) {
        self.pushes.send(push);
    }
}

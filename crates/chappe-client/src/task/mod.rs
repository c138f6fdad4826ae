//! The task of a client: one connection after another, and what outlives them.
//!
//! ```text
//! wait ─▶ connect ─▶ link: key exchange, if there is no key ─▶ session
//!  ▲         │                     │                              │
//!  └─────────┴─────── failed ──────┴──────────── ended ───────────┘
//! ```
//!
//! Commands are taken at every point of it. What happens on a link is in [`owner`].

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chappe_crypto::{AuthKey, AuthKeyId, Rng};
use chappe_net::{Clock, End, Owner, connect, drive};
use chappe_proto::Now;
use chappe_proto::handshake::client::Finished;
use chappe_proto::link::{CloseReason, Link};
use chappe_proto::session::client::ClientSession;
use chappe_proto::session::time::ServerClock;
use tokio::net::TcpStream;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};
use tracing::{debug, info, warn};

use crate::builder::{Builder, KeyLoss};
use crate::calls::Calls;
use crate::client::Command;
use crate::error::{ConnectError, InvokeError, LinkError};
use crate::exchange::{Done, Exchange};
use crate::keeper::Keeper;
use crate::push::Push;
use crate::storage::{KeyRecord, ServerId, StorageError};
use chappe_proto::backoff::Backoff;

mod owner;

/// All that a client is, behind its handles.
pub(crate) struct Task {
    settings: Builder,
    clock: Clock,
    rng: Rng,
    commands: mpsc::UnboundedReceiver<Command>,
    pushes: broadcast::Sender<Push>,
    /// Who waits for the first proof of the server.
    ready: Option<oneshot::Sender<Result<(), ConnectError>>>,
    calls: Calls,
    key: Option<Key>,
    session: Option<ClientSession>,
    exchange: Exchange,
    /// A step of the exchange that is being computed.
    work: Option<JoinHandle<Done>>,
    keeper: Keeper,
    backoff: Backoff,
    /// Why the link in hand is being closed.
    verdict: Option<LinkError>,
    last_error: Option<LinkError>,
    /// Links in a row on which the server did not know the key.
    not_found: u32,
    /// A key was lost: the next one is news to the owner.
    has_lost_key: bool,
    started: Duration,
    /// Since when the server has been out of reach.
    down_since: Option<Duration>,
    /// What calls fail with at once, while there is no hope for them.
    hopeless: Option<InvokeError>,
    is_stopping: bool,
    closers: Vec<oneshot::Sender<()>>,
}

/// The auth key in use.
struct Key {
    key: Arc<AuthKey>,
    server: ServerId,
    salt: i64,
    /// For the next session; the session has its own afterwards.
    clock: ServerClock,
    /// It is in the storage.
    is_kept: bool,
    /// The server has used it in this run.
    is_confirmed: bool,
}

/// Something that the task has to do.
pub(crate) enum Note {
    Command(Option<Command>),
    Worked(Result<Done, JoinError>),
    Saved(AuthKeyId, Result<(), StorageError>),
}

/// Longest wait for a connection to be accepted.
const ACCEPT_WAIT_MAX: Duration = Duration::from_secs(10);
/// Least wait after -429 (SES-13).
const FLOOD_WAIT: Duration = Duration::from_secs(5);
/// Links in a row that must say -404 before a key counts as lost (SES-18).
const NOT_FOUND_MAX: u32 = 2;

impl Task {
    pub(crate) fn new(
        settings: Builder,
        mut rng: Rng,
        known: Option<(ServerId, KeyRecord)>,
        commands: mpsc::UnboundedReceiver<Command>,
        pushes: broadcast::Sender<Push>,
        ready: oneshot::Sender<Result<(), ConnectError>>,
    ) -> Self {
        let clock = settings.clock;
        let now = clock.now();
        let request = settings.key_request();
        let key = known.as_ref().map(|(server, record)| Key {
            key: Arc::new(record.key.clone()),
            server: *server,
            salt: record.salt,
            clock: ServerClock::guess(now, record.server_minus_unix),
            is_kept: true,
            is_confirmed: false,
        });
        Self {
            clock,
            commands,
            pushes,
            ready: Some(ready),
            calls: Calls::new(settings.init.clone()),
            key,
            session: None,
            exchange: Exchange::new(request, settings.exchange_timeout, rng.fork()),
            rng,
            work: None,
            keeper: Keeper::new(Arc::clone(&settings.storage), known),
            backoff: Backoff::default(),
            verdict: None,
            last_error: None,
            not_found: 0,
            has_lost_key: false,
            started: now.mono,
            down_since: Some(now.mono),
            hopeless: None,
            is_stopping: false,
            closers: Vec::new(),
            settings,
        }
    }

    /// Runs until the client is closed.
    pub(crate) async fn run(mut self) {
        let mut wait = Duration::ZERO;
        while !self.is_stopping {
            if self.attend(tokio::time::sleep(wait)).await.is_none() {
                break;
            }
            let address = self.settings.address.clone();
            match self.attend(connect::connect(address.clone(), ACCEPT_WAIT_MAX)).await {
                None => break,
                Some(Ok(stream)) => self.hold(stream).await,
                Some(Err(error)) => {
                    self.failed(LinkError::Connect { address, error: Arc::new(error) });
                }
            }
            wait = self.backoff.next(&mut self.rng);
        }
        self.finish().await;
    }

    /// Waits for `work` and does meanwhile what comes up; `None` when the client is to end.
    async fn attend<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        while !self.is_stopping {
            let clock = self.clock;
            let deadline = self.deadline();
            tokio::select! {
                biased;
                note = self.next_note() => self.handle_note(clock.now(), None, note),
                () = clock.sleep_until(deadline) => self.handle_deadline(clock.now(), None),
                done = &mut work, if !self.is_parked() => return Some(done),
            }
        }
        None
    }

    /// Drives one connection to its end.
    async fn hold(&mut self, stream: TcpStream) {
        let options = self.settings.client_options();
        let config = self.settings.link.clone();
        let mut link = Link::client(config, self.settings.transport, &options, self.rng.fork());
        self.open(self.clock.now(), &mut link);
        let config = self.settings.drive.clone();
        let end = drive(stream, link, self, self.clock, &config).await;
        self.closed(end);
    }

    /// A link is open: the exchange or the session goes on over it.
    fn open(&mut self, now: Now, link: &mut Link) {
        match &self.key {
            None => self.exchange.begin(now),
            Some(key) if key.is_kept => self.open_session(now, link),
            // The key is on its way to the storage and opens the session from there.
            Some(_) => {}
        }
    }

    fn open_session(&mut self, now: Now, link: &mut Link) {
        let Some(key) = &self.key else { return };
        link.use_key(Arc::clone(&key.key));
        let session = self.session.get_or_insert_with(|| {
            let config = self.settings.session.clone();
            let mut session = ClientSession::new(config, key.salt, key.clock, self.rng.fork());
            self.calls.begin_anew(&mut session);
            session
        });
        session.handle_link_opened(now);
        // Proves the key to both sides, and tells the server where to push (SES-04).
        session.ping(now);
    }

    fn closed(&mut self, end: End) {
        let now = self.clock.now();
        if let Some(session) = &mut self.session {
            session.handle_link_closed();
        }
        self.down_since.get_or_insert(now.mono);
        let error = self.verdict.take();
        if !self.is_stopping {
            self.failed(error.unwrap_or_else(|| LinkError::Ended(Arc::new(end))));
        }
    }

    /// An attempt failed, or a link was lost: what follows from the reason.
    fn failed(&mut self, error: LinkError) {
        debug!(%error, "no link");
        match &error {
            LinkError::Transport { code: 404 } if self.key.is_some() => {
                self.not_found += 1;
                if self.not_found >= NOT_FOUND_MAX {
                    self.lose_key();
                }
            }
            LinkError::Transport { code: 429 } => self.backoff.hold(FLOOD_WAIT),
            LinkError::KeyDead => self.lose_key(),
            _ => {}
        }
        // A run survives a lost connection (KEY-28), and nothing else (KEY-24).
        if !was_cut(&error) {
            self.exchange.abort();
        }
        if error.is_permanent() {
            let refused = ConnectError::Misconfigured(error.clone());
            self.refuse(refused, &InvokeError::Misconfigured(error.clone()));
        }
        self.last_error = Some(error);
    }

    /// The server knows the key no more.
    fn lose_key(&mut self) {
        let Some(key) = &self.key else { return };
        warn!(key = %key.key.id(), "the server does not know our auth key any more");
        if self.settings.key_loss == KeyLoss::Stop {
            self.refuse(ConnectError::KeyLost, &InvokeError::KeyLost);
            self.hopeless = Some(InvokeError::KeyLost);
            return;
        }
        self.key = None;
        self.session = None;
        self.not_found = 0;
        self.has_lost_key = true;
        self.exchange.abort();
    }

    /// An exchange has led to a key, which has to be stored before it is used.
    fn take_key(&mut self, now: Now, finished: Finished) {
        let Finished { key, server_key, first_salt, server_time, heard_at, .. } = finished;
        info!(key = %key.id(), "made an auth key");
        let mut clock = ServerClock::guess(now, 0);
        clock.set(heard_at, Duration::from_secs(server_time.max(0).unsigned_abs()));
        self.key = Some(Key {
            key: Arc::new(key),
            server: ServerId { dc: self.settings.dc, fingerprint: server_key },
            salt: first_salt,
            clock,
            is_kept: false,
            is_confirmed: false,
        });
        self.keep(now);
    }

    /// Hands what is worth keeping to the storage.
    fn keep(&mut self, now: Now) {
        let Some(Key { key, server, salt, clock, .. }) = &self.key else { return };
        let clock = self.session.as_ref().map_or(*clock, ClientSession::clock);
        let server_minus_unix = clock.server_minus_unix(now);
        let record = KeyRecord { key: (**key).clone(), salt: *salt, server_minus_unix };
        self.keeper.keep(*server, record);
    }

    /// The next thing to do. The future may be dropped without loss.
    async fn next_note(&mut self) -> Note {
        tokio::select! {
            command = self.commands.recv() => Note::Command(command),
            done = finished(&mut self.work) => {
                self.work = None;
                Note::Worked(done)
            }
            (key, result) = self.keeper.saved() => Note::Saved(key, result),
        }
    }

    fn handle_note(&mut self, now: Now, link: Option<&mut Link>, note: Note) {
        match note {
            Note::Command(Some(Command::Call(id, call))) => match &self.hopeless {
                Some(error) => call.refuse(error.clone()),
                None => self.calls.add(id, call, self.session.as_mut()),
            },
            Note::Command(Some(Command::Drop(id))) => {
                self.calls.give_up(id, self.session.as_mut());
            }
            Note::Command(Some(Command::Close(done))) => {
                self.closers.push(done);
                self.stop(now, link);
            }
            Note::Command(None) => self.stop(now, link),
            Note::Worked(Ok(done)) => match self.exchange.handle_done(done) {
                Ok(Some(finished)) => self.take_key(now, *finished),
                Ok(None) => {}
                Err(error) => self.fail(link, error),
            },
            // Only a fault of ours ends here; it shows as one.
            Note::Worked(Err(error)) => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
            Note::Saved(id, result) => self.saved(now, link, id, result),
        }
    }

    fn saved(
        &mut self,
        now: Now,
        link: Option<&mut Link>,
        id: AuthKeyId,
        result: Result<(), StorageError>,
    ) {
        let new = self.key.as_mut().filter(|key| key.key.id() == id && !key.is_kept);
        match (new, result) {
            (Some(key), Ok(())) => {
                key.is_kept = true;
                if std::mem::take(&mut self.has_lost_key) {
                    self.push(Push::NewKey);
                }
                if let Some(link) = link {
                    self.open_session(now, link);
                }
            }
            (Some(_), Err(error)) => {
                self.key = None;
                self.fail(link, LinkError::Storage(error));
            }
            (None, Ok(())) => {}
            // The key is safe; an old salt costs one exchange of messages in the next run.
            (None, Err(error)) => warn!(%error, "the salt could not be stored"),
        }
    }

    /// Ends the link for a reason; without a link, the attempt.
    fn fail(&mut self, link: Option<&mut Link>, error: LinkError) {
        match link {
            Some(link) => {
                self.verdict.get_or_insert(error);
                link.close(CloseReason::Owner);
            }
            None => self.failed(error),
        }
    }

    /// Begins the end: what was received is acknowledged before the link is closed.
    fn stop(&mut self, now: Now, link: Option<&mut Link>) {
        self.is_stopping = true;
        self.calls.fail(&InvokeError::Closed, self.session.as_mut());
        if let Some(session) = &mut self.session {
            session.flush();
        }
        if let Some(link) = link {
            // A link that is closed takes nothing more.
            Owner::poll_transmit(self, now, link);
            link.close(CloseReason::Owner);
        }
    }

    /// The server has shown that it holds the key.
    fn confirm(&mut self) {
        self.backoff.reset();
        self.not_found = 0;
        self.down_since = None;
        self.hopeless = None;
        self.last_error = None;
        if let Some(key) = &mut self.key {
            key.is_confirmed = true;
        }
        if let Some(ready) = self.ready.take() {
            // Whoever does not wait any more closes the client by that.
            let _ = ready.send(Ok(()));
        }
    }

    /// Tells everyone who waits that it is in vain; a client that never connected ends by it.
    fn refuse(&mut self, connecting: ConnectError, calling: &InvokeError) {
        self.calls.fail(calling, self.session.as_mut());
        if let Some(ready) = self.ready.take() {
            let _ = ready.send(Err(connecting));
            self.is_stopping = true;
        }
    }

    /// Whether nothing is tried any more, until the client is closed.
    fn is_parked(&self) -> bool {
        matches!(self.hopeless, Some(InvokeError::KeyLost))
    }

    /// When those who wait have waited too long.
    fn deadline(&self) -> Option<Duration> {
        if self.ready.is_some() {
            return Some(self.started + self.settings.connect_timeout);
        }
        let down_since = self.down_since.filter(|_| self.hopeless.is_none())?;
        Some(down_since + self.settings.unreachable_max?)
    }

    fn handle_deadline(&mut self, now: Now, link: Option<&mut Link>) {
        if self.deadline().is_none_or(|deadline| now.mono < deadline) {
            return;
        }
        let last = self.last_error.clone();
        let waited = self.settings.connect_timeout;
        let is_new = self.ready.is_some();
        let error = InvokeError::Unreachable(last.clone().unwrap_or(LinkError::Silent));
        self.refuse(ConnectError::Timeout { waited, last }, &error);
        if is_new {
            self.stop(now, link);
        } else {
            self.hopeless = Some(error);
        }
    }

    fn push(&self, push: Push) {
        // It fails when nobody listens, which is the listeners' choice.
        let _ = self.pushes.send(push);
    }

    /// Stores what is to be stored and lets everyone go.
    async fn finish(mut self) {
        self.calls.fail(&InvokeError::Closed, None);
        if self.key.as_ref().is_some_and(|key| key.is_kept) {
            self.keep(self.clock.now());
        }
        while self.keeper.is_busy() {
            if let (_, Err(error)) = self.keeper.saved().await {
                warn!(%error, "the key could not be stored at the end");
            }
        }
        for closer in self.closers {
            let _ = closer.send(());
        }
    }
}

/// Whether only the connection failed, and nobody said anything wrong.
fn was_cut(error: &LinkError) -> bool {
    match error {
        LinkError::Connect { .. } => true,
        LinkError::Ended(end) => matches!(**end, End::Eof | End::Io(_)),
        _ => false,
    }
}

/// Waits for a computation; for ever if there is none.
async fn finished(work: &mut Option<JoinHandle<Done>>) -> Result<Done, JoinError> {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

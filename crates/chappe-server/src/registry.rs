//! Open links by number, so that whoever has an answer for one can hand it over.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::{AuthKey, AuthKeyId};
use chappe_proto::envelope::encrypted::Message;
use chappe_proto::{LinkId, SessionId};
use tokio::sync::mpsc;

/// What others ask of a link. Small, since a queue of them stands ready for each connection.
pub(crate) enum LinkCommand {
    /// Send this message of a session, if the link is still bound to it (TRN-41).
    Message(Box<Sealing>),
    /// Send this body of the key exchange.
    Reply(Bytes),
    /// The same; with it the exchange is done, and the peer is no stranger any more.
    LastReply(Bytes),
    /// Send this transport error, a positive code.
    Fail(i32),
    /// Close unless told again in time (SVC-34).
    DisconnectAfter(Duration),
    /// This key is no more.
    ForgetKey(AuthKeyId),
    /// Begin nothing new; close once the session is done.
    Drain,
    /// Close.
    Close,
}

/// A message and the key to seal it with.
pub(crate) struct Sealing {
    pub(crate) key: Arc<AuthKey>,
    pub(crate) message: Message,
}

impl Sealing {
    pub(crate) fn session(&self) -> (AuthKeyId, SessionId) {
        (self.key.id(), self.message.header.session_id)
    }
}

/// The way to a link. Nobody waits for a link: one that takes nothing is dropped.
#[derive(Clone)]
pub(crate) struct LinkSender {
    queue: mpsc::Sender<LinkCommand>,
    overrun: Arc<AtomicBool>,
}

/// The link's end of it.
pub(crate) struct LinkQueue {
    queue: mpsc::Receiver<LinkCommand>,
    overrun: Arc<AtomicBool>,
}

/// Commands that may wait for a link. Its driver takes them whenever it runs; each may carry as
/// much as a container.
const COMMANDS_MAX: usize = 1024;

pub(crate) fn link_queue() -> (LinkSender, LinkQueue) {
    let (sender, queue) = mpsc::channel(COMMANDS_MAX);
    let overrun = Arc::new(AtomicBool::new(false));
    (LinkSender { queue: sender, overrun: Arc::clone(&overrun) }, LinkQueue { queue, overrun })
}

impl LinkSender {
    /// Hands a command over; `false` if the link is gone or has to go.
    pub(crate) fn send(&self, command: LinkCommand) -> bool {
        match self.queue.try_send(command) {
            Ok(()) => true,
            Err(error) => {
                if matches!(error, mpsc::error::TrySendError::Full(_)) {
                    self.overrun.store(true, Ordering::Relaxed);
                }
                false
            }
        }
    }
}

impl LinkQueue {
    /// The next command; `None` once the queue has overrun, for what came after is lost.
    pub(crate) async fn next(&mut self) -> Option<LinkCommand> {
        if self.overrun.load(Ordering::Relaxed) {
            return None;
        }
        self.queue.recv().await
    }
}

/// All open links.
#[derive(Default)]
pub(crate) struct Registry {
    last: AtomicU64,
    links: Mutex<HashMap<LinkId, LinkSender>>,
}

impl Registry {
    /// Numbers a new link.
    pub(crate) fn insert(&self, sender: LinkSender) -> LinkId {
        let id = LinkId(self.last.fetch_add(1, Ordering::Relaxed));
        self.lock().insert(id, sender);
        id
    }

    pub(crate) fn remove(&self, link: LinkId) {
        self.lock().remove(&link);
    }

    /// Hands a command to a link that may be gone.
    pub(crate) fn send(&self, link: LinkId, command: LinkCommand) {
        let sender = self.lock().get(&link).cloned();
        if let Some(sender) = sender {
            sender.send(command);
        }
    }

    /// Hands a command to every link.
    pub(crate) fn broadcast(&self, command: impl Fn() -> LinkCommand) {
        let senders: Vec<LinkSender> = self.lock().values().cloned().collect();
        for sender in senders {
            sender.send(command());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LinkId, LinkSender>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Open links by number, so that whoever has an answer for one can hand it over.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::{AuthKey, AuthKeyId};
use chappe_net::DriveConfig;
use chappe_proto::envelope::encrypted::Message;
use chappe_proto::{LinkId, SessionId};

use crate::queue::{Bounds, Receiver, Sender, Weighed, queue};

/// What others ask of a link.
pub(crate) enum LinkCommand {
    /// Send this message of a session, if the link is still bound to it (TRN-41).
    Message(Box<Sealing>),
    /// Tell the client that the message which came with this token was taken (TRN-26).
    QuickAck(u32),
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
pub(crate) type LinkSender = Sender<LinkCommand>;

/// The link's end of it.
pub(crate) type LinkQueue = Receiver<LinkCommand>;

/// Commands that may wait for a link. Its driver takes them whenever it runs.
const COMMANDS_MAX: usize = 1024;

/// A queue of as many bytes as may wait for a slow peer, and once more what makes it slow: a
/// session says at once all that it owes.
pub(crate) fn link_queue(config: &DriveConfig) -> (LinkSender, LinkQueue) {
    let bytes_max = config.outbound_max_bytes.saturating_add(config.outbound_soft_max_bytes);
    queue(Bounds { items_max: COMMANDS_MAX, bytes_max })
}

impl Weighed for LinkCommand {
    fn bytes(&self) -> usize {
        match self {
            Self::Message(sealing) => sealing.message.body.len(),
            Self::Reply(body) | Self::LastReply(body) => body.len(),
            _ => 0,
        }
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
            let _ = sender.send(command);
        }
    }

    /// Hands a command to every link.
    pub(crate) fn broadcast(&self, command: impl Fn() -> LinkCommand) {
        let senders: Vec<LinkSender> = self.lock().values().cloned().collect();
        for sender in senders {
            let _ = sender.send(command());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LinkId, LinkSender>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Rule:   what waits for a link is bounded in number and in bytes; one more, and the link ends.
    ///         A single thing always fits.
    /// Source: SEC-47, TRN-43.
    #[test]
    fn link_that_takes_too_little_is_given_up() {
        // A hundred bytes and fifty may wait.
        check(&[100, 50], 0, true);
        check(&[100, 50], 1, false);
        check(&[1000], 1, false);
        check(&[0; COMMANDS_MAX], 0, false);
        check(&[0; COMMANDS_MAX - 1], 150, true);
    }

    fn check(waiting: &[usize], len: usize, fits: bool) {
        let mut config = DriveConfig::default();
        (config.outbound_max_bytes, config.outbound_soft_max_bytes) = (100, 50);
        let (sender, mut queue) = link_queue(&config);
        let reply = |len| LinkCommand::Reply(vec![1; len].into());
        for len in waiting {
            assert!(sender.send(reply(*len)).is_ok());
        }
        assert_eq!(sender.send(reply(len)).is_ok(), fits, "{len} bytes after {}", waiting.len());
        assert_eq!(queue.has_overrun(), !fits);
        let next = queue.next().now_or_never().flatten();
        assert_eq!(next.is_some(), fits, "what came before a loss is lost as well");
        if fits {
            while queue.next().now_or_never().flatten().is_some() {}
            assert!(sender.send(reply(1000)).is_ok(), "what was taken waits no more");
        }
    }
}

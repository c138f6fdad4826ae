//! What waits for a client, with a bound: a slow client must not stall a link (MPX-15).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use tokio::sync::mpsc;

/// What comes for a client.
#[derive(Debug)]
pub(super) enum Heard {
    Packet(BytesMut),
    Error(i32),
    QuickAck(u32),
}

/// The end of the link.
#[derive(Debug)]
pub(super) struct Inbox {
    sender: mpsc::UnboundedSender<Heard>,
    held: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// The end of the client. It gives `None` once the link has let go of the client, and all that came
/// before was taken.
#[derive(Debug)]
pub(super) struct Outbox {
    receiver: mpsc::UnboundedReceiver<Heard>,
    held: Arc<AtomicUsize>,
}

/// What one thing counts beside its bytes.
const OVERHEAD: usize = 64;

pub(super) fn inbox(bytes_max: usize) -> (Inbox, Outbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let held = Arc::new(AtomicUsize::new(0));
    (Inbox { sender, held: Arc::clone(&held), bytes_max }, Outbox { receiver, held })
}

impl Inbox {
    /// Whether there was room: a single thing always has some.
    pub(super) fn put(&self, heard: Heard) -> bool {
        let bytes = heard.bytes();
        let held = self.held.fetch_add(bytes, Ordering::Relaxed);
        (held == 0 || held + bytes <= self.bytes_max) && self.sender.send(heard).is_ok()
    }
}

impl Outbox {
    /// May be dropped without losing anything.
    pub(super) async fn next(&mut self) -> Option<Heard> {
        let heard = self.receiver.recv().await?;
        self.held.fetch_sub(heard.bytes(), Ordering::Relaxed);
        Some(heard)
    }
}

impl Heard {
    fn bytes(&self) -> usize {
        match self {
            Self::Packet(packet) => packet.len() + OVERHEAD,
            Self::Error(_) | Self::QuickAck(_) => OVERHEAD,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule: MPX-15: what waits for a client has a bound in bytes; one thing alone has room, however
    ///       large, and what was taken waits no more.
    #[tokio::test]
    async fn what_waits_has_a_bound() {
        let packet = |len| Heard::Packet(BytesMut::zeroed(len));
        let (inbox, mut outbox) = inbox(1000);
        assert!(inbox.put(packet(5000)));
        assert!(!inbox.put(Heard::QuickAck(1)));

        let (inbox, mut small) = super::inbox(1000);
        for len in [300, 300, 200 - OVERHEAD] {
            assert!(inbox.put(packet(len)));
        }
        assert!(matches!(small.next().await, Some(Heard::Packet(packet)) if packet.len() == 300));
        assert!(inbox.put(packet(300)));
        assert!(!inbox.put(packet(300)));

        drop(inbox);
        let mut left = 0;
        while small.next().await.is_some() {
            left += 1;
        }
        assert_eq!(left, 3);
        assert!(matches!(outbox.next().await, Some(Heard::Packet(packet)) if packet.len() == 5000));
    }
}

//! What waits for a client, with a bound: a slow client must not stall a link (MPX-15). It counts
//! among all that waits (PRX-33).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use tokio::sync::mpsc;

use crate::memory::{Held, Memory};

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
    sender: mpsc::UnboundedSender<(Heard, Held)>,
    held: Arc<AtomicUsize>,
    bytes_max: usize,
    memory: Arc<Memory>,
}

/// The end of the client. It gives `None` once the link has let go of the client, and all that came
/// before was taken.
#[derive(Debug)]
pub(super) struct Outbox {
    receiver: mpsc::UnboundedReceiver<(Heard, Held)>,
    held: Arc<AtomicUsize>,
}

/// What one thing counts beside its bytes.
const OVERHEAD: usize = 64;

pub(super) fn inbox(bytes_max: usize, memory: &Arc<Memory>) -> (Inbox, Outbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let held = Arc::new(AtomicUsize::new(0));
    let inbox = Inbox { sender, held: Arc::clone(&held), bytes_max, memory: Arc::clone(memory) };
    (inbox, Outbox { receiver, held })
}

impl Inbox {
    /// Whether there was room: a single thing always has some.
    pub(super) fn put(&self, heard: Heard) -> bool {
        let bytes = heard.bytes();
        let held = self.held.fetch_add(bytes, Ordering::Relaxed);
        (held == 0 || held + bytes <= self.bytes_max)
            && self.sender.send((heard, self.memory.count(bytes))).is_ok()
    }
}

impl Outbox {
    /// May be dropped without losing anything.
    pub(super) async fn next(&mut self) -> Option<Heard> {
        let (heard, _) = self.receiver.recv().await?;
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
    use metrics::Gauge;

    use super::*;

    /// Rules: MPX-15, PRX-33: what waits for a client has a bound in bytes; one thing alone has room,
    ///        however large, and what was taken waits no more; it counts among all that waits.
    #[tokio::test]
    async fn what_waits_has_a_bound() {
        let packet = |len| Heard::Packet(BytesMut::zeroed(len));
        let memory = Arc::new(Memory::new(1 << 20, Gauge::noop(), Arc::default()));
        let (inbox, mut outbox) = inbox(1000, &memory);
        assert!(inbox.put(packet(5000)));
        assert_eq!(memory.held(), 5000 + OVERHEAD);
        assert!(!inbox.put(Heard::QuickAck(1)));

        let (inbox, mut small) = super::inbox(1000, &memory);
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
        assert_eq!(memory.held(), 0);
        // Nor does what nobody takes any more.
        let (inbox, outbox) = super::inbox(1000, &memory);
        assert!(inbox.put(packet(500)));
        drop(outbox);
        assert_eq!(memory.held(), 0);
    }
}

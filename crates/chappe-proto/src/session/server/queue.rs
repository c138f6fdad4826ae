//! Messages on their way into a response, and how many may wait for one in vain.

use std::collections::VecDeque;
use std::time::Duration;

use super::send::Ready;
use crate::ids::MsgId;

/// Messages on their way into a response.
#[derive(Debug, Default)]
pub(super) struct Queue {
    ready: VecDeque<Ready>,
    /// When the first and the last of them came; of an empty queue it says nothing.
    span: Option<(Duration, Duration)>,
    /// What the service messages among them take; the outbox counts the rest.
    pub(super) service_bytes: usize,
}

/// Bytes of service messages that wait for a request other than their own; what is beyond is lost,
/// as it is with a stream that closes.
pub(super) const SERVICE_BYTES_MAX: usize = 256 << 10;
/// What a service message takes beside its body.
const SERVICE_BYTES: usize = 64;
/// Entries of a queue that are of no use any more before somebody looks for such.
pub(super) const SLACK: usize = 2 * SERVICE_BYTES_MAX / SERVICE_BYTES;

impl Queue {
    pub(super) const fn new() -> Self {
        Self { ready: VecDeque::new(), span: None, service_bytes: 0 }
    }

    /// Adds a message that comes at this moment.
    pub(super) fn push(&mut self, now: Duration, ready: Ready) {
        let first = self.span().map_or(now, |(first, _)| first);
        self.span = Some((first, now));
        self.service_bytes += service_bytes(&ready);
        self.ready.push_back(ready);
    }

    /// As [`push`](Self::push), where it may wait in vain.
    pub(super) fn push_bounded(&mut self, now: Duration, ready: Ready) {
        if service_bytes(&ready) == 0 || self.service_bytes < SERVICE_BYTES_MAX {
            self.push(now, ready);
        }
    }

    /// Adds all of another queue, but service messages only up to so many bytes.
    pub(super) fn append(&mut self, other: Self, service_bytes_max: usize) {
        self.span = match (self.span(), other.span()) {
            (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
            (one, other) => one.or(other),
        };
        for ready in other.ready {
            let bytes = service_bytes(&ready);
            if bytes == 0 || self.service_bytes < service_bytes_max {
                self.service_bytes += bytes;
                self.ready.push_back(ready);
            }
        }
    }

    pub(super) fn span(&self) -> Option<(Duration, Duration)> {
        self.span.filter(|_| !self.ready.is_empty())
    }

    /// Messages here, those included that need not leave any more.
    pub(super) fn len(&self) -> usize {
        self.ready.len()
    }

    /// Forgets the kept messages that `is_due` does not know.
    pub(super) fn retain_owed(&mut self, is_due: impl Fn(MsgId) -> bool) {
        self.ready.retain(|ready| match ready {
            Ready::Owed(id) | Ready::OwedAgain(id) => is_due(*id),
            Ready::Service(_) => true,
        });
    }

    /// The next message to look at.
    pub(super) fn pop(&mut self) -> Option<Ready> {
        let ready = self.ready.pop_front()?;
        self.service_bytes -= service_bytes(&ready);
        Some(ready)
    }

    /// Puts a message back that was popped and found no room.
    pub(super) fn push_front(&mut self, ready: Ready) {
        self.service_bytes += service_bytes(&ready);
        self.ready.push_front(ready);
    }

    /// The messages here that the outbox keeps.
    pub(super) fn owed(&self) -> impl Iterator<Item = MsgId> {
        self.ready.iter().filter_map(|ready| match ready {
            Ready::Owed(id) | Ready::OwedAgain(id) => Some(*id),
            Ready::Service(_) => None,
        })
    }
}

fn service_bytes(ready: &Ready) -> usize {
    match ready {
        Ready::Service(inner) => SERVICE_BYTES + inner.body.len(),
        Ready::Owed(_) | Ready::OwedAgain(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::session::container::Inner;

    /// Rule:   what waits for a request counts for as long as it waits, and once.
    /// Source: SEC-47.
    #[test]
    fn a_queue_counts_what_is_in_it() {
        let service = |len: usize| {
            let body = Bytes::from(vec![0; len]);
            Ready::Service(Inner { msg_id: MsgId(1), seq_no: 0, body })
        };
        let mut queue = Queue::default();
        check(&queue, &[]);
        queue.push(Duration::ZERO, service(100));
        queue.push(Duration::ZERO, Ready::Owed(MsgId(5)));
        queue.push(Duration::ZERO, service(20));
        check(&queue, &[100, 20]);
        let first = queue.pop().unwrap();
        check(&queue, &[20]);
        queue.push_front(first);
        check(&queue, &[100, 20]);
        queue.pop();
        let owed = queue.pop().unwrap();
        check(&queue, &[20]);
        queue.push_front(owed);
        queue.retain_owed(|_| false);
        check(&queue, &[20]);

        let mut other = Queue::default();
        other.push(Duration::ZERO, service(8));
        other.append(std::mem::take(&mut queue), usize::MAX);
        check(&queue, &[]);
        check(&other, &[8, 20]);
        // What finds no room there counts no more.
        queue.push(Duration::ZERO, service(4));
        queue.append(other, 2 * SERVICE_BYTES + 4);
        check(&queue, &[4, 8]);
        while queue.pop().is_some() {}
        check(&queue, &[]);
    }

    fn check(queue: &Queue, lens: &[usize]) {
        let bytes: usize = lens.iter().map(|len| SERVICE_BYTES + len).sum();
        assert_eq!(queue.service_bytes, bytes);
        let services = queue.ready.iter().filter(|ready| matches!(ready, Ready::Service(_)));
        assert_eq!(services.count(), lens.len());
    }
}

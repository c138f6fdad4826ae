//! The way to the task of a session, and how much may wait on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use bytes::Bytes;
use chappe_net::listen::Ends;
use chappe_proto::link::Received;
use chappe_proto::session::outbox::Mark;
use chappe_proto::{LinkId, SessionId};
use tokio::sync::Semaphore;

use crate::config::SessionLimits;
use crate::queue::{Bounds, Receiver, Sender, Weighed, queue};
use crate::registry::LinkSender;

/// The way to a session. Its inputs keep their order; those that a peer can cause take up room.
pub(crate) struct SessionHandle {
    id: SessionId,
    inputs: Sender<Input>,
    /// Free room among the inputs, in bytes; closed once the session has ended.
    room: Semaphore,
    room_rates: RoomRates,
    /// Not forgotten. One that is forgotten only remembers ids until it is opened again.
    alive: AtomicBool,
    /// A [`Hearing`].
    hearing: AtomicU8,
}

/// Whether a session is pushed to (API-13, SVC-50).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Hearing {
    /// It has made no call: it takes the place of one that is gone.
    Undecided,
    /// It made such calls alone as want no updates.
    No,
    Yes,
}

/// What a session is told.
pub(crate) enum Input {
    /// A link is bound to it. Links say so once, before their first message.
    Attach(Box<AttachedLink>),
    /// A message came. Takes up room.
    Message(LinkId, Box<Received>),
    /// Push this body, which may tell an event of a line. Takes up room.
    Push(Bytes, Option<Mark>),
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
    pub(crate) ends: Arc<Ends>,
    /// It takes one message for each of its own.
    pub(crate) is_http: bool,
    /// What leaves there may be lost, and has to fit a datagram.
    pub(crate) is_datagrams: bool,
}

impl SessionHandle {
    /// The way, and the session's end of it.
    pub(super) fn new(id: SessionId, limits: &SessionLimits) -> (Arc<Self>, Receiver<Input>) {
        let (sender, inputs) = queue(Bounds::NONE);
        let rates = RoomRates::new(limits);
        let handle = Self {
            id,
            inputs: sender,
            room: Semaphore::new(rates.max as usize),
            room_rates: rates,
            alive: AtomicBool::new(true),
            hearing: AtomicU8::new(Hearing::Undecided as u8),
        };
        (Arc::new(handle), inputs)
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    pub(crate) fn hears(&self, hearing: Hearing) -> bool {
        self.hearing.load(Ordering::Relaxed) == hearing as u8
    }

    pub(super) fn set_hearing(&self, hearing: Hearing) {
        self.hearing.store(hearing as u8, Ordering::Relaxed);
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

    /// The session has ended: whoever waits for room learns that nobody will make any.
    pub(super) fn close(&self) {
        self.alive.store(false, Ordering::Release);
        self.room.close();
    }

    /// Tells what takes up no room.
    pub(crate) fn tell(&self, input: Input) {
        // A session that has ended needs to hear nothing.
        let _ = self.inputs.send(input);
    }

    /// Tells if there is room; gives the input back if there is none, or the session has ended.
    pub(crate) fn try_tell(&self, input: Input) -> Result<(), Input> {
        let room = self.room_rates.of(input.bytes());
        let Ok(permit) = self.room.try_acquire_many(room) else { return Err(input) };
        permit.forget();
        self.inputs.send(input)
    }

    /// Waits for room, then tells; gives the input back if the session has ended.
    pub(crate) async fn tell_in_turn(&self, input: Input) -> Result<(), Input> {
        let room = self.room_rates.of(input.bytes());
        let Ok(permit) = self.room.acquire_many(room).await else { return Err(input) };
        // The session frees the room once it takes the input up.
        permit.forget();
        self.inputs.send(input)
    }

    /// An input of so many bytes waits no longer.
    pub(super) fn free(&self, bytes: usize) {
        self.room.add_permits(self.room_rates.of(bytes) as usize);
    }
}

/// How much room inputs take up: their bytes, and at least so much that they are not too many.
#[derive(Clone, Copy, Debug)]
struct RoomRates {
    min: u32,
    max: u32,
}

impl RoomRates {
    fn new(limits: &SessionLimits) -> Self {
        let max = u32::try_from(limits.inputs_max_bytes).unwrap_or(u32::MAX);
        let min = max / u32::try_from(limits.inputs_max).unwrap_or(u32::MAX);
        Self { min: min.max(1), max }
    }

    /// Of one input; the largest fit when nothing else waits.
    fn of(self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).clamp(self.min, self.max)
    }
}

impl Weighed for Input {
    fn bytes(&self) -> usize {
        match self {
            Self::Message(_, received) => received.message.body.len(),
            Self::Push(body, _) => body.len(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Rule:   inputs that wait for a session are bounded in number and in bytes; what is larger
    ///         than the bound waits alone.
    /// Source: SEC-47.
    #[test]
    fn inputs_are_bounded_in_number_and_bytes() {
        // Bytes that fit after those before, and such that do not.
        check(&[0, 0, 0, 0], 0);
        check(&[250, 250, 250, 250], 1);
        check(&[500, 500], 1);
        check(&[748, 250], 252);
        check(&[5000], 1);
    }

    fn check(fitting: &[usize], one_more: usize) {
        let limits =
            SessionLimits { inputs_max: 4, inputs_max_bytes: 1000, ..SessionLimits::default() };
        let (handle, mut inputs) = SessionHandle::new(SessionId(1), &limits);
        for len in fitting {
            assert!(tell(&handle, *len), "{len} bytes of {fitting:?} do not fit");
        }
        assert!(!tell(&handle, one_more), "{one_more} bytes fit after {fitting:?}");
        for _ in fitting {
            let Some(Input::Push(body, None)) = inputs.try_next() else {
                panic!("told, not heard")
            };
            handle.free(body.len());
        }
        assert!(tell(&handle, 5000), "what was freed is not free");
    }

    fn tell(handle: &SessionHandle, len: usize) -> bool {
        handle.tell_in_turn(Input::Push(vec![1; len].into(), None)).now_or_never().is_some()
    }
}

//! Passing bytes both ways, until both ends have said all or one is gone.
//!
//! A connection that waits holds no buffer: bytes are read into one that belongs to the thread, when
//! there are any, and only what the other end has no room for is kept apart. As long as something is
//! kept nothing more is read in that direction, so that a slow end slows the other one; and what is
//! kept is offered again whenever there is room, whatever else is awaited.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use chappe_net::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::coding::Coding;
use crate::memory::{Memory, Ticket};
use crate::users::Direction;

/// Both directions of a connection.
pub(crate) struct Relay<T> {
    pub(crate) near: Stream,
    pub(crate) far: Stream,
    pub(crate) up: Flow,
    pub(crate) down: Flow,
    pub(crate) toll: T,
    pub(crate) bounds: Bounds,
}

/// What a relay keeps to.
pub(crate) struct Bounds {
    pub(crate) buffer_bytes: usize,
    pub(crate) idle_max: Duration,
    pub(crate) stalled_max: Duration,
    pub(crate) memory: Arc<Memory>,
}

/// Counts what passes.
pub(crate) trait Toll: Send {
    /// So many bytes pass: how long until more may, or that it is enough.
    fn pass(&mut self, direction: Direction, bytes: usize) -> Result<Duration, End>;
}

/// Why a relay is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Both ends have said all.
    Finished,
    /// One end is gone, and so is the other now.
    Reset,
    /// Nothing came for too long.
    Idle,
    /// An end took nothing for too long.
    Stalled,
    /// What waited for it was needed elsewhere.
    Evicted,
    /// What came is no record of data.
    Records,
    /// Enough has passed.
    UsedUp,
    /// The user is served no more.
    Removed,
    /// The data centre is not known, or cannot be reached.
    NoCentre,
    /// The proxy stops.
    Stopped,
}

impl End {
    pub(crate) const ALL: [Self; 10] = [
        Self::Finished,
        Self::Reset,
        Self::Idle,
        Self::Stalled,
        Self::Evicted,
        Self::Records,
        Self::UsedUp,
        Self::Removed,
        Self::NoCentre,
        Self::Stopped,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Reset => "reset",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::Evicted => "evicted",
            Self::Records => "records",
            Self::UsedUp => "used-up",
            Self::Removed => "removed",
            Self::NoCentre => "no-centre",
            Self::Stopped => "stopped",
        }
    }
}

/// One direction.
pub(crate) struct Flow {
    direction: Direction,
    coding: Coding,
    /// What the one end has no room for, as it is to be sent.
    kept: Option<Kept>,
    stage: Stage,
    /// Until when nothing more is taken.
    pause: Option<Pin<Box<Sleep>>>,
}

/// Bytes that wait.
struct Kept {
    bytes: Vec<u8>,
    sent: usize,
    /// When the last of them was taken, or they began to wait.
    since: Instant,
    ticket: Ticket,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// All was said; what is kept is still to be sent.
    Ending,
    Closed,
}

/// Reads in a row before others have their turn.
const READS_MAX: usize = 16;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Flow {
    /// A direction of which `first` is to be sent before all else.
    pub(crate) fn new(
        direction: Direction,
        coding: Coding,
        first: Vec<u8>,
        memory: &Arc<Memory>,
    ) -> Self {
        let mut flow = Self { direction, coding, kept: None, stage: Stage::Open, pause: None };
        flow.keep(first, memory);
        flow
    }

    fn keep(&mut self, bytes: Vec<u8>, memory: &Arc<Memory>) {
        if !bytes.is_empty() {
            let ticket = memory.hold(bytes.len());
            self.kept = Some(Kept { bytes, sent: 0, since: Instant::now(), ticket });
        }
    }

    /// Moves what can be moved; ready when all was said and passed on.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        from: &Stream,
        to: &Stream,
        shared: &mut Common<'_>,
    ) -> Poll<Result<(), End>> {
        let mut reads = 0;
        loop {
            if let Some(kept) = &mut self.kept {
                ready!(kept.poll_send(context, to, shared))?;
                self.kept = None;
            }
            match self.stage {
                Stage::Open => {}
                Stage::Ending => {
                    self.stage = Stage::Closed;
                    // Where the other direction is over as well both are closed at once.
                    if !std::mem::replace(&mut shared.half_closed, true) {
                        // It fails where the end is gone, which its own direction finds out.
                        let _ = to.finish();
                    }
                    return Poll::Ready(Ok(()));
                }
                Stage::Closed => return Poll::Ready(Ok(())),
            }
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            if reads == READS_MAX {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            reads += 1;
            ready!(from.poll_read_ready(context)).map_err(|_| End::Reset)?;
            let size = shared.bounds.read_size();
            SCRATCH.with_borrow_mut(|scratch| {
                if scratch.len() < size {
                    scratch.resize(size, 0);
                }
                self.shuttle(from, to, &mut scratch[..size], shared)
            })?;
        }
    }

    /// Reads once and writes as much of it as there is room for.
    fn shuttle(
        &mut self,
        from: &Stream,
        to: &Stream,
        scratch: &mut [u8],
        shared: &mut Common<'_>,
    ) -> Result<(), End> {
        let coded = match self.coding.read(from, scratch) {
            Ok(coded) => coded,
            Err(error) if is_pending(&error) => return Ok(()),
            // What was taken for records is none.
            Err(error) if error.kind() == ErrorKind::InvalidData => return Err(End::Records),
            Err(_) => return Err(End::Reset),
        };
        if coded.read == 0 {
            self.stage = Stage::Ending;
            return Ok(());
        }
        shared.active = Instant::now();
        let wait = shared.toll.pass(self.direction, coded.read)?;
        if !wait.is_zero() {
            self.pause = Some(Box::pin(sleep_until(shared.active + wait)));
        }
        let bytes = &scratch[..coded.len];
        let sent = match to.try_write(bytes) {
            _ if bytes.is_empty() => 0,
            Ok(sent) => sent,
            Err(error) if is_pending(&error) => 0,
            Err(_) => return Err(End::Reset),
        };
        if sent < bytes.len() {
            self.keep(bytes[sent..].to_vec(), &shared.bounds.memory);
            shared.began_waiting = true;
        }
        Ok(())
    }
}

impl Kept {
    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        to: &Stream,
        shared: &mut Common<'_>,
    ) -> Poll<Result<(), End>> {
        if Pin::new(&mut self.ticket.evicted).poll(context).is_ready() {
            return Poll::Ready(Err(End::Evicted));
        }
        while self.sent < self.bytes.len() {
            match to.try_write(&self.bytes[self.sent..]) {
                Ok(sent) => {
                    self.sent += sent;
                    self.since = Instant::now();
                    shared.active = self.since;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_pending(&error) => {
                    ready!(to.poll_write_ready(context)).map_err(|_| End::Reset)?;
                }
                Err(_) => return Poll::Ready(Err(End::Reset)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// What both directions know.
struct Common<'a> {
    bounds: &'a Bounds,
    toll: &'a mut dyn Toll,
    /// When bytes last passed.
    active: Instant,
    /// Something has to wait that had not before.
    began_waiting: bool,
    /// One direction is over.
    half_closed: bool,
}

impl Bounds {
    fn read_size(&self) -> usize {
        if self.memory.is_full() { READ_MIN } else { self.buffer_bytes }
    }
}

/// Read at once where memory is short.
const READ_MIN: usize = 4 << 10;

impl<T: Toll> Relay<T> {
    /// Runs to the end. Both connections are closed then: with a reset if one of them was, or if
    /// an end is not to be waited for.
    pub(crate) async fn run(mut self) -> End {
        let end = self.pass().await;
        if matches!(end, End::Reset | End::Stalled | End::Evicted) {
            self.near.reset_on_drop();
            self.far.reset_on_drop();
        }
        end
    }

    async fn pass(&mut self) -> End {
        let Self { near, far, up, down, toll, bounds } = self;
        let mut shared = Common {
            bounds,
            toll,
            active: Instant::now(),
            began_waiting: false,
            half_closed: false,
        };
        let mut timer = pin!(sleep_until(shared.active + bounds.idle_max.min(bounds.stalled_max)));
        poll_fn(|context| {
            let ends = [
                up.poll(context, near, far, &mut shared),
                down.poll(context, far, near, &mut shared),
            ];
            for end in ends {
                if let Poll::Ready(Err(end)) = end {
                    return Poll::Ready(end);
                }
            }
            if ends.iter().all(Poll::is_ready) {
                return Poll::Ready(End::Finished);
            }
            let deadline = |shared: &Common<'_>| {
                let kept = up.kept.iter().chain(&down.kept);
                let stalled = kept.map(|kept| (kept.since + bounds.stalled_max, End::Stalled));
                let idle = (shared.active + bounds.idle_max, End::Idle);
                stalled.chain([idle]).min_by_key(|(at, _)| *at).unwrap_or(idle)
            };
            if std::mem::take(&mut shared.began_waiting) {
                timer.as_mut().reset(deadline(&shared).0);
            }
            while timer.as_mut().poll(context).is_ready() {
                let (at, end) = deadline(&shared);
                if at <= Instant::now() {
                    return Poll::Ready(end);
                }
                timer.as_mut().reset(at);
            }
            Poll::Pending
        })
        .await
    }
}

fn is_pending(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

//! One client on a link: its stream is taken apart into packets, and put together from such.

use std::future::{pending, poll_fn};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use chappe_crypto::Rng;
use chappe_net::Stream;
use chappe_proto::middle::messages::{ConnId, Origin};
use chappe_proto::transport::fake_tls::Records;
use chappe_proto::transport::{Codec, Frame, SERVER_LIMIT};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep_until};

use super::inbox::{Heard, Outbox, inbox};
use super::link::Command;
use super::pool::{Line, Place};
use crate::coding::Shaper;
use crate::config::{MiddleConfig, RecordShape, RelayConfig};
use crate::front::Accepted;
use crate::memory::{Memory, Ticket};
use crate::relay::{End, Toll};
use crate::upstream::UserToll;
use crate::users::Direction;

/// What a client keeps to.
pub(super) struct Bounds {
    idle_max: Duration,
    stalled_max: Duration,
    inbox_max: usize,
    records: RecordShape,
    memory: Arc<Memory>,
}

/// A client being served.
pub(super) struct Served {
    stream: Stream,
    codec: Codec,
    records: Option<Records>,
    shaper: Option<Shaper>,
    line: Line,
    origin: Origin,
    toll: UserToll,
    bounds: Bounds,
    rng: Rng,
    /// What came, from the first frame on that is not whole; and what is to be written.
    input: BytesMut,
    output: BytesMut,
    /// A frame for the link.
    next: Option<(BytesMut, bool)>,
    /// The client's place on the link, from its first frame on, and what comes from there.
    place: Option<(Place, Outbox)>,
    /// Until when nothing is read, and nothing written.
    paused: [Option<Instant>; 2],
    /// When bytes last went either way, and since when some wait to be written.
    active: Instant,
    waiting: Option<Instant>,
    held: Option<(Ticket, usize)>,
}

/// Read at once; the buffer is on the stack.
const READ_MAX: usize = 16 << 10;
/// Bytes to be written beyond which no more are taken from the link.
const OUTPUT_MAX: usize = 64 << 10;
/// Most padding after a packet.
const PADDING_MAX: usize = 15;

impl Bounds {
    pub(super) fn new(relay: &RelayConfig, config: &MiddleConfig, memory: &Arc<Memory>) -> Self {
        Self {
            idle_max: relay.idle_max,
            stalled_max: relay.stalled_max,
            inbox_max: config.client_max_bytes,
            records: relay.records,
            memory: Arc::clone(memory),
        }
    }
}

impl Served {
    pub(super) fn new(
        stream: Stream,
        accepted: Accepted,
        line: Line,
        origin: Origin,
        toll: UserToll,
        bounds: Bounds,
        rng: Rng,
    ) -> Self {
        let Accepted { leg, records, early, .. } = accepted;
        let shaper = records.is_some().then(|| Shaper::new(bounds.records));
        let mut codec = leg.into_codec();
        codec.set_limit(SERVER_LIMIT + PADDING_MAX);
        Self {
            stream,
            codec,
            records,
            shaper,
            line,
            origin,
            toll,
            bounds,
            rng,
            input: early,
            output: BytesMut::new(),
            next: None,
            place: None,
            paused: [None; 2],
            active: Instant::now(),
            waiting: None,
            held: None,
        }
    }

    pub(super) async fn run(mut self) -> End {
        loop {
            match self.step().await {
                Ok(()) => {}
                Err(end) => return end,
            }
        }
    }

    /// Waits for one thing and does it.
    async fn step(&mut self) -> Result<(), End> {
        self.read_frame()?;
        self.count_held();
        if self.next.is_some() && self.place.is_none() {
            self.take_place().await?;
        }
        let deadline = self.deadline();
        let Self { stream, place, next, output, paused, held, bounds, .. } = self;
        let [read_at, write_at] = *paused;
        // One frame at a time: a client waits for its link.
        let (reads, writes, hears) =
            (next.is_none(), !output.is_empty(), output.len() <= OUTPUT_MAX);
        let (commands, outbox) = match place {
            Some((place, outbox)) => (Some((place.commands(), place.client)), Some(outbox)),
            None => (None, None),
        };
        tokio::select! {
            sent = send(commands, next, &bounds.memory) => match sent {
                true => Ok(()),
                false => Err(End::NoCentre),
            },
            ready = ready(poll_fn(|cx| stream.poll_read_ready(cx)), read_at), if reads => {
                ready.map_err(|_| End::Reset)?;
                self.read()
            }
            ready = ready(poll_fn(|cx| stream.poll_write_ready(cx)), write_at), if writes => {
                ready.map_err(|_| End::Reset)?;
                self.write()
            }
            heard = hear(outbox), if hears => match heard {
                Some(heard) => {
                    self.put(heard);
                    Ok(())
                }
                None => self.finish().await,
            },
            () = evicted(held) => Err(End::Evicted),
            () = sleep_until(deadline.0) => Err(deadline.1),
        }
    }

    /// Takes the next frame off what came.
    fn read_frame(&mut self) -> Result<(), End> {
        if self.next.is_none() {
            // What is no frame of the transport that the header named is no data either.
            let frame = self.codec.next(&mut self.input).map_err(|_| End::Records)?;
            if let Some(Frame::Packet { bytes, quick_ack_wanted }) = frame {
                self.next = Some((bytes, quick_ack_wanted));
            }
        }
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        if self.output.is_empty() {
            self.output = BytesMut::new();
        }
        Ok(())
    }

    async fn take_place(&mut self) -> Result<(), End> {
        let (inbox, outbox) = inbox(self.bounds.inbox_max, &self.bounds.memory);
        let deadline = self.deadline();
        // What waits here meanwhile may be needed elsewhere.
        let place = tokio::select! {
            place = self.line.open(self.origin, inbox) => place.ok_or(End::NoCentre)?,
            () = evicted(&mut self.held) => return Err(End::Evicted),
            () = sleep_until(deadline.0) => return Err(deadline.1),
        };
        self.place = Some((place, outbox));
        Ok(())
    }

    fn deadline(&self) -> (Instant, End) {
        let idle = (self.active + self.bounds.idle_max, End::Idle);
        let stalled = self.waiting.map(|since| (since + self.bounds.stalled_max, End::Stalled));
        stalled.into_iter().chain([idle]).min_by_key(|(at, _)| *at).unwrap_or(idle)
    }

    /// What waits here counts among all that waits (PRX-33).
    fn count_held(&mut self) {
        let next = self.next.as_ref().map_or(0, |(frame, _)| frame.len());
        let bytes = self.input.len() + self.output.len() + next;
        let counted = self.held.as_ref().map_or(0, |(_, counted)| *counted);
        if bytes == 0 {
            self.held = None;
        } else if counted == 0 || bytes > 2 * counted {
            self.held = None;
            self.held = Some((self.bounds.memory.hold(bytes), bytes));
        }
    }

    fn read(&mut self) -> Result<(), End> {
        let mut scratch = [0; READ_MAX];
        let read = match self.stream.try_read(&mut scratch) {
            // A client that has said all is gone: what comes for it is for nobody.
            Ok(0) => return Err(End::Finished),
            Ok(read) => read,
            Err(error) if is_pending(&error) => return Ok(()),
            Err(_) => return Err(End::Reset),
        };
        let len = match &mut self.records {
            Some(records) => records.unwrap(&mut scratch[..read]).map_err(|_| End::Records)?,
            None => read,
        };
        self.input.extend_from_slice(&scratch[..len]);
        self.active = Instant::now();
        self.paused[0] = self.pass(Direction::Up, read)?;
        Ok(())
    }

    fn write(&mut self) -> Result<(), End> {
        let written = match self.stream.try_write(&self.output) {
            Ok(written) => written,
            Err(error) if is_pending(&error) => return Ok(()),
            Err(_) => return Err(End::Reset),
        };
        self.output.advance(written);
        self.active = Instant::now();
        self.waiting = (!self.output.is_empty()).then_some(self.active);
        self.paused[1] = self.pass(Direction::Down, written)?;
        Ok(())
    }

    fn pass(&mut self, direction: Direction, bytes: usize) -> Result<Option<Instant>, End> {
        let wait = self.toll.pass(direction, bytes)?;
        Ok((!wait.is_zero()).then(|| self.active + wait))
    }

    /// One frame for the client (MPX-09, MPX-11, MPX-12).
    fn put(&mut self, heard: Heard) {
        let Self { codec, output, rng, shaper, .. } = self;
        let mut framed = BytesMut::new();
        let out = if shaper.is_some() { &mut framed } else { &mut *output };
        match heard {
            Heard::Packet(packet) => codec
                .put(&[&packet], out, rng)
                .expect("a link carries no packet that is empty or too large for a frame"),
            Heard::Error(code) => codec.put_error(code, out),
            Heard::QuickAck(token) => codec.put_quick_ack(token, out, rng),
        }
        if let Some(shaper) = shaper {
            shaper.wrap(&framed, output);
        }
        self.waiting.get_or_insert_with(Instant::now);
    }

    /// The middle server is done with the client, which gets what came for it.
    async fn finish(&mut self) -> Result<(), End> {
        while !self.output.is_empty() {
            let deadline = self.deadline();
            let Self { stream, paused, held, .. } = self;
            tokio::select! {
                ready = ready(poll_fn(|cx| stream.poll_write_ready(cx)), paused[1]) => {
                    ready.map_err(|_| End::Reset)?;
                }
                () = evicted(held) => return Err(End::Evicted),
                () = sleep_until(deadline.0) => return Err(deadline.1),
            }
            self.write()?;
        }
        Err(End::Finished)
    }
}

/// Gives the frame, if there is one, to the link; `false` if that is lost.
async fn send(
    place: Option<(&Sender<Command>, ConnId)>,
    next: &mut Option<(BytesMut, bool)>,
    memory: &Arc<Memory>,
) -> bool {
    let (Some((commands, client)), true) = (place, next.is_some()) else { return pending().await };
    let Ok(permit) = commands.reserve().await else { return false };
    if let Some((frame, quick_ack_wanted)) = next.take() {
        let held = memory.count(frame.len());
        permit.send(Command::Frame { client, frame, quick_ack_wanted, held });
    }
    true
}

async fn hear(outbox: Option<&mut Outbox>) -> Option<Heard> {
    match outbox {
        Some(outbox) => outbox.next().await,
        None => pending().await,
    }
}

/// Ready when the stream is, and no pause is to be kept.
async fn ready(
    stream: impl Future<Output = io::Result<()>>,
    at: Option<Instant>,
) -> io::Result<()> {
    if let Some(at) = at {
        sleep_until(at).await;
    }
    stream.await
}

async fn evicted(held: &mut Option<(Ticket, usize)>) {
    match held {
        Some((ticket, _)) => {
            // Whoever holds the other end drops it with the ticket.
            let _ = (&mut ticket.evicted).await;
        }
        None => pending().await,
    }
}

fn is_pending(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

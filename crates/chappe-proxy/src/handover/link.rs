//! The connection of two processes, either end; and the two that a process may have.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tracing::{debug, info, warn};

use super::wire::{self, Frame, Note};
use super::{Ledger, LinkId};
use crate::seen::Greeting;
use crate::shared::Shared;

/// One end of the connection.
#[derive(Debug)]
pub(crate) struct Link {
    stream: UnixStream,
    inbound: BytesMut,
    outbound: BytesMut,
    ledger: Ledger,
    greetings: Receiver<(LinkId, Greeting)>,
    ticks: Interval,
}

/// What the other end said that is no report.
#[derive(Debug)]
pub(super) enum Event {
    Commit,
    Yours,
    Stop(Duration),
    Done,
    Bye,
    Lost,
}

/// Time between two reports: so much later a quota that is used up in one process ends connections
/// in the other.
const REPORT_INTERVAL: Duration = Duration::from_millis(200);
/// Bytes that wait for the other end before it counts as lost.
const OUTBOUND_MAX: usize = 64 << 20;
/// Time for the last words.
const LAST_MAX: Duration = Duration::from_secs(5);

impl Link {
    pub(super) fn new(
        stream: UnixStream,
        inbound: BytesMut,
        ledger: Ledger,
        greetings: Receiver<(LinkId, Greeting)>,
    ) -> Self {
        let mut ticks = interval(REPORT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { stream, inbound, outbound: BytesMut::new(), ledger, greetings, ticks }
    }

    /// The new end, which accepts connections from here on.
    pub(crate) fn committed(
        stream: UnixStream,
        ledger: Ledger,
        greetings: Receiver<(LinkId, Greeting)>,
    ) -> Self {
        let mut link = Self::new(stream, BytesMut::new(), ledger, greetings);
        link.say(&Note::Commit);
        link
    }

    pub(super) fn say(&mut self, note: &Note) {
        wire::put_note(&mut self.outbound, note);
    }

    /// Books what comes and tells what happens, until the other end says something else. May be
    /// dropped and called again.
    pub(super) async fn next(&mut self, shared: &Shared) -> Event {
        match self.pump(shared).await {
            Ok(event) => event,
            Err(error) => {
                debug!(%error, "the link to the other process is lost");
                self.ledger.close(&shared.register());
                Event::Lost
            }
        }
    }

    async fn pump(&mut self, shared: &Shared) -> io::Result<Event> {
        loop {
            while let Some(frame) = wire::take(&mut self.inbound)? {
                if let Some(event) = self.hear(frame, shared)? {
                    return Ok(event);
                }
            }
            if self.outbound.len() > OUTBOUND_MAX {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let (mut reader, mut writer) = self.stream.split();
            tokio::select! {
                written = writer.write_buf(&mut self.outbound), if !self.outbound.is_empty() => {
                    written?;
                }
                read = reader.read_buf(&mut self.inbound) => if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                },
                heard = self.greetings.recv() => self.pass_on(heard),
                _ = self.ticks.tick() => self.report(shared),
            }
        }
    }

    fn hear(&mut self, frame: Frame, shared: &Shared) -> io::Result<Option<Event>> {
        let now = shared.clock.now();
        let note = match frame {
            Frame::Note(note) => note,
            Frame::Greetings(greetings) => {
                shared.seen.read(self.ledger.link(), &greetings, now.mono);
                return Ok(None);
            }
        };
        Ok(Some(match note {
            Note::Report(report) => {
                if self.ledger.enter(report, &mut shared.register(), now.unix) {
                    shared.look_again();
                }
                return Ok(None);
            }
            Note::Commit => Event::Commit,
            Note::Yours => Event::Yours,
            Note::Stop { wait_ms } => Event::Stop(Duration::from_millis(wait_ms)),
            Note::Done => Event::Done,
            Note::Bye => Event::Bye,
            Note::Ask { .. } | Note::Refused { .. } | Note::Offer { .. } => {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }))
    }

    /// Tells the other end of a greeting at once: whoever recorded it may send it there.
    fn pass_on(&mut self, heard: Result<(LinkId, Greeting), RecvError>) {
        match heard {
            Ok((from, _)) if from == self.ledger.link() => {}
            Ok((_, greeting)) => {
                let mut bytes = Vec::new();
                greeting.write(&mut bytes);
                wire::put_greetings(&mut self.outbound, &bytes);
            }
            Err(RecvError::Lagged(count)) => {
                warn!(count, "the other process was not told of greetings");
            }
            // What is shared outlives its links.
            Err(RecvError::Closed) => {}
        }
    }

    fn report(&mut self, shared: &Shared) {
        let report = self.ledger.report(&shared.register(), shared.clock.now().unix);
        if !report.is_empty() {
            self.say(&Note::Report(report));
        }
    }

    /// Tells everything that was not told.
    fn tell_all(&mut self, shared: &Shared) {
        while let Ok(heard) = self.greetings.try_recv() {
            self.pass_on(Ok(heard));
        }
        self.report(shared);
    }

    /// Sends what waits, and nothing more is heard.
    async fn flush(&mut self) {
        let outbound = self.outbound.split().freeze();
        let written = timeout(LAST_MAX, self.stream.write_all(&outbound)).await;
        if !matches!(written, Ok(Ok(()))) {
            debug!("the other process does not hear the last words");
        }
    }
}

/// The links of a process.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// To the one that it took over from, as long as that has connections.
    pub(crate) predecessor: Option<Link>,
    /// To the one that took over from it.
    pub(crate) successor: Option<Link>,
}

/// What the server has to know of links.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The predecessor accepts no connections any more.
    Ours,
    PredecessorLost,
    /// The predecessor has no connections any more, and everything was heard of it.
    PredecessorDone,
    /// The successor wants the connections closed after that time.
    Stop(Duration),
    SuccessorLost,
    /// The successor has heard everything.
    Heard,
}

impl Links {
    /// Serves both until something befalls one. May be dropped and called again.
    pub(crate) async fn next(&mut self, shared: &Shared) -> Turn {
        let Self { predecessor, successor } = self;
        loop {
            tokio::select! {
                event = next(predecessor, shared) => match event {
                    Event::Yours => return Turn::Ours,
                    Event::Done => {
                        if let Some(mut link) = predecessor.take() {
                            link.ledger.close(&shared.register());
                            link.say(&Note::Bye);
                            link.flush().await;
                        }
                        info!("the process before this one has ended");
                        return Turn::PredecessorDone;
                    }
                    Event::Lost => {
                        *predecessor = None;
                        return Turn::PredecessorLost;
                    }
                    Event::Commit | Event::Stop(_) | Event::Bye => {}
                },
                event = next(successor, shared) => match event {
                    Event::Stop(wait) => return Turn::Stop(wait),
                    Event::Bye => {
                        *successor = None;
                        return Turn::Heard;
                    }
                    Event::Lost => {
                        *successor = None;
                        warn!("the process that took over is gone; nobody hears what is counted here");
                        return Turn::SuccessorLost;
                    }
                    Event::Commit | Event::Yours | Event::Done => {}
                },
            }
        }
    }

    /// Serves both until something else is over.
    pub(crate) async fn during<F: Future>(&mut self, future: F, shared: &Shared) -> F::Output {
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                output = &mut future => return output,
                _ = self.next(shared) => {}
            }
        }
    }

    /// Has the predecessor close its connections after `wait`, and hears what it counted until
    /// then.
    pub(crate) fn stop_predecessor(&mut self, wait: Duration) {
        if let Some(link) = &mut self.predecessor {
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            link.say(&Note::Stop { wait_ms });
        }
    }

    /// Waits until the predecessor has said all, but not for ever.
    pub(crate) async fn predecessor_done(&mut self, wait: Duration, shared: &Shared) {
        let done = async {
            while self.predecessor.is_some() {
                self.next(shared).await;
            }
        };
        if timeout(wait + LAST_MAX, done).await.is_err() {
            warn!("the process before this one does not end; what it counts is lost");
        }
    }

    /// Says the last to the successor: nothing is counted here any more.
    pub(crate) async fn finish(&mut self, shared: &Shared) {
        if let Some(link) = &mut self.successor {
            link.tell_all(shared);
            link.say(&Note::Done);
        }
        let heard = async {
            while self.successor.is_some() {
                self.next(shared).await;
            }
        };
        if timeout(LAST_MAX, heard).await.is_err() {
            warn!("the process that took over does not answer");
        }
    }
}

async fn next(link: &mut Option<Link>, shared: &Shared) -> Event {
    match link {
        Some(link) => link.next(shared).await,
        None => std::future::pending().await,
    }
}

/// The first thing that comes, where that is all that may.
pub(super) async fn first(stream: &mut UnixStream) -> io::Result<Note> {
    let mut inbound = BytesMut::new();
    loop {
        match wire::take(&mut inbound)? {
            Some(Frame::Note(note)) if inbound.is_empty() => return Ok(note),
            Some(_) => return Err(io::ErrorKind::InvalidData.into()),
            None => {}
        }
        if stream.read_buf(&mut inbound).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Greetings as they lie on the wire, in pieces.
pub(super) fn put_all(out: &mut BytesMut, greetings: &[u8]) {
    for piece in greetings.chunks(Greeting::LEN << 16) {
        wire::put_greetings(out, piece);
    }
}

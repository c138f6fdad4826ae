//! Makes an auth key over links that may break meanwhile: repeats, deadlines, new runs.
//!
//! The steps themselves, with all their checks, are `chappe_proto::handshake::client`. Those that
//! compute are handed out as [`Work`], to be run where waiting hurts nobody (CRY-21).

use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::Rng;
use chappe_proto::Now;
use chappe_proto::handshake::client::{
    self, AwaitDhGen, AwaitDhParams, AwaitResPq, DhGen, Finished, HandshakeError, KeyRequest,
};

use crate::error::LinkError;

/// Key exchanges with one server, one run after another until one succeeds.
#[derive(Debug)]
pub(crate) struct Exchange {
    request: KeyRequest,
    /// Longest run (KEY-33).
    wait_max: Duration,
    rng: Rng,
    run: Option<Run>,
}

/// One run, under one nonce.
#[derive(Debug)]
struct Run {
    number: u64,
    started: Duration,
    stage: Stage,
    /// `None` while the step is being computed.
    step: Option<Step>,
    /// The request under way; sent again until it is answered (KEY-28).
    body: Bytes,
    /// It has to be sent, for the first time or again.
    unsent: bool,
    repeat_at: Duration,
    /// The answer taken last: a repeated request may draw it twice (KEY-29).
    answered: Option<Bytes>,
}

/// What a run waits for.
#[derive(Debug)]
enum Step {
    ResPq(AwaitResPq),
    DhParams(AwaitDhParams),
    DhGen(Box<AwaitDhGen>),
}

/// How far a run has come, as its deadlines see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    ResPq,
    DhParams,
    DhGen,
}

/// A step to be computed.
#[derive(Debug)]
pub(crate) struct Work {
    number: u64,
    step: Step,
    heard: Now,
    body: Bytes,
    rng: Rng,
}

/// A step that was computed.
#[derive(Debug)]
pub(crate) struct Done {
    number: u64,
    outcome: Result<Outcome, HandshakeError>,
}

#[derive(Debug)]
enum Outcome {
    Next(Step, Vec<u8>),
    Finished(Box<Finished>),
}

/// Time without an answer after which a request is repeated.
const REPEAT_AFTER: Duration = Duration::from_secs(10);

impl Exchange {
    pub(crate) fn new(request: KeyRequest, wait_max: Duration, rng: Rng) -> Self {
        Self { request, wait_max, rng, run: None }
    }

    /// A link is open: a run that a lost link interrupted goes on, or one begins.
    pub(crate) fn begin(&mut self, now: Now) {
        if let Some(run) = &mut self.run
            && now.mono < run.deadline(self.wait_max)
        {
            run.unsent = true;
            return;
        }
        let (step, body) = client::start(self.request.clone(), &mut self.rng);
        self.run = Some(Run {
            number: self.rng.u64(),
            started: now.mono,
            stage: Stage::ResPq,
            step: Some(Step::ResPq(step)),
            body: body.into(),
            unsent: true,
            repeat_at: now.mono,
            answered: None,
        });
    }

    /// Nothing of the run is kept; the next link begins another, under a new nonce (KEY-24).
    pub(crate) fn abort(&mut self) {
        self.run = None;
    }

    /// Takes an unencrypted message.
    pub(crate) fn handle(&mut self, now: Now, body: Bytes) -> Result<Option<Work>, LinkError> {
        let Some(run) = &mut self.run else { return Err(LinkError::Unencrypted) };
        if run.answered.as_ref() == Some(&body) {
            return Ok(None);
        }
        let step = run.step.take().ok_or(LinkError::Unencrypted)?;
        run.answered = Some(body.clone());
        run.unsent = false;
        let rng = self.rng.fork();
        Ok(Some(Work { number: run.number, step, heard: now, body, rng }))
    }

    /// When the run under way began.
    pub(crate) fn begun(&self) -> Option<Duration> {
        self.run.as_ref().map(|run| run.started)
    }

    /// Takes what [`Work`] led to; the key, if that was the last step.
    pub(crate) fn handle_done(&mut self, done: Done) -> Result<Option<Box<Finished>>, LinkError> {
        // Work of a run that was given up meanwhile is nothing.
        let Some(run) = self.run.as_mut().filter(|run| run.number == done.number) else {
            return Ok(None);
        };
        match done.outcome? {
            Outcome::Next(step, body) => {
                run.stage = step.stage();
                run.step = Some(step);
                run.body = body.into();
                run.unsent = true;
                Ok(None)
            }
            Outcome::Finished(finished) => {
                self.run = None;
                Ok(Some(finished))
            }
        }
    }

    /// The body to send now.
    pub(crate) fn poll_transmit(&mut self, now: Now) -> Option<Bytes> {
        let run = self.run.as_mut().filter(|run| run.unsent && !run.is_working())?;
        run.unsent = false;
        run.repeat_at = now.mono + REPEAT_AFTER;
        Some(run.body.clone())
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        let run = self.run.as_ref()?;
        let deadline = run.deadline(self.wait_max);
        Some(if run.is_working() { deadline } else { deadline.min(run.repeat_at) })
    }

    /// Repeats a request without an answer; fails when the time for the step is over.
    pub(crate) fn handle_timeout(&mut self, now: Now) -> Result<(), LinkError> {
        let Some(run) = &mut self.run else { return Ok(()) };
        if run.deadline(self.wait_max) <= now.mono {
            return Err(LinkError::ExchangeTimeout(self.wait_max));
        }
        if run.repeat_at <= now.mono && !run.is_working() {
            run.unsent = true;
            run.repeat_at = now.mono + REPEAT_AFTER;
        }
        Ok(())
    }
}

impl Run {
    /// 60 % of the time are for `resPQ`, 80 % for it and the DH parameters (KEY-33).
    fn deadline(&self, wait_max: Duration) -> Duration {
        self.started
            + match self.stage {
                Stage::ResPq => wait_max.mul_f64(0.6),
                Stage::DhParams => wait_max.mul_f64(0.8),
                Stage::DhGen => wait_max,
            }
    }

    fn is_working(&self) -> bool {
        self.step.is_none()
    }
}

impl Step {
    fn stage(&self) -> Stage {
        match self {
            Self::ResPq(_) => Stage::ResPq,
            Self::DhParams(_) => Stage::DhParams,
            Self::DhGen(_) => Stage::DhGen,
        }
    }
}

impl Work {
    /// Computes: tenths of a millisecond for the first step, milliseconds for the second, tenths
    /// of a second where the server's prime is new.
    pub(crate) fn run(self) -> Done {
        let Self { number, step, heard, body, mut rng } = self;
        let outcome = match step {
            Step::ResPq(state) => state
                .handle(&body, &mut rng)
                .map(|(state, body)| Outcome::Next(Step::DhParams(state), body)),
            Step::DhParams(state) => state
                .handle(heard, &body, &mut rng)
                .map(|(state, body)| Outcome::Next(Step::DhGen(Box::new(state)), body)),
            Step::DhGen(state) => state.handle(&body, &mut rng).map(|outcome| match outcome {
                DhGen::Finished(finished) => Outcome::Finished(finished),
                DhGen::Again(state, body) => Outcome::Next(Step::DhGen(state), body),
            }),
        };
        Done { number, outcome }
    }
}

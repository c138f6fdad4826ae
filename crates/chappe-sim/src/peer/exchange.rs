//! The key exchange of a client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chappe_proto::Now;
use chappe_proto::handshake::client::{AwaitDhGen, AwaitDhParams, AwaitResPq, DhGen};
use chappe_proto::session::time::ServerClock;

use super::Peer;
use crate::node::Env;

/// What a key exchange waits for.
pub(super) enum Step {
    ResPq(AwaitResPq),
    DhParams(AwaitDhParams),
    DhGen(Box<AwaitDhGen>),
}

impl Peer {
    pub(super) fn take_plain(&mut self, env: &mut Env<'_>, now: Now, body: &Bytes) {
        if self.take_step(env, now, body).is_none() {
            self.give_up();
        }
    }

    /// The next step of the key exchange; `None` ends the link.
    fn take_step(&mut self, env: &mut Env<'_>, now: Now, body: &Bytes) -> Option<()> {
        let (step, reply) = match self.step.take()? {
            Step::ResPq(state) => {
                let (state, reply) = state.handle(body, &mut self.rng).ok()?;
                (Step::DhParams(state), reply)
            }
            Step::DhParams(state) => {
                let (state, reply) = state.handle(now, body, &mut self.rng).ok()?;
                (Step::DhGen(Box::new(state)), reply)
            }
            Step::DhGen(state) => match state.handle(body, &mut self.rng).ok()? {
                DhGen::Again(state, reply) => (Step::DhGen(state), reply),
                DhGen::Finished(finished) => {
                    env.trace.note(env.at, "client {} has made a key", &[self.number as u64]);
                    let server_time = finished.server_time.max(0).unsigned_abs();
                    let mut clock = ServerClock::guess(now, 0);
                    clock.set(finished.heard_at, Duration::from_secs(server_time));
                    self.server_clock = Some(clock);
                    self.salt = finished.first_salt;
                    self.key = Some(Arc::new(finished.key));
                    self.open_session(env);
                    return Some(());
                }
            },
        };
        self.step = Some(step);
        self.line.as_mut()?.link.send_plain(now.unix, &reply);
        Some(())
    }
}

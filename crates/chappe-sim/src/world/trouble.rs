//! What strikes at planned moments, and its end.

use std::time::Duration;

use bytes::Bytes;
use chappe_proto::transport::{Framing, Transport};

use super::{Event, World};
use crate::fault::{Cut, Fault};
use crate::network::Way;

impl World {
    pub(super) fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::Cut { client, cut } => self.cut(client, cut),
            Fault::StepClient(client, millis) => {
                self.trace.note(self.at, "client {} steps its clock", &[client as u64]);
                self.clients[client].clock.step(millis);
            }
            Fault::Sleep { client, span, mono_stands } => {
                let peer = &mut self.clients[client];
                if peer.sleeps_until.is_none() {
                    self.trace.note(
                        self.at,
                        "client {} sleeps {} s",
                        &[client as u64, span.as_secs()],
                    );
                    peer.sleeps_until = Some(self.at + span);
                    if mono_stands {
                        peer.clock.stop(self.at);
                    }
                    self.add_in(span, Event::Wake(client));
                }
            }
            Fault::StepNode(millis) => {
                self.trace.note(self.at, "node steps its clock", &[]);
                self.node.clock.step(millis);
            }
            Fault::Restart(span) => {
                self.trace.note(self.at, "node ends", &[]);
                self.node.restart();
                self.town.restart();
                self.is_down = true;
                for client in 0..self.clients.len() {
                    // Half of them hear of it, the others when they speak.
                    if let Some(link) =
                        self.clients[client].link().filter(|_| self.rng.below(2) == 0)
                    {
                        self.end(link, Way::Down);
                    }
                }
                self.add_in(span, Event::Start);
            }
            Fault::ForgetAll | Fault::Forget(_) => {
                let sessions: Vec<_> = self.node.sessions().map(|(key, id, _)| (key, id)).collect();
                for session in sessions {
                    let is_meant = match fault {
                        Fault::Forget(client) => self.model.owner(session.1) == Some(client),
                        _ => true,
                    };
                    if is_meant {
                        self.node(|node, env| {
                            node.forget(env, session);
                        });
                    }
                }
            }
            Fault::Replay | Fault::LateReplay => {
                let is_up = |(_, way, _): &&(Transport, Way, Bytes)| *way == Way::Up;
                let known: Vec<_> = self.recorded.iter().filter(is_up).cloned().collect();
                if !known.is_empty() {
                    let (transport, _, bytes) = &known[self.rng.below(known.len() as u32) as usize];
                    self.send_as_stranger(*transport, bytes);
                }
                if fault == Fault::LateReplay
                    && self.at < self.plan.heals_at + Duration::from_secs(700)
                {
                    let wait = Duration::from_secs(u64::from(1 + self.rng.below(120)));
                    let number =
                        self.plan.faults.iter().position(|(_, fault)| *fault == Fault::LateReplay);
                    self.add_in(wait, Event::Fault(number.unwrap_or(0)));
                }
            }
            Fault::Noise => {
                let mut noise = vec![0; 1 + self.rng.below(200) as usize];
                self.rng.fill(&mut noise);
                self.send_as_stranger(Transport::plain(Framing::Intermediate), &noise);
            }
        }
    }

    fn cut(&mut self, client: usize, cut: Cut) {
        let Some(link) = self.clients[client].link() else { return };
        self.trace.note(self.at, "the network cuts link {}", &[link.0]);
        let Some(conn) = self.network.get_mut(link) else { return };
        match cut {
            Cut::Both => {
                conn.drain(Way::Up);
                conn.drain(Way::Down);
                self.end(link, Way::Up);
                self.end(link, Way::Down);
            }
            Cut::Client => {
                conn.kill(Way::Up);
                conn.drain(Way::Down);
                self.end(link, Way::Down);
            }
            Cut::Node => {
                conn.drain(Way::Up);
                conn.kill(Way::Down);
                self.end(link, Way::Up);
            }
            Cut::Nobody => {
                conn.kill(Way::Up);
                conn.kill(Way::Down);
            }
            Cut::NobodyUp => conn.kill(Way::Up),
            Cut::NobodyDown => conn.kill(Way::Down),
        }
    }

    pub(super) fn wake(&mut self, client: usize) {
        if self.clients[client].sleeps_until.is_none_or(|at| at > self.at) {
            return;
        }
        self.trace.note(self.at, "client {} wakes", &[client as u64]);
        self.clients[client].sleeps_until = None;
        self.clients[client].clock.resume(self.at);
        self.alarms[client] = None;
        let due = self.clients[client].poll_timeout();
        self.set_alarm(client, due);
    }

    /// Nothing goes wrong from now on, and what somebody meddled with is cut.
    pub(super) fn heal(&mut self) {
        self.trace.note(self.at, "all is well again", &[]);
        self.is_well = true;
        self.plan.network.jitter = self.plan.network.jitter.min(Duration::from_millis(200));
        for link in self.network.tampered() {
            if let Some(conn) = self.network.get_mut(link) {
                conn.drain(Way::Up);
                conn.drain(Way::Down);
            }
            self.end(link, Way::Up);
            self.end(link, Way::Down);
        }
        self.add_in(Duration::from_secs(1), Event::Check);
    }
}

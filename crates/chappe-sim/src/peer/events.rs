//! What a client hears: messages of its session, and what the session makes of them.

use std::time::Duration;

use bytes::Bytes;
use chappe_proto::envelope::encrypted::Message;
use chappe_proto::schema::types;
use chappe_proto::session::client::ClientEvent;
use chappe_proto::session::container::Inner;
use chappe_tl::Constructor;

use super::Peer;
use crate::model::Rule;
use crate::node::Env;
use crate::words;

impl Peer {
    pub(super) fn hear(&mut self, env: &mut Env<'_>, message: Message) {
        let now = self.clock.now(env.at);
        let Some(session) = &mut self.session else { return };
        let before = session.clock().at(now);
        let was = session.id();
        env.trace.note(
            env.at,
            "client {} hears {}",
            &[self.number as u64, words::fact(message.header.msg_id)],
        );
        let result = session.handle_message(now, message.clone());
        let after = session.clock().at(now);
        match result {
            Ok(()) => {
                self.failures = 0;
                let is_own = message.header.session_id == was;
                let is_timely = after <= message.header.msg_id.time() + Duration::from_secs(300);
                if is_own && is_timely {
                    env.model.clock_moved(self.number, before, after, &message);
                }
                let states = |inner: &Inner| words::id_of(&inner.body) == types::MsgsStateInfo::ID;
                if words::flatten(&message).iter().any(states) {
                    env.model.heard_states(self.number);
                }
            }
            Err(_) => {
                env.trace.note(env.at, "client {} refuses it", &[self.number as u64]);
                self.give_up();
            }
        }
    }

    pub(super) fn take_events(&mut self, env: &mut Env<'_>) {
        while let Some(session) = &mut self.session
            && let Some(event) = session.poll_event()
        {
            match event {
                ClientEvent::Answer(call, result) => match self.calls.remove(&call) {
                    Some(token) => {
                        env.trace.note(
                            env.at,
                            "client {} has the outcome of {}",
                            &[self.number as u64, token.0],
                        );
                        self.end_call(env, token, &result);
                    }
                    None => {
                        env.model
                            .fail(Rule::OneOutcome, || format!("{call:?} has a second outcome"));
                    }
                },
                ClientEvent::Pushed(body) => self.hear_push(env, &body),
                ClientEvent::PushesMayBeLost => {
                    if let Some(device) = &mut self.device {
                        device.handle_loss();
                    }
                }
                ClientEvent::Restarted(id) => {
                    env.trace.note(
                        env.at,
                        "client {} begins session {}",
                        &[self.number as u64, id.0 as u64],
                    );
                    env.model.owns(self.number, id);
                    env.model.restarted(self.number);
                }
                ClientEvent::LinkIsDead(_) => {
                    env.trace.note(env.at, "client {} finds its link dead", &[self.number as u64]);
                    self.give_up();
                }
                ClientEvent::QuickAck(_) | ClientEvent::Salt(_) => {}
            }
        }
    }

    fn hear_push(&mut self, env: &mut Env<'_>, body: &Bytes) {
        let Some((account, event)) = words::read_news(body) else {
            return env.model.heard_push(self.number, body);
        };
        let now = self.clock.now(env.at).mono;
        let device = self.device.as_mut();
        if !device.is_some_and(|device| device.handle_push(now, account, event)) {
            env.model.fail(Rule::OneLine, || {
                format!("client {} hears what happened to account {account}", self.number)
            });
        }
    }
}

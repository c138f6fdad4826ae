//! What the node's applications do, beyond the protocol: they answer, write, announce, push; and
//! whether each device ends up with what was written.

use std::time::Duration;

use chappe_crypto::AuthKeyId;
use chappe_proto::session::outbox::Mark;
use chappe_proto::session::server::Told;
use chappe_proto::{MsgId, SessionId};

use super::{Event, World};
use crate::model::Rule;
use crate::town::Writer;
use crate::words::{self, Events, Question, Token};

impl World {
    /// A handler has done what it does without others.
    pub(super) fn finish(
        &mut self,
        session: (AuthKeyId, SessionId),
        call: MsgId,
        token: Token,
        question: Question,
    ) {
        match question {
            Question::Plain => {
                self.model.finished(token);
                let result = words::answer(token);
                self.node(|node, env| node.answer(env, session, call, result));
            }
            Question::Missed(pts) => {
                let Some(account) = self.town.account(session.0) else { return };
                let events = self.town.difference(account, pts);
                self.answer_events(session, call, token, &events);
                let mark = Mark { line: account.into(), at: events.pts };
                let told = Told { up_to: mark, is_whole: events.is_whole };
                self.node(|node, env| node.told(env, session, call, Some(told)));
            }
            Question::Write(other) => {
                if self.town.queue(Writer { session, call, token, other }) {
                    self.soon(Event::Commit(self.node.life()));
                }
            }
        }
    }

    fn answer_events(
        &mut self,
        session: (AuthKeyId, SessionId),
        call: MsgId,
        token: Token,
        events: &Events,
    ) {
        let body = words::events(token, events);
        self.model.finished(token);
        self.model.answered(token, body.clone());
        self.node(|node, env| node.answer(env, session, call, Ok(body)));
    }

    /// Within some milliseconds, as databases have them.
    fn soon(&mut self, event: Event) {
        let wait = Duration::from_millis(u64::from(self.rng.below(30)));
        self.add_in(wait, event);
    }

    pub(super) fn commit(&mut self) {
        if let Some(writer) = self.town.commit() {
            self.trace.note(self.at, "node writes {}", &[writer.token.0]);
            self.soon(Event::Announce(self.node.life()));
        }
    }

    pub(super) fn announce(&mut self) {
        let now = self.node.clock.now(self.at).unix_seconds();
        let Some(announced) = self.town.announce(now) else { return };
        for account in announced.begin {
            self.soon(Event::Tell(self.node.life(), account));
        }
        if announced.is_next {
            self.soon(Event::Commit(self.node.life()));
        }
        let Writer { session, call, token, .. } = announced.writer;
        self.answer_events(session, call, token, &announced.events);
    }

    pub(super) fn tell(&mut self, account: u32) {
        let fails = self.plan.unread > 0 && !self.is_well && self.rng.below(100) < self.plan.unread;
        let (goes_on, push) = self.town.tell(account, fails);
        if goes_on {
            self.soon(Event::Tell(self.node.life(), account));
        }
        let Some(push) = push else { return };
        self.trace.note(
            self.at,
            "node tells account {} of {}",
            &[u64::from(account), push.event.token.0],
        );
        if !self.town.is_in_order(&push) {
            self.model.fail(Rule::OneLine, || format!("{push:?} comes late or again"));
        }
        let sessions: Vec<_> = self.node.sessions().map(|(key, id, _)| (key, id)).collect();
        for session in sessions {
            if self.town.account(session.0) != Some(account) || push.but == Some(session) {
                continue;
            }
            if push.by == session {
                self.model.fail(Rule::OneLine, || format!("{push:?} is its own news"));
            }
            let body = words::news(account, push.event);
            let mark = Mark { line: account.into(), at: push.event.step.pts };
            self.node(|node, env| node.push_in_line(env, session, mark, body));
        }
    }

    pub(super) fn push(&mut self) {
        let sessions: Vec<_> = self.node.sessions().map(|(key, id, _)| (key, id)).collect();
        if sessions.is_empty() || self.is_down {
            return;
        }
        let session = sessions[self.rng.below(sessions.len() as u32) as usize];
        self.last_push += 1;
        let token = Token(self.last_push);
        self.trace.note(self.at, "node pushes {} to {}", &[token.0, session.1.0 as u64]);
        self.model.pushed(token, session.1);
        self.node(|node, env| node.push(env, session, words::push(token)));
    }

    /// Compares what a device has with the log.
    pub(super) fn compare(&mut self, client: usize) {
        let Some(device) = &mut self.clients[client].device else { return };
        while let Some(event) = device.poll_event() {
            let account = device.account();
            self.trace.note(self.at, "client {} has {}", &[client as u64, event.token.0]);
            if !self.town.is_next(client, account, event) {
                self.model.fail(Rule::OneLine, || {
                    format!("client {client} has {event:x?} where the log has another")
                });
            }
        }
    }

    /// Events that devices miss.
    pub(super) fn missed(&self) -> usize {
        let clients = self.clients.iter().enumerate();
        let missed = clients.filter_map(|(client, peer)| {
            peer.device.as_ref().map(|device| self.town.missed(client, device.account()))
        });
        missed.sum()
    }
}

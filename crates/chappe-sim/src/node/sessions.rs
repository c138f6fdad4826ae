//! The sessions of a node: what they are told, what they want, what leaves.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::AuthKeyId;
use chappe_proto::session::outbox::Mark;
use chappe_proto::session::server::{KeyDestroyed, ServerEvent, ServerSession, Told};
use chappe_proto::{LinkId, MsgId, Now, SessionId};

use super::{Env, Node, Order};
use crate::words::{self, Question};

pub(super) struct Entry {
    pub(super) session: ServerSession,
    pub(super) is_alive: bool,
    pub(super) links: Vec<LinkId>,
    pub(super) idle_since: Option<Duration>,
}

impl Node {
    /// Sessions that are not forgotten.
    pub fn sessions(&self) -> impl Iterator<Item = (AuthKeyId, SessionId, &ServerSession)> {
        let alive = self.sessions.iter().filter(|(_, entry)| entry.is_alive);
        alive.map(|((key, id), entry)| (*key, *id, &entry.session))
    }

    /// A handler of this life has ended.
    pub fn answer(
        &mut self,
        env: &mut Env<'_>,
        session: (AuthKeyId, SessionId),
        call: MsgId,
        result: Result<Bytes, chappe_proto::rpc::RpcError>,
    ) {
        let now = self.clock.now(env.at);
        if let Some(entry) = self.sessions.get_mut(&session) {
            entry.session.answer(now, call, result);
        }
        self.settle(env);
    }

    /// Pushes to a session, if it is open.
    pub fn push(&mut self, env: &mut Env<'_>, session: (AuthKeyId, SessionId), body: Bytes) {
        let now = self.clock.now(env.at);
        if let Some(entry) = self.sessions.get_mut(&session).filter(|entry| entry.is_alive) {
            entry.session.push(now, body);
        }
        self.settle(env);
    }

    /// Pushes an event of a line to a session, if it is open.
    pub fn push_in_line(
        &mut self,
        env: &mut Env<'_>,
        session: (AuthKeyId, SessionId),
        mark: Mark,
        body: Bytes,
    ) {
        let now = self.clock.now(env.at);
        if let Some(entry) = self.sessions.get_mut(&session).filter(|entry| entry.is_alive) {
            entry.session.push_in_line(now, mark, body);
        }
        self.settle(env);
    }

    /// What the answer of a handler tells of what was missed.
    pub fn told(
        &mut self,
        env: &mut Env<'_>,
        session: (AuthKeyId, SessionId),
        call: MsgId,
        told: Option<Told>,
    ) {
        let now = self.clock.now(env.at);
        if let Some(entry) = self.sessions.get_mut(&session) {
            entry.session.told(now, call, told);
        }
        self.settle(env);
    }

    /// Forgets a session, its ids excepted; whether there was one.
    pub fn forget(&mut self, env: &mut Env<'_>, session: (AuthKeyId, SessionId)) -> bool {
        let now = self.clock.now(env.at);
        let Some(entry) = self.sessions.get_mut(&session).filter(|entry| entry.is_alive) else {
            return false;
        };
        entry.is_alive = false;
        entry.session.forget(now);
        env.model.forgot(self.life, session.0, session.1);
        env.trace.note(env.at, "node forgets session {}", &[session.1.0 as u64]);
        true
    }

    /// Forgets sessions that had no link for long.
    pub fn reap(&mut self, env: &mut Env<'_>) {
        let mono = self.clock.now(env.at).mono;
        let gone_after = self.config.idle_max.max(self.config.ids_kept);
        let idle = |entry: &Entry| mono - entry.idle_since.unwrap_or(mono);
        let due = |(_, entry): &(_, &Entry)| idle(entry) >= self.config.idle_max;
        let old: Vec<_> = self.sessions.iter().filter(due).map(|(id, _)| *id).collect();
        for id in old {
            self.forget(env, id);
            if idle(&self.sessions[&id]) >= gone_after {
                self.sessions.remove(&id);
                env.model.forgot(self.life, id.0, id.1);
            }
        }
    }

    /// Hands what sessions want to send to their links.
    pub(super) fn talk(&mut self, env: &mut Env<'_>, now: Now) {
        self.handle_session_events(env, now);
        for ((key, id), entry) in &mut self.sessions {
            while let Some((link, message)) = entry.session.poll_transmit(now) {
                let Some(line) = self.links.get_mut(&link) else { continue };
                // What a session sent before the link was bound elsewhere must not leave here.
                if line.bound != Some((*key, *id)) {
                    continue;
                }
                let Some(stock) = self.store.get(key) else { continue };
                env.model.node_sends(self.life, *key, link, &message);
                env.trace.message(env.at, "node says on link {} {}", link.0, &message);
                line.link.send(Arc::clone(&stock.key), message);
            }
        }
    }

    pub(super) fn handle_session_events(&mut self, env: &mut Env<'_>, now: Now) {
        let ids: Vec<_> = self.sessions.keys().copied().collect();
        for id in ids {
            while let Some(entry) = self.sessions.get_mut(&id)
                && let Some(event) = entry.session.poll_event()
            {
                self.handle_session_event(env, now, id, event);
            }
        }
    }

    fn handle_session_event(
        &mut self,
        env: &mut Env<'_>,
        now: Now,
        id: (AuthKeyId, SessionId),
        event: ServerEvent,
    ) {
        match event {
            ServerEvent::Call(call) => {
                env.model.ran(self.life, id.0, id.1, call.msg_id, &call.call.query);
                env.trace.note(env.at, "node runs {}", &[words::fact(call.msg_id)]);
                if let Some((_, Question::Missed(_))) = words::read_question(&call.call.query)
                    && let Some(entry) = self.sessions.get_mut(&id)
                {
                    entry.session.ask(call.msg_id);
                }
                self.orders.push(Order::Run(id.0, id.1, Box::new(call)));
            }
            ServerEvent::CallDropped(call) => {
                if let Some(entry) = self.sessions.get_mut(&id) {
                    entry.session.told(now, call, None);
                }
            }
            ServerEvent::DestroySession { request, session_id } => {
                let existed = self.forget(env, (id.0, session_id));
                if let Some(entry) = self.sessions.get_mut(&id) {
                    entry.session.session_destroyed(now, request, session_id, existed);
                }
            }
            ServerEvent::DestroyAuthKey { request } => {
                if let Some(entry) = self.sessions.get_mut(&id) {
                    entry.session.auth_key_destroyed(now, request, KeyDestroyed::Ok);
                }
                self.talk(env, now);
                self.destroy_key(id.0);
            }
            ServerEvent::DisconnectAfter(link, delay) => {
                if let Some(line) = self.links.get_mut(&link) {
                    line.link.disconnect_after(now, delay);
                    line.no_ping_at = Some(now.mono + delay);
                }
            }
            ServerEvent::CloseLink(link, code) => {
                if let Some(line) = self.links.get_mut(&link) {
                    line.link.fail(now, -code);
                }
            }
        }
    }
}

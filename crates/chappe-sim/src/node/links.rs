//! The links of a node: what comes on them, and which session each is bound to.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chappe_crypto::AuthKeyId;
use chappe_proto::envelope::encrypted::Message;
use chappe_proto::handshake::server::Origin;
use chappe_proto::link::{CloseReason, Link, LinkEvent};
use chappe_proto::session::server::ServerSession;
use chappe_proto::{LinkId, Now, SessionId};

use super::sessions::Entry;
use super::{Env, Node, Order};
use crate::words;

pub(super) struct Line {
    pub(super) link: Link,
    pub(super) inbound: BytesMut,
    pub(super) bound: Option<(AuthKeyId, SessionId)>,
    /// When the session wanted it closed for want of a ping.
    pub(super) no_ping_at: Option<Duration>,
    pub(super) heard_at: Duration,
}

/// Transport errors.
const NOT_FOUND: i32 = 404;

impl Node {
    /// Whether a link is open.
    pub fn has_link(&self, id: LinkId) -> bool {
        self.links.contains_key(&id)
    }

    /// Open links.
    pub fn links(&self) -> usize {
        self.links.len()
    }

    /// A connection was accepted.
    pub fn accept(&mut self, env: &mut Env<'_>, id: LinkId) {
        let now = self.clock.now(env.at);
        let detect = Arc::clone(&self.detect);
        let link = Link::server(now, self.config.link.clone(), detect, self.rng.fork());
        let line = Line {
            link,
            inbound: BytesMut::new(),
            bound: None,
            no_ping_at: None,
            heard_at: env.at,
        };
        self.links.insert(id, line);
    }

    /// Bytes came on a link.
    pub fn handle_bytes(&mut self, env: &mut Env<'_>, id: LinkId, bytes: &[u8]) {
        let now = self.clock.now(env.at);
        let Some(line) = self.links.get_mut(&id) else { return };
        line.heard_at = env.at;
        line.inbound.extend_from_slice(bytes);
        if line.link.wants_bytes() {
            line.link.handle_bytes(now, &mut line.inbound);
        }
        self.settle(env);
    }

    /// The peer's end of a connection is gone.
    pub fn handle_end(&mut self, env: &mut Env<'_>, id: LinkId) {
        self.remove_link(env, id);
        self.settle(env);
    }

    pub(super) fn handle_link_event(
        &mut self,
        env: &mut Env<'_>,
        now: Now,
        id: LinkId,
        event: LinkEvent,
    ) {
        match event {
            LinkEvent::KeyWanted(key) => self.orders.push(Order::FindKey(id, key)),
            LinkEvent::Message(key, opened) => {
                self.handle_message(env, now, id, key, opened.message);
            }
            LinkEvent::Plain(message) => {
                let address = [127, 0, 0, 1].into();
                self.exchanges.handle_plain(now, Origin { link: id, address }, &message.body);
                self.exchange(now);
            }
            _ => {}
        }
    }

    fn handle_message(
        &mut self,
        env: &mut Env<'_>,
        now: Now,
        id: LinkId,
        key: AuthKeyId,
        message: Message,
    ) {
        self.bury(now, key);
        let Some(line) = self.links.get_mut(&id) else { return };
        if !self.store.contains_key(&key) {
            line.link.forget_key(key);
            return line.link.fail(now, NOT_FOUND);
        }
        let session = message.header.session_id;
        if session.0 == 0 {
            return line.link.close(CloseReason::Owner);
        }
        env.model.opened(id, key, session);
        self.bind(now, id, (key, session));
        env.trace.note(
            env.at,
            "node hears {} on link {}",
            &[words::fact(message.header.msg_id), id.0],
        );
        if let Some(entry) = self.sessions.get_mut(&(key, session)) {
            entry.session.handle_message(now, id, message);
        }
        self.handle_session_events(env, now);
    }

    fn bind(&mut self, now: Now, id: LinkId, wanted: (AuthKeyId, SessionId)) {
        let Some(bound) = self.links.get(&id).map(|line| line.bound) else { return };
        let is_alive = |session| self.sessions.get(&session).is_some_and(|e: &Entry| e.is_alive);
        if bound == Some(wanted) && is_alive(wanted) {
            return;
        }
        self.unbind(now, id);
        let Some(salts) = self.salts(wanted.0) else { return };
        let config = &self.config.session;
        let rng = &mut self.rng;
        let entry = self.sessions.entry(wanted).or_insert_with(|| Entry {
            session: ServerSession::new(wanted.1, salts, config.clone(), rng.fork()),
            is_alive: true,
            links: Vec::new(),
            idle_since: None,
        });
        entry.is_alive = true;
        entry.idle_since = None;
        entry.links.push(id);
        if let Some(line) = self.links.get_mut(&id) {
            line.bound = Some(wanted);
        }
    }

    fn unbind(&mut self, now: Now, id: LinkId) {
        let Some(line) = self.links.get_mut(&id) else { return };
        line.no_ping_at = None;
        let Some(bound) = line.bound.take() else { return };
        let Some(entry) = self.sessions.get_mut(&bound) else { return };
        entry.session.handle_link_closed(id);
        entry.links.retain(|link| *link != id);
        if entry.links.is_empty() {
            entry.idle_since = Some(now.mono);
        }
    }

    pub(super) fn remove_link(&mut self, env: &mut Env<'_>, id: LinkId) {
        self.unbind(self.clock.now(env.at), id);
        if self.links.remove(&id).is_some() {
            env.trace.note(env.at, "node loses link {}", &[id.0]);
        }
    }
}

//! The keys of a node: what it stores, lends and destroys, and the exchanges that make them.

use std::sync::Arc;

use chappe_crypto::{AuthKey, AuthKeyId};
use chappe_proto::handshake::server::{Output, Stored};
use chappe_proto::session::salts::{FirstSalt, ServerSalts};
use chappe_proto::{LinkId, Now};

use super::{Env, Node};

pub(super) struct Stock {
    pub(super) key: Arc<AuthKey>,
    pub(super) first: FirstSalt,
    /// Unix second at which a temporary key dies; it does not outlive the process either.
    pub(super) end: Option<i64>,
}

impl Node {
    /// Puts a key into the store.
    pub fn keep_key(&mut self, mut key: AuthKey, first: FirstSalt) {
        key.forget_client_part();
        self.store.insert(key.id(), Stock { key: Arc::new(key), first, end: None });
    }

    /// Takes a temporary key, which dies at the Unix second `end`.
    pub fn lend_key(&mut self, mut key: AuthKey, first: FirstSalt, end: i64) {
        key.forget_client_part();
        self.store.insert(key.id(), Stock { key: Arc::new(key), first, end: Some(end) });
    }

    /// The salts of a key.
    pub fn salts(&self, key: AuthKeyId) -> Option<ServerSalts> {
        let stock = self.store.get(&key)?;
        Some(ServerSalts::new(&self.secret, key, stock.first))
    }

    /// The store has spoken.
    pub fn key_found(&mut self, env: &mut Env<'_>, id: LinkId, key: AuthKeyId) {
        let now = self.clock.now(env.at);
        self.bury(now, key);
        let found = self.store.get(&key).map(|stock| Arc::clone(&stock.key));
        let Some(line) = self.links.get_mut(&id) else { return };
        line.link.provide_key(now, key, found);
        if line.link.wants_bytes() {
            line.link.handle_bytes(now, &mut line.inbound);
        }
        self.settle(env);
    }

    /// Destroys a temporary key whose time is over.
    pub(super) fn bury(&mut self, now: Now, key: AuthKeyId) {
        let end = self.store.get(&key).and_then(|stock| stock.end);
        if end.is_some_and(|end| end <= now.unix_seconds()) {
            self.destroy_key(key);
        }
    }

    /// Ends everything of a key.
    pub(super) fn destroy_key(&mut self, key: AuthKeyId) {
        if let Some(stock) = self.store.remove(&key) {
            self.destroyed.push(Arc::downgrade(&stock.key));
        }
        self.sessions.retain(|(owner, _), _| *owner != key);
        for line in self.links.values_mut() {
            line.link.forget_key(key);
            if line.bound.is_some_and(|(owner, _)| owner == key) {
                line.bound = None;
            }
        }
    }

    /// Runs the key exchanges; work and store take no time.
    pub(super) fn exchange(&mut self, now: Now) {
        let mut is_stored = false;
        while let Some(output) = self.exchanges.poll_output() {
            match output {
                Output::Reply(link, body) => {
                    let Some(line) = self.links.get_mut(&link) else { continue };
                    if is_stored {
                        line.link.lift_limits();
                    }
                    line.link.send_plain(now.unix, &body);
                }
                Output::Error(link, code) => {
                    if let Some(line) = self.links.get_mut(&link) {
                        line.link.fail(now, -code);
                    }
                }
                Output::Work(work) => {
                    self.exchanges.handle_done(now, work.run(now.unix_seconds()));
                }
                Output::Store(ticket, new, _) => {
                    let first = FirstSalt { value: new.first_salt, created: now.unix_seconds() };
                    self.keep_key(new.key, first);
                    self.exchanges.handle_stored(now, ticket, Stored::Kept);
                    is_stored = true;
                }
            }
        }
    }
}

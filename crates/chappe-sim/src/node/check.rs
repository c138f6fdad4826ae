//! What must hold at a node after every step.

use std::sync::{Arc, Weak};
use std::time::Duration;

use chappe_proto::Now;

use super::{Env, Node};
use crate::model::Rule;

/// How late a timer may be served before it counts as not served.
const SLACK: Duration = Duration::from_secs(1);

impl Node {
    /// What must hold after every step.
    pub(super) fn check(&mut self, env: &mut Env<'_>, now: Now) {
        for ((_, id), entry) in &self.sessions {
            let load = entry.session.load();
            let limits = &self.config.session;
            let is_within = load.heard <= limits.inbox.ids_max.max(limits.inbox.ids_kept)
                && load.owed <= limits.outbox.messages_max
                && load.running <= limits.calls_max;
            if !is_within {
                env.model.fail(Rule::Bounds, || format!("session {id} holds {load:?}"));
            }
        }
        for (id, line) in &self.links {
            let pinged = line.no_ping_at.is_some_and(|at| at + SLACK < now.mono);
            let idle = env.at - line.heard_at > self.config.link.idle_max + SLACK;
            if pinged || idle {
                env.model.fail(Rule::DeadLinksEnd, || {
                    format!("link {} lives on, unheard since {:?}", id.0, line.heard_at)
                });
            }
        }
        if let Some(key) = self.destroyed.iter().find_map(Weak::upgrade) {
            let users = Arc::strong_count(&key) - 1;
            env.model.fail(Rule::KeyLifetime, || format!("{} has {users} users left", key.id()));
        }
    }
}

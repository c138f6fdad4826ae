//! What a session has judged, as it is counted, logged and told.

use chappe_proto::session::server::{Refused, Tally};
use tracing::debug;

use super::SessionTask;
use crate::metrics;

impl SessionTask {
    /// Counts and logs what the session has judged.
    pub(super) fn note(&mut self, tally: &Tally) {
        let metrics = &self.shared.metrics;
        for (code, Refused { count, last }) in &tally.refused {
            debug!(code, count, msg_id = %last, "messages refused");
            metrics.messages_refused.add(&code.to_string(), *count);
        }
        metrics.messages_repeated.increment(tally.repeated);
        metrics.calls_refused.increment(tally.flooded);
        metrics.future_salts.increment(tally.future_salts);
        let (pushes, answers) = (tally.dropped_pushes, tally.dropped_answers);
        if pushes + answers > 0 {
            metrics.messages_dropped.add(metrics::PUSH, pushes);
            metrics.messages_dropped.add(metrics::ANSWER, answers);
            debug!(pushes, answers, "messages given up: too much is unacknowledged");
        }
        if pushes > 0 {
            let key = self.record.id();
            self.shared.events.pushes_dropped(key, self.handle.id(), pushes);
            self.tell_of_loss(pushes);
        }
    }

    /// Says that pushes were given up: once, and again when so many more were that the word of it
    /// may be among them.
    fn tell_of_loss(&mut self, pushes: u64) {
        let Some(word) = self.shared.policy.loss.clone() else { return };
        let was_told = self.lost > 0;
        self.lost += pushes;
        if !was_told || self.lost > LOSS_UNTOLD_MAX {
            self.lost = 1;
            self.session.push(self.shared.clock.now(), word);
        }
    }
}

/// Pushes given up until a client that was told of it is told again.
const LOSS_UNTOLD_MAX: u64 = 100;

//! Handlers whose answer tells a client what it missed of a line of events.

use std::sync::{Arc, Mutex, PoisonError};

use chappe_proto::session::outbox::Mark;
use chappe_proto::session::server::Told;

/// Says up to where an answer tells a line of events.
///
/// While a call [that asks for what was missed](crate::Router::asks_for_missed) runs, what is pushed
/// [in a line](crate::Pusher::to_keys_in_line) waits in its session. The answer goes first; of the
/// events pushed those that it tells are given up then, and the others follow. So whoever hands
/// everything on as it comes hands on each event once, and all in their order.
///
/// Of an answer that tells only a part, the question after it is waited for, ten seconds at most. An
/// answer of which nothing is said here changes nothing: everything that waited follows it. In any
/// other call it is of no effect.
#[derive(Clone, Debug, Default)]
pub struct Question(Option<Arc<Mutex<Option<Told>>>>);

impl Question {
    /// Of a call that asks.
    pub(crate) fn open() -> Self {
        Self(Some(Arc::default()))
    }

    /// Says that with this answer the client has everything of a line up to a place; and whether
    /// there is no more, so that it need not ask again. What is said last counts.
    pub fn tells(&self, up_to: Mark, is_whole: bool) {
        if let Some(told) = &self.0 {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(Told { up_to, is_whole });
        }
    }

    pub(crate) fn told(&self) -> Option<Told> {
        *self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! A session over HTTP, where the server speaks only when it is asked (12-http §3).
//!
//! Calls go in requests that are answered at once, with whatever is there; everything else comes in
//! the answers to requests that wait for it, of which the owner keeps one under way at all times.

use std::time::Duration;

use bytes::Bytes;

use super::{ClientSession, Sent};
use crate::envelope::encrypted::Message;
use crate::now::Now;
use crate::rpc;
use crate::schema::types;
use crate::session::container::Inner;

/// Acknowledgements that do not wait for a request to ride in (HTP-24).
pub(super) const ACKS_MAX: usize = 100;
/// Requests that brought nothing and were answered at once, before there are pauses.
const VAIN_MAX: u32 = 3;
/// Those pauses, and what counts as answered at once.
const PAUSE: Duration = Duration::from_secs(1);

/// The requests that wait for the server to speak.
#[derive(Debug, Default)]
pub(super) struct Polls {
    /// When the last one left.
    last: Option<Duration>,
    /// Something new has come since.
    has_gained: bool,
    /// Those in a row that came to nothing at once.
    vain: u32,
    /// The owner wants one, and has to wait so long.
    pub(super) due: Option<Duration>,
}

impl ClientSession {
    /// As [`handle_link_opened`](Self::handle_link_opened), with a link that is made of requests.
    /// The owner then keeps one of [`poll_http_wait`](Self::poll_http_wait) under way.
    pub fn handle_http_opened(&mut self, now: Now) {
        if self.links == 0 {
            self.polls = Some(Polls::default());
        }
        self.count_link(now);
    }

    /// A request that is answered when the server has something to say, or after
    /// [`http_wait_max`](super::SessionConfig::http_wait_max); acknowledgements ride along.
    ///
    /// Called when none is under way. `None` while there is no link of requests, and for a moment
    /// where such requests were answered at once and with nothing, again and again.
    pub fn poll_http_wait(&mut self, now: Now) -> Option<Message> {
        let polls = self.polls.as_mut().filter(|_| self.links > 0)?;
        let next = polls.last.map_or(Duration::ZERO, |last| last + PAUSE);
        if polls.has_gained || next <= now.mono {
            polls.vain = 0;
        } else if polls.vain >= VAIN_MAX {
            polls.due = Some(next);
            return None;
        } else {
            polls.vain += 1;
        }
        (polls.last, polls.has_gained, polls.due) = (Some(now.mono), false, None);
        let mut inners = Vec::new();
        if !self.acks.is_empty() {
            inners.push(self.send_acks(now));
        }
        let max_wait = i32::try_from(self.config.http_wait_max.as_millis()).unwrap_or(i32::MAX);
        inners.push(self.http_wait(now, max_wait));
        self.wrap(now, inners, false)
    }

    /// Something that is worth to be asked for came.
    pub(super) fn note_gain(&mut self) {
        if let Some(polls) = &mut self.polls {
            polls.has_gained = true;
        }
    }

    /// Asks for the answer to the request at once (HTP-23).
    pub(super) fn http_no_wait(&mut self, now: Now) -> Inner {
        self.http_wait(now, 0)
    }

    fn http_wait(&mut self, now: Now, max_wait: i32) -> Inner {
        let body: Bytes = rpc::boxed(&types::HttpWait { max_delay: 0, wait_after: 0, max_wait });
        let inner = self.number(now, body, false);
        self.remember(inner.msg_id, Sent::HttpWait);
        inner
    }
}

//! What leaves in the responses of HTTP: one message for each request, with all there is in it.

use std::time::Duration;

use super::ServerSession;
use super::queue::SLACK;
use super::send::{Outlet, Ready};
use super::work::Work;
use crate::envelope::encrypted::Message;
use crate::ids::{LinkId, MsgId};
use crate::now::Now;
use crate::session::container::{self, Inner};
use crate::session::outbox::{Dropped, Owed, Place};

impl ServerSession {
    /// Takes one opened message that came as a request of HTTP, and owes its link one message in
    /// return, which [`poll_transmit`](Self::poll_transmit) gives when `http_wait` lets it.
    ///
    /// A link has one request at a time; those of several links may wait together. When a link
    /// closes before its response was given, that is for
    /// [`handle_link_closed`](Self::handle_link_closed).
    pub fn handle_request(&mut self, now: Now, link: LinkId, message: Message) {
        self.close_poll(link);
        self.polls.begin(now.mono, link, &self.config.poll);
        self.handle_message(now, link, message);
        self.polls.judged(now.mono, link);
    }

    /// Answers every request of HTTP with what there is, those to come as well.
    pub fn hurry_responses(&mut self) {
        self.polls.hurry();
    }

    /// The request of a link ends without its response; what that had carried waits for the next.
    pub(super) fn close_poll(&mut self, link: LinkId) {
        let Some(queue) = self.polls.if_any().and_then(|polls| polls.close(link)) else { return };
        for id in queue.owed() {
            if self.work.outbox.get(id).is_some_and(|owed| owed.place == Place::Ready(link)) {
                self.work.outbox.put(id, Place::Waiting);
            }
        }
        self.polls.leave(queue);
    }

    /// The response that is due, as the one message that it is.
    pub(super) fn poll_response(&mut self, now: Now) -> Option<(LinkId, Inner)> {
        if self.polls.has_takers() {
            self.renew(now);
        }
        let link = self.polls.next(now.mono)?;
        let mut queue = self.polls.take(link);
        let mut inners: Vec<Inner> = Vec::new();
        let mut size = 0;
        let mut may_go_alone = true;
        while let Some(ready) = queue.pop() {
            let Some(inner) = self.due_inner(now, link, &ready) else { continue };
            size += container::room(inner.body.len());
            let is_full = inners.len() == self.config.poll.messages_max
                || size > self.config.poll.response_max_bytes;
            if is_full && !inners.is_empty() {
                queue.push_front(ready);
                break;
            }
            may_go_alone &= !matches!(ready, Ready::OwedAgain(_));
            if !matches!(ready, Ready::Service(_)) {
                self.post(now.mono, inner.msg_id);
            }
            inners.push(inner);
        }
        for id in queue.owed() {
            self.work.outbox.put(id, Place::Waiting);
        }
        self.polls.leave(queue);
        let message = match inners.pop() {
            Some(inner) if may_go_alone && inners.is_empty() => inner,
            last => {
                inners.extend(last);
                self.pack(now, inners)
            }
        };
        Some((link, message))
    }

    /// When something is due because of requests that wait.
    pub(super) fn response_due(&self) -> Option<Duration> {
        let renewal =
            self.work.posted.front().map(|(posted, _)| *posted + self.config.poll.resend_after);
        [self.polls.due(), renewal.filter(|_| self.polls.has_takers())].into_iter().flatten().min()
    }

    /// Notes that a message, or word of it, left in a response.
    pub(super) fn post(&mut self, now: Duration, id: MsgId) {
        self.work.outbox.put(id, Place::Posted(now));
        self.work.posted.push_back((now, id));
        if self.work.posted.len() > 2 * self.work.outbox.len() + SLACK {
            let Work { outbox, posted, .. } = &mut *self.work;
            posted.retain(|(posted, id)| {
                outbox.get(*id).is_some_and(|owed| owed.place == Place::Posted(*posted))
            });
        }
    }

    /// Leaves a message for the next response. Those that were acknowledged or dropped meanwhile
    /// are forgotten before they are too many.
    pub(super) fn queue_response(&mut self, now: Duration, ready: Ready) {
        self.polls.common.push_bounded(now, ready);
        if self.polls.common.len() > 2 * self.work.outbox.len() + SLACK {
            let outbox = &self.work.outbox;
            self.polls
                .common
                .retain_owed(|id| outbox.get(id).is_some_and(|owed| owed.place == Place::Waiting));
        }
    }

    /// Queues again what left in a response and was not acknowledged in time (HTP-19).
    fn renew(&mut self, now: Now) {
        for _ in 0..self.work.posted.len() {
            let Some((posted, id)) = self.work.posted.front().copied() else { return };
            let is_owed =
                self.work.outbox.get(id).is_some_and(|owed| owed.place == Place::Posted(posted));
            if is_owed && posted + self.config.poll.resend_after > now.mono {
                return;
            }
            self.work.posted.pop_front();
            if is_owed && !self.give_up_old(now, id) {
                self.send_again(now, Outlet::Response, id);
            }
        }
    }

    /// The message itself, if it is still to leave by this link or any.
    fn due_inner(&mut self, now: Now, link: LinkId, ready: &Ready) -> Option<Inner> {
        match ready {
            Ready::Service(inner) => Some(inner.clone()),
            Ready::Owed(id) | Ready::OwedAgain(id) => {
                let is_here =
                    |owed: &Owed| owed.place == Place::Waiting || owed.place == Place::Ready(link);
                self.work.outbox.get(*id).filter(|owed| is_here(owed))?;
                if self.give_up_old(now, *id) {
                    return None;
                }
                let owed = self.work.outbox.get(*id)?;
                Some(Inner { msg_id: *id, seq_no: owed.seq_no, body: owed.body.clone() })
            }
        }
    }

    /// Gives a message up that nobody acknowledged for very long; whether that was so.
    fn give_up_old(&mut self, now: Now, id: MsgId) -> bool {
        if id.time() + self.config.poll.age_max > now.unix {
            return false;
        }
        if let Some(owed) = self.work.outbox.forget(id) {
            let answers = u64::from(owed.answers.is_some());
            self.note_dropped(Dropped { answers, pushes: 1 - answers });
        }
        true
    }
}

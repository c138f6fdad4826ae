//! What a client's session sends: everything that is ready in one packet.

use bytes::Bytes;
use chappe_tl::gzip;

use super::call::{Call, Content, Flight};
use super::{CallId, ClientSession, SENT_MAX, Sent, http};
use crate::envelope::encrypted::{Header, Message};
use crate::ids::MsgId;
use crate::now::Now;
use crate::rpc;
use crate::schema::{functions, types};
use crate::session::container::{self, Inner};
use crate::session::msg_id::Origin;

/// Most messages that we put into one container (MSG-20).
const MESSAGES_MAX: usize = 1000;

/// A call to be sent.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// Under a new id.
    Call(CallId),
    /// One that may have been received: under its old id, in a container (SES-11).
    CallAgain(CallId),
}

impl ClientSession {
    /// The next message to seal; `None` when there is nothing to send or no link to send it on.
    ///
    /// All acknowledgements owed ride along (SVC-02).
    pub fn poll_transmit(&mut self, now: Now) -> Option<Message> {
        if self.links == 0 {
            return None;
        }
        self.notice_sleep(now);
        self.watch_silence(now);
        if std::mem::take(&mut self.ask_due) {
            self.ask_state(now, MsgId(i64::MIN));
        }
        let acks_max = if self.polls.is_some() { http::ACKS_MAX } else { self.config.acks_max };
        let are_many = self.acks.len() >= acks_max && !self.salt_is_disputed(now);
        let acks_are_due = are_many || self.acks.due().is_some_and(|due| due <= now.mono);
        if self.next_len().is_none() {
            self.sends_singly &= !self.queue.is_empty();
            if !acks_are_due {
                return None;
            }
        }
        self.renew_salts(now);
        let mut inners = Vec::new();
        let mut size = 0;
        let mut needs_container = false;
        if !self.acks.is_empty() {
            let ack = self.send_acks(now);
            size += container::room(ack.body.len());
            inners.push(ack);
        }
        let messages_max = if self.sends_singly { 1 } else { MESSAGES_MAX };
        while inners.len() < messages_max {
            let Some(len) = self.next_len() else { break };
            size += container::room(len);
            if !inners.is_empty() && size > self.config.container_soft_max_bytes {
                break;
            }
            if let Some((sent, body)) = self.services.pop_front() {
                let inner = self.number(now, body, false);
                self.remember(inner.msg_id, sent);
                inners.push(inner);
                continue;
            }
            match self.next_call_due().and_then(|at| self.queue.remove(at)) {
                Some(Outgoing::Call(call)) => inners.extend(self.send_call(now, call)),
                Some(Outgoing::CallAgain(call)) => {
                    let again = self.send_again(call);
                    needs_container |= again.is_some();
                    inners.extend(again);
                }
                None => break,
            }
        }
        if self.polls.is_some() && !self.sends_singly && !inners.is_empty() {
            inners.push(self.http_no_wait(now));
        }
        self.wrap(now, inners, needs_container)
    }

    /// One message of these, under the header of the session.
    pub(super) fn wrap(
        &mut self,
        now: Now,
        mut inners: Vec<Inner>,
        needs_container: bool,
    ) -> Option<Message> {
        let message = match inners.len() {
            0 => return None,
            1 if !needs_container => inners.pop()?,
            _ => self.pack(now, inners),
        };
        let header = Header {
            salt: self.salts.current(self.clock.at(now).as_secs() as i64),
            session_id: self.id,
            msg_id: message.msg_id,
            seq_no: message.seq_no,
        };
        Some(Message { header, body: message.body })
    }

    /// Length of what would be sent next; `None` if nothing may be sent.
    fn next_len(&self) -> Option<usize> {
        if let Some((_, body)) = self.services.front() {
            return Some(body.len());
        }
        let call = match self.queue.get(self.next_call_due()?)? {
            Outgoing::Call(call) | Outgoing::CallAgain(call) => self.calls.get(call),
        };
        Some(call.map_or(0, Call::len))
    }

    /// Where in the queue the call stands that may be sent next.
    ///
    /// None may on a link that the server has not spoken on, and while a key is being bound only
    /// the call that binds it (PFS-09).
    fn next_call_due(&self) -> Option<usize> {
        if !self.is_heard || self.queue.is_empty() {
            return None;
        }
        let Some(binding) = self.binding else { return Some(0) };
        self.queue.iter().position(|outgoing| {
            matches!(outgoing, Outgoing::Call(call) | Outgoing::CallAgain(call) if *call == binding)
        })
    }

    /// Sends a service message that is told apart by `sent`.
    pub(super) fn send_as(&mut self, sent: Sent, body: Bytes) {
        self.services.push_back((sent, body));
    }

    /// Sends a service message that nothing has to be known about.
    pub(super) fn send_service(&mut self, body: Bytes) {
        self.send_as(Sent::Service { body: body.clone(), corrections: 0 }, body);
    }

    /// The query inside `gzip_packed` where that is smaller (TL-31).
    pub(super) fn compressed(&self, body: Bytes) -> Bytes {
        if body.len() < self.config.gzip_min_bytes {
            return body;
        }
        gzip::deflate(&body).map_or(body, |packed| rpc::gzip_packed(&packed))
    }

    pub(super) fn drop_answer(&mut self, msg_id: MsgId) {
        let body = rpc::boxed(&functions::RpcDropAnswer { req_msg_id: msg_id.0 });
        self.send_as(Sent::Drop(msg_id), body);
    }

    /// On a new link: what became of requests to drop an answer is not known, and they may be
    /// repeated.
    pub(super) fn drop_answers_again(&mut self) {
        let unanswered = |(id, sent): (&MsgId, &Sent)| match sent {
            Sent::Drop(call) => Some((*id, *call)),
            _ => None,
        };
        let drops: Vec<(MsgId, MsgId)> = self.sent.iter().filter_map(unanswered).collect();
        for (id, call) in drops {
            self.sent.remove(&id);
            self.drop_answer(call);
        }
    }

    pub(super) fn send_acks(&mut self, now: Now) -> Inner {
        let ids = self.acks.take();
        let msg_ids = ids.iter().map(|id| id.0).collect();
        let inner = self.number(now, rpc::boxed(&types::MsgsAck { msg_ids }), false);
        self.remember(inner.msg_id, Sent::Acks(ids));
        inner
    }

    /// A call under a new id. One that comes after calls which are not sent waits for them.
    fn send_call(&mut self, now: Now, call: CallId) -> Option<Inner> {
        let entry = self.calls.get(&call).filter(|entry| entry.flight == Flight::Queued)?;
        let first: Vec<CallId> =
            entry.after.iter().copied().filter(|first| self.calls.contains_key(first)).collect();
        let ids = first.iter().map(|first| self.calls.get(first)?.flight.msg_id());
        let Some(ids) = ids.collect::<Option<Vec<MsgId>>>() else {
            self.wait_for(call, first);
            return None;
        };
        let msg_id = self.next_id(now);
        let body = match &self.calls.get(&call)?.content {
            Content::Fixed(body) => rpc::after(&ids, body),
            Content::Bind(bind) => bind.request(self.id, msg_id, &mut self.rng),
        };
        let inner = Inner { msg_id, seq_no: self.seq_no.next(true), body };
        let Inner { seq_no, ref body, .. } = inner;
        let (at, body) = (now.mono, body.clone());
        self.remember(msg_id, Sent::Call(call));
        let entry = self.calls.get_mut(&call)?;
        entry.after = first;
        entry.was_sent = true;
        entry.flight = Flight::Sent {
            msg_id,
            seq_no,
            at,
            acknowledged: false,
            copies: 1,
            is_suspect: false,
            body,
        };
        Some(inner)
    }

    /// Holds a call back until those it comes after are finished.
    pub(super) fn wait_for(&mut self, call: CallId, first: Vec<CallId>) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        entry.after = first;
        entry.flight = Flight::Waiting;
        self.waiting.insert(call);
    }

    fn send_again(&mut self, call: CallId) -> Option<Inner> {
        let Flight::Sent { msg_id, seq_no, copies, body, .. } =
            &mut self.calls.get_mut(&call)?.flight
        else {
            return None;
        };
        *copies += 1;
        Some(Inner { msg_id: *msg_id, seq_no: *seq_no, body: body.clone() })
    }

    fn next_id(&mut self, now: Now) -> MsgId {
        self.ids.next(self.clock.at(now), Origin::Client, &mut self.rng)
    }

    pub(super) fn number(&mut self, now: Now, body: Bytes, content_related: bool) -> Inner {
        let msg_id = self.next_id(now);
        Inner { msg_id, seq_no: self.seq_no.next(content_related), body }
    }

    fn pack(&mut self, now: Now, inners: Vec<Inner>) -> Inner {
        let contents = inners.iter().map(|inner| inner.msg_id).collect();
        let container = self.number(now, container::pack(&inners), false);
        self.remember(container.msg_id, Sent::Container(contents));
        container
    }

    /// Keeps what a message of ours was. A call is kept until its answer comes; of all others
    /// the latest are.
    pub(super) fn remember(&mut self, msg_id: MsgId, sent: Sent) {
        if !matches!(sent, Sent::Call(_)) {
            self.passing.push_back(msg_id);
        }
        self.sent.insert(msg_id, sent);
        while self.passing.len() > SENT_MAX
            && let Some(oldest) = self.passing.pop_front()
        {
            self.sent.remove(&oldest);
        }
    }
}

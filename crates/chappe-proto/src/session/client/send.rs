//! What a client's session sends: everything that is ready in one packet.

use bytes::Bytes;
use chappe_tl::gzip;

use super::{CallId, ClientSession, Flight, SENT_MAX, Sent};
use crate::envelope::encrypted::{Header, Message};
use crate::ids::MsgId;
use crate::now::Now;
use crate::rpc;
use crate::schema::{functions, types};
use crate::session::container::{self, Inner};
use crate::session::msg_id::Origin;

/// Most messages that we put into one container (MSG-20).
const MESSAGES_MAX: usize = 1000;

/// Something to be sent, not yet numbered.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// A call, under a new id.
    Call(CallId),
    /// A call that may have been received: under its old id, in a container (SES-11).
    CallAgain(CallId),
    /// A service message.
    Service(Sent, Bytes),
}

impl ClientSession {
    /// The next message to seal; `None` when there is nothing to send or no link to send it on.
    ///
    /// All acknowledgements owed ride along (SVC-02).
    pub fn poll_transmit(&mut self, now: Now) -> Option<Message> {
        if !self.link_is_open {
            return None;
        }
        let are_many = self.acks.len() >= self.config.acks_max && !self.salt_is_disputed(now);
        let acks_are_due = are_many || self.acks.due().is_some_and(|due| due <= now.mono);
        if self.queue.is_empty() {
            self.sends_singly = false;
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
            let Some(next) = self.queue.front() else { break };
            let len = match next {
                Outgoing::Service(_, body) => body.len(),
                Outgoing::Call(call) | Outgoing::CallAgain(call) => {
                    self.calls.get(call).map_or(0, |call| call.body.len())
                }
            };
            size += container::room(len);
            if !inners.is_empty() && size > self.config.container_soft_max_bytes {
                break;
            }
            match self.queue.pop_front()? {
                Outgoing::Call(call) => inners.extend(self.send_call(now, call)),
                Outgoing::CallAgain(call) => {
                    let again = self.send_again(call);
                    needs_container |= again.is_some();
                    inners.extend(again);
                }
                Outgoing::Service(sent, body) => {
                    let inner = self.number(now, body, false);
                    self.remember(inner.msg_id, sent);
                    inners.push(inner);
                }
            }
        }
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

    /// Sends a service message that is told apart by `sent`.
    pub(super) fn send_as(&mut self, sent: Sent, body: Bytes) {
        self.queue.push_back(Outgoing::Service(sent, body));
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
        self.send_service(body);
    }

    fn send_acks(&mut self, now: Now) -> Inner {
        let ids = self.acks.take();
        let msg_ids = ids.iter().map(|id| id.0).collect();
        let inner = self.number(now, rpc::boxed(&types::MsgsAck { msg_ids }), false);
        self.remember(inner.msg_id, Sent::Acks(ids));
        inner
    }

    fn send_call(&mut self, now: Now, call: CallId) -> Option<Inner> {
        let body = self.calls.get(&call)?.body.clone();
        let inner = self.number(now, body, true);
        let Inner { msg_id, seq_no, .. } = inner;
        self.remember(msg_id, Sent::Call(call));
        let entry = self.calls.get_mut(&call)?;
        entry.flight = Flight::Sent { msg_id, seq_no, at: now.mono, acknowledged: false };
        Some(inner)
    }

    fn send_again(&mut self, call: CallId) -> Option<Inner> {
        let entry = self.calls.get(&call)?;
        let Flight::Sent { msg_id, seq_no, .. } = entry.flight else { return None };
        Some(Inner { msg_id, seq_no, body: entry.body.clone() })
    }

    fn number(&mut self, now: Now, body: Bytes, content_related: bool) -> Inner {
        let msg_id = self.ids.next(self.clock.at(now), Origin::Client, &mut self.rng);
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

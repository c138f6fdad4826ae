//! What a server's session sends: packed together per link, kept until acknowledged.

use bytes::Bytes;
use chappe_tl::gzip;

use super::ServerSession;
use crate::envelope::encrypted::{Header, Message};
use crate::ids::{LinkId, MsgId};
use crate::now::Now;
use crate::rpc;
use crate::schema::{ctors, types};
use crate::session::container::{self, Inner};
use crate::session::msg_id::Origin;
use crate::session::outbox::Owed;

/// A message with its numbers, waiting for its link to take it.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) link: LinkId,
    pub(super) msg_id: MsgId,
    seq_no: i32,
    body: Bytes,
}

/// Soft bound of a container: what is ready beyond it travels in the next packet.
const CONTAINER_SOFT_MAX: usize = 32 << 10;

impl ServerSession {
    /// The next message to seal, and the link to send it on; `None` when all is sent.
    ///
    /// Whatever is ready for one link leaves in one container (MSG-28).
    pub fn poll_transmit(&mut self, now: Now) -> Option<(LinkId, Message)> {
        let link = self.ready.front()?.link;
        let mut inners = Vec::new();
        let mut size = 0;
        let mut at = 0;
        while at < self.ready.len() && inners.len() < container::MESSAGES_MAX {
            if self.ready[at].link != link {
                at += 1;
                continue;
            }
            size += container::room(self.ready[at].body.len());
            if !inners.is_empty() && size > CONTAINER_SOFT_MAX {
                break;
            }
            let Ready { msg_id, seq_no, body, .. } = self.ready.remove(at)?;
            inners.push(Inner { msg_id, seq_no, body });
        }
        let message = if inners.len() == 1 { inners.pop()? } else { self.pack(now, inners) };
        let header = Header {
            salt: self.salts.current(now.unix_seconds()).value,
            session_id: self.id,
            msg_id: message.msg_id,
            seq_no: message.seq_no,
        };
        Some((link, Message { header, body: message.body }))
    }

    fn pack(&mut self, now: Now, mut inners: Vec<Inner>) -> Inner {
        // Messages sent again stand before newer ones, as ids within a container should.
        inners.sort_by_key(|inner| inner.msg_id);
        let msg_id = self.ids.next(now.unix, Origin::Answer, &mut self.rng);
        let seq_no = self.seq_no.next(false);
        let kept = inners.iter().map(|inner| inner.msg_id).filter(|id| self.outbox.get(*id).is_some());
        self.outbox.contain(msg_id, kept.collect());
        Inner { msg_id, seq_no, body: container::pack(&inners) }
    }

    /// Sends a message that needs no acknowledgement.
    pub(super) fn send_service(&mut self, now: Now, link: LinkId, body: Bytes) {
        let msg_id = self.ids.next(now.unix, Origin::Answer, &mut self.rng);
        let seq_no = self.seq_no.next(false);
        self.ready.push_back(Ready { link, msg_id, seq_no, body });
    }

    /// Sends a content-related message and keeps it until it is acknowledged. Without a link it
    /// waits for one.
    pub(super) fn send_content(
        &mut self,
        now: Now,
        link: Option<LinkId>,
        origin: Origin,
        body: Bytes,
        answers: Option<MsgId>,
    ) -> MsgId {
        let msg_id = self.ids.next(now.unix, origin, &mut self.rng);
        let seq_no = self.seq_no.next(true);
        let owed = Owed { seq_no, body: body.clone(), answers };
        self.dropped_pushes += self.outbox.keep(msg_id, owed) as u64;
        if let Some(link) = link {
            self.ready.push_back(Ready { link, msg_id, seq_no, body });
        }
        msg_id
    }

    /// Sends `rpc_result` on the link of the call while that is open, else on another (SVC-24).
    pub(super) fn send_result(
        &mut self,
        now: Now,
        link: LinkId,
        call: MsgId,
        result: Bytes,
        failed: bool,
    ) {
        let body = rpc::result_body(call, &self.compressed(result));
        let link =
            if self.links.contains(&link) { Some(link) } else { self.links.last().copied() };
        let answer = self.send_content(now, link, Origin::Answer, body, Some(call));
        self.acks.settle(call);
        if let Some(heard) = self.inbox.get_mut(call) {
            heard.answer = Some(answer);
            heard.acknowledged = true;
            heard.failed = failed;
        }
    }

    /// The result inside `gzip_packed` where that is smaller (TL-31).
    fn compressed(&self, result: Bytes) -> Bytes {
        if result.len() < self.config.gzip_min_bytes {
            return result;
        }
        gzip::deflate(&result).map_or(result, |packed| rpc::gzip_packed(&packed))
    }

    pub(super) fn send_acks(&mut self, now: Now, link: LinkId, ids: &[MsgId]) {
        for id in ids {
            if let Some(heard) = self.inbox.get_mut(*id) {
                heard.acknowledged = true;
            }
        }
        let msg_ids = ids.iter().map(|id| id.0).collect();
        self.send_service(now, link, rpc::boxed(&types::MsgsAck { msg_ids }));
    }

    /// Sends an unacknowledged message once more, under its old numbers (MSG-19).
    pub(super) fn resend(&mut self, link: LinkId, id: MsgId) {
        let is_waiting = self.ready.iter().any(|ready| ready.msg_id == id && ready.link == link);
        let Some(owed) = self.outbox.get(id).filter(|_| !is_waiting) else { return };
        let (seq_no, body) = (owed.seq_no, owed.body.clone());
        self.ready.push_back(Ready { link, msg_id: id, seq_no, body });
    }

    /// Everything unacknowledged on a new link: small messages again, large ones announced.
    pub(super) fn resend_all(&mut self, now: Now, link: LinkId) {
        self.ready.retain(|ready| self.outbox.get(ready.msg_id).is_none());
        let owed: Vec<(MsgId, usize, Option<MsgId>)> = self
            .outbox
            .iter()
            .map(|(id, owed)| (id, owed.body.len(), owed.answers))
            .collect();
        for (id, len, answers) in owed {
            let bytes = len as i32;
            if len <= self.config.resend_max_bytes {
                self.resend(link, id);
            } else if let Some(call) = answers {
                let info = ctors::MsgDetailedInfo {
                    msg_id: call.0,
                    answer_msg_id: id.0,
                    bytes,
                    status: 0,
                };
                self.send_service(now, link, rpc::boxed(&info));
            } else {
                let info = ctors::MsgNewDetailedInfo { answer_msg_id: id.0, bytes, status: 0 };
                self.send_service(now, link, rpc::boxed(&info));
            }
        }
    }
}

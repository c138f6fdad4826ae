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
use crate::session::outbox::{Dropped, Owed, Place};

/// A message with its numbers, waiting for its link to take it.
#[derive(Debug)]
pub(super) enum Ready {
    /// One that is kept until acknowledged, for the first time. Whether it must still be sent,
    /// and here, the outbox knows.
    Owed(MsgId),
    /// The same, of an age that a client may find too old unless a container brings it (SES-09).
    OwedAgain(MsgId),
    /// One that is for this link only.
    Service(Inner),
}

/// Which way a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlet {
    /// This link: a stream, or the response to the request that it has open.
    Link(LinkId),
    /// The next response of HTTP.
    Response,
}

/// Soft bound of a container: what is ready beyond it travels in the next packet.
const CONTAINER_SOFT_MAX: usize = 32 << 10;

impl ServerSession {
    /// The next message to seal, and the link to send it on; `None` when all is sent.
    ///
    /// Whatever is ready for one link leaves in one container (MSG-28).
    pub fn poll_transmit(&mut self, now: Now) -> Option<(LinkId, Message)> {
        self.adopt_orphans(now);
        let (link, message) = self.poll_stream(now).or_else(|| self.poll_response(now))?;
        let header = Header {
            salt: self.salts.current(now.unix_seconds()).value,
            session_id: self.id,
            msg_id: message.msg_id,
            seq_no: message.seq_no,
        };
        Some((link, Message { header, body: message.body }))
    }

    /// What is ready for a stream, as one message.
    fn poll_stream(&mut self, now: Now) -> Option<(LinkId, Inner)> {
        if let Some(link) = self.datagrams.as_ref().map(|datagrams| datagrams.link)
            && let Some(inner) = self.next_datagram(now, link)
        {
            return Some((link, inner));
        }
        loop {
            let link = *self.work.ready.keys().find(|link| !self.is_datagrams(**link))?;
            let (mut inners, may_go_alone) = self.gather(link);
            match inners.len() {
                0 => {}
                1 if may_go_alone => return Some((link, inners.pop()?)),
                _ => return Some((link, self.pack(now, inners))),
            }
        }
    }

    /// Takes what is ready for a link, as much as one packet holds, and says whether a single
    /// message of it may travel without a container.
    fn gather(&mut self, link: LinkId) -> (Vec<Inner>, bool) {
        let mut inners: Vec<Inner> = Vec::new();
        let mut size = 0;
        let mut may_go_alone = true;
        let work = &mut *self.work;
        let Some(queue) = work.ready.get_mut(&link) else { return (inners, may_go_alone) };
        while let Some(ready) = queue.pop_front() {
            let inner = match &ready {
                Ready::Service(inner) => inner.clone(),
                Ready::Owed(id) | Ready::OwedAgain(id) => match work.outbox.get(*id) {
                    Some(owed) if owed.place == Place::Ready(link) => {
                        Inner { msg_id: *id, seq_no: owed.seq_no, body: owed.body.clone() }
                    }
                    // Acknowledged or dropped by now, or sent on another link.
                    _ => continue,
                },
            };
            size += container::room(inner.body.len());
            let is_full = inners.len() == container::MESSAGES_MAX || size > CONTAINER_SOFT_MAX;
            let is_error = rpc::is_error_result(&inner.body);
            let is_last = inners.iter().all(|before| before.msg_id < inner.msg_id);
            if !inners.is_empty() && (is_full || is_error && !is_last) {
                queue.push_front(ready);
                return (inners, may_go_alone);
            }
            may_go_alone &= !matches!(ready, Ready::OwedAgain(_));
            work.outbox.put(inner.msg_id, Place::Sent(link));
            inners.push(inner);
            // Some clients read no further in a container than the first error (QRK-20).
            if is_error && !queue.is_empty() {
                return (inners, may_go_alone);
            }
        }
        work.ready.remove(&link);
        (inners, may_go_alone)
    }

    pub(super) fn pack(&mut self, now: Now, mut inners: Vec<Inner>) -> Inner {
        // Messages sent again stand before newer ones, as ids within a container should.
        inners.sort_by_key(|inner| inner.msg_id);
        let msg_id = self.ids.next(now.unix, Origin::Answer, &mut self.rng);
        let seq_no = self.seq_no.next(false);
        for inner in &inners {
            if self.work.outbox.get(inner.msg_id).is_some() {
                self.work.outbox.contain(msg_id, inner.msg_id);
            }
        }
        Inner { msg_id, seq_no, body: container::pack(&inners) }
    }

    /// Sends a message that needs no acknowledgement.
    pub(super) fn send_service(&mut self, now: Now, outlet: Outlet, body: Bytes) {
        let msg_id = self.ids.next(now.unix, Origin::Answer, &mut self.rng);
        let seq_no = self.seq_no.next(false);
        self.enqueue(now, outlet, Ready::Service(Inner { msg_id, seq_no, body }));
    }

    /// Puts a message on its way.
    pub(super) fn enqueue(&mut self, now: Now, outlet: Outlet, ready: Ready) {
        if let Ready::Owed(id) | Ready::OwedAgain(id) = &ready {
            let place = match outlet {
                Outlet::Link(link) => Place::Ready(link),
                Outlet::Response => Place::Waiting,
            };
            self.work.outbox.put(*id, place);
        }
        match outlet {
            Outlet::Link(link) => match self.polls.if_any().and_then(|polls| polls.own(link)) {
                Some(queue) => queue.push(now.mono, ready),
                None => self.work.ready.entry(link).or_default().push_back(ready),
            },
            Outlet::Response => self.queue_response(now.mono, ready),
        }
    }

    /// The way of what nobody asked for: the stream heard from last, else a response, if it was
    /// by requests that the client was heard.
    pub(super) fn outlet(&self) -> Option<Outlet> {
        let response = || self.polls.in_use.then_some(Outlet::Response);
        self.links.last().map(|link| Outlet::Link(*link)).or_else(response)
    }

    /// The same, if it is open at present.
    pub(super) fn open_outlet(&self) -> Option<Outlet> {
        self.outlet().filter(|outlet| *outlet != Outlet::Response || self.polls.has_takers())
    }

    /// The way of what answers a message of this link. A request that is held shares what there
    /// is with others; a plain one waits for just that (HTP-20).
    fn outlet_of(&self, link: LinkId) -> Option<Outlet> {
        if self.links.contains(&link) || self.polls.is_plain(link) {
            Some(Outlet::Link(link))
        } else if self.polls.is_open(link) {
            Some(Outlet::Response)
        } else {
            self.outlet()
        }
    }

    /// Sends a content-related message and keeps it until it is acknowledged. Without a link it
    /// waits for one.
    pub(super) fn send_content(
        &mut self,
        now: Now,
        outlet: Option<Outlet>,
        origin: Origin,
        body: Bytes,
        answers: Option<MsgId>,
    ) -> MsgId {
        let msg_id = self.ids.next(now.unix, origin, &mut self.rng);
        let seq_no = self.seq_no.next(true);
        let owed = Owed { seq_no, body, answers, place: Place::Nowhere, mark: None };
        let dropped = self.work.outbox.keep(msg_id, owed, self.config.outbox);
        self.note_dropped(dropped);
        if let Some(outlet) = outlet {
            self.enqueue(now, outlet, Ready::Owed(msg_id));
        }
        msg_id
    }

    pub(super) fn note_dropped(&mut self, dropped: Dropped) {
        let Dropped { pushes, answers } = dropped;
        if pushes + answers > 0 {
            self.dropped += pushes + answers;
            let tally = self.tally();
            tally.dropped_pushes += pushes;
            tally.dropped_answers += answers;
        }
    }

    /// Announces the session with its first message (SVC-39), where its answers go.
    pub(super) fn send_new_session(&mut self, now: Now, link: LinkId, body: Bytes) {
        self.send_content(now, self.outlet_of(link), Origin::Answer, body, None);
    }

    /// Sends `rpc_result` the way of the call while that is open, else another (SVC-24).
    pub(super) fn send_result(
        &mut self,
        now: Now,
        link: LinkId,
        call: MsgId,
        result: Bytes,
        failed: bool,
    ) {
        let body = rpc::result_body(call, &self.compressed(result));
        let outlet = self.outlet_of(link);
        let answer = self.send_content(now, outlet, Origin::Answer, body, Some(call));
        self.acknowledged(call);
        if let Some(heard) = self.inbox.get_mut(call) {
            heard.answered(answer, failed);
        }
    }

    /// The result inside `gzip_packed` where that is smaller (TL-31).
    fn compressed(&self, result: Bytes) -> Bytes {
        if result.len() < self.config.gzip_min_bytes {
            return result;
        }
        gzip::deflate(&result).map_or(result, |packed| rpc::gzip_packed(&packed))
    }

    pub(super) fn send_acks(&mut self, now: Now, outlet: Outlet, ids: &[MsgId]) {
        for id in ids {
            self.acknowledged(*id);
        }
        let msg_ids = ids.iter().map(|id| id.0).collect();
        self.send_service(now, outlet, rpc::boxed(&types::MsgsAck { msg_ids }));
    }

    /// Notes that the client learns of the receipt of its message.
    pub(super) fn acknowledged(&mut self, id: MsgId) {
        self.work.acks.settle(id);
        if let Some(heard) = self.inbox.get_mut(id) {
            heard.acknowledged = true;
        }
    }

    /// Sends an unacknowledged message whole, under its old numbers (MSG-19).
    pub(super) fn resend(&mut self, now: Now, outlet: Outlet, id: MsgId) {
        if self.work.outbox.get(id).is_some_and(|owed| !is_on_its_way(owed, outlet)) {
            self.enqueue(now, outlet, Ready::OwedAgain(id));
        }
    }

    /// Sends an unacknowledged message once more; a large one is announced, and the client asks
    /// for it if it has it not (SVC-19, SVC-20).
    pub(super) fn send_again(&mut self, now: Now, outlet: Outlet, id: MsgId) {
        let Some(owed) = self.work.outbox.get(id).filter(|owed| !is_on_its_way(owed, outlet))
        else {
            return;
        };
        if owed.body.len() <= self.config.resend_max_bytes {
            return self.resend(now, outlet, id);
        }
        self.announce(now, outlet, id);
    }

    /// Tells the client of a message that is kept for it, in the place of sending it.
    pub(super) fn announce(&mut self, now: Now, outlet: Outlet, id: MsgId) {
        let Some(owed) = self.work.outbox.get(id) else { return };
        let bytes = owed.body.len() as i32;
        let answer_msg_id = id.0;
        let info = match owed.answers {
            Some(MsgId(msg_id)) => {
                rpc::boxed(&ctors::MsgDetailedInfo { msg_id, answer_msg_id, bytes, status: 0 })
            }
            None => rpc::boxed(&ctors::MsgNewDetailedInfo { answer_msg_id, bytes, status: 0 }),
        };
        self.send_service(now, outlet, info);
        match outlet {
            Outlet::Link(link) if !self.polls.is_open(link) => {
                self.work.outbox.put(id, Place::Sent(link));
            }
            _ => self.post(now.mono, id),
        }
    }

    /// Sends again what no open link carries: it was written without one, or left on one that
    /// closed before the client acknowledged it (SES-09). A stream also takes what waits for a
    /// response, or left in one, when no request is there any more: its client has changed over.
    fn adopt_orphans(&mut self, now: Now) {
        let Some(outlet) = self.open_outlet().filter(|_| self.has_orphans) else { return };
        self.has_orphans = false;
        let takes_over = outlet != Outlet::Response && !self.polls.has_takers();
        let is_open = |link| self.links.contains(&link) || self.polls.is_open(link);
        let waits = self.withheld.as_ref().is_some_and(|withheld| withheld.is_on());
        let is_orphan = |owed: &Owed| match owed.place {
            _ if waits && owed.mark.is_some() => false,
            Place::Nowhere => true,
            Place::Ready(link) | Place::Sent(link) => !is_open(link),
            Place::Waiting | Place::Posted(_) => takes_over,
        };
        let orphans: Vec<MsgId> =
            self.work.outbox.iter().filter(|(_, owed)| is_orphan(owed)).map(|(id, _)| id).collect();
        for id in orphans {
            self.send_again(now, outlet, id);
        }
        if takes_over {
            let mut left = std::mem::take(&mut self.polls.common);
            while let Some(ready) = left.pop() {
                if matches!(ready, Ready::Service(_)) {
                    self.enqueue(now, outlet, ready);
                }
            }
        }
    }
}

/// Whether a message is about to leave this way already.
fn is_on_its_way(owed: &Owed, outlet: Outlet) -> bool {
    match outlet {
        Outlet::Link(link) => owed.place == Place::Ready(link),
        Outlet::Response => owed.place == Place::Waiting,
    }
}

//! A server's judgement on what it hears: the checks of 04-messages §5, in their order.

use std::time::Duration;

use bytes::Bytes;
use chappe_tl::Constructor;

use super::send::Outlet;
use super::{Created, ServerEvent, ServerSession};
use crate::envelope::encrypted::{Header, Message};
use crate::ids::{LinkId, MsgId, Side};
use crate::now::Now;
use crate::rpc;
use crate::schema::{ctors, types};
use crate::session::container::{self, ContainerError, Inner};
use crate::session::inbox::{Admission, SeqNoDisorder};
use crate::session::kind::{self, Parity};
use crate::session::seq_no::is_content_related;
use crate::session::time::{AGE_MAX, AHEAD_MAX};

impl ServerSession {
    /// Takes one opened message that names this session.
    ///
    /// Cannot fail: a message that breaks a session rule is answered with a notification, has no
    /// other effect (MSG-29), and the session goes on.
    ///
    /// Whether all of it was taken, so that a quick acknowledgement may say so (TRN-26). A
    /// container is one payload: a single message in it that was refused or turned away, or that
    /// had come before, and its client learns the fate of each by the slower ways alone.
    pub fn handle_message(&mut self, now: Now, link: LinkId, message: Message) -> bool {
        self.is_taken = true;
        self.receive(now, link, message);
        self.settle_datagrams(now);
        self.is_taken
    }

    fn receive(&mut self, now: Now, link: LinkId, message: Message) {
        let Message { header: Header { msg_id, seq_no, salt, .. }, body } = message;
        if !msg_id.may_come_from(Side::Client) {
            return self.refuse(now, link, msg_id, seq_no, 18);
        }
        if !self.salts.accepts(salt, now.unix_seconds()) {
            return self.correct_salt(now, link, msg_id, seq_no);
        }
        if let Err(code) = check_time(msg_id, now.unix) {
            return self.refuse(now, link, msg_id, seq_no, code);
        }
        // To a client whose clock is behind it says so; a recording it keeps from running again. A
        // clock of ours that was set back to before the start tells nothing.
        if self.is_of_earlier_life(msg_id) && self.config.not_before <= now.unix {
            return self.refuse(now, link, msg_id, seq_no, 16);
        }
        let inner = Inner { msg_id, seq_no, body };
        if kind::id_of(&inner.body) == container::ID {
            self.handle_container(now, link, inner);
        } else {
            self.admit(now, link, inner, msg_id);
        }
    }

    fn handle_container(&mut self, now: Now, link: LinkId, outer: Inner) {
        let Inner { msg_id, seq_no, body } = outer;
        match self.judge(msg_id, seq_no) {
            Admission::Fresh => {}
            // Networks double datagrams: that is no fault of the client.
            Admission::Duplicate if self.is_datagrams(link) => {
                self.is_taken = false;
                return;
            }
            Admission::Duplicate => return self.refuse(now, link, msg_id, seq_no, 19),
            Admission::TooOld => return self.refuse(now, link, msg_id, seq_no, 20),
        }
        if is_content_related(seq_no) {
            return self.refuse(now, link, msg_id, seq_no, 34);
        }
        if let Err(disorder) = self.inbox.seq_no_order(msg_id, seq_no) {
            return self.refuse(now, link, msg_id, seq_no, disorder_code(disorder));
        }
        let inners = match container::unpack(msg_id, &body) {
            Ok(inners) => inners,
            Err(ContainerError::TooMany(_)) => {
                return self.close_link(link, -429);
            }
            Err(ContainerError::Malformed(_)) => {
                return self.refuse(now, link, msg_id, seq_no, 64);
            }
        };
        if inners.iter().any(|inner| inner.seq_no > seq_no) {
            return self.refuse(now, link, msg_id, seq_no, 64);
        }
        self.hear(now, link, msg_id, seq_no);
        let contents = inners.iter().filter(|inner| is_content_related(inner.seq_no));
        let first_content = contents.map(|inner| inner.msg_id).min();
        for inner in inners {
            let first = first_content.unwrap_or(inner.msg_id);
            self.admit(now, link, inner, first);
        }
    }

    /// What has to run once and cannot be told to be new counts as too old (MSG-39).
    fn judge(&self, msg_id: MsgId, seq_no: i32) -> Admission {
        if self.retired.contains(msg_id)
            || is_content_related(seq_no) && self.is_beyond_memory(msg_id)
        {
            return Admission::TooOld;
        }
        if self.retired.may_have_had(msg_id) {
            return Admission::TooOld;
        }
        self.inbox.judge(msg_id)
    }

    /// Whether a message may have been heard before the session was forgotten. It must not run
    /// again, and what became of it nobody knows: to acknowledge it would make its sender wait for
    /// ever.
    ///
    /// Its age alone does not save us: inside a container it may be of any. So ids from before
    /// those that were kept count as heard.
    pub(super) fn is_beyond_memory(&self, msg_id: MsgId) -> bool {
        let span = self.config.inbox.span;
        self.retired.contains(msg_id)
            || self.is_of_earlier_life(msg_id)
            || self.began.is_some_and(|began| msg_id.time() + span < began)
    }

    fn is_of_earlier_life(&self, msg_id: MsgId) -> bool {
        msg_id.time() < self.config.not_before
    }

    /// Judges one message, alone or out of a container, and acts on it (MSG-25). `first` is what
    /// it counts as in [`create`](Self::create).
    pub(super) fn admit(&mut self, now: Now, link: LinkId, inner: Inner, first: MsgId) {
        let Inner { msg_id, seq_no, body } = inner;
        if !msg_id.may_come_from(Side::Client) {
            return self.refuse(now, link, msg_id, seq_no, 18);
        }
        match self.judge(msg_id, seq_no) {
            Admission::Fresh => {}
            Admission::Duplicate => return self.repeat(now, link, msg_id, seq_no),
            Admission::TooOld => return self.refuse(now, link, msg_id, seq_no, 20),
        }
        let is_content = is_content_related(seq_no);
        match kind::parity_wanted(&body) {
            Parity::Odd if !is_content => return self.refuse(now, link, msg_id, seq_no, 35),
            Parity::Even if is_content => return self.refuse(now, link, msg_id, seq_no, 34),
            _ => {}
        }
        if let Err(disorder) = self.inbox.seq_no_order(msg_id, seq_no) {
            return self.refuse(now, link, msg_id, seq_no, disorder_code(disorder));
        }
        self.hear(now, link, msg_id, seq_no);
        self.create(now, link, first);
        // An acknowledgement is never acknowledged, however it is numbered (SVC-06).
        if is_content && kind::id_of(&body) != types::MsgsAck::ID {
            self.work.acks.owe(msg_id, now.mono + self.config.ack_delay_max);
        }
        self.dispatch(now, link, Inner { msg_id, seq_no, body });
    }

    /// `msg_copy`: the message inside as if it had come alone (MSG-27).
    pub(super) fn msg_copy(
        &mut self,
        now: Now,
        link: LinkId,
        outer: MsgId,
        seq_no: i32,
        body: &Bytes,
    ) {
        let Ok(inner) = container::unpack_copy(outer, body) else {
            return self.refuse(now, link, outer, seq_no, 64);
        };
        if self.judge(inner.msg_id, inner.seq_no) == Admission::Duplicate {
            self.is_taken = false;
            self.tally().repeated += 1;
            return self.send_acks(now, Outlet::Link(link), &[outer, inner.msg_id]);
        }
        let first = inner.msg_id;
        self.admit(now, link, inner, first);
    }

    /// Remembers a message that passed, and that its link is the one to answer on (SES-04). A
    /// replayed or refused one does not get here, so it draws no answers to its link.
    fn hear(&mut self, now: Now, link: LinkId, msg_id: MsgId, seq_no: i32) {
        self.began.get_or_insert(now.unix);
        self.inbox.remember(msg_id, seq_no, now.unix);
        if self.polls.if_any().is_some_and(|polls| polls.hear(link)) {
            let changes_over = !std::mem::replace(&mut self.polls.in_use, true);
            self.has_orphans |= changes_over && self.links.is_empty();
            return;
        }
        if let Some(polls) = self.polls.if_any() {
            polls.in_use = false;
        }
        if self.links.last() != Some(&link) {
            self.has_orphans |= self.links.is_empty();
            self.links.retain(|open| *open != link);
            // Nearly always there is one.
            self.links.reserve_exact(1);
            self.links.push(link);
        }
    }

    /// A message heard before: acknowledged again, never run again (04-messages §7).
    fn repeat(&mut self, now: Now, link: LinkId, msg_id: MsgId, seq_no: i32) {
        self.is_taken = false;
        if !is_content_related(seq_no) {
            return;
        }
        self.tally().repeated += 1;
        let answer = self.inbox.get(msg_id).and_then(|heard| heard.answer());
        match answer.filter(|answer| self.work.outbox.get(*answer).is_some()) {
            Some(answer) => self.send_again(now, Outlet::Link(link), answer),
            None => self.send_acks(now, Outlet::Link(link), &[msg_id]),
        }
    }

    /// Announces the session with its first message, and again when an earlier one turns up
    /// (SVC-39).
    fn create(&mut self, now: Now, link: LinkId, msg_id: MsgId) {
        let unique_id = match &self.created {
            Some(created) if created.first_msg_id <= msg_id => return,
            Some(created) => created.unique_id,
            None => self.rng.u64() as i64,
        };
        self.created = Some(Created { unique_id, first_msg_id: msg_id });
        let server_salt = self.salts.current(now.unix_seconds()).value;
        let new = types::NewSession { first_msg_id: msg_id.0, unique_id, server_salt };
        self.send_new_session(now, link, rpc::boxed(&new));
    }

    /// Ends a link by a transport error (MSG-22).
    pub(super) fn close_link(&mut self, link: LinkId, code: i32) {
        self.is_taken = false;
        if let Some(polls) = self.polls.if_any() {
            polls.fail(link);
        }
        self.work.events.push_back(ServerEvent::CloseLink(link, code));
    }

    fn refuse(&mut self, now: Now, link: LinkId, id: MsgId, seq_no: i32, code: i32) {
        self.is_taken = false;
        self.tally().refused(code, id);
        let notice =
            ctors::BadMsgNotification { bad_msg_id: id.0, bad_msg_seqno: seq_no, error_code: code };
        self.send_service(now, Outlet::Link(link), rpc::boxed(&notice));
    }

    fn correct_salt(&mut self, now: Now, link: LinkId, id: MsgId, seq_no: i32) {
        self.is_taken = false;
        self.tally().refused(48, id);
        let notice = ctors::BadServerSalt {
            bad_msg_id: id.0,
            bad_msg_seqno: seq_no,
            error_code: 48,
            new_server_salt: self.salts.current(now.unix_seconds()).value,
        };
        self.send_service(now, Outlet::Link(link), rpc::boxed(&notice));
    }
}

fn disorder_code(disorder: SeqNoDisorder) -> i32 {
    match disorder {
        SeqNoDisorder::TooLow => 32,
        SeqNoDisorder::TooHigh => 33,
    }
}

/// Code 16 or 17 for an id outside its time (MSG-11). One without a fraction, which a server may
/// refuse (MSG-10), is as good as any: Pyrogram writes one each second (QRK-39).
fn check_time(id: MsgId, server_time: Duration) -> Result<(), i32> {
    let time = id.time();
    if time + AGE_MAX < server_time {
        return Err(16);
    }
    if time > server_time + AHEAD_MAX {
        return Err(17);
    }
    Ok(())
}

//! A client's judgement on what it hears: the checks of 04-messages §5, in their order.

use std::time::Duration;

use super::service::{answers_nothing, may_ignore_time};
use super::{ClientEvent, ClientSession, DeadLink, MessageError};
use crate::envelope::encrypted::{Header, Message};
use crate::ids::{MsgId, Side};
use crate::now::Now;
use crate::session::container::{self, Inner};
use crate::session::inbox::Admission;
use crate::session::kind;
use crate::session::seq_no::is_content_related;
use crate::session::time::{AGE_MAX, AHEAD_MAX};

impl ClientSession {
    /// Takes one opened message. An error means: drop the link, nothing of it was used.
    pub fn handle_message(&mut self, now: Now, message: Message) -> Result<(), MessageError> {
        let result = self.receive(now, message);
        if result.is_ok() {
            self.silence.end(now.mono);
        }
        // Not sooner: in the container that brought the refusal there may be answers.
        if let Some(code) = self.restart_due.take() {
            self.restart(now, code);
        }
        result
    }

    fn receive(&mut self, now: Now, message: Message) -> Result<(), MessageError> {
        let session_id = message.header.session_id;
        if session_id != self.id {
            return match self.former.iter().position(|former| former.id == session_id) {
                Some(at) => self.hear_former(now, at, message),
                None => Err(MessageError::ForeignSession(session_id)),
            };
        }
        let Message { header: Header { msg_id, seq_no, .. }, body } = message;
        if !msg_id.may_come_from(Side::Server) {
            return Err(MessageError::Parity(msg_id));
        }
        let is_untimely = self.clock.is_certain() && !is_timely(msg_id, self.clock.at(now));
        let is_container = kind::id_of(&body) == container::ID;
        let mut inners = if is_container {
            match container::unpack(msg_id, &body) {
                Ok(inners) => inners,
                Err(_) if is_untimely => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        } else {
            vec![Inner { msg_id, seq_no, body }]
        };
        if is_untimely {
            inners.retain(|inner| may_ignore_time(&inner.body));
            if inners.is_empty() {
                self.catch_up(now, msg_id);
                return Ok(());
            }
        }
        if let Some(bad) = inners.iter().find(|inner| !inner.msg_id.may_come_from(Side::Server)) {
            return Err(MessageError::Parity(bad.msg_id));
        }
        if inners.iter().any(|inner| answers_nothing(&inner.body)) {
            return Err(MessageError::AnswersNothing);
        }
        match self.inbox.judge(msg_id) {
            Admission::TooOld => {
                self.restart_due = Some(20);
                return Err(MessageError::TooOld(msg_id));
            }
            // Nothing of it is used again, but what came twice is acknowledged twice (SVC-01).
            Admission::Duplicate if is_container => {
                inners.retain(|inner| self.inbox.judge(inner.msg_id) == Admission::Duplicate);
            }
            Admission::Fresh if is_container => self.hear(now, msg_id, seq_no),
            _ => {}
        }
        for inner in inners {
            self.admit(now, inner);
        }
        Ok(())
    }

    pub(super) fn admit(&mut self, now: Now, inner: Inner) {
        let Inner { msg_id, seq_no, body } = inner;
        let admission = self.inbox.judge(msg_id);
        if is_content_related(seq_no) && admission != Admission::TooOld {
            self.acks.owe(msg_id, now.mono + self.ack_delay());
        }
        if admission == Admission::Fresh {
            if !may_ignore_time(&body) {
                self.note_gain();
            }
            self.hear(now, msg_id, seq_no);
            self.dispatch(now, msg_id, &body);
        }
    }

    /// What we had to ignore for its age comes again on a new link, and on no other: it was read
    /// late, by a process that stood still, or our clock stood still. Nothing comes from the
    /// future, so a message far ahead of our clock sets it.
    fn catch_up(&mut self, now: Now, msg_id: MsgId) {
        if msg_id.time() > self.clock.at(now) {
            self.clock.raise(now, msg_id);
        }
        self.events.push_back(ClientEvent::LinkIsDead(DeadLink::Untimely));
    }

    fn hear(&mut self, now: Now, id: MsgId, seq_no: i32) {
        self.is_heard = true;
        self.clock.raise(now, id);
        let server_time = self.clock.at(now);
        self.inbox.remember(id, seq_no, server_time);
    }
}

/// Whether a message's age is within −300…+30 s of the server's time (MSG-R09).
pub(super) fn is_timely(id: MsgId, server_time: Duration) -> bool {
    id.time() + AGE_MAX >= server_time && id.time() <= server_time + AHEAD_MAX
}

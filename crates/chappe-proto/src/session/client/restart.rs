//! The next session of a client, and what becomes of the calls of the one before (06 §4).

use std::collections::BTreeMap;
use std::time::Duration;

use chappe_tl::Constructor;

use super::call::{CallId, Doubt, Flight};
use super::receive::is_timely;
use super::recovery::WRONG_SALT;
use super::send::Outgoing;
use super::service::{NOT_BEGUN, read};
use super::{CallError, ClientEvent, ClientSession, FORMER_MAX, MessageError, Sent, new_id};
use crate::envelope::encrypted::{Header, Message};
use crate::ids::{MsgId, SessionId, Side};
use crate::now::Now;
use crate::rpc::{self, CallResult, RpcError};
use crate::schema::ctors;
use crate::session::acks::Acks;
use crate::session::container::{self, Inner};
use crate::session::inbox::Inbox;
use crate::session::kind;
use crate::session::msg_id::MsgIds;
use crate::session::seq_no::SeqNo;

/// A session that was given up, and what the server may still say about it.
#[derive(Debug)]
pub(super) struct Former {
    pub(super) id: SessionId,
    /// Its open calls, and the containers that they left in.
    sent: BTreeMap<MsgId, Sent>,
}

impl ClientSession {
    /// Begins a new session (SES-17).
    ///
    /// What was never taken goes out in it. Of other calls the old session may still tell: it is
    /// listened to for a while, and what nobody spoke of by then is in doubt. Calls that may run
    /// twice do not wait for that.
    pub(super) fn restart(&mut self, now: Now, code: i32) {
        let mut sent = std::mem::take(&mut self.sent);
        sent.retain(|_, sent| matches!(sent, Sent::Call(_) | Sent::Container(_)));
        self.former.push_back(Former { id: self.id, sent });
        if self.former.len() > FORMER_MAX {
            self.former.pop_front();
        }
        self.id = new_id(&mut self.rng);
        self.ids = MsgIds::default();
        self.seq_no = SeqNo::default();
        self.inbox = Inbox::new(self.config.inbox);
        self.acks = Acks::default();
        self.passing.clear();
        self.services.clear();
        self.queue.clear();
        self.sends_singly = code == 64;
        self.state = None;
        self.witness = None;
        self.unique_id = None;
        self.pong_due = None;
        self.ping_due = now.mono + self.config.ping_interval;
        self.events.push_back(ClientEvent::Restarted(self.id));
        let due = now.mono + self.config.state_wait_max;
        let calls: Vec<CallId> = self.calls.keys().copied().collect();
        for call in calls {
            let Some(entry) = self.calls.get_mut(&call) else { continue };
            match entry.flight {
                Flight::Queued => self.queue.push_back(Outgoing::Call(call)),
                Flight::Sent { .. } if entry.repeatable => {
                    entry.flight = Flight::Queued;
                    if self.count_correction(call, code) {
                        self.queue.push_back(Outgoing::Call(call));
                    }
                }
                Flight::Sent { acknowledged, copies, .. } => {
                    let is_refusable = !acknowledged && copies == 1;
                    entry.flight = Flight::Limbo { due, is_refusable };
                }
                Flight::Waiting | Flight::Limbo { .. } => {}
            }
        }
        if self.links == 0 {
            self.end_limbo(|_| true);
        }
    }

    /// Until when calls of former sessions are waited for.
    pub(super) fn limbo_due(&self) -> Option<Duration> {
        if self.former.is_empty() {
            return None;
        }
        let due = |flight: &Flight| match flight {
            Flight::Limbo { due, .. } => Some(*due),
            _ => None,
        };
        self.calls.values().filter_map(|call| due(&call.flight)).min()
    }

    /// Ends the wait for calls of former sessions.
    pub(super) fn end_limbo(&mut self, is_over: impl Fn(Duration) -> bool) {
        if self.former.is_empty() {
            return;
        }
        let over = |flight: &Flight| matches!(flight, Flight::Limbo { due, .. } if is_over(*due));
        let calls: Vec<CallId> =
            self.calls.iter().filter(|(_, call)| over(&call.flight)).map(|(id, _)| *id).collect();
        for call in calls {
            self.fail_call(call, CallError::Unknown(Doubt::SessionGivenUp));
        }
    }

    /// What a former session says: answers and refusals of its calls are heeded, nothing else.
    pub(super) fn hear_former(
        &mut self,
        now: Now,
        at: usize,
        message: Message,
    ) -> Result<(), MessageError> {
        let Message { header: Header { msg_id, seq_no, .. }, body } = message;
        let is_untimely = self.clock.is_certain() && !is_timely(msg_id, self.clock.at(now));
        let inners = match kind::id_of(&body) {
            container::ID => container::unpack(msg_id, &body)?,
            _ => vec![Inner { msg_id, seq_no, body }],
        };
        if let Some(bad) = inners.iter().find(|inner| !inner.msg_id.may_come_from(Side::Server)) {
            return Err(MessageError::Parity(bad.msg_id));
        }
        for Inner { body, .. } in inners {
            match kind::id_of(&body) {
                rpc::RESULT if !is_untimely => {
                    if let Ok(CallResult { call, result }) =
                        CallResult::read(&body, self.config.inflated_max_bytes)
                        && let Some(call) = self.former_call(at, call)
                    {
                        match result {
                            // It was not begun there for want of those before it (SVC-45).
                            Err(error) if self.has_waited(call, &error) => self.begin_here(call),
                            result => self.finish(call, result.map_err(CallError::Rpc)),
                        }
                    }
                }
                ctors::BadMsgNotification::ID => {
                    // After 19 and 20 the message may have been taken before.
                    if let Some(bad) = read::<ctors::BadMsgNotification>(&body)
                        && !matches!(bad.error_code, 19 | 20)
                    {
                        self.refused_in_former(at, MsgId(bad.bad_msg_id), bad.error_code);
                    }
                }
                ctors::BadServerSalt::ID => {
                    if let Some(bad) = read::<ctors::BadServerSalt>(&body) {
                        self.refused_in_former(at, MsgId(bad.bad_msg_id), WRONG_SALT);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether an error says that a call was not begun because of those it comes after.
    fn has_waited(&self, call: CallId, error: &RpcError) -> bool {
        let is_ordered = self.calls.get(&call).is_some_and(|call| call.was_ordered);
        is_ordered && error.message.contains(NOT_BEGUN)
    }

    /// A call that the former session did not begin goes out in this one, unless it did already.
    fn begin_here(&mut self, call: CallId) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        if matches!(entry.flight, Flight::Limbo { .. }) {
            entry.flight = Flight::Queued;
            self.queue.push_back(Outgoing::Call(call));
        }
    }

    fn former_call(&self, at: usize, msg_id: MsgId) -> Option<CallId> {
        match self.former.get(at)?.sent.get(&msg_id)? {
            Sent::Call(call) => Some(*call),
            _ => None,
        }
    }

    /// A call that the former session did not take goes out in this one.
    fn refused_in_former(&mut self, at: usize, bad: MsgId, code: i32) {
        let refused = match self.former.get_mut(at).and_then(|former| former.sent.remove(&bad)) {
            Some(Sent::Container(contents)) => contents,
            Some(sent) => {
                self.former[at].sent.insert(bad, sent);
                vec![bad]
            }
            None => return,
        };
        for id in refused {
            let Some(call) = self.former_call(at, id) else { continue };
            let Some(entry) = self.calls.get_mut(&call) else { continue };
            if matches!(entry.flight, Flight::Limbo { is_refusable: true, .. }) {
                entry.flight = Flight::Queued;
                if self.count_correction(call, code) {
                    self.queue.push_back(Outgoing::Call(call));
                }
            }
        }
    }
}

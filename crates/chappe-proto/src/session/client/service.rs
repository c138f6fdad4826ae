//! What a server's messages mean to a client (05-service-messages).

use std::time::Duration;

use bytes::Bytes;
use chappe_tl::{Constructor, Raw, Reader};

use super::call::{CallId, Flight};
use super::send::Outgoing;
use super::{CallError, ClientEvent, ClientSession, Sent};
use crate::ids::{MsgId, Side};
use crate::now::Now;
use crate::rpc::{self, CallResult, RpcError};
use crate::schema::{ctors, functions, types};
use crate::session::container;
use crate::session::inbox::Admission;
use crate::session::kind;
use crate::session::salts::{FUTURE_MAX, Salt};

/// A result whose id lies this far below its query's proves that our clock runs ahead (06 §6).
const AHEAD_PROOF: Duration = Duration::from_secs(15);
/// Age up to which the announcement of a session brings a salt worth taking.
const NEWS_MAX: Duration = Duration::from_secs(60);
/// Least time between two requests for salts (SES-24).
const SALTS_PAUSE: Duration = Duration::from_secs(60);

/// In the errors of calls that were not begun because of others (SVC-45).
pub(super) const NOT_BEGUN: &str = "MSG_WAIT_";

/// Whether a message is heeded whatever its age: notices about our clock and salt (MSG-R09).
pub(super) fn may_ignore_time(body: &Bytes) -> bool {
    matches!(kind::id_of(body), ctors::BadServerSalt::ID | ctors::BadMsgNotification::ID)
}

/// Whether a message claims to be the answer to message 0, which nobody sent (SVC-25).
pub(super) fn answers_nothing(body: &Bytes) -> bool {
    kind::id_of(body) == rpc::RESULT && body.get(4..12) == Some(&[0; 8])
}

impl ClientSession {
    pub(super) fn dispatch(&mut self, now: Now, id: MsgId, body: &Bytes) {
        match kind::id_of(body) {
            rpc::RESULT => self.rpc_result(now, id, body),
            types::MsgsAck::ID => {
                for id in read::<types::MsgsAck>(body).map(|ack| ack.msg_ids).unwrap_or_default() {
                    self.acknowledged(MsgId(id));
                }
            }
            ctors::BadMsgNotification::ID => {
                if let Some(bad) = read::<ctors::BadMsgNotification>(body) {
                    self.handle_refusal(now, id, MsgId(bad.bad_msg_id), bad.error_code);
                }
            }
            ctors::BadServerSalt::ID => {
                if let Some(bad) = read::<ctors::BadServerSalt>(body) {
                    self.handle_bad_salt(now, MsgId(bad.bad_msg_id), bad.new_server_salt);
                }
            }
            types::NewSession::ID => {
                if let Some(new) = read::<types::NewSession>(body) {
                    self.new_session_created(now, id, &new);
                }
            }
            types::Pong::ID => {
                if let Some(pong) = read::<types::Pong>(body) {
                    self.pong(now, id, &pong, body);
                }
            }
            types::FutureSalts::ID => {
                if let Some(salts) = read::<types::FutureSalts>(body) {
                    self.future_salts(now, id, &salts, body);
                }
            }
            types::MsgsStateInfo::ID => {
                if let Some(info) = read::<types::MsgsStateInfo>(body) {
                    self.handle_states(now, MsgId(info.req_msg_id), &info.info);
                }
            }
            types::MsgsAllInfo::ID => {
                if let Some(types::MsgsAllInfo { msg_ids, info }) = read(body) {
                    let ids = msg_ids.into_iter().map(MsgId).collect();
                    self.apply_states(ids, &info);
                }
            }
            types::MsgsStateReq::ID => {
                if let Some(request) = read::<types::MsgsStateReq>(body) {
                    self.send_states(id, &request.msg_ids);
                }
            }
            ctors::MsgDetailedInfo::ID => {
                if let Some(info) = read::<ctors::MsgDetailedInfo>(body) {
                    self.want_answer(now, MsgId(info.msg_id), MsgId(info.answer_msg_id));
                }
            }
            ctors::MsgNewDetailedInfo::ID => {
                if let Some(info) = read::<ctors::MsgNewDetailedInfo>(body) {
                    self.want_message(now, MsgId(info.answer_msg_id));
                }
            }
            ctors::MsgResendReq::ID => {
                if let Some(request) = read::<ctors::MsgResendReq>(body) {
                    self.handle_resend_request(id, &request.msg_ids);
                }
            }
            ctors::DestroySessionOk::ID | ctors::DestroySessionNone::ID => {
                self.bare_answer(body, |call| {
                    kind::id_of(call) == functions::DestroySession::ID && call[4..] == body[4..]
                });
            }
            kind::DESTROY_AUTH_KEY_OK
            | kind::DESTROY_AUTH_KEY_NONE
            | kind::DESTROY_AUTH_KEY_FAIL => {
                self.bare_answer(body, |call| kind::id_of(call) == functions::DestroyAuthKey::ID);
            }
            kind::MSG_COPY => self.msg_copy(now, id, body),
            rpc::GZIP_PACKED => {
                let inner = rpc::inflate(body, self.config.inflated_max_bytes);
                // Only what is pushed may be packed (TL-29).
                if let Some(inner) =
                    inner.filter(|inner| !kind::is_never_packed(kind::id_of(inner)))
                {
                    self.events.push_back(ClientEvent::Pushed(inner));
                }
            }
            // What only clients say, and nothing at all (SVC-43).
            id if id == 0 || kind::is_service(id) => {}
            _ => self.events.push_back(ClientEvent::Pushed(body.clone())),
        }
    }

    fn rpc_result(&mut self, now: Now, id: MsgId, body: &Bytes) {
        let (msg_id, result) = match CallResult::read(body, self.config.inflated_max_bytes) {
            Ok(CallResult { call, result }) => (call, result.map_err(CallError::Rpc)),
            Err(error) => match error.call() {
                Some(call) => (call, Err(CallError::Unreadable(error.to_string()))),
                None => return,
            },
        };
        self.deliver(now, id, msg_id, result);
    }

    /// Takes the result of the call sent as `msg_id`. One of nobody's call is acknowledged and
    /// forgotten (SVC-25).
    fn deliver(&mut self, now: Now, id: MsgId, msg_id: MsgId, result: Result<Raw, CallError>) {
        match self.sent.get(&msg_id) {
            Some(Sent::Call(call)) => {
                let call = *call;
                self.sent.remove(&msg_id);
                self.heed_late_answer(now, id.time(), msg_id);
                self.witness = self.witness.max(Some(msg_id));
                match &result {
                    Err(CallError::Rpc(error)) if self.is_told_to_wait(call, msg_id, error) => {}
                    _ => self.finish(call, result),
                }
            }
            // Two of the three answers say that nothing is to come (SVC-29). A call that the server
            // does not know may have been overtaken: its answer is not wanted later, either.
            Some(Sent::Drop(dropped)) => {
                let dropped = *dropped;
                self.sent.remove(&msg_id);
                if !is_unknown(&result) {
                    self.sent.remove(&dropped);
                }
            }
            _ => {}
        }
    }

    /// Hands out the result of a call, if nobody has had one before.
    pub(super) fn finish(&mut self, call: CallId, result: Result<Raw, CallError>) {
        let Some(closed) = self.close(call) else { return };
        if self.binding == Some(call) && is_true(&result) {
            self.binding = None;
        }
        // The answer may be to an earlier message of the same call.
        if let Some(msg_id) = closed.flight.msg_id() {
            self.sent.remove(&msg_id);
        }
        self.events.push_back(ClientEvent::Answer(call, result));
    }

    /// Whether the server did not begin a call because of those it comes after (SVC-45). While
    /// they run it is asked again, naming them as they are known then; if one has failed, they
    /// are all waited for here.
    fn is_told_to_wait(&mut self, call: CallId, msg_id: MsgId, error: &RpcError) -> bool {
        let Some(entry) = self.calls.get(&call) else { return false };
        if !entry.was_ordered || !error.message.contains(NOT_BEGUN) {
            return false;
        }
        // Said of an earlier message: the call is on its way again already.
        if entry.flight.msg_id() != Some(msg_id) {
            return true;
        }
        if entry.after.is_empty() {
            return false;
        }
        let open: Vec<CallId> =
            entry.after.iter().copied().filter(|first| self.calls.contains_key(first)).collect();
        if error.message.contains("MSG_WAIT_FAILED") && !open.is_empty() {
            self.wait_for(call, open);
        } else {
            let Some(entry) = self.calls.get_mut(&call) else { return false };
            entry.flight = Flight::Queued;
            self.queue.push_back(Outgoing::Call(call));
        }
        true
    }

    /// Takes an answer that does not say what it answers: it is for the oldest call that fits, one
    /// that is to be sent again only if there is no other.
    fn bare_answer(&mut self, body: &Bytes, fits: impl Fn(&Bytes) -> bool) {
        let found = self
            .calls
            .iter()
            .filter(|(_, call)| call.says(&fits))
            .min_by_key(|(id, call)| (call.flight == Flight::Queued, **id));
        if let Some(call) = found.map(|(id, _)| *id) {
            self.finish(call, Ok(Raw(body.clone())));
        }
    }

    /// An answer made far before its question, by the two clocks, proves that ours ran ahead
    /// (06 §6). Any other answer proves nothing: it may have been long on its way.
    ///
    /// No new session follows: what the server took with the old clock is at most 30 s ahead of
    /// it, so ids that rise from there by the least step stay valid (MSG-09), and calls that run
    /// are not run again.
    fn heed_late_answer(&mut self, now: Now, answered: Duration, question: MsgId) {
        if answered + AHEAD_PROOF < question.time() {
            self.clock.set(now, answered);
        }
    }

    /// `msg_copy`: the message inside as if alone; both ids are acknowledged if it came before
    /// (MSG-27).
    fn msg_copy(&mut self, now: Now, outer: MsgId, body: &Bytes) {
        let Ok(inner) = container::unpack_copy(outer, body) else { return };
        if !inner.msg_id.may_come_from(Side::Server) || answers_nothing(&inner.body) {
            return;
        }
        if self.inbox.judge(inner.msg_id) == Admission::Duplicate {
            self.acks.owe(outer, now.mono + self.config.ack_delay_max);
        }
        self.admit(now, inner);
    }

    /// Marks calls as received; a container's id stands for its contents (SVC-04, SVC-05).
    pub(super) fn acknowledged(&mut self, id: MsgId) {
        match self.sent.get(&id) {
            Some(Sent::Call(call)) => {
                let Some(entry) = self.calls.get_mut(call) else { return };
                if let Flight::Sent { msg_id, acknowledged, .. } = &mut entry.flight
                    && *msg_id == id
                {
                    *acknowledged = true;
                    self.witness = self.witness.max(Some(id));
                }
            }
            Some(Sent::Container(_)) => {
                let Some(Sent::Container(contents)) = self.sent.remove(&id) else { return };
                for id in contents {
                    self.acknowledged(id);
                }
            }
            _ => {}
        }
    }

    /// `new_session_created`: the server's memory of this session begins here (SVC-40).
    fn new_session_created(&mut self, now: Now, id: MsgId, new: &types::NewSession) {
        // One that was owed to us for long names a salt whose time may be over.
        if id.time() + NEWS_MAX >= self.clock.at(now) {
            self.salts.announce(new.server_salt);
            self.events.push_back(ClientEvent::Salt(new.server_salt));
        }
        let earlier = self.unique_id.replace(new.unique_id);
        let is_new = earlier != Some(new.unique_id);
        self.lost_below(MsgId(new.first_msg_id), is_new);
        if is_new && self.was_created {
            self.events.push_back(ClientEvent::PushesMayBeLost);
        }
        self.was_created = true;
        // Of an earlier one we may know by what was received there alone.
        if is_new && (earlier.is_some() || self.witness.is_some()) {
            self.doubt_acknowledged(now);
        }
    }

    /// Sends a ping that also bounds the life of the link (SVC-34, SVC-35).
    ///
    /// Pings go out by themselves; an owner who wants to be pushed to sends one on a new link,
    /// since a server knows the link of a session by what came on it (SES-04).
    pub fn ping(&mut self, now: Now) {
        let ping_id = self.rng.u64() as i64;
        let disconnect_delay = self.config.disconnect_delay.as_secs() as i32;
        let body = match self.polls {
            None => rpc::boxed(&functions::PingDelayDisconnect { ping_id, disconnect_delay }),
            // A link of requests has nothing to be disconnected (HTP-26).
            Some(_) => rpc::boxed(&functions::Ping { ping_id }),
        };
        self.send_as(Sent::Ping { ping_id }, body);
        self.ping_due = now.mono + self.config.ping_interval;
        self.pong_due.get_or_insert(now.mono + self.config.disconnect_delay);
    }

    fn pong(&mut self, now: Now, id: MsgId, pong: &types::Pong, body: &Bytes) {
        let ping = MsgId(pong.msg_id);
        if self.sent.get(&ping) != Some(&Sent::Ping { ping_id: pong.ping_id }) {
            return self.deliver(now, id, ping, Ok(Raw(body.clone())));
        }
        self.sent.remove(&ping);
        self.heed_late_answer(now, id.time(), ping);
        // Before its first answer a session has no other.
        self.witness = self.witness.max(Some(ping));
        if let Some(due) = self.pong_due.take() {
            self.round_trip = Some((now.mono + self.config.disconnect_delay).saturating_sub(due));
        }
        self.doubt_unacknowledged(now);
    }

    /// Asks for salts when the last one known is about to end (SES-24).
    pub(super) fn renew_salts(&mut self, now: Now) {
        let second = self.clock.at(now).as_secs() as i64;
        let asked_lately = self.salts_asked.is_some_and(|at| now.mono < at + SALTS_PAUSE);
        if asked_lately || !self.salts.are_low(second) {
            return;
        }
        self.salts_asked = Some(now.mono);
        let body = rpc::boxed(&functions::GetFutureSalts { num: FUTURE_MAX });
        self.send_as(Sent::GetFutureSalts, body);
    }

    fn future_salts(&mut self, now: Now, id: MsgId, answer: &types::FutureSalts, body: &Bytes) {
        let request = MsgId(answer.req_msg_id);
        if self.sent.get(&request) != Some(&Sent::GetFutureSalts) {
            return self.deliver(now, id, request, Ok(Raw(body.clone())));
        }
        self.sent.remove(&request);
        self.heed_late_answer(now, id.time(), request);
        let salts = answer.salts.iter().take(FUTURE_MAX as usize).map(|salt| Salt {
            valid_since: salt.valid_since.into(),
            valid_until: salt.valid_until.into(),
            value: salt.salt,
        });
        self.salts.store(salts.collect());
        let current = self.salts.current(i64::from(answer.now));
        self.events.push_back(ClientEvent::Salt(current));
    }

    /// The server holds the answer to a call: fetched if it is wanted, dropped there if it is
    /// not (SVC-21).
    fn want_answer(&mut self, now: Now, call: MsgId, answer: MsgId) {
        match self.sent.get(&call) {
            Some(Sent::Call(_)) => self.want_message(now, answer),
            Some(Sent::Dropped) => self.drop_answer(call),
            _ if self.inbox.get(answer).is_some() => self.want_message(now, answer),
            _ => {}
        }
    }

    /// The server holds a large message for us: acknowledged when known, fetched when not
    /// (SVC-21).
    fn want_message(&mut self, now: Now, id: MsgId) {
        if self.inbox.get(id).is_some() {
            self.acks.owe(id, now.mono + self.config.ack_delay_max);
        } else {
            self.send_service(rpc::boxed(&ctors::MsgResendReq { msg_ids: vec![id.0] }));
        }
    }
}

/// `rpc_answer_unknown`.
fn is_unknown(result: &Result<Raw, CallError>) -> bool {
    let unknown = rpc::encoded(&types::RpcDropAnswer::RpcAnswerUnknown);
    matches!(result, Ok(Raw(answer)) if *answer == unknown)
}

fn is_true(result: &Result<Raw, CallError>) -> bool {
    matches!(result, Ok(Raw(body)) if chappe_tl::from_bytes(body.clone()) == Ok(true))
}

/// Reads a service message; one that cannot be read means nothing.
pub(super) fn read<T: Constructor>(body: &Bytes) -> Option<T> {
    let mut reader = Reader::new(body.slice(4..));
    let object = T::decode_bare(&mut reader).ok()?;
    reader.finish().ok()?;
    Some(object)
}

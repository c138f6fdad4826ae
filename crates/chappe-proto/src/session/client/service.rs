//! What a server's messages mean to a client (05-service-messages).

use std::time::Duration;

use bytes::Bytes;
use chappe_tl::{Constructor, Reader};

use super::{CallError, ClientEvent, ClientSession, Flight, MessageError, Sent};
use crate::ids::MsgId;
use crate::now::Now;
use crate::rpc::{self, CallResult, ResultError};
use crate::schema::{ctors, functions, types};
use crate::session::kind;
use crate::session::salts::{FUTURE_MAX, Salt};

/// A result whose id lies this far below its query's proves that our clock runs ahead (06 §6).
const AHEAD_PROOF: Duration = Duration::from_secs(15);
/// Least time between two requests for salts (SES-24).
const SALTS_PAUSE: Duration = Duration::from_secs(60);

/// Whether a message is heeded whatever its age: notices about our clock and salt (MSG-R09).
pub(super) fn may_ignore_time(body: &Bytes) -> bool {
    matches!(kind::id_of(body), ctors::BadServerSalt::ID | ctors::BadMsgNotification::ID)
}

impl ClientSession {
    pub(super) fn dispatch(
        &mut self,
        now: Now,
        id: MsgId,
        body: &Bytes,
    ) -> Result<(), MessageError> {
        match kind::id_of(body) {
            rpc::RESULT => return self.rpc_result(now, id, body),
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
                    let salt = bad.new_server_salt;
                    self.handle_bad_salt(now, MsgId(bad.bad_msg_id), salt);
                }
            }
            types::NewSession::ID => {
                if let Some(new) = read::<types::NewSession>(body) {
                    self.new_session_created(&new);
                }
            }
            types::Pong::ID => {
                if let Some(pong) = read::<types::Pong>(body) {
                    self.pong(now, id, &pong);
                }
            }
            types::FutureSalts::ID => {
                if let Some(salts) = read::<types::FutureSalts>(body) {
                    self.future_salts(now, &salts);
                }
            }
            types::MsgsStateInfo::ID => {
                if let Some(info) = read::<types::MsgsStateInfo>(body) {
                    self.handle_states(now, MsgId(info.req_msg_id), &info.info);
                }
            }
            types::MsgsStateReq::ID => {
                if let Some(request) = read::<types::MsgsStateReq>(body) {
                    let info: Vec<u8> =
                        request.msg_ids.iter().map(|id| self.state_of(MsgId(*id))).collect();
                    let info = types::MsgsStateInfo { req_msg_id: id.0, info: info.into() };
                    self.send_service(Sent::Other, rpc::boxed(&info));
                }
            }
            ctors::MsgDetailedInfo::ID => {
                if let Some(info) = read::<ctors::MsgDetailedInfo>(body) {
                    self.want_message(now, MsgId(info.answer_msg_id));
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
            rpc::GZIP_PACKED => {
                if let Some(inner) = rpc::inflate(body, self.config.inflated_max_bytes) {
                    self.events.push_back(ClientEvent::Pushed(inner));
                }
            }
            // The state of a session or key that we gave up; what only clients say; nothing at all.
            ctors::DestroySessionOk::ID
            | ctors::DestroySessionNone::ID
            | types::MsgsAllInfo::ID
            | types::HttpWait::ID
            | functions::ReqPq::ID
            | functions::ReqPqMulti::ID
            | functions::ReqDhParams::ID
            | functions::SetClientDhParams::ID
            | 0 => {}
            _ => self.events.push_back(ClientEvent::Pushed(body.clone())),
        }
        Ok(())
    }

    fn rpc_result(&mut self, now: Now, id: MsgId, body: &Bytes) -> Result<(), MessageError> {
        let (msg_id, result) = match CallResult::read(body, self.config.inflated_max_bytes) {
            Ok(CallResult { call, result }) => (call, result.map_err(CallError::Rpc)),
            Err(ResultError::Truncated) => return Ok(()),
            Err(error @ (ResultError::Gzip(call) | ResultError::Error(call, _))) => {
                (call, Err(CallError::Unreadable(error.to_string())))
            }
        };
        if msg_id.0 == 0 {
            return Err(MessageError::AnswersNothing);
        }
        // A result of nobody's call is acknowledged and forgotten (SVC-25).
        let Some(Sent::Call(call)) = self.sent.get(&msg_id).cloned() else { return Ok(()) };
        if id.time() + AHEAD_PROOF < msg_id.time() {
            self.clock.set(now, id.time());
        }
        self.sent.remove(&msg_id);
        if self.calls.remove(&call).is_some() {
            self.events.push_back(ClientEvent::Answer(call, result));
        }
        Ok(())
    }

    /// Marks calls as received; a container's id stands for its contents (SVC-04, SVC-05).
    pub(super) fn acknowledged(&mut self, id: MsgId) {
        match self.sent.get(&id).cloned() {
            Some(Sent::Call(call)) => {
                if let Some(entry) = self.calls.get_mut(&call)
                    && let Flight::Sent { acknowledged, .. } = &mut entry.flight
                {
                    *acknowledged = true;
                }
            }
            Some(Sent::Container(contents)) => {
                self.sent.remove(&id);
                for id in contents {
                    self.acknowledged(id);
                }
            }
            _ => {}
        }
    }

    /// `new_session_created`: what the server heard nothing of is sent again (SVC-40).
    fn new_session_created(&mut self, new: &types::NewSession) {
        self.salts.announce(new.server_salt);
        self.events.push_back(ClientEvent::Salt(new.server_salt));
        let is_new = self.unique_id != Some(new.unique_id);
        if is_new && self.unique_id.is_some() {
            self.events.push_back(ClientEvent::PushesMayBeLost);
        }
        self.unique_id = Some(new.unique_id);
        self.requeue_below(MsgId(new.first_msg_id));
    }

    /// Sends a ping that also bounds the life of the link (SVC-34, SVC-35).
    ///
    /// Pings go out by themselves; an owner who wants to be pushed to sends one on a new link,
    /// since a server knows the link of a session by what came on it (SES-04).
    pub fn ping(&mut self, now: Now) {
        let ping_id = self.rng.u64() as i64;
        let disconnect_delay = self.config.disconnect_delay.as_secs() as i32;
        let body = rpc::boxed(&functions::PingDelayDisconnect { ping_id, disconnect_delay });
        self.send_service(Sent::Ping { ping_id }, body);
        self.ping_due = now.mono + self.config.ping_interval;
        self.pong_due.get_or_insert(now.mono + self.config.disconnect_delay);
    }

    fn pong(&mut self, now: Now, id: MsgId, pong: &types::Pong) {
        let ping = MsgId(pong.msg_id);
        if self.sent.get(&ping) != Some(&Sent::Ping { ping_id: pong.ping_id }) {
            return;
        }
        self.sent.remove(&ping);
        self.pong_due = None;
        if id.time() + AHEAD_PROOF < ping.time() {
            self.clock.set(now, id.time());
        }
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
        self.send_service(Sent::GetFutureSalts, body);
    }

    fn future_salts(&mut self, now: Now, answer: &types::FutureSalts) {
        let request = MsgId(answer.req_msg_id);
        if self.sent.get(&request) != Some(&Sent::GetFutureSalts) {
            return;
        }
        self.sent.remove(&request);
        self.clock.set(now, Duration::from_secs(answer.now.max(0).unsigned_abs().into()));
        let salts = answer.salts.iter().map(|salt| Salt {
            valid_since: salt.valid_since.into(),
            valid_until: salt.valid_until.into(),
            value: salt.salt,
        });
        self.salts.store(salts.collect());
        let current = self.salts.current(i64::from(answer.now));
        self.events.push_back(ClientEvent::Salt(current));
    }

    /// The server holds a large message for us: acknowledged when known, fetched when not
    /// (SVC-21).
    fn want_message(&mut self, now: Now, id: MsgId) {
        if self.inbox.get(id).is_some() {
            self.acks.owe(id, now.mono + self.config.ack_delay_max);
        } else {
            let body = rpc::boxed(&ctors::MsgResendReq { msg_ids: vec![id.0] });
            self.send_service(Sent::Other, body);
        }
    }

    /// State of an id that the server asks about: of its messages by the inbox, of ours by what
    /// we remember to have sent (SVC-16).
    fn state_of(&self, id: MsgId) -> u8 {
        if id.0 & 3 != 0 {
            self.inbox.state(id)
        } else if self.sent.contains_key(&id) {
            4 | 16
        } else {
            1
        }
    }
}

/// Reads a service message; one that cannot be read means nothing.
fn read<T: Constructor>(body: &Bytes) -> Option<T> {
    let mut reader = Reader::new(body.slice(4..));
    let object = T::decode_bare(&mut reader).ok()?;
    reader.finish().ok()?;
    Some(object)
}

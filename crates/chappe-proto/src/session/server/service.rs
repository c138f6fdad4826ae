//! Service messages from a client (05-service-messages), and the way of calls into the world.

use std::time::Duration;

use bytes::Bytes;
use chappe_tl::{Constructor, Reader};

use super::{After, Held, IncomingCall, KeyDestroyed, Running, ServerEvent, ServerSession};
use crate::ids::{LinkId, MsgId, SessionId};
use crate::now::Now;
use crate::rpc::{self, RpcError};
use crate::schema::{ctors, functions, types};
use crate::session::acks;
use crate::session::kind;
use crate::session::salts::Salt;

/// Longest delay of `ping_delay_disconnect`, in seconds (SVC-34).
const DISCONNECT_DELAY_MAX: i32 = 3600;

impl ServerSession {
    pub(super) fn dispatch(&mut self, now: Now, link: LinkId, msg_id: MsgId, body: Bytes) {
        match kind::id_of(&body) {
            types::MsgsAck::ID => self.msgs_ack(link, &body),
            functions::Ping::ID => {
                self.with_call(now, link, msg_id, &body, |this, ping: functions::Ping| {
                    this.pong(now, link, msg_id, ping.ping_id);
                });
            }
            functions::PingDelayDisconnect::ID => self.with_call(
                now,
                link,
                msg_id,
                &body,
                |this, ping: functions::PingDelayDisconnect| {
                    this.pong(now, link, msg_id, ping.ping_id);
                    let delay = ping.disconnect_delay.clamp(0, DISCONNECT_DELAY_MAX);
                    let delay = Duration::from_secs(delay.unsigned_abs().into());
                    this.events.push_back(ServerEvent::DisconnectAfter(link, delay));
                },
            ),
            functions::GetFutureSalts::ID => self.with_call(
                now,
                link,
                msg_id,
                &body,
                |this, ask: functions::GetFutureSalts| this.future_salts(now, link, msg_id, ask.num),
            ),
            types::MsgsStateReq::ID => self.msgs_state_req(now, link, msg_id, &body),
            ctors::MsgResendReq::ID => self.msg_resend_req(now, link, msg_id, &body),
            ctors::MsgResendAnsReq::ID => self.msg_resend_ans_req(now, link, msg_id, &body),
            types::MsgsStateInfo::ID => {
                if let Ok(info) = read::<types::MsgsStateInfo>(&body) {
                    self.acks.settle(MsgId(info.req_msg_id));
                }
            }
            types::MsgsAllInfo::ID => self.msgs_all_info(&body),
            functions::RpcDropAnswer::ID => self.with_call(
                now,
                link,
                msg_id,
                &body,
                |this, drop: functions::RpcDropAnswer| {
                    this.rpc_drop_answer(now, link, msg_id, MsgId(drop.req_msg_id));
                },
            ),
            functions::DestroySession::ID => self.with_call(
                now,
                link,
                msg_id,
                &body,
                |this, destroy: functions::DestroySession| {
                    let session_id = SessionId(destroy.session_id);
                    if session_id == this.id {
                        this.session_destroyed(now, msg_id, session_id, false);
                    } else {
                        let request = msg_id;
                        this.events.push_back(ServerEvent::DestroySession { request, session_id });
                    }
                },
            ),
            functions::DestroyAuthKey::ID => {
                self.events.push_back(ServerEvent::DestroyAuthKey { request: msg_id });
            }
            kind::MSG_COPY => self.msg_copy(now, link, msg_id, &body),
            // Without HTTP nobody waits for an answer to it (SVC-41); details of our own
            // messages say nothing that we do not know.
            types::HttpWait::ID
            | ctors::MsgDetailedInfo::ID
            | ctors::MsgNewDetailedInfo::ID => {}
            _ => self.call(now, link, msg_id, body),
        }
    }

    /// Tells the client what became of `destroy_session`; bare, not as an `rpc_result`.
    pub fn session_destroyed(
        &mut self,
        now: Now,
        request: MsgId,
        session_id: SessionId,
        existed: bool,
    ) {
        let session_id = session_id.0;
        let body = if existed {
            rpc::boxed(&ctors::DestroySessionOk { session_id })
        } else {
            rpc::boxed(&ctors::DestroySessionNone { session_id })
        };
        self.answer_service(now, request, body);
    }

    /// Tells the client what became of `destroy_auth_key`; bare, not as an `rpc_result`.
    pub fn auth_key_destroyed(&mut self, now: Now, request: MsgId, outcome: KeyDestroyed) {
        let body = rpc::encoded(&match outcome {
            KeyDestroyed::Ok => types::DestroyAuthKeyRes::DestroyAuthKeyOk,
            KeyDestroyed::None => types::DestroyAuthKeyRes::DestroyAuthKeyNone,
            KeyDestroyed::Fail => types::DestroyAuthKeyRes::DestroyAuthKeyFail,
        });
        self.answer_service(now, request, body);
    }

    fn answer_service(&mut self, now: Now, request: MsgId, body: Bytes) {
        self.acks.settle(request);
        if let Some(link) = self.links.last().copied() {
            self.send_service(now, link, body);
        }
    }

    /// Runs `then` on a service call; one that cannot be read gets an error (TL-37).
    fn with_call<T: Constructor>(
        &mut self,
        now: Now,
        link: LinkId,
        msg_id: MsgId,
        body: &Bytes,
        then: impl FnOnce(&mut Self, T),
    ) {
        match read::<T>(body) {
            Ok(call) => {
                self.acks.settle(msg_id);
                then(self, call);
            }
            Err(error) => self.send_result(now, link, msg_id, error.to_tl(), true),
        }
    }

    fn msgs_ack(&mut self, link: LinkId, body: &Bytes) {
        let Some(ids) = self.ids_of(link, read::<types::MsgsAck>(body).map(|ack| ack.msg_ids))
        else {
            return;
        };
        for id in ids {
            self.outbox.acknowledge(MsgId(id));
        }
    }

    /// The ids of a list from a client; too many end the link (MSG-22), unreadable ones nothing.
    fn ids_of(&mut self, link: LinkId, ids: Result<Vec<i64>, RpcError>) -> Option<Vec<i64>> {
        let ids = ids.ok()?;
        if ids.len() > acks::IDS_MAX {
            self.events.push_back(ServerEvent::CloseLink(link, -429));
            return None;
        }
        Some(ids)
    }

    fn pong(&mut self, now: Now, link: LinkId, msg_id: MsgId, ping_id: i64) {
        let body = rpc::boxed(&types::Pong { msg_id: msg_id.0, ping_id });
        self.send_service(now, link, body);
    }

    fn future_salts(&mut self, now: Now, link: LinkId, msg_id: MsgId, count: i32) {
        let salts = self.salts.future(now.unix_seconds(), count);
        let body = rpc::boxed(&types::FutureSalts {
            req_msg_id: msg_id.0,
            now: now.unix_seconds() as i32,
            salts: salts.iter().map(future_salt).collect(),
        });
        self.send_service(now, link, body);
    }

    fn msgs_state_req(&mut self, now: Now, link: LinkId, msg_id: MsgId, body: &Bytes) {
        let ids = read::<types::MsgsStateReq>(body).map(|request| request.msg_ids);
        if let Some(ids) = self.ids_of(link, ids) {
            self.send_state(now, link, msg_id, &ids);
        }
    }

    fn send_state(&mut self, now: Now, link: LinkId, request: MsgId, ids: &[i64]) {
        let info: Vec<u8> = ids.iter().map(|id| self.state_of(MsgId(*id))).collect();
        let body =
            rpc::boxed(&types::MsgsStateInfo { req_msg_id: request.0, info: info.into() });
        self.send_service(now, link, body);
    }

    /// State byte of an id: of the client's messages by the inbox, of ours by what is owed
    /// (SVC-16).
    fn state_of(&self, id: MsgId) -> u8 {
        if id.0 & 3 == 0 {
            self.inbox.state(id)
        } else if self.outbox.get(id).is_some() {
            4 | 16
        } else {
            1
        }
    }

    /// All ids known: they are sent again. Otherwise the state of all is told (SVC-22).
    fn msg_resend_req(&mut self, now: Now, link: LinkId, msg_id: MsgId, body: &Bytes) {
        let ids = read::<ctors::MsgResendReq>(body).map(|request| request.msg_ids);
        let Some(ids) = self.ids_of(link, ids) else { return };
        if ids.iter().all(|id| self.outbox.get(MsgId(*id)).is_some()) {
            for id in ids {
                self.resend(link, MsgId(id));
            }
        } else {
            self.send_state(now, link, msg_id, &ids);
        }
    }

    /// The answers to these calls are sent again as far as they exist (SVC-23).
    fn msg_resend_ans_req(&mut self, now: Now, link: LinkId, msg_id: MsgId, body: &Bytes) {
        let ids = read::<ctors::MsgResendAnsReq>(body).map(|request| request.msg_ids);
        let Some(ids) = self.ids_of(link, ids) else { return };
        for id in &ids {
            let answer = self.inbox.get(MsgId(*id)).and_then(|heard| heard.answer);
            if let Some(answer) = answer.filter(|answer| self.outbox.get(*answer).is_some()) {
                self.resend(link, answer);
            }
        }
        self.send_state(now, link, msg_id, &ids);
    }

    /// Status 4 acknowledges (SVC-12, SVC-17).
    fn msgs_all_info(&mut self, body: &Bytes) {
        let Ok(all) = read::<types::MsgsAllInfo>(body) else { return };
        for (id, state) in all.msg_ids.iter().zip(all.info.iter()) {
            if state & 7 == 4 {
                self.outbox.acknowledge(MsgId(*id));
            }
        }
    }

    fn rpc_drop_answer(&mut self, now: Now, link: LinkId, request: MsgId, call: MsgId) {
        let answer = self.inbox.get(call).and_then(|heard| heard.answer);
        let owed = answer.and_then(|id| self.outbox.get(id).map(|owed| (id, owed.clone())));
        let result = if let Some((id, owed)) = owed {
            self.outbox.forget(id);
            self.ready.retain(|ready| ready.msg_id != id);
            rpc::boxed(&ctors::RpcAnswerDropped {
                msg_id: id.0,
                seq_no: owed.seq_no,
                bytes: owed.body.len() as i32,
            })
        } else if let Some(running) = self.running.get_mut(&call) {
            running.is_dropped = true;
            self.events.push_back(ServerEvent::CallDropped(call));
            rpc::encoded(&types::RpcDropAnswer::RpcAnswerDroppedRunning)
        } else {
            rpc::encoded(&types::RpcDropAnswer::RpcAnswerUnknown)
        };
        self.send_result(now, link, request, result, false);
    }

    /// `msg_copy`: the message inside as if it had come alone (MSG-27).
    fn msg_copy(&mut self, now: Now, link: LinkId, outer: MsgId, body: &Bytes) {
        const HEADER: usize = 24;
        if body.len() < HEADER || body[4..8] != kind::MESSAGE.to_le_bytes() {
            return self.refuse(now, link, outer, 0, 64);
        }
        let mut reader = Reader::new(body.slice(8..));
        let (Ok(id), Ok(seq_no), Ok(length)) = (reader.i64(), reader.i32(), reader.i32()) else {
            return;
        };
        let inner = body.slice(HEADER..);
        let is_whole = usize::try_from(length) == Ok(inner.len()) && length >= 4;
        let is_nested =
            matches!(kind::id_of(&inner), crate::session::container::ID | kind::MSG_COPY);
        if !is_whole || is_nested || MsgId(id) >= outer {
            return self.refuse(now, link, outer, 0, 64);
        }
        self.admit(now, link, MsgId(id), seq_no, inner);
    }

    /// Everything that is no service message is a call.
    fn call(&mut self, now: Now, link: LinkId, msg_id: MsgId, body: Bytes) {
        if let Some(heard) = self.inbox.get_mut(msg_id) {
            heard.call = true;
        }
        let call = match rpc::unwrap(body, self.config.inflated_max_bytes) {
            Ok(call) => call,
            Err(error) => return self.send_result(now, link, msg_id, error.to_tl(), true),
        };
        if self.running.len() >= self.config.calls_max {
            let error = RpcError::new(420, "FLOOD_WAIT_1");
            return self.send_result(now, link, msg_id, error.to_tl(), true);
        }
        self.running.insert(msg_id, Running { link, is_dropped: false });
        let verdict = self.after_verdict(&call.after);
        let call = IncomingCall { msg_id, link, call };
        match verdict {
            After::Run => self.events.push_back(ServerEvent::Call(call)),
            After::Wait => {
                let deadline = now.mono + self.config.after_wait_max;
                self.held.push(Held { call, deadline });
            }
            After::Failed => {
                self.answer(now, msg_id, Err(RpcError::new(400, "MSG_WAIT_FAILED")));
            }
        }
    }
}

/// Reads a service message; it must take up its whole body.
fn read<T: Constructor>(body: &Bytes) -> Result<T, RpcError> {
    let mut reader = Reader::new(body.slice(4..));
    let object = T::decode_bare(&mut reader).map_err(|error| RpcError::from(&error))?;
    reader.finish().map_err(|error| RpcError::from(&error))?;
    Ok(object)
}

fn future_salt(salt: &Salt) -> types::FutureSalt {
    types::FutureSalt {
        valid_since: salt.valid_since as i32,
        valid_until: salt.valid_until as i32,
        salt: salt.value,
    }
}

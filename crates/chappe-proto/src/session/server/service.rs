//! Service messages from a client (05-service-messages).

use std::time::Duration;

use bytes::Bytes;
use chappe_tl::{Constructor, Reader};

use super::send::Outlet;
use super::{KeyDestroyed, ServerEvent, ServerSession};
use crate::ids::{LinkId, MsgId, SessionId};
use crate::now::Now;
use crate::rpc::{self, RpcError};
use crate::schema::{ctors, functions, types};
use crate::session::acks;
use crate::session::container::Inner;
use crate::session::kind;
use crate::session::outbox::Place;
use crate::session::salts::Salt;

/// Longest delay of `ping_delay_disconnect`, in seconds (SVC-34).
const DISCONNECT_DELAY_MAX: i32 = 3600;

impl ServerSession {
    pub(super) fn dispatch(&mut self, now: Now, link: LinkId, inner: Inner) {
        let Inner { msg_id, seq_no, body } = inner;
        let request = Request { now, link, msg_id };
        match kind::id_of(&body) {
            types::MsgsAck::ID => self.msgs_ack(link, &body),
            functions::Ping::ID => {
                self.serve(request, &body, |this, ping: functions::Ping| {
                    this.pong(request, ping.ping_id);
                });
            }
            functions::PingDelayDisconnect::ID => {
                self.serve(request, &body, |this, ping: functions::PingDelayDisconnect| {
                    this.pong(request, ping.ping_id);
                    // A link of HTTP ends with its requests anyway (SVC-34).
                    if this.polls.is_open(link) {
                        return;
                    }
                    let delay = ping.disconnect_delay.clamp(0, DISCONNECT_DELAY_MAX);
                    let delay = Duration::from_secs(delay.unsigned_abs().into());
                    this.work.events.push_back(ServerEvent::DisconnectAfter(link, delay));
                });
            }
            functions::GetFutureSalts::ID => {
                self.serve(request, &body, |this, ask: functions::GetFutureSalts| {
                    this.future_salts(request, ask.num);
                });
            }
            functions::RpcDropAnswer::ID => {
                self.serve(request, &body, |this, drop: functions::RpcDropAnswer| {
                    this.rpc_drop_answer(now, link, msg_id, MsgId(drop.req_msg_id));
                });
            }
            functions::DestroySession::ID => {
                self.serve(request, &body, |this, destroy: functions::DestroySession| {
                    let session_id = SessionId(destroy.session_id);
                    if session_id == this.id {
                        this.session_destroyed(now, msg_id, session_id, false);
                    } else {
                        let request = msg_id;
                        this.work
                            .events
                            .push_back(ServerEvent::DestroySession { request, session_id });
                    }
                });
            }
            functions::DestroyAuthKey::ID => {
                self.serve(request, &body, |this, _: functions::DestroyAuthKey| {
                    this.work.events.push_back(ServerEvent::DestroyAuthKey { request: msg_id });
                });
            }
            types::MsgsStateReq::ID => self.msgs_state_req(request, &body),
            ctors::MsgResendReq::ID => self.msg_resend_req(request, &body),
            ctors::MsgResendAnsReq::ID => self.msg_resend_ans_req(request, &body),
            types::MsgsAllInfo::ID => self.msgs_all_info(link, &body),
            types::HttpWait::ID => self.http_wait(link, &body),
            kind::MSG_COPY => self.msg_copy(now, link, msg_id, seq_no, &body),
            // The first answers a question that we never ask; details of our own messages say
            // nothing new.
            types::MsgsStateInfo::ID
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
        self.acknowledged(request);
        if let Some(outlet) = self.outlet() {
            self.send_service(now, outlet, body);
        }
    }

    /// Runs `then` on a service call; one that cannot be read gets an error (TL-37).
    fn serve<T: Constructor>(
        &mut self,
        request: Request,
        body: &Bytes,
        then: impl FnOnce(&mut Self, T),
    ) {
        match read::<T>(body) {
            Ok(call) => {
                self.acknowledged(request.msg_id);
                then(self, call);
            }
            Err(error) => {
                self.send_result(request.now, request.link, request.msg_id, error.to_tl(), true);
            }
        }
    }

    fn msgs_ack(&mut self, link: LinkId, body: &Bytes) {
        let Some(ids) = self.ids_of(link, read::<types::MsgsAck>(body).map(|ack| ack.msg_ids))
        else {
            return;
        };
        for id in ids {
            self.work.outbox.acknowledge(MsgId(id));
        }
    }

    /// The ids of a list from a client; too many end the link (MSG-22), unreadable ones nothing.
    fn ids_of(&mut self, link: LinkId, ids: Result<Vec<i64>, RpcError>) -> Option<Vec<i64>> {
        let ids = ids.ok()?;
        if ids.len() > acks::IDS_MAX {
            self.close_link(link, -429);
            return None;
        }
        Some(ids)
    }

    /// How long the request is to be held, if it is one; on a stream it says nothing (SVC-41).
    fn http_wait(&mut self, link: LinkId, body: &Bytes) {
        if let Ok(wait) = read(body) {
            self.polls.hold(link, &wait, &self.config.poll);
        }
    }

    fn pong(&mut self, request: Request, ping_id: i64) {
        let body = rpc::boxed(&types::Pong { msg_id: request.msg_id.0, ping_id });
        self.send_service(request.now, Outlet::Link(request.link), body);
    }

    fn future_salts(&mut self, request: Request, count: i32) {
        self.tally().future_salts += 1;
        let second = request.now.unix_seconds();
        let body = rpc::boxed(&types::FutureSalts {
            req_msg_id: request.msg_id.0,
            now: second as i32,
            salts: self.salts.future(second, count).iter().map(future_salt).collect(),
        });
        self.send_service(request.now, Outlet::Link(request.link), body);
    }

    /// Tells what is known of these messages. Whoever asks on one link about a call whose answer
    /// left on another has lost that one, even if nobody told us yet (SES-09).
    fn msgs_state_req(&mut self, request: Request, body: &Bytes) {
        let ids = read::<types::MsgsStateReq>(body).map(|list| list.msg_ids);
        let Some(ids) = self.ids_of(request.link, ids) else { return };
        self.send_state(request, &ids);
        for id in ids {
            let answer = self.inbox.get(MsgId(id)).and_then(|heard| heard.answer());
            let Some((answer, owed)) = answer.and_then(|id| Some((id, self.work.outbox.get(id)?)))
            else {
                continue;
            };
            if owed.place != Place::Sent(request.link) {
                self.send_again(request.now, Outlet::Link(request.link), answer);
            }
        }
    }

    fn send_state(&mut self, request: Request, ids: &[i64]) {
        let info: Vec<u8> = ids.iter().map(|id| self.state_of(MsgId(*id))).collect();
        let info = types::MsgsStateInfo { req_msg_id: request.msg_id.0, info: info.into() };
        self.send_service(request.now, Outlet::Link(request.link), rpc::boxed(&info));
    }

    /// State byte of an id: of the client's messages by the inbox, of ours by what is owed
    /// (SVC-16).
    fn state_of(&self, id: MsgId) -> u8 {
        if id.0 & 3 == 0 && self.is_beyond_memory(id) {
            1
        } else if id.0 & 3 == 0 {
            self.inbox.state(id)
        } else if self.work.outbox.get(id).is_some() {
            4 | 16
        } else {
            1
        }
    }

    /// All ids known: they are sent again. Otherwise the state of all is told (SVC-22).
    fn msg_resend_req(&mut self, request: Request, body: &Bytes) {
        let ids = read::<ctors::MsgResendReq>(body).map(|list| list.msg_ids);
        let Some(ids) = self.ids_of(request.link, ids) else { return };
        if ids.iter().all(|id| self.work.outbox.get(MsgId(*id)).is_some()) {
            for id in ids {
                self.resend(request.now, Outlet::Link(request.link), MsgId(id));
            }
        } else {
            self.send_state(request, &ids);
        }
    }

    /// The answers to these calls are sent again as far as they exist (SVC-23).
    fn msg_resend_ans_req(&mut self, request: Request, body: &Bytes) {
        let ids = read::<ctors::MsgResendAnsReq>(body).map(|list| list.msg_ids);
        let Some(ids) = self.ids_of(request.link, ids) else { return };
        for id in &ids {
            if let Some(answer) = self.inbox.get(MsgId(*id)).and_then(|heard| heard.answer()) {
                self.resend(request.now, Outlet::Link(request.link), answer);
            }
        }
        self.send_state(request, &ids);
    }

    /// Status 4 acknowledges (SVC-12, SVC-17).
    fn msgs_all_info(&mut self, link: LinkId, body: &Bytes) {
        let Ok(types::MsgsAllInfo { msg_ids, info }) = read(body) else { return };
        let Some(ids) = self.ids_of(link, Ok(msg_ids)) else { return };
        for (id, state) in ids.into_iter().zip(info.iter()) {
            if state & 7 == 4 {
                self.work.outbox.acknowledge(MsgId(id));
            }
        }
    }
}

/// Which message is being served: when it came, on which link, under which id.
#[derive(Clone, Copy)]
struct Request {
    now: Now,
    link: LinkId,
    msg_id: MsgId,
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

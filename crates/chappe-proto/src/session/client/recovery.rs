//! How a client gets over what went wrong: refusals, lost links, forgotten sessions.

use std::time::Duration;

use super::send::Outgoing;
use super::{
    CallError, CallId, ClientEvent, ClientSession, Flight, Sent, StateQuestion, new_id,
};
use crate::ids::MsgId;
use crate::now::Now;
use crate::rpc;
use crate::schema::types;
use crate::session::acks::{self, Acks};
use crate::session::inbox::Inbox;
use crate::session::msg_id::MsgIds;
use crate::session::seq_no::SeqNo;

/// Questions about lost calls before they are sent anew (SES-10).
const STATE_QUESTIONS_MAX: u32 = 3;
/// Least time between two corrections of the salt by the server (SVC-08).
const SALT_PAUSE: Duration = Duration::from_secs(1);

impl ClientSession {
    /// `bad_msg_notification` about one of our messages (05-service-messages §3).
    pub(super) fn handle_refusal(&mut self, now: Now, notice: MsgId, bad: MsgId, code: i32) {
        // Only what names a message of ours that is still open is obeyed (MSG-31).
        if !self.sent.contains_key(&bad) {
            return;
        }
        match code {
            16 => {
                let runs_back = notice.time() < self.clock.at(now);
                self.clock.set(now, notice.time());
                if runs_back { self.restart(now, code) } else { self.requeue(bad, code) }
            }
            20 => self.requeue(bad, code),
            17 => {
                self.clock.set(now, notice.time());
                self.restart(now, code);
            }
            _ => self.restart(now, code),
        }
    }

    /// `bad_server_salt` about one of our messages: the new salt, and the message again.
    pub(super) fn handle_bad_salt(&mut self, now: Now, bad: MsgId, salt: i64) {
        if !self.sent.contains_key(&bad) {
            return;
        }
        let is_storm = self.salt_corrected.is_some_and(|at| now.mono < at + SALT_PAUSE);
        if !is_storm {
            self.salt_corrected = Some(now.mono);
            self.salts.correct(salt);
            self.events.push_back(ClientEvent::Salt(salt));
        }
        self.requeue(bad, 48);
    }

    /// Asks what became of the calls that an earlier link carried (SES-10).
    pub(super) fn ask_state(&mut self, now: Now) {
        let ids: Vec<MsgId> = self
            .calls
            .values()
            .filter_map(|call| match call.flight {
                Flight::Sent { msg_id, acknowledged: false, .. } => Some(msg_id),
                _ => None,
            })
            .take(acks::IDS_MAX)
            .collect();
        if ids.is_empty() {
            self.state = None;
            return;
        }
        let asked = self.state.as_ref().map_or(0, |question| question.asked) + 1;
        self.state = Some(StateQuestion { asked, due: now.mono + self.config.state_wait_max });
        let msg_ids = ids.iter().map(|id| id.0).collect();
        let body = rpc::boxed(&types::MsgsStateReq { msg_ids });
        self.send_service(Sent::StateRequest(ids), body);
    }

    /// No state came: asked again, and after three questions the calls go out anew.
    pub(super) fn ask_state_again(&mut self, now: Now) {
        if self.state.as_ref().is_some_and(|question| question.asked < STATE_QUESTIONS_MAX) {
            return self.ask_state(now);
        }
        self.state = None;
        let open: Vec<CallId> = self
            .calls
            .iter()
            .filter(|(_, call)| matches!(call.flight, Flight::Sent { acknowledged: false, .. }))
            .map(|(id, _)| *id)
            .collect();
        for call in open {
            self.queue_anew(call);
        }
    }

    /// `msgs_state_info`: received calls are awaited, the others sent again (SVC-14).
    pub(super) fn handle_states(&mut self, _now: Now, request: MsgId, info: &[u8]) {
        let Some(Sent::StateRequest(ids)) = self.sent.get(&request) else { return };
        let is_sound = info.len() == ids.len()
            && info.iter().all(|state| matches!(state & 7, 1..=4));
        if !is_sound {
            return;
        }
        let ids = ids.clone();
        self.sent.remove(&request);
        self.state = None;
        for (id, state) in ids.into_iter().zip(info) {
            if state & 7 == 4 {
                self.acknowledged(id);
            } else if let Some(Sent::Call(call)) = self.sent.get(&id) {
                // Under its old id: if the message arrives after all, it still runs once.
                self.queue.push_back(Outgoing::CallAgain(*call));
            }
        }
    }

    /// `msg_resend_req`: our calls again if all are known, else their states (SVC-22).
    pub(super) fn handle_resend_request(&mut self, request: MsgId, ids: &[i64]) {
        let call_of = |id: &i64| match self.sent.get(&MsgId(*id)) {
            Some(Sent::Call(call)) => Some(*call),
            _ => None,
        };
        let calls: Option<Vec<CallId>> = ids.iter().map(call_of).collect();
        match calls {
            Some(calls) => self.queue.extend(calls.into_iter().map(Outgoing::CallAgain)),
            None => {
                let info: Vec<u8> = ids
                    .iter()
                    .map(|id| if self.sent.contains_key(&MsgId(*id)) { 4 | 16 } else { 1 })
                    .collect();
                let info = types::MsgsStateInfo { req_msg_id: request.0, info: info.into() };
                self.send_service(Sent::Other, rpc::boxed(&info));
            }
        }
    }

    /// Calls sent before the server knew the session go out again (SVC-40).
    pub(super) fn requeue_below(&mut self, first: MsgId) {
        let lost: Vec<CallId> = self
            .calls
            .iter()
            .filter(|(_, call)| {
                matches!(call.flight, Flight::Sent { msg_id, .. } if msg_id < first)
                    && !self.came_in_container_from(call.flight, first)
            })
            .map(|(id, _)| *id)
            .collect();
        for call in lost {
            self.queue_anew(call);
        }
    }

    /// Servers may name a container where its first inner message is meant (SVC-39).
    fn came_in_container_from(&self, flight: Flight, first: MsgId) -> bool {
        let Flight::Sent { msg_id, .. } = flight else { return false };
        matches!(self.sent.get(&first), Some(Sent::Container(inner)) if inner.contains(&msg_id))
    }

    /// Sends the refused message again under a new id; of a container, everything in it.
    fn requeue(&mut self, bad: MsgId, code: i32) {
        match self.sent.remove(&bad) {
            Some(Sent::Call(call)) => self.correct(call, code),
            Some(Sent::Container(contents)) => {
                for id in contents {
                    self.requeue(id, code);
                }
            }
            Some(Sent::Ping { .. }) => self.ping_due = Duration::ZERO,
            Some(Sent::GetFutureSalts) => self.salts_asked = None,
            Some(Sent::StateRequest(_)) => {
                if let Some(question) = &mut self.state {
                    question.due = Duration::ZERO;
                }
            }
            Some(Sent::Other) | None => {}
        }
    }

    /// Counts one more attempt of a call; too many end it (SVC-08).
    fn correct(&mut self, call: CallId, code: i32) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        entry.corrections += 1;
        if entry.corrections > self.config.corrections_max {
            let error = CallError::Refused { code, attempts: entry.corrections };
            self.calls.remove(&call);
            self.events.push_back(ClientEvent::Answer(call, Err(error)));
        } else {
            self.queue_anew(call);
        }
    }

    fn queue_anew(&mut self, call: CallId) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        if let Flight::Sent { msg_id, .. } = entry.flight {
            self.sent.remove(&msg_id);
        }
        if entry.flight != Flight::Queued {
            entry.flight = Flight::Queued;
            self.queue.push_back(Outgoing::Call(call));
        }
    }

    /// Begins a new session; every unanswered call goes out again in it (SES-17).
    fn restart(&mut self, now: Now, code: i32) {
        self.left = Some(self.id);
        self.id = new_id(&mut self.rng);
        self.ids = MsgIds::default();
        self.seq_no = SeqNo::default();
        self.inbox = Inbox::new(self.config.inbox);
        self.acks = Acks::default();
        self.sent.clear();
        self.queue.clear();
        self.state = None;
        self.pong_due = None;
        self.ping_due = now.mono + self.config.ping_interval;
        self.unique_id = None;
        self.events.push_back(ClientEvent::Restarted(self.id));
        let calls: Vec<CallId> = self.calls.keys().copied().collect();
        for call in calls {
            if let Some(entry) = self.calls.get_mut(&call) {
                entry.flight = Flight::Queued;
                entry.corrections += 1;
                if entry.corrections > self.config.corrections_max {
                    let error = CallError::Refused { code, attempts: entry.corrections };
                    self.calls.remove(&call);
                    self.events.push_back(ClientEvent::Answer(call, Err(error)));
                    continue;
                }
                self.queue.push_back(Outgoing::Call(call));
            }
        }
    }
}

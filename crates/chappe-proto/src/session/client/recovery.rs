//! How a client gets over what went wrong: refusals, lost links, forgotten sessions.

use std::collections::BTreeSet;
use std::time::Duration;

use super::send::Outgoing;
use super::{
    Call, CallError, CallId, ClientEvent, ClientSession, FORMER_MAX, Flight, Sent, StateQuestion,
    new_id,
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
/// Pongs without an acknowledgement of an older call, before the link is given up (SES-14).
const PONG_DOUBT: Duration = Duration::from_secs(60);
/// Least difference for which our clock is set back: less is the time that a notice travels.
const LOWER_MIN: Duration = Duration::from_secs(15);
/// State of a message that was received (05-service-messages §4).
const RECEIVED: u8 = 4;
/// Flag of a message that needs no acknowledgement.
const NEEDS_NO_ACK: u8 = 16;
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
                // The id of the notice has raised our clock already, if it was behind. If it is
                // ahead by more than a notice takes to arrive, our ids run ahead with it.
                if notice.time() + LOWER_MIN < self.clock.at(now) {
                    self.clock.set(now, notice.time());
                    self.restart_due = Some(code);
                } else {
                    self.requeue(now, bad, code);
                }
            }
            20 => self.requeue(now, bad, code),
            17 => {
                self.clock.set(now, notice.time());
                self.restart_due = Some(code);
            }
            _ => self.restart_due = Some(code),
        }
    }

    /// `bad_server_salt` about one of our messages: the new salt, and the message again.
    pub(super) fn handle_bad_salt(&mut self, now: Now, bad: MsgId, salt: i64) {
        if !self.sent.contains_key(&bad) {
            return;
        }
        if !self.salt_is_disputed(now) {
            self.salt_corrected = Some(now.mono);
            self.salts.correct(salt);
            self.events.push_back(ClientEvent::Salt(salt));
        }
        self.requeue(now, bad, 48);
    }

    /// The salt was corrected a moment ago: whatever is refused for it now must wait, or the two
    /// ends talk as fast as they can.
    pub(super) fn salt_is_disputed(&self, now: Now) -> bool {
        self.salt_corrected.is_some_and(|at| now.mono < at + SALT_PAUSE)
    }

    /// Asks what became of the calls that an earlier link carried, from one id on (SES-10).
    pub(super) fn ask_state(&mut self, now: Now, above: MsgId) {
        let mut ids: Vec<MsgId> = self.unacknowledged().map(|(id, _)| id).collect();
        ids.retain(|id| *id > above);
        ids.sort_unstable();
        ids.truncate(acks::IDS_MAX);
        if ids.is_empty() {
            self.state = None;
            return;
        }
        let asked = self.state.as_ref().map_or(0, |question| question.asked) + 1;
        let due = now.mono + self.config.state_wait_max;
        self.state = Some(StateQuestion { asked, due, above });
        let msg_ids = ids.iter().map(|id| id.0).collect();
        let body = rpc::boxed(&types::MsgsStateReq { msg_ids });
        self.send_as(Sent::StateRequest(ids), body);
    }

    /// No state came: asked again, and after three questions the calls go out anew.
    pub(super) fn ask_state_again(&mut self, now: Now) {
        let Some(StateQuestion { asked, above, .. }) = self.state else { return };
        if asked < STATE_QUESTIONS_MAX {
            return self.ask_state(now, above);
        }
        self.state = None;
        // Those that every question was about; what was sent since has a right to its own.
        let wait = self.config.state_wait_max * STATE_QUESTIONS_MAX;
        let is_lost = |call: &Call| match call.flight {
            Flight::Sent { at, acknowledged, .. } => !acknowledged && at + wait <= now.mono,
            Flight::Queued => false,
        };
        let open: Vec<CallId> =
            self.calls.iter().filter(|(_, call)| is_lost(call)).map(|(id, _)| *id).collect();
        for call in open {
            // The earlier message may have arrived: its answer counts, whichever comes first.
            self.queue_anew(call);
        }
    }

    /// A pong proves that the link works: calls that the server has not acknowledged by then are
    /// asked for (SVC-15), and a link that brings pongs and nothing else is given up (SES-14).
    pub(super) fn doubt_unacknowledged(&mut self, now: Now) {
        let oldest = self.unacknowledged().map(|(_, at)| at).min();
        let Some(oldest) = oldest else {
            self.ponged = Some(now.mono);
            return;
        };
        let pong = *self.ponged.get_or_insert(now.mono);
        if oldest >= pong {
            self.ponged = Some(now.mono);
        } else if pong + PONG_DOUBT <= now.mono {
            return self.events.push_back(ClientEvent::LinkIsDead);
        }
        if oldest + self.config.state_wait_max <= now.mono && self.state.is_none() {
            self.ask_state(now, MsgId(i64::MIN));
        }
    }

    /// Calls sent and not acknowledged: under which id, and when.
    fn unacknowledged(&self) -> impl Iterator<Item = (MsgId, Duration)> {
        self.calls.values().filter_map(|call| match call.flight {
            Flight::Sent { msg_id, at, acknowledged: false, .. } => Some((msg_id, at)),
            _ => None,
        })
    }

    /// `msgs_state_info`: received calls are awaited, the others sent again (SVC-14).
    pub(super) fn handle_states(&mut self, now: Now, request: MsgId, info: &[u8]) {
        let Some(Sent::StateRequest(ids)) = self.sent.get(&request) else { return };
        let ids = ids.clone();
        let last = ids.last().copied().filter(|_| ids.len() == acks::IDS_MAX);
        if !self.apply_states(ids, info) {
            return;
        }
        self.sent.remove(&request);
        self.state = None;
        if let Some(last) = last {
            self.ask_state(now, last);
        }
    }

    /// Acts on states that the server tells; false when they make no sense (SVC-13).
    pub(super) fn apply_states(&mut self, ids: Vec<MsgId>, info: &[u8]) -> bool {
        let is_sound =
            info.len() == ids.len() && info.iter().all(|state| matches!(state & 7, 1..=RECEIVED));
        if !is_sound {
            return false;
        }
        // A call may be named many times in one list; it goes out once.
        let mut again = BTreeSet::new();
        for (id, state) in ids.into_iter().zip(info) {
            if state & 7 == RECEIVED {
                self.acknowledged(id);
            } else if let Some(Sent::Call(call)) = self.sent.get(&id)
                && self.is_in_flight(*call, id)
                && again.insert(*call)
            {
                // Under its old id: if the message arrives after all, it still runs once.
                self.queue.push_back(Outgoing::CallAgain(*call));
            }
        }
        true
    }

    /// Whether a call is under way as this message, which no later one has replaced.
    fn is_in_flight(&self, call: CallId, id: MsgId) -> bool {
        let flight = self.calls.get(&call).map(|call| call.flight);
        matches!(flight, Some(Flight::Sent { msg_id, .. }) if msg_id == id)
    }

    /// The server has forgotten what it acknowledged before. Which of the calls it still knows
    /// has to be asked: a message that was long on its way may have begun its new session, and
    /// then calls that it lost lie above the first id that it announces.
    pub(super) fn doubt_acknowledged(&mut self, now: Now) {
        for call in self.calls.values_mut() {
            if let Flight::Sent { acknowledged, .. } = &mut call.flight {
                *acknowledged = false;
            }
        }
        self.state = None;
        self.ask_state(now, MsgId(i64::MIN));
    }

    /// `msg_resend_req`: our calls again if all are known, else their states (SVC-22).
    pub(super) fn handle_resend_request(&mut self, request: MsgId, ids: &[i64]) {
        let call_of = |id: &i64| match self.sent.get(&MsgId(*id)) {
            Some(Sent::Call(call)) => Some(*call),
            _ => None,
        };
        let calls: Option<BTreeSet<CallId>> = ids.iter().map(call_of).collect();
        match calls {
            Some(calls) => self.queue.extend(calls.into_iter().map(Outgoing::CallAgain)),
            None => self.send_states(request, ids),
        }
    }

    /// Tells what we know of messages: of the server's what came, of ours what was sent (SVC-11,
    /// SVC-16). Longer lists than anyone may send are ignored (MSG-21).
    pub(super) fn send_states(&mut self, request: MsgId, ids: &[i64]) {
        if ids.len() > acks::IDS_MAX {
            return;
        }
        let state_of = |id: MsgId| match self.sent.contains_key(&id) {
            _ if id.0 & 3 != 0 => self.inbox.state(id),
            true => RECEIVED | NEEDS_NO_ACK,
            false => 1,
        };
        let info: Vec<u8> = ids.iter().map(|id| state_of(MsgId(*id))).collect();
        let info = types::MsgsStateInfo { req_msg_id: request.0, info: info.into() };
        self.send_service(rpc::boxed(&info));
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
    fn requeue(&mut self, now: Now, bad: MsgId, code: i32) {
        match self.sent.remove(&bad) {
            Some(Sent::Call(call)) => self.correct(call, bad, code),
            Some(Sent::Container(contents)) => {
                for id in contents {
                    self.requeue(now, id, code);
                }
            }
            // Not at once, or a server that refuses everything hears us as fast as it answers.
            Some(Sent::Acks(ids)) => {
                for id in ids {
                    self.acks.owe(id, now.mono + SALT_PAUSE);
                }
            }
            Some(Sent::Ping { .. }) => self.ping_due = now.mono + SALT_PAUSE,
            Some(Sent::GetFutureSalts) => self.salts_asked = None,
            Some(Sent::StateRequest(_)) => {
                if let Some(question) = &mut self.state {
                    question.due = now.mono;
                }
            }
            Some(Sent::Service { body, corrections }) => {
                if corrections < self.config.corrections_max {
                    let corrections = corrections + 1;
                    self.send_as(Sent::Service { body: body.clone(), corrections }, body);
                }
            }
            Some(Sent::Dropped) | None => {}
        }
    }

    /// Counts one more attempt of a call; too many end it (SVC-08). A message that another has
    /// replaced is not sent a second time.
    fn correct(&mut self, call: CallId, bad: MsgId, code: i32) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        if !matches!(entry.flight, Flight::Sent { msg_id, .. } if msg_id == bad) {
            return;
        }
        entry.flight = Flight::Queued;
        if self.count_correction(call, code) {
            self.queue.push_back(Outgoing::Call(call));
        }
    }

    /// Counts one more attempt of a call; false when it was one too many, which ends the call.
    fn count_correction(&mut self, call: CallId, code: i32) -> bool {
        let Some(entry) = self.calls.get_mut(&call) else { return false };
        entry.corrections += 1;
        let attempts = entry.corrections;
        let may_go_on = attempts <= self.config.corrections_max;
        if !may_go_on {
            self.calls.remove(&call);
            let error = CallError::Refused { code, attempts };
            self.events.push_back(ClientEvent::Answer(call, Err(error)));
        }
        may_go_on
    }

    /// Sends a call under another id. What became of its earlier message is not certain, so that
    /// one stays known for a while.
    fn queue_anew(&mut self, call: CallId) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        if let Flight::Sent { msg_id, .. } = entry.flight {
            entry.flight = Flight::Queued;
            self.passing.push_back(msg_id);
            self.queue.push_back(Outgoing::Call(call));
        }
    }

    /// Begins a new session; every unanswered call goes out again in it (SES-17).
    ///
    /// A call that the old session was running already runs a second time: the server takes the
    /// two for different messages. Callers that cannot bear this give their calls a `random_id`
    /// (SES-12).
    pub(super) fn restart(&mut self, now: Now, code: i32) {
        self.former.push_back(self.id);
        if self.former.len() > FORMER_MAX {
            self.former.pop_front();
        }
        self.id = new_id(&mut self.rng);
        self.ids = MsgIds::default();
        self.seq_no = SeqNo::default();
        self.inbox = Inbox::new(self.config.inbox);
        self.acks = Acks::default();
        self.sent.clear();
        self.passing.clear();
        self.queue.clear();
        self.sends_singly = code == 64;
        self.state = None;
        self.pong_due = None;
        self.ping_due = now.mono + self.config.ping_interval;
        self.events.push_back(ClientEvent::Restarted(self.id));
        let calls: Vec<(CallId, Flight)> =
            self.calls.iter().map(|(id, call)| (*id, call.flight)).collect();
        for (call, flight) in calls {
            if let Some(entry) = self.calls.get_mut(&call) {
                entry.flight = Flight::Queued;
            }
            // What was never sent was never refused.
            if flight == Flight::Queued || self.count_correction(call, code) {
                self.queue.push_back(Outgoing::Call(call));
            }
        }
    }
}

//! How a client gets over what went wrong: refusals, lost links, forgotten sessions.

use std::collections::BTreeSet;
use std::time::Duration;

use super::call::{Call, Doubt, Flight};
use super::send::Outgoing;
use super::{
    CallError, CallId, ClientEvent, ClientSession, DeadLink, SLEEP_MIN, Sent, StateQuestion,
    WAKE_WAIT,
};
use crate::ids::MsgId;
use crate::now::Now;
use crate::rpc;
use crate::schema::{functions, types};
use crate::session::acks;

/// Questions about lost calls before they are sent anew (SES-10).
const STATE_QUESTIONS_MAX: u32 = 3;
/// Calls in one question: what a message may name, less the witness (MSG-21).
const ASKED_MAX: usize = acks::IDS_MAX - 1;
/// Pongs without an acknowledgement of an older call, before the link is given up (SES-14).
const PONG_DOUBT: Duration = Duration::from_secs(60);
/// Least difference for which our clock is set back: less is the time that a notice travels.
const LOWER_MIN: Duration = Duration::from_secs(15);
/// States of a message: not received, not received yet, received (05-service-messages §4).
const NOT_RECEIVED: u8 = 2;
const NOT_YET: u8 = 3;
const RECEIVED: u8 = 4;
/// Flag of a message that needs no acknowledgement.
const NEEDS_NO_ACK: u8 = 16;
/// How long acknowledgements and pings wait after a correction of the salt (SVC-08).
const SALT_PAUSE: Duration = Duration::from_secs(1);
/// Code of `bad_server_salt`.
pub(super) const WRONG_SALT: i32 = 48;

impl ClientSession {
    /// `bad_msg_notification` about one of our messages (05-service-messages §3).
    pub(super) fn handle_refusal(&mut self, now: Now, notice: MsgId, bad: MsgId, code: i32) {
        // Only what names a message of ours that is still open is obeyed (MSG-31).
        if !self.sent.contains_key(&bad) || self.is_acknowledged(bad) {
            return;
        }
        match code {
            16 => {
                // The id of the notice has raised our clock already, if it was behind. If it is
                // ahead by more than a notice takes to arrive, our ids run ahead with it.
                let is_ahead = notice.time() + LOWER_MIN < self.clock.at(now);
                if is_ahead {
                    self.clock.set(now, notice.time());
                    self.restart_due = Some(code);
                }
                self.requeue(now, bad, code);
            }
            20 => self.requeue(now, bad, code),
            17 => {
                self.clock.set(now, notice.time());
                self.requeue(now, bad, code);
                self.restart_due = Some(code);
            }
            // Ours go out once, so somebody between us has doubled it, and what it held may be
            // running: asked, not sent again.
            19 if matches!(self.sent.get(&bad), Some(Sent::Container(_))) => {
                if self.state.is_none() {
                    self.ask_state(now, MsgId(i64::MIN));
                }
            }
            _ => {
                self.requeue(now, bad, code);
                self.restart_due = Some(code);
            }
        }
    }

    /// Whether the server has said that it took this call. What it refuses afterwards under the
    /// same id is a copy, which somebody between us may have made.
    fn is_acknowledged(&self, id: MsgId) -> bool {
        let Some(Sent::Call(call)) = self.sent.get(&id) else { return false };
        self.calls.get(call).is_some_and(|call| {
            matches!(call.flight, Flight::Sent { msg_id, acknowledged: true, .. } if msg_id == id)
        })
    }

    /// `bad_server_salt` about one of our messages: the new salt, and the message again.
    ///
    /// No salt is worth more than this one (SES-23), even if the last came a moment ago: what goes
    /// again under a salt known to be wrong only uses up the attempts of its call.
    pub(super) fn handle_bad_salt(&mut self, now: Now, bad: MsgId, salt: i64) {
        if !self.sent.contains_key(&bad) || self.is_acknowledged(bad) {
            return;
        }
        self.salt_corrected = Some(now.mono);
        self.salts.correct(salt);
        self.events.push_back(ClientEvent::Salt(salt));
        self.requeue(now, bad, WRONG_SALT);
    }

    /// The salt was corrected a moment ago: acknowledgements and pings that are refused for it
    /// wait, or the two ends talk as fast as they can.
    pub(super) fn salt_is_disputed(&self, now: Now) -> bool {
        self.salt_corrected.is_some_and(|at| now.mono < at + SALT_PAUSE)
    }

    /// Asks what became of the calls that an earlier link carried, from one id on (SES-10).
    pub(super) fn ask_state(&mut self, now: Now, above: MsgId) {
        let mut ids: Vec<MsgId> = self.unacknowledged().map(|(id, _)| id).collect();
        ids.retain(|id| *id > above);
        ids.sort_unstable();
        ids.truncate(ASKED_MAX);
        if ids.is_empty() {
            self.state = None;
            return;
        }
        let asked = self.state.as_ref().map_or(0, |question| question.asked) + 1;
        let due = now.mono + self.config.state_wait_max;
        self.state = Some(StateQuestion { asked, due, above });
        let witness = self.witness;
        let msg_ids = witness.iter().chain(&ids).map(|id| id.0).collect();
        let body = rpc::boxed(&types::MsgsStateReq { msg_ids });
        self.send_as(Sent::StateRequest { witness, calls: ids }, body);
    }

    /// No state came: asked again, and after three questions the calls are in doubt.
    pub(super) fn ask_state_again(&mut self, now: Now) {
        let Some(StateQuestion { asked, above, .. }) = self.state else { return };
        if asked < STATE_QUESTIONS_MAX {
            return self.ask_state(now, above);
        }
        self.state = None;
        // Those that every question was about; what was sent since has a right to its own.
        let wait = self.config.state_wait_max * STATE_QUESTIONS_MAX;
        let is_lost = |call: &Call| matches!(call.flight, Flight::Sent { at, acknowledged: false, .. } if at + wait <= now.mono);
        let open: Vec<CallId> =
            self.calls.iter().filter(|(_, call)| is_lost(call)).map(|(id, _)| *id).collect();
        for call in open {
            self.doubt(call, Doubt::Unanswered);
        }
    }

    /// A wall clock that runs ahead of the monotonic one belongs to a machine that slept, or was
    /// set. The link may be dead for an hour then: a ping tells soon.
    pub(super) fn notice_sleep(&mut self, now: Now) {
        let skew = now.unix.as_nanos() as i128 - now.mono.as_nanos() as i128;
        let before = self.skew.replace(skew).unwrap_or(skew);
        if skew - before > SLEEP_MIN.as_nanos() as i128 {
            self.ping(now);
            let soon = now.mono + WAKE_WAIT;
            self.pong_due = Some(self.pong_due.map_or(soon, |due| due.min(soon)));
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
            return self.events.push_back(ClientEvent::LinkIsDead(DeadLink::Deaf));
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
        let Some(Sent::StateRequest { witness, calls }) = self.sent.get(&request) else { return };
        let (witness, calls) = (*witness, calls.clone());
        if info.len() != calls.len() + usize::from(witness.is_some()) || !info.iter().all(is_state)
        {
            return;
        }
        self.sent.remove(&request);
        self.state = None;
        let (of_witness, info) = info.split_at(usize::from(witness.is_some()));
        // What it does not know of a session that it has forgotten means nothing.
        if matches!(of_witness, [state] if matches!(state & 7, NOT_RECEIVED | NOT_YET)) {
            let known = calls.iter().zip(info).filter(|(_, state)| *state & 7 == RECEIVED);
            return self.forgotten(&known.map(|(id, _)| *id).collect());
        }
        let last = calls.last().copied().filter(|_| calls.len() == ASKED_MAX);
        self.apply_states(calls, info);
        if let Some(last) = last {
            self.ask_state(now, last);
        }
    }

    /// Acts on states that the server tells, unless they make no sense (SVC-13).
    pub(super) fn apply_states(&mut self, ids: Vec<MsgId>, info: &[u8]) {
        if info.len() != ids.len() || !info.iter().all(is_state) {
            return;
        }
        // A call may be named many times in one list; it goes out once.
        let mut again = BTreeSet::new();
        for (id, state) in ids.into_iter().zip(info) {
            if state & 7 == RECEIVED {
                self.acknowledged(id);
                continue;
            }
            let Some(Sent::Call(call)) = self.sent.get(&id) else { continue };
            let call = *call;
            let Some(entry) = self.calls.get(&call) else { continue };
            match entry.flight {
                Flight::Sent { msg_id, is_suspect: true, .. }
                    if msg_id == id && !entry.repeatable =>
                {
                    self.doubt(call, Doubt::SessionForgotten);
                }
                // Under its old id: if the message arrives after all, it still runs once.
                Flight::Sent { msg_id, .. } if msg_id == id && again.insert(call) => {
                    self.queue.push_back(Outgoing::CallAgain(call));
                }
                _ => {}
            }
        }
    }

    /// The server has forgotten the session: of all calls sent so far it knows those that it took
    /// since.
    fn forgotten(&mut self, known: &BTreeSet<MsgId>) {
        self.witness = None;
        for call in self.sent_calls(|id| !known.contains(&id)) {
            self.doubt(call, Doubt::SessionForgotten);
        }
        for id in known {
            self.acknowledged(*id);
        }
    }

    /// Calls that are on their way under an id that fits.
    fn sent_calls(&self, fits: impl Fn(MsgId) -> bool) -> Vec<CallId> {
        let fits = |flight: &Flight| flight.msg_id().is_some_and(&fits);
        self.calls.iter().filter(|(_, call)| fits(&call.flight)).map(|(id, _)| *id).collect()
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

    /// `new_session_created`: what the server knows nothing of (SVC-40).
    ///
    /// A session that was created once before has forgotten what it took then, so calls from below
    /// `first` are in doubt. The same one again only says that a message overtook another: the
    /// other goes again under its old id, which never runs twice.
    pub(super) fn lost_below(&mut self, first: MsgId, is_new: bool) {
        for call in self.sent_calls(|id| id < first) {
            if self.came_in_container_from(call, first) {
                continue;
            }
            if is_new {
                self.doubt(call, Doubt::SessionForgotten);
            } else {
                self.queue.push_back(Outgoing::CallAgain(call));
            }
        }
    }

    /// The server has forgotten what it acknowledged before. Which of the calls it still knows
    /// has to be asked: a message that was long on its way may have begun its new session, and
    /// then calls that it lost lie above the first id that it announces.
    pub(super) fn doubt_acknowledged(&mut self, now: Now) {
        self.witness = None;
        for call in self.calls.values_mut() {
            if let Flight::Sent { acknowledged, is_suspect, .. } = &mut call.flight {
                *acknowledged = false;
                *is_suspect = true;
            }
        }
        self.state = None;
        self.ask_state(now, MsgId(i64::MIN));
    }

    /// Servers may name a container where its first inner message is meant (SVC-39).
    fn came_in_container_from(&self, call: CallId, first: MsgId) -> bool {
        let msg_id = self.calls.get(&call).and_then(|call| call.flight.msg_id());
        let Some(Sent::Container(inner)) = self.sent.get(&first) else { return false };
        msg_id.is_some_and(|msg_id| inner.contains(&msg_id))
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
            // The owner asks for the next when this one is answered.
            Some(Sent::HttpWait) => {}
            Some(Sent::StateRequest { .. }) => {
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
            // From here on it counts as any service message, so that it is not sent without end.
            Some(Sent::Drop(call)) => {
                let body = rpc::boxed(&functions::RpcDropAnswer { req_msg_id: call.0 });
                self.send_as(Sent::Service { body: body.clone(), corrections: 1 }, body);
            }
            Some(Sent::Dropped) | None => {}
        }
    }

    /// A refused message of a call: the call goes out again.
    ///
    /// Under a new id only if no other packet has carried this one: another may have been taken.
    fn correct(&mut self, call: CallId, bad: MsgId, code: i32) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        let Flight::Sent { msg_id, copies, acknowledged, .. } = &mut entry.flight else { return };
        if *msg_id != bad {
            return;
        }
        if *acknowledged {
            self.sent.insert(bad, Sent::Call(call));
        } else if code == 20 {
            self.doubt(call, Doubt::TooOld);
        } else if *copies > 1 {
            *copies -= 1;
            self.sent.insert(bad, Sent::Call(call));
            if self.count_correction(call, code) {
                self.queue.push_back(Outgoing::CallAgain(call));
            }
        } else {
            entry.flight = Flight::Queued;
            if self.count_correction(call, code) {
                self.queue.push_back(Outgoing::Call(call));
            }
        }
    }

    /// Counts one more attempt of a call; false when it was one too many, which ends the call.
    ///
    /// Whoever has no salt that the server takes opens another link, and has as many attempts
    /// there (SES-27).
    pub(super) fn count_correction(&mut self, call: CallId, code: i32) -> bool {
        let Some(entry) = self.calls.get_mut(&call) else { return false };
        entry.corrections += 1;
        let (attempts, most) = (entry.corrections, self.config.corrections_max);
        if code == WRONG_SALT && attempts == most + 1 {
            self.is_heard = false;
            self.events.push_back(ClientEvent::LinkIsDead(DeadLink::Saltless));
            return true;
        }
        let may_go_on = attempts <= if code == WRONG_SALT { 2 * most + 1 } else { most };
        if !may_go_on {
            self.fail_call(call, CallError::Refused { code, attempts });
        }
        may_go_on
    }
}

/// Whether a byte says something about a message.
fn is_state(state: &u8) -> bool {
    matches!(state & 7, 1..=RECEIVED)
}

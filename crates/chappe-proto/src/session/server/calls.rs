//! Calls on their way through a server's session: in, held back, answered, dropped.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;

use super::work::Running;
use super::{IncomingCall, ServerEvent, ServerSession};
use crate::ids::{LinkId, MsgId};
use crate::now::Now;
use crate::rpc::{self, RpcError, Unwrapped};
use crate::schema::{ctors, types};
use crate::session::inbox::Admission;

impl ServerSession {
    /// Gives the result of a call: the boxed result, or the error.
    ///
    /// A call that is unknown or already answered is ignored, so an answer is made once.
    pub fn answer(&mut self, now: Now, call: MsgId, result: Result<Bytes, RpcError>) {
        // A failed call fails those that wait for it, and so on: a list, lest a chain of them
        // becomes a depth of stack.
        let mut answers = VecDeque::from([(call, result)]);
        while let Some((call, result)) = answers.pop_front() {
            let Some(running) = self.work.running.remove(&call) else {
                self.work.running_bytes -= self.work.disowned.remove(&call).unwrap_or(0);
                continue;
            };
            self.work.running_bytes -= running.bytes;
            let failed = result.is_err();
            let result = match result {
                _ if running.is_dropped => {
                    rpc::encoded(&types::RpcDropAnswer::RpcAnswerDroppedRunning)
                }
                Ok(result) => result,
                Err(error) => error.to_tl(),
            };
            self.send_result(now, running.link, call, result, failed);
            for call in self.work.held.finished(call, failed) {
                if failed {
                    let error = RpcError::bad_request("MSG_WAIT_FAILED");
                    answers.push_back((call.msg_id, Err(error)));
                } else {
                    self.work.events.push_back(ServerEvent::Call(call));
                }
            }
        }
    }

    /// Everything that is no service message is a call.
    pub(super) fn call(&mut self, now: Now, link: LinkId, msg_id: MsgId, body: Bytes) {
        if let Some(heard) = self.inbox.get_mut(msg_id) {
            heard.call = true;
        }
        let call = match rpc::unwrap(body, self.config.inflated_max_bytes) {
            Ok(call) => call,
            Err(error) => return self.send_result(now, link, msg_id, error.to_tl(), true),
        };
        let call = compacted(call);
        let bytes = call.query.len() + size_of_val(&*call.after);
        if !self.has_room_for(bytes) {
            return self.flood(now, link, msg_id);
        }
        self.work.running_bytes += bytes;
        self.work.running.insert(msg_id, Running { link, bytes, is_dropped: false });
        let awaited = self.awaited(&call.after);
        let call = IncomingCall { msg_id, link, call };
        match awaited {
            Ok(awaited) if awaited.is_empty() => {
                self.work.events.push_back(ServerEvent::Call(call))
            }
            Ok(awaited) if awaited.len() > self.config.after_max => {
                self.work.running_bytes -= bytes;
                self.work.running.remove(&msg_id);
                self.flood(now, link, msg_id);
            }
            Ok(awaited) => {
                self.work.held.hold(call, awaited, now.mono + self.config.after_wait_max);
            }
            Err(AwaitsFailure) => {
                self.answer(now, msg_id, Err(RpcError::bad_request("MSG_WAIT_FAILED")));
            }
        }
    }

    fn flood(&mut self, now: Now, link: LinkId, msg_id: MsgId) {
        self.is_taken = false;
        self.tally().flooded += 1;
        let error = RpcError::new(420, "FLOOD_WAIT_1");
        self.send_result(now, link, msg_id, error.to_tl(), true);
    }

    /// Whether a call of so many bytes may run beside those that do; a lone one always may.
    fn has_room_for(&self, bytes: usize) -> bool {
        let running = self.work.running.len() + self.work.disowned.len();
        running < self.config.calls_max
            && (running == 0 || self.work.running_bytes + bytes <= self.config.calls_max_bytes)
    }

    /// Answers the calls that have waited for others too long (SVC-44).
    pub(super) fn release_late(&mut self, now: Now) {
        while let Some(late) = self.work.held.late(now.mono) {
            self.work.held.take(late);
            self.answer(now, late, Err(RpcError::bad_request("MSG_WAIT_TIMEOUT")));
        }
    }

    pub(super) fn rpc_drop_answer(&mut self, now: Now, link: LinkId, request: MsgId, call: MsgId) {
        let answer = self.inbox.get(call).and_then(|heard| heard.answer());
        if let Some((id, owed)) = answer.and_then(|id| Some((id, self.work.outbox.forget(id)?))) {
            let result = rpc::boxed(&ctors::RpcAnswerDropped {
                msg_id: id.0,
                seq_no: owed.seq_no,
                bytes: owed.body.len() as i32,
            });
            return self.send_result(now, link, request, result, false);
        }
        let Some(running) = self.work.running.get_mut(&call) else {
            let result = rpc::encoded(&types::RpcDropAnswer::RpcAnswerUnknown);
            return self.send_result(now, link, request, result, false);
        };
        running.is_dropped = true;
        self.acknowledged(call);
        let result = rpc::encoded(&types::RpcDropAnswer::RpcAnswerDroppedRunning);
        self.send_result(now, link, request, result, false);
        if self.work.held.take(call).is_some() {
            // Nobody has seen it, so it ends here.
            self.answer(now, call, Err(RpcError::internal()));
        } else {
            self.work.events.push_back(ServerEvent::CallDropped(call));
        }
    }

    /// Which of the messages that a call names are still running.
    fn awaited(&self, after: &[i64]) -> Result<BTreeSet<MsgId>, AwaitsFailure> {
        let mut awaited = BTreeSet::new();
        for id in after.iter().map(|raw| MsgId(*raw)) {
            if self.work.running.contains_key(&id) {
                awaited.insert(id);
                continue;
            }
            match self.inbox.get(id) {
                Some(heard) if heard.failed => return Err(AwaitsFailure),
                Some(_) => {}
                None if self.inbox.judge(id) == Admission::TooOld => {}
                None => return Err(AwaitsFailure),
            }
        }
        Ok(awaited)
    }
}

/// The call with its query in memory of its own, unless that is large: as a slice of what came
/// it would keep a whole packet, or a whole buffer of them, for as long as it runs.
fn compacted(call: Unwrapped) -> Unwrapped {
    if call.query.len() >= SHARED_MIN {
        return call;
    }
    Unwrapped { query: Bytes::copy_from_slice(&call.query), ..call }
}

/// Queries from this size on are not copied: they are much of what they keep.
const SHARED_MIN: usize = 64 << 10;

/// A call names another that failed, or that never came.
struct AwaitsFailure;

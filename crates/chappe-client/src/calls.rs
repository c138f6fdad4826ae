//! The calls of a client from the question to the answer, over as many sessions as that takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use chappe_proto::keys::Slot;
use chappe_proto::rpc::RpcError;
use chappe_proto::schema::functions::InvokeWithoutUpdates;
use chappe_proto::session::client::{CallError, CallId, CallOptions, ClientSession, Doubt};
use chappe_proto::session::kind;
use chappe_tl::Raw;

use crate::client::NewCall;
use crate::error::InvokeError;

/// Wraps an encoded call into what introduces the client to the server.
pub(crate) type Init = Arc<dyn Fn(Bytes) -> Bytes + Send + Sync>;

/// Every call without an answer.
#[derive(Default)]
pub(crate) struct Calls {
    open: BTreeMap<u64, Open>,
    /// Those of `open` that no session has.
    unplaced: BTreeSet<u64>,
    by_call: BTreeMap<(Slot, CallId), u64>,
    init: Option<Init>,
    /// The server is to push to another session of ours (SES-08).
    without_updates: bool,
    /// The server has answered a call that introduced us, under the key in use (SVC-49).
    is_introduced: bool,
}

struct Open {
    call: NewCall,
    placed: Option<Placed>,
    /// Times that the server did not hold the key for bound.
    unbound: u32,
}

/// Where a call is.
#[derive(Clone, Copy)]
struct Placed {
    slot: Slot,
    call: CallId,
    /// It introduces us.
    introduces: bool,
}

/// What an answer says about the key that it came under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The key is not bound to a permanent one: 401 AUTH_KEY_PERM_EMPTY (SVC-28).
    Unbound,
    /// The server has given it up: 406 AUTH_KEY_DUPLICATED (SVC-28).
    Dead,
}

/// Times that a call goes out again because its key was not bound.
const UNBOUND_MAX: u32 = 5;

impl Calls {
    pub(crate) fn new(init: Option<Init>, without_updates: bool) -> Self {
        Self { init, without_updates, ..Self::default() }
    }

    /// Whether nobody waits for an answer.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes a call; [`place`](Self::place) hands it to a session.
    pub(crate) fn add(&mut self, id: u64, call: NewCall) {
        self.open.insert(id, Open { call, placed: None, unbound: 0 });
        self.unplaced.insert(id);
    }

    /// The caller does not wait any more. Where the call is, so that the session drops it, too.
    pub(crate) fn give_up(&mut self, id: u64) -> Option<(Slot, CallId)> {
        self.unplaced.remove(&id);
        let Placed { slot, call, .. } = self.open.remove(&id)?.placed?;
        self.by_call.remove(&(slot, call));
        Some((slot, call))
    }

    /// Another key is in use, for which the server wants to know us again (SVC-47).
    pub(crate) fn begin_anew(&mut self) {
        self.is_introduced = false;
    }

    /// Hands every call that has no session to this one. A call that comes after one in another
    /// session waits for that.
    pub(crate) fn place(&mut self, slot: Slot, session: &mut ClientSession) {
        for id in self.unplaced.clone() {
            self.place_one(id, slot, session);
        }
    }

    fn place_one(&mut self, id: u64, slot: Slot, session: &mut ClientSession) {
        let Some(Open { call, .. }) = self.open.get(&id) else { return };
        let first = call.options.after.iter().filter_map(|ticket| self.open.get(&ticket.0));
        let first = first.map(|open| open.placed.filter(|placed| placed.slot == slot));
        let Some(first) = first.collect::<Option<Vec<Placed>>>() else { return };
        let mut body = call.body.clone();
        let mut introduces = false;
        // What a session handles itself is no call of the schema (SVC-42).
        if !kind::is_service(kind::id_of(&body)) {
            if self.without_updates {
                body = chappe_tl::to_bytes(&InvokeWithoutUpdates { query: Raw(body) })
                    .expect("a wrapper holds no string");
            }
            if let Some(init) = self.init.as_ref().filter(|_| !self.is_introduced) {
                body = init(body);
                introduces = true;
            }
        }
        let mut options = CallOptions::default().after(first.iter().map(|placed| placed.call));
        options.repeatable = call.options.repeatable;
        options.quick_ack = call.quick_ack.is_some();
        let call = session.call_with(body, options);
        self.unplaced.remove(&id);
        self.by_call.insert((slot, call), id);
        if let Some(open) = self.open.get_mut(&id) {
            open.placed = Some(Placed { slot, call, introduces });
        }
    }

    /// The session of a slot takes no more calls: those that never left it are taken back.
    pub(crate) fn take_back(&mut self, slot: Slot, session: &mut ClientSession) {
        for (id, call) in self.placed_in(slot) {
            if session.is_unsent(call) {
                session.drop_call(call);
                self.unplace(id);
            }
        }
    }

    /// The session of a slot is gone, and with it what it knew of its calls.
    pub(crate) fn lose(&mut self, slot: Slot, session: Option<&ClientSession>) {
        for (id, call) in self.placed_in(slot) {
            let is_unsent = session.is_none_or(|session| session.is_unsent(call));
            let is_repeatable = self.open.get(&id).is_some_and(|open| open.call.options.repeatable);
            if is_unsent || is_repeatable {
                self.unplace(id);
            } else if let Some(open) = self.close(id) {
                open.call.refuse(InvokeError::Unknown(Doubt::KeyGone));
            }
        }
    }

    fn placed_in(&self, slot: Slot) -> Vec<(u64, CallId)> {
        let of_slot = |(at, id): (&(Slot, CallId), &u64)| (at.0 == slot).then_some((*id, at.1));
        let mut placed: Vec<(u64, CallId)> = self.by_call.iter().filter_map(of_slot).collect();
        placed.sort_unstable();
        placed
    }

    fn unplace(&mut self, id: u64) {
        let Some(open) = self.open.get_mut(&id) else { return };
        if let Some(Placed { slot, call, .. }) = open.placed.take() {
            self.by_call.remove(&(slot, call));
        }
        self.unplaced.insert(id);
    }

    fn close(&mut self, id: u64) -> Option<Open> {
        let open = self.open.remove(&id)?;
        self.unplaced.remove(&id);
        if let Some(Placed { slot, call, .. }) = open.placed {
            self.by_call.remove(&(slot, call));
        }
        Some(open)
    }

    /// Tells the caller that the server has the call.
    pub(crate) fn quick_ack(&mut self, slot: Slot, call: CallId) {
        let id = self.by_call.get(&(slot, call));
        if let Some(open) = id.and_then(|id| self.open.get_mut(id))
            && let Some(told) = open.call.quick_ack.take()
        {
            // A caller who left has no use for it.
            let _ = told.send(());
        }
    }

    /// Passes an answer on. What it says about the key, if it says something.
    pub(crate) fn answer(
        &mut self,
        slot: Slot,
        call: CallId,
        result: Result<Raw, CallError>,
    ) -> Option<Verdict> {
        let id = *self.by_call.get(&(slot, call))?;
        let open = self.open.get_mut(&id)?;
        let introduced = open.placed.is_some_and(|placed| placed.introduces);
        let error = match &result {
            Err(CallError::Rpc(error)) => Some(error),
            _ => None,
        };
        let verdict = error.and_then(verdict_of);
        if verdict == Some(Verdict::Unbound) && open.unbound < UNBOUND_MAX {
            open.unbound += 1;
            self.unplace(id);
            return verdict;
        }
        if error.is_some_and(wants_introduction) && self.init.is_some() && !introduced {
            self.is_introduced = false;
            self.unplace(id);
            return verdict;
        }
        if introduced && result.is_ok() {
            self.is_introduced = true;
        }
        // A caller who left in this moment has no use for it.
        let _ = self.close(id)?.call.answer.send(result.map_err(InvokeError::from));
        verdict
    }

    /// Fails everything. Where the calls are, so that their sessions drop them, too.
    pub(crate) fn fail(&mut self, error: &InvokeError) -> Vec<(Slot, CallId)> {
        for (_, open) in std::mem::take(&mut self.open) {
            open.call.refuse(error.clone());
        }
        self.unplaced.clear();
        std::mem::take(&mut self.by_call).into_keys().collect()
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls")
            .field("open", &self.open.len())
            .field("unplaced", &self.unplaced.len())
            .field("is_introduced", &self.is_introduced)
            .finish_non_exhaustive()
    }
}

/// Whether the server asks who we are (SVC-28).
fn wants_introduction(error: &RpcError) -> bool {
    error.code == 400
        && matches!(&*error.message, "CONNECTION_NOT_INITED" | "CONNECTION_LAYER_INVALID")
}

fn verdict_of(error: &RpcError) -> Option<Verdict> {
    match (error.code, &*error.message) {
        (401, "AUTH_KEY_PERM_EMPTY") => Some(Verdict::Unbound),
        (406, "AUTH_KEY_DUPLICATED") => Some(Verdict::Dead),
        _ => None,
    }
}

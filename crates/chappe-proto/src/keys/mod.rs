//! The keys of a client: which to make, which to use, when to replace them.
//!
//! With perfect forward secrecy the permanent key does nothing but vouch for temporary ones, and
//! those live in memory for a day (07-pfs). Every key that carries messages has a [`Slot`]:
//!
//! ```text
//! make permanent ─▶ keep it ─▶ make temporary ─▶ bind ─▶ ready ─▶ retired ─▶ dropped
//! └ only where none is stored ┘     ▲                      │         (60 s and longer,
//!                                   └── a new slot ◀───────┘          while calls wait)
//!                                       an hour ahead of its end
//! ```
//!
//! Without it the permanent key is ready as soon as it is kept. [`Keys`] says what is to be done;
//! exchanges, links and sessions are its owner's.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chappe_crypto::{AuthKey, AuthKeyId, Rng};

use crate::backoff::Backoff;
use crate::now::Now;
use crate::rpc::RpcError;
use crate::session::client::Bind;

mod config;
mod expiry;

pub use config::{KeysConfig, PfsConfig};
pub use expiry::Expiry;

/// A place for one key that carries messages, with its session and its links. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u64);

/// What the owner is to do.
#[derive(Clone, Debug)]
pub enum KeyAction {
    /// Run a key exchange; then [`Keys::handle_made`].
    Make {
        /// For this slot.
        slot: Slot,
        /// Life of the key in seconds; `None` for a permanent one.
        expires_in: Option<i32>,
    },
    /// Store the permanent key just made; then [`Keys::handle_kept`]. It is used not before.
    Keep(Slot),
    /// Open a session under the temporary key of the slot and make this call in it; then
    /// [`Keys::handle_bound`] or [`Keys::handle_bind_failed`].
    Bind(Slot, Bind),
    /// The key of this slot carries calls from now on. The slot before takes no more.
    Use(Slot),
    /// Open a session under the permanent key and send a ping, nothing else: it shows whether the
    /// server knows the key (PFS-17).
    Probe(Slot),
    /// The key of this slot is not used any more: its links are closed, the key is wiped.
    Drop(Slot),
    /// The server knows the permanent key no more. All slots are dropped; nothing is tried until
    /// [`Keys::begin_anew`].
    Lost,
    /// The server does not bind keys, for it does not know how. It is tried again later.
    Unsupported(RpcError),
}

/// The keys of one client, as a pure state machine.
///
/// Holds no socket, clock or task. The owner feeds what happened by `handle_*`, does what
/// [`poll_action`](Self::poll_action) says and calls [`handle_timeout`](Self::handle_timeout) at
/// [`poll_timeout`](Self::poll_timeout) and before it sends, since machines sleep (PFS-19).
pub struct Keys {
    config: KeysConfig,
    permanent: Option<Permanent>,
    slots: BTreeMap<Slot, State>,
    last_slot: u64,
    in_use: Option<Slot>,
    /// Bindings in a row that the server took for invalid.
    invalid: u32,
    backoff: Backoff,
    /// When another temporary key is to be made.
    retry_at: Option<Duration>,
    rng: Rng,
    actions: VecDeque<KeyAction>,
}

struct Permanent {
    key: Arc<AuthKey>,
    /// On the monotonic clock; `None` for one that was stored.
    made_at: Option<Duration>,
}

/// What a slot is about.
struct State {
    stage: Stage,
    temporary: Option<(Arc<AuthKey>, Expiry)>,
    /// Links in a row on which the server did not know the key.
    not_found: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    MakingPermanent,
    Keeping,
    MakingTemporary,
    Binding,
    /// In use, or the best there is. Replaced at `renew_at`, if that is a moment.
    Ready {
        since: Duration,
        renew_at: Option<Duration>,
    },
    /// Replaced: kept until then, and longer until its calls are answered.
    Retired {
        until: Duration,
        is_drained: bool,
    },
    Probing,
}

/// Links in a row that must say -404 before a permanent key counts as lost (SES-18).
const NOT_FOUND_MAX: u32 = 2;
/// Bindings in a row that must be invalid before the permanent key is looked after (07-pfs §4).
const INVALID_MAX: u32 = 2;
/// A permanent key so young may not have reached every node of the server (07-pfs §4).
const YOUNG: Duration = Duration::from_secs(60);
/// A temporary key that lived so long did not fail for its own sake.
const PROVEN: Duration = Duration::from_secs(60);

impl Keys {
    /// Begins with a stored permanent key, or with none.
    pub fn new(now: Now, config: KeysConfig, permanent: Option<Arc<AuthKey>>, rng: Rng) -> Self {
        let permanent = permanent.map(|key| Permanent { key, made_at: None });
        let mut keys = Self {
            config,
            permanent,
            slots: BTreeMap::new(),
            last_slot: 0,
            in_use: None,
            invalid: 0,
            backoff: Backoff::default(),
            retry_at: None,
            rng,
            actions: VecDeque::new(),
        };
        keys.begin(now);
        keys
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<KeyAction> {
        self.actions.pop_front()
    }

    /// The slot whose key carries calls.
    pub fn in_use(&self) -> Option<Slot> {
        self.in_use
    }

    /// The permanent key, if there is one.
    pub fn permanent(&self) -> Option<&Arc<AuthKey>> {
        self.permanent.as_ref().map(|permanent| &permanent.key)
    }

    /// The key that carries messages in a slot, once there is one.
    pub fn key(&self, slot: Slot) -> Option<&Arc<AuthKey>> {
        let state = self.slots.get(&slot)?;
        match (&state.temporary, state.stage) {
            (Some((key, _)), _) => Some(key),
            (None, Stage::Ready { .. } | Stage::Probing) => self.permanent(),
            _ => None,
        }
    }

    /// A permanent key is lost and another is wanted.
    pub fn begin_anew(&mut self, now: Now) {
        if self.permanent.is_none() && self.slots.is_empty() {
            self.begin(now);
        }
    }

    /// An exchange has led to a key. `heard_at` is when the server told its time, from which the
    /// life of a temporary key counts; `expires_at` is its end by the server's clock.
    pub fn handle_made(
        &mut self,
        now: Now,
        slot: Slot,
        key: Arc<AuthKey>,
        heard_at: Now,
        expires_at: Option<i64>,
    ) {
        let Some(state) = self.slots.get_mut(&slot) else { return };
        match (state.stage, expires_at, self.config.pfs, &self.permanent) {
            (Stage::MakingPermanent, None, _, _) => {
                state.stage = Stage::Keeping;
                self.permanent = Some(Permanent { key, made_at: Some(now.mono) });
                self.actions.push_back(KeyAction::Keep(slot));
            }
            (Stage::MakingTemporary, Some(expires_at), Some(pfs), Some(permanent)) => {
                let expires_at = i32::try_from(expires_at).unwrap_or(i32::MAX);
                let bind = Bind::new(Arc::clone(&permanent.key), key.id(), expires_at);
                state.stage = Stage::Binding;
                state.temporary = Some((key, Expiry::new(heard_at, pfs.expires_in)));
                self.actions.push_back(KeyAction::Bind(slot, bind));
            }
            _ => {}
        }
    }

    /// The permanent key is stored.
    pub fn handle_kept(&mut self, now: Now, slot: Slot) {
        let Some(state) = self.slots.get_mut(&slot) else { return };
        if state.stage == Stage::Keeping {
            self.enter(now, slot);
        }
    }

    /// The permanent key cannot be stored: it is not used.
    pub fn handle_not_kept(&mut self, slot: Slot) {
        if self.slots.get(&slot).is_some_and(|state| state.stage == Stage::Keeping) {
            self.permanent = None;
            self.drop_slot(slot);
        }
    }

    /// The server has bound the key of the slot: it carries calls from now on.
    pub fn handle_bound(&mut self, now: Now, slot: Slot) {
        let Some(pfs) = self.config.pfs else { return };
        let Some(state) = self.slots.get_mut(&slot) else { return };
        if state.stage != Stage::Binding {
            return;
        }
        let life = Duration::from_secs(pfs.expires_in.max(0).unsigned_abs().into());
        let ahead = pfs.renew_ahead.min(life / 4);
        let jitter = ahead.mul_f64(f64::from(self.rng.below(201)) / 1000.0);
        let end = state.temporary.as_ref().map_or(now.mono, |(_, expiry)| expiry.deadline());
        let renew_at = (end + ahead / 10).saturating_sub(ahead + jitter);
        state.stage = Stage::Ready { since: now.mono, renew_at: Some(renew_at) };
        self.invalid = 0;
        if let Some(before) = self.in_use.replace(slot)
            && let Some(state) = self.slots.get_mut(&before)
        {
            let until = now.mono + pfs.retired_kept;
            state.stage = Stage::Retired { until, is_drained: false };
        }
        self.actions.push_back(KeyAction::Use(slot));
    }

    /// The server has refused to bind the key of the slot (07-pfs §4). There is no going on under
    /// the permanent key (PFS-17).
    pub fn handle_bind_failed(&mut self, now: Now, slot: Slot, error: RpcError) {
        if self.slots.get(&slot).is_none_or(|state| state.stage != Stage::Binding) {
            return;
        }
        self.drop_slot(slot);
        if error.message.contains("METHOD_INVALID") {
            self.actions.push_back(KeyAction::Unsupported(error));
        } else if error.message == "ENCRYPTED_MESSAGE_INVALID" {
            self.invalid += 1;
            let is_young = self
                .permanent
                .as_ref()
                .and_then(|permanent| permanent.made_at)
                .is_some_and(|made_at| now.mono < made_at + YOUNG);
            if self.invalid >= INVALID_MAX && !is_young {
                let slot = self.open_slot(Stage::Probing);
                return self.actions.push_back(KeyAction::Probe(slot));
            }
        }
        self.try_again(now);
    }

    /// Something came under the key of the slot: the server knows it.
    pub fn handle_heard(&mut self, now: Now, slot: Slot) {
        let Some(state) = self.slots.get_mut(&slot) else { return };
        state.not_found = 0;
        if state.stage == Stage::Probing {
            self.drop_slot(slot);
            self.invalid = 0;
            self.try_again(now);
        }
    }

    /// A link of the slot said that the server does not know its key (-404). Anybody may have said
    /// so: a temporary key is replaced, a permanent one only after a second time on a fresh
    /// connection (SES-18, SEC-49).
    pub fn handle_not_found(&mut self, now: Now, slot: Slot) {
        let Some(state) = self.slots.get_mut(&slot) else { return };
        if state.temporary.is_some() {
            return self.replace(now, slot);
        }
        state.not_found += 1;
        let is_permanent = matches!(state.stage, Stage::Ready { .. } | Stage::Probing);
        if is_permanent && state.not_found >= NOT_FOUND_MAX {
            self.lose();
        }
    }

    /// The server does not hold the key of the slot for bound: 401 AUTH_KEY_PERM_EMPTY (PFS-17).
    ///
    /// Under a key that was replaced this is as it should be.
    pub fn handle_unbound(&mut self, now: Now, slot: Slot) {
        let Some(state) = self.slots.get(&slot) else { return };
        if state.temporary.is_some() && matches!(state.stage, Stage::Ready { .. }) {
            self.replace(now, slot);
        }
    }

    /// The server has given up the permanent key, and has proved that it was the server.
    pub fn handle_dead(&mut self) {
        if self.permanent.is_some() {
            self.lose();
        }
    }

    /// No call waits any more for an answer under the key of a slot that was replaced.
    pub fn handle_drained(&mut self, now: Now, slot: Slot) {
        if let Some(State { stage: Stage::Retired { is_drained, .. }, .. }) =
            self.slots.get_mut(&slot)
        {
            *is_drained = true;
            self.handle_timeout(now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let of_slots = self.slots.values().flat_map(|state| {
            let end = state.temporary.as_ref().map(|(_, expiry)| expiry.deadline());
            let stage = match state.stage {
                Stage::Ready { renew_at, .. } if !self.is_making() => renew_at,
                Stage::Retired { until, is_drained: true } => Some(until),
                _ => None,
            };
            [end, stage]
        });
        of_slots.chain([self.retry_at]).flatten().min()
    }

    /// Does what is due: keys that end, keys to be replaced soon, another attempt.
    pub fn handle_timeout(&mut self, now: Now) {
        let over = |state: &State| {
            let is_expired =
                state.temporary.as_ref().is_some_and(|(_, expiry)| expiry.is_over(now));
            let is_done = matches!(state.stage,
                Stage::Retired { until, is_drained: true } if until <= now.mono);
            is_expired || is_done
        };
        let over: Vec<Slot> =
            self.slots.iter().filter(|(_, state)| over(state)).map(|(slot, _)| *slot).collect();
        for slot in over {
            self.replace(now, slot);
        }
        if self.retry_at.is_some_and(|at| at <= now.mono) {
            self.retry_at = None;
            self.make_temporary();
        }
        let renews = |state: &State| matches!(state.stage, Stage::Ready { renew_at: Some(at), .. } if at <= now.mono);
        if self.slots.values().any(renews) && !self.is_making() {
            self.make_temporary();
        }
    }

    fn begin(&mut self, now: Now) {
        if self.permanent.is_some() {
            let slot = self.open_slot(Stage::Keeping);
            return self.enter(now, slot);
        }
        let slot = self.open_slot(Stage::MakingPermanent);
        self.actions.push_back(KeyAction::Make { slot, expires_in: None });
    }

    /// The permanent key is there: what it is for.
    fn enter(&mut self, now: Now, slot: Slot) {
        let Some(state) = self.slots.get_mut(&slot) else { return };
        match self.config.pfs {
            Some(pfs) => {
                state.stage = Stage::MakingTemporary;
                let expires_in = Some(pfs.expires_in);
                self.actions.push_back(KeyAction::Make { slot, expires_in });
            }
            None => {
                state.stage = Stage::Ready { since: now.mono, renew_at: None };
                self.in_use = Some(slot);
                self.actions.push_back(KeyAction::Use(slot));
            }
        }
    }

    fn open_slot(&mut self, stage: Stage) -> Slot {
        self.last_slot += 1;
        let slot = Slot(self.last_slot);
        self.slots.insert(slot, State { stage, temporary: None, not_found: 0 });
        slot
    }

    fn drop_slot(&mut self, slot: Slot) {
        if self.slots.remove(&slot).is_some() {
            if self.in_use == Some(slot) {
                self.in_use = None;
            }
            self.actions.push_back(KeyAction::Drop(slot));
        }
    }

    /// Whether a temporary key is on its way, or will be.
    fn is_making(&self) -> bool {
        self.retry_at.is_some()
            || self
                .slots
                .values()
                .any(|state| !matches!(state.stage, Stage::Ready { .. } | Stage::Retired { .. }))
    }

    fn make_temporary(&mut self) {
        if let (Some(pfs), Some(_)) = (self.config.pfs, &self.permanent) {
            let slot = self.open_slot(Stage::MakingTemporary);
            self.actions.push_back(KeyAction::Make { slot, expires_in: Some(pfs.expires_in) });
        }
    }

    /// Drops a slot; if its key was wanted, another is made.
    fn replace(&mut self, now: Now, slot: Slot) {
        let Some(State { stage, .. }) = self.slots.get(&slot) else { return };
        let stage = *stage;
        self.drop_slot(slot);
        match stage {
            Stage::Retired { .. } => {}
            Stage::Ready { since, .. } if now.mono >= since + PROVEN => {
                self.backoff.reset();
                self.try_again(now);
            }
            _ => self.try_again(now),
        }
    }

    /// Another temporary key, sooner or later, unless one is on its way.
    fn try_again(&mut self, now: Now) {
        if self.is_making() {
            return;
        }
        let wait = self.backoff.next(&mut self.rng);
        if wait.is_zero() {
            self.make_temporary();
        } else {
            self.retry_at = Some(now.mono + wait);
        }
    }

    fn lose(&mut self) {
        self.permanent = None;
        self.retry_at = None;
        self.invalid = 0;
        let slots: Vec<Slot> = self.slots.keys().copied().collect();
        for slot in slots {
            self.drop_slot(slot);
        }
        self.actions.push_back(KeyAction::Lost);
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let permanent: Option<AuthKeyId> = self.permanent().map(|key| key.id());
        let slots: Vec<(Slot, Stage)> =
            self.slots.iter().map(|(slot, state)| (*slot, state.stage)).collect();
        f.debug_struct("Keys")
            .field("permanent", &permanent)
            .field("slots", &slots)
            .field("in_use", &self.in_use)
            .finish_non_exhaustive()
    }
}

//! What all connections of a proxy share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chappe_crypto::Rng;
use chappe_net::Clock;
use chappe_net::limits::Connections;
use tokio::sync::watch;

use crate::handover::Charge;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::rates::Rates;
use crate::seen::Seen;
use crate::seldom::Seldom;
use crate::site::Sites;
use crate::state::Keeper;
use crate::upstream::Pool;
use crate::users::Register;

pub(crate) struct Shared {
    pub(crate) policy: watch::Sender<Arc<Policy>>,
    pub(crate) register: Mutex<Register>,
    /// What writes down what is to outlive the process, if anything does.
    pub(crate) keeper: Option<Keeper>,
    /// Whether this process is the one that accepts connections.
    pub(crate) charge: watch::Sender<Charge>,
    pub(crate) seen: Seen,
    pub(crate) sites: Arc<Sites>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) connections: Connections,
    pub(crate) rates: Rates,
    /// Strangers shown a site.
    pub(crate) masked: Connections,
    /// What strangers can have the log say.
    pub(crate) seldom: Seldom,
    /// Links to middle servers.
    pub(crate) middle: Pool,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) rng: Mutex<Rng>,
}

impl Shared {
    /// The settings of now.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.borrow())
    }

    /// Has all connections of users see whether they are still served.
    pub(crate) fn look_again(&self) {
        self.policy.send_modify(|_| {});
    }

    /// Everyone who was ever named.
    pub(crate) fn register(&self) -> MutexGuard<'_, Register> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A generator of one's own.
    pub(crate) fn rng(&self) -> Rng {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).fork()
    }
}

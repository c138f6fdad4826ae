//! Those who are served: who is here, how fast they may go, what they have passed.
//!
//! A [`User`] outlives the settings that name him: a reload changes his limits and leaves his
//! connections and his count.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chappe_net::limits::block;
use metrics::{Counter, Gauge, counter, gauge};

use crate::bucket::Bucket;
use crate::calendar;
use crate::config::{Quota, UserConfig};

/// One who is served, whatever the settings say of him at the moment.
#[derive(Debug)]
pub(crate) struct User {
    name: String,
    /// Bytes from him, and to him.
    up: Way,
    down: Way,
    /// Bytes both ways that count for the quota, and the month that they are of.
    used: Mutex<Used>,
    /// What he may use; `u64::MAX` where there is no quota.
    quota: AtomicU64,
    monthly: AtomicBool,
    present: Mutex<Present>,
    refused: AtomicU64,
    /// How often those of his connections were given up that settings do not serve any more.
    revoked: AtomicU64,
    open: Gauge,
}

/// One direction.
#[derive(Debug)]
struct Way {
    bucket: Bucket,
    bytes: AtomicU64,
    counter: Counter,
}

/// What counts for a quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Used {
    /// Bytes both ways.
    pub(crate) bytes: u64,
    /// The month, counted from that of year 0.
    pub(crate) month: u32,
}

#[derive(Debug, Default)]
struct Present {
    connections: usize,
    addresses: HashMap<IpAddr, usize>,
    total: u64,
}

/// A connection of a user; it counts until dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    user: Arc<User>,
    address: IpAddr,
}

/// Why a user is not served (PRX-14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Expired,
    Connections,
    Addresses,
    Quota,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Up,
    Down,
}

/// What is known of a user, for whoever asks.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct UserStatistics {
    /// What he is called.
    pub name: String,
    /// Connections open now.
    pub connections: usize,
    /// Distinct addresses of these, IPv6 by blocks of 64 bits.
    pub addresses: usize,
    /// Connections since the start.
    pub connections_total: u64,
    /// Connections refused for one of his limits, since the start.
    pub refused_total: u64,
    /// Bytes from him since the start.
    pub bytes_up: u64,
    /// Bytes to him since the start.
    pub bytes_down: u64,
    /// Bytes both ways that count for his quota.
    pub quota_used: u64,
    /// The month that these are of, such as `2027-12`, where the quota is one by the month.
    pub quota_month: Option<String>,
}

impl Refusal {
    pub(crate) const ALL: [Self; 4] =
        [Self::Expired, Self::Connections, Self::Addresses, Self::Quota];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Connections => "connections",
            Self::Addresses => "addresses",
            Self::Quota => "quota",
        }
    }
}

impl User {
    /// Someone of whom so much is known from before.
    fn new(name: &str, used: Used) -> Self {
        let way = |direction: &'static str| Way {
            bucket: Bucket::default(),
            bytes: AtomicU64::new(0),
            counter: counter!(BYTES, "user" => name.to_owned(), "direction" => direction),
        };
        Self {
            name: name.to_owned(),
            up: way("up"),
            down: way("down"),
            used: Mutex::new(used),
            quota: AtomicU64::new(u64::MAX),
            monthly: false.into(),
            present: Mutex::default(),
            refused: AtomicU64::new(0),
            revoked: AtomicU64::new(0),
            open: gauge!(OPEN, "user" => name.to_owned()),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Takes limits over from settings, for open connections as well.
    pub(crate) fn apply(&self, config: &UserConfig) {
        self.up.bucket.set_rate(config.rate_up.unwrap_or(0));
        self.down.bucket.set_rate(config.rate_down.unwrap_or(0));
        self.quota.store(config.quota.map_or(u64::MAX, |quota| quota.bytes), Ordering::Relaxed);
        let monthly = config.quota.is_some_and(|quota| quota.monthly);
        self.monthly.store(monthly, Ordering::Relaxed);
    }

    /// Counts a connection from `address`, or says which limit it would break.
    pub(crate) fn admit(
        self: &Arc<Self>,
        config: &UserConfig,
        address: IpAddr,
        unix: Duration,
    ) -> Result<Seat, Refusal> {
        let admitted = self.try_admit(config, block(address), unix);
        if admitted.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    fn try_admit(
        self: &Arc<Self>,
        config: &UserConfig,
        address: IpAddr,
        unix: Duration,
    ) -> Result<Seat, Refusal> {
        if config.expires.is_some_and(|expires| unix.as_secs() >= expires) {
            return Err(Refusal::Expired);
        }
        self.begin_month(unix);
        if self.is_used_up() {
            return Err(Refusal::Quota);
        }
        let mut present = lock(&self.present);
        if config.connections_max.is_some_and(|max| present.connections >= max) {
            return Err(Refusal::Connections);
        }
        let is_new = !present.addresses.contains_key(&address);
        if is_new && config.addresses_max.is_some_and(|max| present.addresses.len() >= max) {
            return Err(Refusal::Addresses);
        }
        present.connections += 1;
        present.total += 1;
        *present.addresses.entry(address).or_default() += 1;
        self.open.increment(1.0);
        Ok(Seat { user: Arc::clone(self), address })
    }

    /// A quota by the month begins anew with it.
    pub(crate) fn begin_month(&self, unix: Duration) {
        if !self.monthly.load(Ordering::Relaxed) {
            return;
        }
        let month = calendar::month(unix);
        let mut used = lock(&self.used);
        if used.month != month {
            *used = Used { bytes: 0, month };
        }
    }

    /// Gives up the connections that are open now, as far as they are served by settings to come
    /// no more.
    pub(crate) fn revoke(&self) {
        self.revoked.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was done: a connection that began before the last time is given up.
    pub(crate) fn revoked(&self) -> u64 {
        self.revoked.load(Ordering::Relaxed)
    }

    /// Whether the quota is used up.
    pub(crate) fn is_used_up(&self) -> bool {
        let quota = self.quota.load(Ordering::Relaxed);
        quota != u64::MAX && lock(&self.used).bytes >= quota
    }

    /// Counts bytes that pass; how long to wait before the next are taken.
    pub(crate) fn pass(&self, direction: Direction, bytes: usize, mono: Duration) -> Duration {
        let way = match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        let count = bytes as u64;
        way.bytes.fetch_add(count, Ordering::Relaxed);
        way.counter.increment(count);
        if self.quota.load(Ordering::Relaxed) != u64::MAX {
            let mut used = lock(&self.used);
            used.bytes = used.bytes.saturating_add(count);
        }
        way.bucket.take(count, mono)
    }

    /// What counts for the quota.
    fn used(&self) -> Used {
        *lock(&self.used)
    }

    pub(crate) fn statistics(&self, unix: Duration) -> UserStatistics {
        self.begin_month(unix);
        let monthly = self.monthly.load(Ordering::Relaxed);
        let present = lock(&self.present);
        UserStatistics {
            name: self.name.clone(),
            connections: present.connections,
            addresses: present.addresses.len(),
            connections_total: present.total,
            refused_total: self.refused.load(Ordering::Relaxed),
            bytes_up: self.up.bytes.load(Ordering::Relaxed),
            bytes_down: self.down.bytes.load(Ordering::Relaxed),
            quota_used: self.used().bytes,
            quota_month: monthly.then(|| calendar::name(calendar::month(unix))),
        }
    }
}

/// Everyone who was ever named.
#[derive(Debug)]
pub(crate) struct Register {
    users: HashMap<String, Arc<User>>,
    /// What they passed before this process began.
    before: HashMap<String, Used>,
}

impl Register {
    pub(crate) fn new(before: HashMap<String, Used>) -> Self {
        Self { users: HashMap::new(), before }
    }

    /// The one of that name, who is new perhaps.
    pub(crate) fn enter(&mut self, name: &str) -> Arc<User> {
        let Self { users, before } = self;
        let new = || Arc::new(User::new(name, before.get(name).copied().unwrap_or_default()));
        Arc::clone(users.entry(name.to_owned()).or_insert_with(new))
    }

    /// What counts for the quotas, by name: of those not named any more as well.
    pub(crate) fn used(&self, unix: Duration) -> BTreeMap<String, Used> {
        let now = self.users.iter().map(|(name, user)| {
            user.begin_month(unix);
            (name.clone(), user.used())
        });
        let before = self.before.iter().map(|(name, used)| (name.clone(), *used));
        before.chain(now).collect()
    }

    /// The one of that name, if there ever was one.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    /// What is known of each, by name.
    pub(crate) fn statistics(&self, unix: Duration) -> Vec<UserStatistics> {
        let mut all: Vec<_> = self.users.values().map(|user| user.statistics(unix)).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}

impl Seat {
    pub(crate) fn user(&self) -> &Arc<User> {
        &self.user
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut present = lock(&self.user.present);
        present.connections -= 1;
        if let Some(count) = present.addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                present.addresses.remove(&self.address);
            }
        }
        self.user.open.decrement(1.0);
    }
}

impl Quota {
    /// One that lasts for ever.
    pub fn once(bytes: u64) -> Self {
        Self { bytes, monthly: false }
    }

    /// One that begins anew with each month.
    pub fn each_month(bytes: u64) -> Self {
        Self { bytes, monthly: true }
    }
}

/// Names of counters, which [`metrics`](crate::metrics) describes.
pub(crate) const BYTES: &str = "chappe_proxy_user_bytes_total";
pub(crate) const OPEN: &str = "chappe_proxy_user_connections";

/// The counts stay true whatever panicked elsewhere while they were held.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

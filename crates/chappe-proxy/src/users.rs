//! Those who are served: who is here, how fast they may go, what they have passed.
//!
//! A [`User`] outlives the settings that name him: a reload changes his limits and leaves his
//! connections and his count.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chappe_net::limits::block;
use metrics::{Counter, Gauge, counter, gauge};

use crate::bucket::Bucket;
use crate::calendar;
use crate::config::{Quota, UserConfig};
use crate::handover::{LinkId, Presence};

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
    /// When he ceases to be served, in seconds since 1970; `u64::MAX` where he does not.
    expires: AtomicU64,
    present: Mutex<Present>,
    refused: AtomicU64,
    suspected: AtomicU64,
    /// How often those of his connections were given up that settings do not serve any more.
    revoked: AtomicU64,
    open: Gauge,
    addresses: Gauge,
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

/// Bytes that passed, whether there is a quota or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) up: u64,
    pub(crate) down: u64,
}

#[derive(Debug, Default)]
struct Present {
    connections: usize,
    addresses: HashMap<IpAddr, usize>,
    total: u64,
    /// His connections in processes that this one took over from, or that took over from it.
    elsewhere: BTreeMap<LinkId, Presence>,
}

impl Present {
    /// Connections here and elsewhere.
    fn connections(&self) -> usize {
        let elsewhere = self.elsewhere.values().map(|presence| presence.connections);
        self.connections + elsewhere.sum::<usize>()
    }

    /// Distinct addresses here and elsewhere.
    fn addresses(&self) -> usize {
        if self.elsewhere.is_empty() {
            return self.addresses.len();
        }
        let mut addresses: HashSet<_> = self.addresses.keys().collect();
        addresses.extend(self.elsewhere.values().flat_map(|presence| presence.addresses.keys()));
        addresses.len()
    }

    fn is_here(&self, address: &IpAddr) -> bool {
        self.addresses.contains_key(address)
            || self.elsewhere.values().any(|presence| presence.addresses.contains_key(address))
    }
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
    /// Connections open now, in processes that hand over as well.
    pub connections: usize,
    /// Distinct addresses of these, IPv6 by blocks of 64 bits.
    pub addresses: usize,
    /// Connections since the start.
    pub connections_total: u64,
    /// Connections refused for one of his limits, since the start.
    pub refused_total: u64,
    /// Connections that his data centre answered with an error alone, since the start: replays
    /// perhaps.
    pub suspected_replays_total: u64,
    /// Bytes from him since the start.
    pub bytes_up: u64,
    /// Bytes to him since the start.
    pub bytes_down: u64,
    /// Bytes both ways that count for his quota.
    pub quota_used: u64,
    /// The month that these are of, such as `2027-12`, where the quota is one by the month.
    pub quota_month: Option<String>,
}

impl Used {
    /// Bytes that were not counted yet when it was `known`: a new month begins with none.
    pub(crate) fn since(self, known: Self) -> u64 {
        let is_same = self.month == known.month;
        self.bytes.saturating_sub(if is_same { known.bytes } else { 0 })
    }

    fn add(&mut self, more: Self) {
        if *self == Self::default() {
            self.month = more.month;
        }
        self.bytes = self.bytes.saturating_add(more.bytes);
    }
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
            expires: AtomicU64::new(u64::MAX),
            present: Mutex::default(),
            refused: AtomicU64::new(0),
            suspected: AtomicU64::new(0),
            revoked: AtomicU64::new(0),
            open: gauge!(OPEN, "user" => name.to_owned()),
            addresses: gauge!(ADDRESSES, "user" => name.to_owned()),
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
        self.expires.store(config.expires.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long he is still served; `None` for ever.
    pub(crate) fn time_left(&self, unix: Duration) -> Option<Duration> {
        let expires = self.expires.load(Ordering::Relaxed);
        (expires != u64::MAX).then(|| Duration::from_secs(expires).saturating_sub(unix))
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
        if self.time_left(unix).is_some_and(|left| left.is_zero()) {
            return Err(Refusal::Expired);
        }
        self.begin_month(unix);
        if self.is_used_up() {
            return Err(Refusal::Quota);
        }
        let mut present = lock(&self.present);
        if config.connections_max.is_some_and(|max| present.connections() >= max) {
            return Err(Refusal::Connections);
        }
        if config.addresses_max.is_some_and(|max| present.addresses() >= max)
            && !present.is_here(&address)
        {
            return Err(Refusal::Addresses);
        }
        present.connections += 1;
        present.total += 1;
        *present.addresses.entry(address).or_default() += 1;
        self.addresses.set(present.addresses() as f64);
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

    /// One of his connections may have been somebody who repeated what he recorded.
    pub(crate) fn suspect_replay(&self) {
        self.suspected.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives up, so many times, the connections that are open now, as far as settings do not serve
    /// them.
    pub(crate) fn revoke(&self, times: u64) {
        self.revoked.fetch_add(times, Ordering::Relaxed);
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

    /// Counts for the quota what passed in another process; how much of it counts, and what counts
    /// in all.
    fn add(&self, more: Used, unix: Duration) -> (u64, Used) {
        self.begin_month(unix);
        let mut used = lock(&self.used);
        let is_of_another_month = more.month != used.month;
        if is_of_another_month && self.monthly.load(Ordering::Relaxed) {
            return (0, *used);
        }
        used.add(more);
        (more.bytes, *used)
    }

    /// Bytes that passed, here and in processes that told of it.
    pub(crate) fn totals(&self) -> Passed {
        let of = |way: &Way| way.bytes.load(Ordering::Relaxed);
        Passed { up: of(&self.up), down: of(&self.down) }
    }

    /// Counts bytes that passed in another process.
    pub(crate) fn add_totals(&self, more: Passed) {
        for (way, bytes) in [(&self.up, more.up), (&self.down, more.down)] {
            way.bytes.fetch_add(bytes, Ordering::Relaxed);
            way.counter.increment(bytes);
        }
    }

    /// His connections, but for those of the process that `link` leads to.
    pub(crate) fn presence_without(&self, link: LinkId) -> Presence {
        let present = lock(&self.present);
        let mut presence = Presence {
            connections: present.connections,
            addresses: present.addresses.iter().map(|(at, count)| (*at, *count)).collect(),
        };
        for (_, other) in present.elsewhere.iter().filter(|(id, _)| **id != link) {
            presence.connections += other.connections;
            for (address, count) in &other.addresses {
                *presence.addresses.entry(*address).or_default() += count;
            }
        }
        presence
    }

    /// Replaces what is known of his connections in the process that `link` leads to.
    pub(crate) fn set_elsewhere(&self, link: LinkId, presence: Presence) {
        let mut present = lock(&self.present);
        let more = presence.connections;
        let before = match more {
            0 => present.elsewhere.remove(&link),
            _ => present.elsewhere.insert(link, presence),
        };
        self.addresses.set(present.addresses() as f64);
        self.open.increment(more as f64);
        self.open.decrement(before.map_or(0, |before| before.connections) as f64);
    }

    pub(crate) fn statistics(&self, unix: Duration) -> UserStatistics {
        self.begin_month(unix);
        let monthly = self.monthly.load(Ordering::Relaxed);
        let present = lock(&self.present);
        UserStatistics {
            name: self.name.clone(),
            connections: present.connections(),
            addresses: present.addresses(),
            connections_total: present.total,
            refused_total: self.refused.load(Ordering::Relaxed),
            suspected_replays_total: self.suspected.load(Ordering::Relaxed),
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

    /// Those who were named since this process began.
    pub(crate) fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values()
    }

    /// Counts for the quota of whoever is called so what passed in another process; how much of it
    /// counts, and what counts in all.
    pub(crate) fn add(&mut self, name: &str, more: Used, unix: Duration) -> (u64, Used) {
        if let Some(user) = self.users.get(name) {
            return user.add(more, unix);
        }
        let used = self.before.entry(name.to_owned()).or_default();
        used.add(more);
        (more.bytes, *used)
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
        self.user.addresses.set(present.addresses() as f64);
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
pub(crate) const ADDRESSES: &str = "chappe_proxy_user_addresses";

/// The counts stay true whatever panicked elsewhere while they were held.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

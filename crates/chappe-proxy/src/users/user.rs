//! One who is served: whether he is let in, what passes, what is known of him.
//!
//! A [`User`] outlives the settings that name him: a reload changes his limits and leaves his
//! connections and his count.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chappe_net::limits::block;
use metrics::{Counter, Gauge, counter, gauge};

use super::lock;
use super::present::Present;
use super::quota::{Allowance, Used};
use crate::bucket::Bucket;
use crate::config::UserConfig;
use crate::handover::{LinkId, Presence};

/// One who is served, whatever the settings say of him at the moment.
#[derive(Debug)]
pub(crate) struct User {
    name: String,
    /// Bytes from him, and to him.
    up: Way,
    down: Way,
    allowance: Allowance,
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

/// Bytes that passed, whether there is a quota or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) up: u64,
    pub(crate) down: u64,
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
    pub(super) fn new(name: &str, used: Used) -> Self {
        let way = |direction: &'static str| Way {
            bucket: Bucket::default(),
            bytes: AtomicU64::new(0),
            counter: counter!(BYTES, "user" => name.to_owned(), "direction" => direction),
        };
        Self {
            name: name.to_owned(),
            up: way("up"),
            down: way("down"),
            allowance: Allowance::new(used),
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
        self.allowance.apply(config.quota);
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
        self.allowance.begin_month(unix);
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
        present.enter(address);
        self.addresses.set(present.addresses() as f64);
        self.open.increment(1.0);
        Ok(Seat { user: Arc::clone(self), address })
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
        self.allowance.is_used_up()
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
        self.allowance.count(count);
        way.bucket.take(count, mono)
    }

    /// What counts for the quota.
    pub(super) fn used(&self, unix: Duration) -> Used {
        self.allowance.used(unix)
    }

    /// Counts for the quota what passed in another process; how much of it counts, and what counts
    /// in all.
    pub(super) fn add(&self, more: Used, unix: Duration) -> (u64, Used) {
        self.allowance.add(more, unix)
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
        lock(&self.present).without(link)
    }

    /// Replaces what is known of his connections in the process that `link` leads to.
    pub(crate) fn set_elsewhere(&self, link: LinkId, presence: Presence) {
        let mut present = lock(&self.present);
        let more = presence.connections;
        let before = present.set_elsewhere(link, presence);
        self.addresses.set(present.addresses() as f64);
        self.open.increment(more as f64);
        self.open.decrement(before as f64);
    }

    pub(crate) fn statistics(&self, unix: Duration) -> UserStatistics {
        let present = lock(&self.present);
        UserStatistics {
            name: self.name.clone(),
            connections: present.connections(),
            addresses: present.addresses(),
            connections_total: present.total(),
            refused_total: self.refused.load(Ordering::Relaxed),
            suspected_replays_total: self.suspected.load(Ordering::Relaxed),
            bytes_up: self.up.bytes.load(Ordering::Relaxed),
            bytes_down: self.down.bytes.load(Ordering::Relaxed),
            quota_used: self.used(unix).bytes,
            quota_month: self.allowance.month(unix),
        }
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
        present.leave(self.address);
        self.user.addresses.set(present.addresses() as f64);
        self.user.open.decrement(1.0);
    }
}

/// Names of counters, which [`metrics`](crate::metrics) describes.
pub(crate) const BYTES: &str = "chappe_proxy_user_bytes_total";
pub(crate) const OPEN: &str = "chappe_proxy_user_connections";
pub(crate) const ADDRESSES: &str = "chappe_proxy_user_addresses";

//! Server salts: on the server computed from a secret, on the client kept until they run out.

use chappe_crypto::{AuthKeyId, sha256};

/// A server salt and the span in which it may be used.
///
/// Shape:  `future_salt#0949d9dc valid_since:int valid_until:int salt:long = FutureSalt`,
///         bare inside `future_salts`.
/// Units:  `valid_since` and `valid_until` are Unix seconds on the server's clock.
/// Errors: a message with a salt outside its span draws `bad_server_salt` (code 48).
/// Source: SES-20, SES-21.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt {
    /// First second of validity.
    pub valid_since: i64,
    /// First second after it.
    pub valid_until: i64,
    /// The salt.
    pub value: i64,
}

/// Seconds for which a salt is the current one.
pub const LIFE: i64 = 1800;
/// Seconds for which it is accepted afterwards.
pub const GRACE: i64 = 1800;
/// Seconds before its time at which the next one is accepted.
pub const EARLY: i64 = 60;
/// Most future salts that one may ask for (SVC-31).
pub const FUTURE_MAX: i32 = 64;

/// The row of salts of one key on a server.
///
/// Every salt follows from the server's secret, the key's id and the hour, so nodes that share
/// the secret agree on all of them and none is ever stored.
#[derive(Clone)]
pub struct ServerSalts {
    seed: [u8; 32],
    first: FirstSalt,
}

/// The salt that both ends computed in the key exchange (KEY-26).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FirstSalt {
    /// `new_nonce[0..8] xor server_nonce[0..8]`.
    pub value: i64,
    /// Unix second of the key's creation.
    pub created: i64,
}

impl std::fmt::Debug for FirstSalt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FirstSalt").field("created", &self.created).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ServerSalts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerSalts").field("first", &self.first).finish_non_exhaustive()
    }
}

impl ServerSalts {
    /// The salts of `key` under the installation's `secret`.
    pub fn new(secret: &[u8; 32], key: AuthKeyId, first: FirstSalt) -> Self {
        Self { seed: sha256(&[b"chappe server salts", secret, &key.to_le_bytes()]), first }
    }

    /// The salt that belongs to the second `now` (Unix).
    pub fn current(&self, now: i64) -> Salt {
        self.at_epoch(now.div_euclid(LIFE))
    }

    /// Whether a message may carry `salt` at the second `now`.
    pub fn accepts(&self, salt: i64, now: i64) -> bool {
        let epoch = now.div_euclid(LIFE);
        let first_ends = self.first.created + LIFE + GRACE;
        (salt == self.first.value && now < first_ends)
            || salt == self.at_epoch(epoch).value
            || salt == self.at_epoch(now.saturating_sub(GRACE).div_euclid(LIFE)).value
            || salt == self.at_epoch((now + EARLY).div_euclid(LIFE)).value
    }

    /// The current salt and those after it, `count` in all, clamped to 1…64 (SVC-31).
    pub fn future(&self, now: i64, count: i32) -> Vec<Salt> {
        let epoch = now.div_euclid(LIFE);
        (epoch..).take(count.clamp(1, FUTURE_MAX) as usize).map(|at| self.at_epoch(at)).collect()
    }

    fn at_epoch(&self, epoch: i64) -> Salt {
        let hash = sha256(&[&self.seed, &epoch.to_le_bytes()]);
        let value = i64::from_le_bytes(crate::envelope::plain::field(&hash, 0));
        Salt { valid_since: epoch * LIFE, valid_until: (epoch + 1) * LIFE, value }
    }
}

/// The salts that a client knows of one key, and which to use now (SES-23 to SES-25).
#[derive(Clone, Debug, Default)]
pub struct ClientSalts {
    current: i64,
    future: Vec<Salt>,
}

impl ClientSalts {
    /// Begins with one salt of unknown life: the first one, or one that was stored.
    pub fn new(current: i64) -> Self {
        Self { current, future: Vec::new() }
    }

    /// The salt to use at the server's second `now`.
    pub fn current(&mut self, now: i64) -> i64 {
        self.future.retain(|salt| salt.valid_until > now);
        if let Some(salt) = self.future.iter().find(|salt| salt.valid_since <= now) {
            self.current = salt.value;
        }
        self.current
    }

    /// Takes a salt from `bad_server_salt`, which also proves the stored future ones wrong.
    pub fn correct(&mut self, salt: i64) {
        self.future.clear();
        self.current = salt;
    }

    /// Takes the salt of a new session.
    pub fn announce(&mut self, salt: i64) {
        if !self.future.iter().any(|known| known.value == salt) {
            self.current = salt;
        }
    }

    /// Takes the answer to our own `get_future_salts`.
    pub fn store(&mut self, mut salts: Vec<Salt>) {
        salts.sort_by_key(|salt| salt.valid_since);
        self.future = salts;
    }

    /// Whether it is time to ask for more: none left, or the last one ends within a minute.
    pub fn are_low(&self, now: i64) -> bool {
        self.future.last().is_none_or(|last| last.valid_until - now <= EARLY)
    }
}

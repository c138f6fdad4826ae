//! What all runs share: a server's RSA key, a clock, chance.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chappe_crypto::Rng;
use chappe_crypto::rsa::PrivateKey;
use chappe_proto::Now;

pub(crate) static IDENTITY: LazyLock<Arc<[PrivateKey]>> = LazyLock::new(|| {
    // Any key would do; this one is the same in every run, so inputs replay.
    Arc::new([PrivateKey::generate(&mut Rng::from_seed([42; 32]))])
});

/// When every script begins.
pub(crate) const START: Now =
    Now { mono: Duration::from_secs(5000), unix: Duration::from_secs(1_800_000_000) };

/// The same instant on both clocks, `span` later.
pub(crate) fn later(now: Now, span: Duration) -> Now {
    Now { mono: now.mono + span, unix: now.unix + span }
}

pub(crate) fn rng(seed: u8) -> Rng {
    Rng::from_seed([seed; 32])
}

//! The door of randomness.

use chappe_crypto::Rng;

/// The system gave no random bytes. Without them nothing may run (SEC-10).
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system gives no random bytes: {0}")]
pub struct EntropyError(#[from] getrandom::Error);

/// A generator seeded by the system.
///
/// # Errors
///
/// [`EntropyError`]; there is no weaker source to fall back on.
pub fn rng() -> Result<Rng, EntropyError> {
    Ok(Rng::from_seed(seed()?))
}

/// 32 random bytes of the system.
///
/// # Errors
///
/// As for [`rng`].
pub fn seed() -> Result<[u8; 32], EntropyError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}

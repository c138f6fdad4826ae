//! The only random generator of the workspace.

use std::fmt;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};
use zeroize::Zeroizing;

/// A cryptographic generator that starts from a seed: ChaCha with 20 rounds.
///
/// It never asks the operating system. Whoever runs for real seeds it from the system once, at
/// the edge of the program; a test or simulation seeds it with a number and gets the same run
/// again. It cannot be cloned, because two equal generators would repeat nonces.
///
/// One that is not in use is no larger than its seed.
pub struct Rng(State);

enum State {
    Resting(Zeroizing<[u8; 32]>),
    /// Four blocks are made at a time and kept: 300 bytes, too much for each of many that wait.
    Running(Box<ChaCha20Rng>),
}

impl Rng {
    /// A generator whose whole output follows from `seed`.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(State::Resting(Zeroizing::new(seed)))
    }

    /// Gives back the memory that is needed to draw. What is drawn later is another output than
    /// without this, and as random; what was drawn before cannot be computed from it any more.
    pub fn rest(&mut self) {
        if let State::Running(rng) = &mut self.0 {
            let mut seed = Zeroizing::new([0; 32]);
            rng.fill_bytes(&mut *seed);
            self.0 = State::Resting(seed);
        }
    }

    fn running(&mut self) -> &mut ChaCha20Rng {
        if let State::Resting(seed) = &self.0 {
            self.0 = State::Running(Box::new(ChaCha20Rng::from_seed(**seed)));
        }
        match &mut self.0 {
            State::Running(rng) => rng,
            State::Resting(_) => unreachable!("it was just set running"),
        }
    }

    /// Fills `out` with random bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.running().fill_bytes(out);
    }

    /// An array of random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A random number of 32 bits.
    pub fn u32(&mut self) -> u32 {
        self.running().next_u32()
    }

    /// A random number of 64 bits.
    pub fn u64(&mut self) -> u64 {
        self.running().next_u64()
    }

    /// A random number from 0 to `n - 1`, each equally likely.
    ///
    /// # Panics
    ///
    /// If `n` is 0: there is no such number.
    pub fn below(&mut self, n: u32) -> u32 {
        assert!(n > 0, "no number is below 0");
        // The high half of u32 × n is almost uniform. What makes it exact is to draw again when
        // the low half falls among the 2^32 mod n values that would come once too often.
        let surplus = n.wrapping_neg() % n;
        loop {
            let wide = u64::from(self.u32()) * u64::from(n);
            if wide as u32 >= surplus {
                return (wide >> 32) as u32;
            }
        }
    }

    /// A new generator, seeded from this one and independent of it afterwards.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::from_seed(self.bytes())
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng")
    }
}

//! Arithmetic modulo an odd number of fixed width; the one place that knows which library does it.
//!
//! Sums and products come from `crypto-bigint`. Powers, where nearly all the time of a key
//! exchange goes, come from AWS-LC with the feature `aws-lc` and from `crypto-bigint` without it;
//! both take a time that does not depend on the base or the exponent.

#[cfg(feature = "aws-lc")]
mod aws_lc;

#[cfg(any(test, not(feature = "aws-lc")))]
use crypto_bigint::U64;
use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, Uint};
use zeroize::Zeroize;

/// An odd modulus with what its powers need computed beforehand. Wiped on drop.
pub(crate) struct Modulus<const LIMBS: usize> {
    params: FixedMontyParams<LIMBS>,
    #[cfg(feature = "aws-lc")]
    fast: aws_lc::Context,
}

impl<const LIMBS: usize> Modulus<LIMBS> {
    pub(crate) fn new(modulus: Odd<Uint<LIMBS>>) -> Self {
        Self {
            #[cfg(feature = "aws-lc")]
            fast: aws_lc::Context::new(&modulus),
            params: FixedMontyParams::new(modulus),
        }
    }

    pub(crate) fn value(&self) -> &Uint<LIMBS> {
        self.params.modulus().as_ref()
    }

    /// `number` modulo this.
    pub(crate) fn reduce<const WIDE: usize>(&self, number: &Uint<WIDE>) -> Uint<LIMBS> {
        number.rem(self.params.modulus().as_nz_ref())
    }

    /// `base` to the power `exponent`; constant in time for both, whose widths are public.
    pub(crate) fn power<const E: usize>(
        &self,
        base: &Uint<LIMBS>,
        exponent: &Uint<E>,
    ) -> Uint<LIMBS> {
        let base = self.reduce(base);
        #[cfg(feature = "aws-lc")]
        return self.fast.power(&base, exponent);
        #[cfg(not(feature = "aws-lc"))]
        self.power_portable(&base, exponent)
    }

    /// `base` to a power that everybody knows; takes as long as that power is large.
    pub(crate) fn power_public(&self, base: &Uint<LIMBS>, exponent: u64) -> Uint<LIMBS> {
        let base = self.reduce(base);
        #[cfg(feature = "aws-lc")]
        return self.fast.power_public(&base, exponent);
        #[cfg(not(feature = "aws-lc"))]
        self.power_public_portable(&base, exponent)
    }

    #[cfg(any(test, not(feature = "aws-lc")))]
    fn power_public_portable(&self, base: &Uint<LIMBS>, exponent: u64) -> Uint<LIMBS> {
        let bits = 64 - exponent.leading_zeros();
        let base = FixedMontyForm::new(base, &self.params);
        base.pow_bounded_exp(&U64::from(exponent), bits).retrieve()
    }

    #[cfg(any(test, not(feature = "aws-lc")))]
    fn power_portable<const E: usize>(
        &self,
        base: &Uint<LIMBS>,
        exponent: &Uint<E>,
    ) -> Uint<LIMBS> {
        FixedMontyForm::new(base, &self.params).pow(exponent).retrieve()
    }

    /// `a` times `b`; both below the modulus.
    pub(crate) fn multiply(&self, a: &Uint<LIMBS>, b: &Uint<LIMBS>) -> Uint<LIMBS> {
        let product = FixedMontyForm::new(a, &self.params) * FixedMontyForm::new(b, &self.params);
        product.retrieve()
    }

    /// `a` plus `b`; both below the modulus.
    pub(crate) fn add(&self, a: &Uint<LIMBS>, b: &Uint<LIMBS>) -> Uint<LIMBS> {
        a.add_mod(b, self.params.modulus().as_nz_ref())
    }

    /// `a` minus `b`; both below the modulus.
    pub(crate) fn subtract(&self, a: &Uint<LIMBS>, b: &Uint<LIMBS>) -> Uint<LIMBS> {
        a.sub_mod(b, self.params.modulus().as_nz_ref())
    }

    /// The number whose product with `a` is one, if there is one.
    pub(crate) fn invert(&self, a: &Uint<LIMBS>) -> Option<Uint<LIMBS>> {
        a.invert_odd_mod(self.params.modulus()).into_option()
    }
}

impl<const LIMBS: usize> Drop for Modulus<LIMBS> {
    fn drop(&mut self) {
        self.params.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use crypto_bigint::{U256, U1024, U2048};

    use super::Modulus;
    use crate::Rng;

    /// CRY-19, SEC-54: both libraries give the same powers, for exponents of several widths, zero
    /// and one among them, and for every base up to the modulus.
    #[test]
    fn libraries_agree_on_powers() {
        let mut rng = Rng::from_seed([21; 32]);
        for _ in 0..8 {
            let mut odd = rng.bytes::<256>();
            odd[255] |= 1;
            let modulus = Modulus::new(U2048::from_be_slice(&odd).to_odd().unwrap());
            let random = modulus.reduce(&U2048::from_be_slice(&rng.bytes::<256>()));
            let largest = modulus.value().wrapping_sub(&U2048::ONE);
            for base in [random, largest, U2048::ZERO, U2048::ONE] {
                let long = U2048::from_be_slice(&rng.bytes::<256>());
                assert_eq!(modulus.power(&base, &long), modulus.power_portable(&base, &long));
                let short = U256::from_be_slice(&rng.bytes::<32>());
                assert_eq!(modulus.power(&base, &short), modulus.power_portable(&base, &short));
                for exponent in [1, 3, 65537, u64::MAX, rng.u64()] {
                    let power = modulus.power(&base, &U256::from(exponent));
                    assert_eq!(modulus.power_public(&base, exponent), power);
                    assert_eq!(modulus.power_public_portable(&base, exponent), power);
                }
                assert_eq!(modulus.power(&base, &U256::ONE), base);
                assert_eq!(modulus.power(&base, &U256::ZERO), U2048::ONE);
            }
        }
    }

    /// The same at the width of the primes of an RSA key, where libraries have paths of their own.
    #[test]
    fn libraries_agree_on_powers_of_half_width() {
        let mut rng = Rng::from_seed([22; 32]);
        for _ in 0..32 {
            let mut odd = rng.bytes::<128>();
            odd[0] |= 0x80;
            odd[127] |= 1;
            let modulus = Modulus::new(U1024::from_be_slice(&odd).to_odd().unwrap());
            let base = modulus.reduce(&U1024::from_be_slice(&rng.bytes::<128>()));
            let exponent = U1024::from_be_slice(&rng.bytes::<128>());
            assert_eq!(modulus.power(&base, &exponent), modulus.power_portable(&base, &exponent));
        }
    }
}

//! Arithmetic modulo an odd number of up to 64 bits, in Montgomery form: a residue x is kept as
//! x · 2^64 mod n, so that a product costs multiplications only.

/// An odd modulus above 1.
pub(super) struct Montgomery {
    pub(super) n: u64,
    /// −1/n modulo 2^64.
    negative_inverse: u64,
    /// 2^64 mod n: the residue 1.
    pub(super) one: u64,
    /// 2^128 mod n: turns a number into a residue.
    square: u64,
}

impl Montgomery {
    pub(super) fn new(n: u64) -> Self {
        // Newton's iteration doubles the correct bits, of which n · n ≡ 1 mod 8 gives three.
        let inverse = (0..5).fold(n, |x, _| x.wrapping_mul(2_u64.wrapping_sub(n.wrapping_mul(x))));
        let one = (u64::MAX % n + 1) % n;
        let square = (u128::from(one) * u128::from(one) % u128::from(n)) as u64;
        Self { n, negative_inverse: inverse.wrapping_neg(), one, square }
    }

    /// The residue of `number`.
    pub(super) fn residue(&self, number: u64) -> u64 {
        self.mul(number % self.n, self.square)
    }

    #[inline]
    pub(super) fn mul(&self, a: u64, b: u64) -> u64 {
        let product = u128::from(a) * u128::from(b);
        let multiple = (product as u64).wrapping_mul(self.negative_inverse);
        let cancel = u128::from(multiple) * u128::from(self.n);
        // The low halves add up to 0 or to 2^64; the sum of the high halves may exceed 64 bits.
        let carry = u64::from(product as u64 != 0);
        let (high, over) = ((product >> 64) as u64).overflowing_add((cancel >> 64) as u64);
        let (high, over_again) = high.overflowing_add(carry);
        if over | over_again | (high >= self.n) { high.wrapping_sub(self.n) } else { high }
    }

    #[inline]
    pub(super) fn square(&self, a: u64) -> u64 {
        self.mul(a, a)
    }

    #[inline]
    pub(super) fn add(&self, a: u64, b: u64) -> u64 {
        let (sum, over) = a.overflowing_add(b);
        if over | (sum >= self.n) { sum.wrapping_sub(self.n) } else { sum }
    }

    #[inline]
    pub(super) fn sub(&self, a: u64, b: u64) -> u64 {
        let (difference, under) = a.overflowing_sub(b);
        if under { difference.wrapping_add(self.n) } else { difference }
    }

    fn power(&self, base: u64, exponent: u64) -> u64 {
        let bits = (0..64 - exponent.leading_zeros()).rev();
        bits.fold(self.one, |power, bit| {
            let power = self.square(power);
            if exponent >> bit & 1 == 1 { self.mul(power, base) } else { power }
        })
    }
}

/// Whether `n` is prime. Exact: these twelve bases leave no composite below 2^64 undetected.
pub(super) fn is_prime(n: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if n < 2 || BASES.iter().any(|prime| n.is_multiple_of(*prime)) {
        return BASES.contains(&n);
    }
    let modulus = Montgomery::new(n);
    let (one, minus_one) = (modulus.one, modulus.sub(0, modulus.one));
    let twos = (n - 1).trailing_zeros();
    BASES.iter().all(|base| {
        let mut power = modulus.power(modulus.residue(*base), (n - 1) >> twos);
        let mut passes = power == one || power == minus_one;
        for _ in 1..twos {
            power = modulus.square(power);
            passes |= power == minus_one;
        }
        passes
    })
}

#[cfg(test)]
mod tests {
    use super::{Montgomery, is_prime};
    use crate::Rng;

    /// Residues multiply, add and subtract like the numbers they stand for, up to the largest
    /// modulus.
    #[test]
    fn residues_behave_like_numbers() {
        let mut rng = Rng::from_seed([31; 32]);
        for shift in (0..62).chain([0; 100]) {
            let n = (rng.u64() >> shift) | 3;
            let modulus = Montgomery::new(n);
            let (a, b) = (rng.u64() % n, rng.u64() % n);
            let (ra, rb) = (modulus.residue(a), modulus.residue(b));
            let wide = |number: u128| modulus.residue((number % u128::from(n)) as u64);
            let (a, b) = (u128::from(a), u128::from(b));
            assert_eq!(modulus.mul(ra, rb), wide(a * b));
            assert_eq!(modulus.add(ra, rb), wide(a + b));
            assert_eq!(modulus.sub(ra, rb), wide(a + u128::from(n) - b));
            assert_eq!(modulus.mul(ra, 1), (a % u128::from(n)) as u64);
        }
    }

    /// Primality agrees with trial division for small numbers, and with known large ones.
    #[test]
    fn primality_is_exact() {
        let by_division =
            |n: u64| n > 1 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
        for n in 0..20_000 {
            assert_eq!(is_prime(n), by_division(n), "{n}");
        }
        assert!(is_prime(u64::MAX - 58) && is_prime((1 << 61) - 1));
        // The smallest composite that passes for the bases up to 31.
        assert!(!is_prime(3_825_123_056_546_413_051));
        assert!(!is_prime(u64::MAX));
    }
}

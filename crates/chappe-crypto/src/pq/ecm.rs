//! The elliptic-curve method for factors of about 31 bits.
//!
//! On a random curve modulo the composite n, a point is multiplied by every prime power up to a
//! bound. If the order of the curve modulo one prime p is a product of such powers, the point
//! becomes the neutral element modulo p and not modulo the other prime, and a greatest common
//! divisor shows p. If one more prime is missing, the second stage finds it among the larger ones.
//!
//! Curves are in Montgomery's form, b·y² = x³ + a·x² + x, where arithmetic needs no y; Suyama's
//! parametrisation gives them an order divisible by 12, which makes luck likelier.

use super::montgomery::Montgomery;
use crate::Rng;

/// A factor of n other than 1 and n, if this random curve shows one.
pub(super) fn try_curve(n: &Montgomery, rng: &mut Rng) -> Option<u64> {
    let (curve, start) = match Curve::random(n, rng) {
        Ok(found) => found,
        Err(divisor) => return proper(divisor, n),
    };
    let point = FIRST_STAGE.iter().fold(start, |point, factor| curve.multiply(&point, *factor));
    let divisor = gcd(point.z, n.n);
    if divisor != 1 {
        return proper(divisor, n);
    }
    proper(gcd(curve.second_stage(&point), n.n), n)
}

/// A point by its x coordinate x / z; z = 0 is the neutral element.
#[derive(Clone, Copy)]
struct Point {
    x: u64,
    z: u64,
}

struct Curve<'a> {
    n: &'a Montgomery,
    /// (a + 2) / 4.
    a24: u64,
}

impl<'a> Curve<'a> {
    /// A random curve with a point on it, or a number that shares a factor with n where the
    /// curve's coefficient does not exist.
    fn random(n: &'a Montgomery, rng: &mut Rng) -> Result<(Self, Point), u64> {
        let sigma = n.residue(6 + u64::from(rng.u32()));
        let number = |value| n.residue(value);
        let u = n.sub(n.square(sigma), number(5));
        let v = n.mul(number(4), sigma);
        let cube = |value| n.mul(n.square(value), value);
        let start = Point { x: cube(u), z: cube(v) };
        // (a + 2) / 4 = (v − u)³ (3u + v) / (16 u³ v)
        let numerator = n.mul(cube(n.sub(v, u)), n.add(n.mul(number(3), u), v));
        let denominator = n.mul(number(16), n.mul(start.x, v));
        let inverse = invert(n, denominator)?;
        Ok((Self { n, a24: n.mul(numerator, inverse) }, start))
    }

    #[inline]
    fn double(&self, p: &Point) -> Point {
        let n = self.n;
        let sum = n.square(n.add(p.x, p.z));
        let difference = n.square(n.sub(p.x, p.z));
        let cross = n.sub(sum, difference);
        Point {
            x: n.mul(sum, difference),
            z: n.mul(cross, n.add(difference, n.mul(self.a24, cross))),
        }
    }

    /// p + q, given p − q.
    #[inline]
    fn add(&self, p: &Point, q: &Point, difference: &Point) -> Point {
        let n = self.n;
        let a = n.mul(n.sub(p.x, p.z), n.add(q.x, q.z));
        let b = n.mul(n.add(p.x, p.z), n.sub(q.x, q.z));
        Point {
            x: n.mul(difference.z, n.square(n.add(a, b))),
            z: n.mul(difference.x, n.square(n.sub(a, b))),
        }
    }

    /// `factor` times `p`, by Montgomery's ladder: two neighbours climb together.
    fn multiply(&self, p: &Point, factor: u64) -> Point {
        if factor.is_power_of_two() {
            return (0..factor.trailing_zeros()).fold(*p, |point, _| self.double(&point));
        }
        let (mut low, mut high) = (*p, self.double(p));
        for bit in (0..63 - factor.leading_zeros()).rev() {
            let sum = self.add(&high, &low, p);
            (low, high) = if factor >> bit & 1 == 1 {
                (sum, self.double(&high))
            } else {
                (self.double(&low), sum)
            };
        }
        low
    }

    /// A product that shares a factor with n if the order of `p` is, modulo that factor, a prime
    /// between the bounds.
    ///
    /// Every such prime is a multiple of [`STEP`] plus or minus a number prime to it, and the x
    /// coordinates of those two multiples of `p` are equal when the order divides their sum or
    /// difference.
    fn second_stage(&self, p: &Point) -> u64 {
        let n = self.n;
        // The difference of x1/z1 and x2/z2 times both denominators is
        // (x1 − x2)(z1 + z2) − x1·z1 + x2·z2, where the last two products serve many pairs.
        let with_product = |point: Point| (point, n.mul(point.x, point.z));
        // The odd multiples 1, 3, 5 … of the point, up to half a step.
        let two = self.double(p);
        let mut odd = [with_product(*p); STEP as usize / 4];
        odd[1] = with_product(self.add(&two, p, p));
        for i in 2..odd.len() {
            odd[i] = with_product(self.add(&odd[i - 1].0, &two, &odd[i - 2].0));
        }
        let stride = self.multiply(p, STEP);
        let (mut centre, mut next) = (stride, self.double(&stride));
        let mut product = n.one;
        for _ in 0..GIANT_STEPS {
            let (_, centre_product) = with_product(centre);
            for offset in OFFSETS {
                let (near, near_product) = &odd[offset / 2];
                let cross = n.mul(n.sub(centre.x, near.x), n.add(centre.z, near.z));
                let difference = n.sub(cross, n.sub(centre_product, *near_product));
                product = n.mul(product, difference);
            }
            (centre, next) = (next, self.add(&next, &stride, &centre));
        }
        product
    }
}

/// 1 / value, or `Err` of a number that shares a factor with n.
fn invert(n: &Montgomery, value: u64) -> Result<u64, u64> {
    // Euclid's algorithm works on the number itself, not on its residue.
    let plain = n.mul(value, 1);
    let (mut a, mut b) = (n.n, plain);
    let (mut x, mut y) = (0_i128, 1_i128);
    while b != 0 {
        let quotient = a / b;
        (a, b) = (b, a - quotient * b);
        (x, y) = (y, x - i128::from(quotient) * y);
    }
    if a != 1 {
        return Err(a);
    }
    Ok(n.residue(x.rem_euclid(i128::from(n.n)) as u64))
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn proper(divisor: u64, n: &Montgomery) -> Option<u64> {
    (divisor != 1 && divisor != n.n && divisor != 0).then_some(divisor)
}

/// Prime powers up to here are in the first stage.
const FIRST_END: u64 = 180;

/// The first stage's prime powers, multiplied together as far as 64 bits go; the rest is ones.
const FIRST_STAGE: [u64; 6] = {
    let mut products = [1_u64; 6];
    let mut at = 0;
    let mut prime = 2;
    while prime <= FIRST_END {
        let mut divisor = 2;
        while prime % divisor != 0 {
            divisor += 1;
        }
        if divisor == prime {
            let mut power = prime;
            while power * prime <= FIRST_END {
                power *= prime;
            }
            if products[at].checked_mul(power).is_none() {
                at += 1;
            }
            products[at] *= power;
        }
        prime += 1;
    }
    products
};

/// The second stage reaches primes up to half a step more than this many steps.
const GIANT_STEPS: u64 = 24;

/// Distance of the second stage's giant steps: 2 · 3 · 5 · 7.
const STEP: u64 = 210;

/// The numbers prime to [`STEP`] below its half.
const OFFSETS: [usize; 24] = [
    1, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
];

#[cfg(test)]
mod tests {
    use super::{invert, try_curve};
    use crate::Rng;
    use crate::pq::generate;
    use crate::pq::montgomery::Montgomery;

    /// CRY-21: the products that servers send give way to a few curves, which is what keeps the
    /// client's part of an exchange short. Without the second stage, or without the known factor of a
    /// curve's order, it takes many more.
    #[test]
    fn few_curves_suffice() {
        let mut rng = Rng::from_seed([84; 32]);
        let mut curves = 0;
        for _ in 0..200 {
            let (p, q) = generate(&mut rng);
            let n = Montgomery::new(u64::from(p) * u64::from(q));
            let factor = std::iter::repeat_with(|| {
                curves += 1;
                try_curve(&n, &mut rng)
            });
            let factor = factor.take(1000).flatten().next().unwrap();
            assert!([p, q].map(u64::from).contains(&factor), "{factor} of {p} * {q}");
        }
        assert!(curves < 200 * 8, "{curves} curves for 200 products");
    }

    /// CRY-21: a number times its inverse is one, and where there is none its divisor in common
    /// with the modulus is told.
    #[test]
    fn inverses_are_inverses() {
        let mut rng = Rng::from_seed([85; 32]);
        let (p, q) = (4_294_967_279, 4_294_967_291);
        let n = Montgomery::new(p * q);
        for _ in 0..200 {
            let number = n.residue(rng.u64());
            assert_eq!(invert(&n, number).map(|inverse| n.mul(number, inverse)), Ok(n.one));
        }
        for factor in [p, q] {
            assert_eq!(invert(&n, n.residue(7 * factor)), Err(factor));
        }
        assert_eq!(invert(&n, 0), Err(p * q));
    }
}

//! Public keys of X25519, for hellos that look like those of TLS.

use curve25519_dalek::MontgomeryPoint;
use zeroize::Zeroizing;

use crate::Rng;

/// A public key whose private half nobody has: in fake TLS nothing is agreed on by it.
///
/// Half of all random bytes are no point of the curve, and who looks on can tell: a key has to be
/// made as one.
///
/// Source: RFC 7748, section 6.1; 15-proxy §5.1.
#[must_use]
pub fn x25519_public(rng: &mut Rng) -> [u8; 32] {
    public_of(&Zeroizing::new(rng.bytes()))
}

fn public_of(private: &[u8; 32]) -> [u8; 32] {
    MontgomeryPoint::mul_base_clamped(*private).to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: RFC 7748, section 6.1: Bob's private key and its public half.
    #[test]
    fn published_key() {
        let private = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";
        let public = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
        let private = hex::decode(private).unwrap();
        assert_eq!(hex::encode(public_of(&private.try_into().unwrap())), public);
    }

    /// Each is a point of the curve, so that nobody can tell it from one that is used.
    #[test]
    fn drawn_keys_are_points_of_the_curve() {
        let mut rng = Rng::from_seed([1; 32]);
        for _ in 0..64 {
            assert!(MontgomeryPoint(x25519_public(&mut rng)).to_edwards(0).is_some());
        }
        // Of bytes as they come, some are none.
        assert!((0..64).any(|_| MontgomeryPoint(rng.bytes()).to_edwards(0).is_none()));
    }
}

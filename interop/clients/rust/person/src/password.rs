//! A password as it is set, for libraries that can only sign in with one.

use hmac::Hmac;
use num_bigint::BigUint;
use sha2::{Digest, Sha256, Sha512};

const ITERATIONS: u32 = 100_000;

/// What the server keeps of a password, and the first salt it was made with, which is longer than the server's.
///
/// As `passwordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow` says.
pub fn verifier(
    password: &str,
    salt1: &[u8],
    salt2: &[u8],
    g: i32,
    p: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    let mut random = [0; 32];
    getrandom::fill(&mut random).expect("the system has random bytes");
    let salt1 = [salt1, &random].concat();
    let mut stretched = [0; 64];
    let first = salted(&salted(password.as_bytes(), &salt1), salt2);
    pbkdf2::pbkdf2::<Hmac<Sha512>>(&first, &salt1, ITERATIONS, &mut stretched)
        .expect("a key of any length");
    let x = BigUint::from_bytes_be(&salted(&stretched, salt2));
    let p = BigUint::from_bytes_be(p);
    let v = BigUint::from(g.unsigned_abs()).modpow(&x, &p).to_bytes_be();
    let mut padded = vec![0; 256 - v.len()];
    padded.extend(v);
    (padded, salt1)
}

fn salted(data: &[u8], salt: &[u8]) -> Vec<u8> {
    Sha256::new().chain_update(salt).chain_update(data).chain_update(salt).finalize().to_vec()
}

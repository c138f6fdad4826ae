//! The public key of the server, for the copies of the libraries that look for it.

use std::env::set_var;
use std::fs::read_to_string;

use base64::prelude::{Engine, BASE64_STANDARD};
use num_bigint::BigUint;
use sha1::{Digest, Sha1};

/// Puts the modulus, in decimal, and the fingerprint, as a signed number, where the copies find them.
pub fn publish(path: &str) {
    let pem = read_to_string(path).expect("the file with the key");
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = BASE64_STANDARD.decode(body).expect("base64 between the lines of a PEM");
    // RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }
    let (sequence, _) = element(&der);
    let (modulus, rest) = element(sequence);
    let (exponent, _) = element(rest);
    let [modulus, exponent] = [modulus, exponent].map(BigUint::from_bytes_be);
    let digest =
        Sha1::new().chain_update(bytes(&modulus)).chain_update(bytes(&exponent)).finalize();
    let fingerprint = i64::from_le_bytes(digest[12..].try_into().expect("a digest has 20 bytes"));
    set_var("SERVER_KEY_MODULUS", modulus.to_string());
    set_var("SERVER_KEY_FINGERPRINT", fingerprint.to_string());
}

/// The content of the first element of DER, and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (head, length) = match der[1] {
        short @ 0..=0x7f => (2, short.into()),
        long => {
            let head = 2 + usize::from(long & 0x7f);
            (head, der[2..head].iter().fold(0, |length, &byte| length << 8 | usize::from(byte)))
        }
    };
    der[head..].split_at(length)
}

/// As TL writes it.
fn bytes(number: &BigUint) -> Vec<u8> {
    let number = number.to_bytes_be();
    let mut written = match u8::try_from(number.len()) {
        Ok(short @ ..254) => vec![short],
        _ => vec![254, number.len() as u8, (number.len() >> 8) as u8, (number.len() >> 16) as u8],
    };
    written.extend(number);
    written.resize(written.len().next_multiple_of(4), 0);
    written
}

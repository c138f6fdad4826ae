//! The RSA identity of every node: a test key, which protects nothing.

use chappe_crypto::rsa::PrivateKey;

/// The identity.
pub fn private() -> PrivateKey {
    PrivateKey::from_pem(include_str!("identity.pem")).expect("the file holds a key")
}

//! Creating an authorization key: four messages each way, one type for each state.
//!
//! The client's side is a chain of states that consume each other ([`client`]). The server's
//! side keeps many exchanges at once, none of them bound to a connection ([`server`]); its
//! heavy arithmetic is handed out as [`server::Work`], to be run wherever the caller likes.

pub mod bind;
pub mod client;
pub mod server;

use bytes::Bytes;
use chappe_crypto::msg_key::AesKeys;
use chappe_crypto::{AuthKey, exchange};
use chappe_tl::{Constructor, Reader};

/// `nonce` or `server_nonce`: 16 random bytes.
pub type Nonce = [u8; 16];

/// A new key with what both ends know about it.
#[derive(Debug)]
pub struct NewKey {
    /// The key.
    pub key: AuthKey,
    /// First server salt (KEY-26).
    pub first_salt: i64,
    /// For a temporary key, its life in seconds from creation.
    pub expires_in: Option<i32>,
}

/// Reads a boxed constructor from the front of a body; random bytes may follow it (KEY-05).
///
/// Gives the object and how many bytes it took.
fn read_front<T: Constructor>(body: &Bytes) -> Option<(T, usize)> {
    let mut reader = Reader::new(body.clone());
    if reader.u32().ok()? != T::ID {
        return None;
    }
    let object = T::decode_bare(&mut reader).ok()?;
    Some((object, reader.position()))
}

/// Writes a boxed constructor.
fn boxed<T: Constructor>(object: &T) -> Vec<u8> {
    let mut writer = chappe_tl::Writer::new();
    writer.u32(T::ID);
    object.encode_bare(&mut writer);
    // Nothing in an exchange comes near the 16 MiB that one string may have.
    writer.finish().expect("objects of the exchange are short").to_vec()
}

/// Opens the sealed object of a Diffie-Hellman message: the hash covers exactly its bytes, and
/// 0 to 15 bytes of padding follow (SEC-06).
fn open_inner<T: Constructor>(sealed: &[u8], temporary: &AesKeys) -> Option<T> {
    let mut sealed = sealed.to_vec();
    let inner = exchange::open_inner(&mut sealed, temporary).ok()?;
    let (object, len) = read_front::<T>(&Bytes::copy_from_slice(inner.unchecked()))?;
    inner.check(len)?;
    Some(object)
}

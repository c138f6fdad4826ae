//! AES-256 in Cipher Block Chaining mode, in place. Middle proxies and stored keys use it.

use std::fmt;

use ::cbc::{Decryptor, Encryptor};
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use aes::{Aes256Dec, Aes256Enc, Block};
use zeroize::ZeroizeOnDrop;

use crate::ige::{LengthError, whole_blocks};

/// Encrypts `buf`.
///
/// Errors: [`LengthError`], with `buf` untouched, unless it holds one or more whole blocks.
pub fn encrypt(buf: &mut [u8], key: &[u8; 32], iv: &[u8; 16]) -> Result<(), LengthError> {
    Encrypt::new(key, iv).apply(buf)
}

/// Decrypts `buf`.
///
/// Errors: [`LengthError`], with `buf` untouched, unless it holds one or more whole blocks.
pub fn decrypt(buf: &mut [u8], key: &[u8; 32], iv: &[u8; 16]) -> Result<(), LengthError> {
    Decrypt::new(key, iv).apply(buf)
}

/// A chain of blocks being encrypted: the first is chained to the initialization vector, each
/// other to the one before it, whatever the calls that bring them.
///
/// Source: MTProto proxies, "Middle proxies": one chain for each direction of a link.
///
/// Wiped on drop. `Debug` shows nothing of the key or the chain.
#[derive(ZeroizeOnDrop)]
pub struct Encrypt(Encryptor<Aes256Enc>);

/// The same chain being decrypted.
#[derive(ZeroizeOnDrop)]
pub struct Decrypt(Decryptor<Aes256Dec>);

impl Encrypt {
    /// A chain before its first block.
    #[must_use]
    pub fn new(key: &[u8; 32], iv: &[u8; 16]) -> Self {
        Self(Encryptor::new(key.into(), iv.into()))
    }

    /// Encrypts the next blocks of the chain.
    ///
    /// Errors: [`LengthError`], with nothing changed, unless `buf` holds one or more whole blocks.
    pub fn apply(&mut self, buf: &mut [u8]) -> Result<(), LengthError> {
        self.0.encrypt_blocks(Block::cast_slice_from_core_mut(whole_blocks(buf)?));
        Ok(())
    }
}

impl Decrypt {
    /// A chain before its first block.
    #[must_use]
    pub fn new(key: &[u8; 32], iv: &[u8; 16]) -> Self {
        Self(Decryptor::new(key.into(), iv.into()))
    }

    /// Decrypts the next blocks of the chain.
    ///
    /// Errors: [`LengthError`], with nothing changed, unless `buf` holds one or more whole blocks.
    pub fn apply(&mut self, buf: &mut [u8]) -> Result<(), LengthError> {
        self.0.decrypt_blocks(Block::cast_slice_from_core_mut(whole_blocks(buf)?));
        Ok(())
    }
}

impl fmt::Debug for Encrypt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encrypt")
    }
}

impl fmt::Debug for Decrypt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decrypt")
    }
}

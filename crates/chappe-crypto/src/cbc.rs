//! AES-256 in Cipher Block Chaining mode, in place. Middle proxies and stored keys use it.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes256Dec, Aes256Enc};

use crate::ige::{LengthError, whole_blocks};

/// Encrypts `buf`.
///
/// Errors: [`LengthError`], with `buf` untouched, unless it holds one or more whole blocks.
pub fn encrypt(buf: &mut [u8], key: &[u8; 32], iv: &[u8; 16]) -> Result<(), LengthError> {
    let blocks = whole_blocks(buf)?;
    let aes = Aes256Enc::new(key.into());
    let mut before = *iv;
    for block in blocks {
        xor(block, &before);
        aes.encrypt_block(block.into());
        before = *block;
    }
    Ok(())
}

/// Decrypts `buf`.
///
/// Errors: [`LengthError`], with `buf` untouched, unless it holds one or more whole blocks.
pub fn decrypt(buf: &mut [u8], key: &[u8; 32], iv: &[u8; 16]) -> Result<(), LengthError> {
    let blocks = whole_blocks(buf)?;
    let aes = Aes256Dec::new(key.into());
    let mut before = *iv;
    for block in blocks {
        let cipher = *block;
        aes.decrypt_block(block.into());
        xor(block, &before);
        before = cipher;
    }
    Ok(())
}

fn xor(block: &mut [u8; 16], with: &[u8; 16]) {
    for (byte, other) in block.iter_mut().zip(with) {
        *byte ^= other;
    }
}

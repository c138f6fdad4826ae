//! AES-256 in Infinite Garble Extension mode, in place.
//!
//! The mode has no integrity of its own. Whoever decrypts checks the hash that belongs to the
//! construction before acting on a single byte.

use aes::Aes256Dec;
use aes::Aes256Enc;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

use crate::simd;

/// Why a buffer cannot be encrypted or decrypted block by block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are not one or more whole blocks of 16")]
pub struct LengthError(pub usize);

/// Encrypts `buf`; `iv` is the ciphertext block before the first, then the plaintext block.
///
/// Errors: [`LengthError`], with `buf` untouched, unless it holds one or more whole blocks.
pub fn encrypt(buf: &mut [u8], key: &[u8; 32], iv: &[u8; 32]) -> Result<(), LengthError> {
    let blocks = whole_blocks(buf)?;
    if !simd::ige_encrypt(blocks, key, iv) {
        portable::encrypt(blocks, key, iv);
    }
    Ok(())
}

/// Decrypts `buf`; the reverse of [`encrypt`], with the same `iv`.
///
/// Errors: [`LengthError`], with `buf` untouched, unless it holds one or more whole blocks.
pub fn decrypt(buf: &mut [u8], key: &[u8; 32], iv: &[u8; 32]) -> Result<(), LengthError> {
    let blocks = whole_blocks(buf)?;
    if !simd::ige_decrypt(blocks, key, iv) {
        portable::decrypt(blocks, key, iv);
    }
    Ok(())
}

/// Sees `buf` as blocks, of which there is at least one.
pub(crate) fn whole_blocks(buf: &mut [u8]) -> Result<&mut [[u8; 16]], LengthError> {
    let len = buf.len();
    match buf.as_chunks_mut() {
        (blocks, []) if !blocks.is_empty() => Ok(blocks),
        _ => Err(LengthError(len)),
    }
}

/// The mode over the `aes` crate, for machines without AES instructions and as the measure of
/// those with them.
mod portable {
    use super::{Aes256Dec, Aes256Enc, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
    use crate::hash::part;

    pub(super) fn encrypt(blocks: &mut [[u8; 16]], key: &[u8; 32], iv: &[u8; 32]) {
        let aes = Aes256Enc::new(key.into());
        let (mut before_out, mut before_in) = (part(iv, 0), part(iv, 16));
        for block in blocks {
            let plain = *block;
            xor(block, &before_out);
            aes.encrypt_block(block.into());
            xor(block, &before_in);
            (before_out, before_in) = (*block, plain);
        }
    }

    pub(super) fn decrypt(blocks: &mut [[u8; 16]], key: &[u8; 32], iv: &[u8; 32]) {
        let aes = Aes256Dec::new(key.into());
        let (mut before_in, mut before_out) = (part(iv, 0), part(iv, 16));
        for block in blocks {
            let cipher = *block;
            xor(block, &before_out);
            aes.decrypt_block(block.into());
            xor(block, &before_in);
            (before_in, before_out) = (cipher, *block);
        }
    }

    fn xor(block: &mut [u8; 16], with: &[u8; 16]) {
        *block = (u128::from_ne_bytes(*block) ^ u128::from_ne_bytes(*with)).to_ne_bytes();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{decrypt, encrypt, portable, simd, whole_blocks};

    /// The instructions are used where there are any: nothing else would show that they are not.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn instructions_are_used_where_there_are_any() {
        let able = is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("avx")
            && is_x86_feature_detected!("ssse3");
        assert_eq!(simd::ige_encrypt(&mut [[0; 16]; 2], &[1; 32], &[2; 32]), able);
        assert_eq!(simd::ige_decrypt(&mut [[0; 16]; 2], &[1; 32], &[2; 32]), able);
    }

    proptest! {
        /// CRY-01: the processor's AES instructions give what the portable cipher gives, for any
        /// key, iv and number of blocks.
        #[test]
        fn instructions_agree_with_the_portable_cipher(
            key: [u8; 32],
            iv: [u8; 32],
            blocks in 1usize..40,
            fill: u8,
        ) {
            let plain: Vec<u8> = (0..blocks * 16).map(|i| (i as u8).wrapping_mul(31) ^ fill).collect();
            let (mut fast, mut slow) = (plain.clone(), plain.clone());
            encrypt(&mut fast, &key, &iv).unwrap();
            portable::encrypt(whole_blocks(&mut slow).unwrap(), &key, &iv);
            prop_assert_eq!(&fast, &slow);
            decrypt(&mut fast, &key, &iv).unwrap();
            portable::decrypt(whole_blocks(&mut slow).unwrap(), &key, &iv);
            prop_assert_eq!(&fast, &plain);
            prop_assert_eq!(&slow, &plain);
        }
    }
}

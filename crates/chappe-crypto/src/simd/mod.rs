//! What the processor does faster than portable code. Each function says whether it did the work;
//! if not, the caller has a portable twin.

#[cfg(target_arch = "x86_64")]
mod aes_ni;

/// AES-256-IGE encryption by AES instructions, where there are any.
pub(crate) fn ige_encrypt(blocks: &mut [[u8; 16]], key: &[u8; 32], iv: &[u8; 32]) -> bool {
    #[cfg(target_arch = "x86_64")]
    return aes_ni::ige::<true>(blocks, key, iv);
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// AES-256-IGE decryption by AES instructions, where there are any.
pub(crate) fn ige_decrypt(blocks: &mut [[u8; 16]], key: &[u8; 32], iv: &[u8; 32]) -> bool {
    #[cfg(target_arch = "x86_64")]
    return aes_ni::ige::<false>(blocks, key, iv);
    #[cfg(not(target_arch = "x86_64"))]
    false
}

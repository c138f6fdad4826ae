//! AES-256-IGE with the AES instructions of x86-64.
//!
//! In IGE a block cannot start before the one in front of it is done, so the time of one stream is
//! the latency of everything between two results. Written plainly that is 14 rounds and three xors:
//!
//! ```text
//! s = in[i] ^ out[i-1] ^ k0        whiten
//! s = round(s, k1) … round(s, k13)
//! out[i] = last(s, k14) ^ in[i-1]
//! ```
//!
//! The last round ends with a xor of its key, so every xor that does not depend on `s` can ride in
//! that key. With `k14 ^ in[i-1] ^ in[i+1] ^ k0` the last round gives the whitened input of block
//! i + 1 at once, and only the 14 rounds remain on the chain. `out[i]` is that value with
//! `in[i+1] ^ k0` taken off again, which nobody waits for.

#![allow(unsafe_code)]

use core::arch::x86_64::*;

use zeroize::Zeroize;

/// Runs one stream in place; encrypts or decrypts. `false`: this processor has no AES instructions.
pub(super) fn ige<const ENCRYPT: bool>(
    blocks: &mut [[u8; 16]],
    key: &[u8; 32],
    iv: &[u8; 32],
) -> bool {
    let able = is_x86_feature_detected!("aes")
        && is_x86_feature_detected!("avx")
        && is_x86_feature_detected!("ssse3");
    if able {
        // SAFETY: the processor has every feature the function is compiled for.
        unsafe { ige_stream::<ENCRYPT>(blocks, key, iv) };
    }
    able
}

#[target_feature(enable = "aes,avx,ssse3")]
fn ige_stream<const ENCRYPT: bool>(blocks: &mut [[u8; 16]], key: &[u8; 32], iv: &[u8; 32]) {
    let keys = if ENCRYPT { RoundKeys::encrypting(key) } else { RoundKeys::decrypting(key) };
    let k = &keys.0;
    let whiten = k[0];
    let [cipher_before, plain_before] = halves(iv);
    let (out_before, mut in_before) =
        if ENCRYPT { (cipher_before, plain_before) } else { (plain_before, cipher_before) };

    let Some(first) = blocks.first() else { return };
    let mut input = load(first);
    let mut s = _mm_xor_si128(_mm_xor_si128(input, out_before), whiten);
    let mut i = 0;
    while let Some(following) = blocks.get(i + 1) {
        let next = load(following);
        let next_whitened = _mm_xor_si128(next, whiten);
        let last_key = _mm_xor_si128(_mm_xor_si128(next_whitened, in_before), k[14]);
        s = rounds::<ENCRYPT>(s, k, last_key);
        store(&mut blocks[i], _mm_xor_si128(s, next_whitened));
        in_before = input;
        input = next;
        i += 1;
    }
    s = rounds::<ENCRYPT>(s, k, _mm_xor_si128(k[14], in_before));
    store(&mut blocks[i], s);
}

/// Rounds 1 to 13 with the key schedule, round 14 with `last_key`.
#[inline]
#[target_feature(enable = "aes,avx,ssse3")]
fn rounds<const ENCRYPT: bool>(mut s: __m128i, k: &[__m128i; 15], last_key: __m128i) -> __m128i {
    for key in &k[1..14] {
        s = if ENCRYPT { _mm_aesenc_si128(s, *key) } else { _mm_aesdec_si128(s, *key) };
    }
    if ENCRYPT { _mm_aesenclast_si128(s, last_key) } else { _mm_aesdeclast_si128(s, last_key) }
}

/// The 15 round keys of AES-256, wiped on drop.
struct RoundKeys([__m128i; 15]);

impl RoundKeys {
    #[inline]
    #[target_feature(enable = "aes,avx,ssse3")]
    fn encrypting(key: &[u8; 32]) -> Self {
        // SubWord comes from the last round of AES on a register that holds the same word four
        // times: ShiftRows then changes nothing. It is several times cheaper than the instruction
        // made for key schedules.
        let rotated_word_3 = _mm_set1_epi32(0x0c0f_0e0d);
        let word_3 = _mm_set1_epi32(0x0f0e_0d0c);
        let mut round_constant = _mm_set1_epi32(1);
        let mut k = [_mm_setzero_si128(); 15];
        let [mut even, mut odd] = halves(key);
        k[0] = even;
        k[1] = odd;
        for pair in 1..8 {
            let word = _mm_shuffle_epi8(odd, rotated_word_3);
            even = spread(even, _mm_aesenclast_si128(word, round_constant));
            round_constant = _mm_slli_epi32::<1>(round_constant);
            k[2 * pair] = even;
            if pair < 7 {
                let word = _mm_shuffle_epi8(even, word_3);
                odd = spread(odd, _mm_aesenclast_si128(word, _mm_setzero_si128()));
                k[2 * pair + 1] = odd;
            }
        }
        Self(k)
    }

    #[inline]
    #[target_feature(enable = "aes,avx,ssse3")]
    fn decrypting(key: &[u8; 32]) -> Self {
        let mut keys = Self::encrypting(key);
        keys.0.reverse();
        for k in &mut keys.0[1..14] {
            *k = _mm_aesimc_si128(*k);
        }
        keys
    }
}

impl Drop for RoundKeys {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Each word of `x` xored with all words before it, then with `t`: one step of the key schedule.
#[inline]
#[target_feature(enable = "aes,avx,ssse3")]
fn spread(x: __m128i, t: __m128i) -> __m128i {
    let x = _mm_xor_si128(x, _mm_slli_si128::<4>(x));
    let x = _mm_xor_si128(x, _mm_slli_si128::<8>(x));
    _mm_xor_si128(x, t)
}

#[inline]
fn halves(bytes: &[u8; 32]) -> [__m128i; 2] {
    let (halves, _) = bytes.as_chunks();
    [load(&halves[0]), load(&halves[1])]
}

#[inline]
fn load(block: &[u8; 16]) -> __m128i {
    // SAFETY: the reference covers the 16 bytes read; the instruction asks for no alignment.
    unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
}

#[inline]
fn store(block: &mut [u8; 16], value: __m128i) {
    // SAFETY: the reference covers the 16 bytes written; the instruction asks for no alignment.
    unsafe { _mm_storeu_si128(block.as_mut_ptr().cast(), value) }
}

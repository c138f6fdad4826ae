//! Powers by AWS-LC, through its C interface: two functions that matter and the conversions
//! around it.
//!
//! AWS-LC wipes every number it frees, and its `BN_mod_exp_mont_consttime` works through all bits
//! that the width of the exponent has room for, whatever they are.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use aws_lc_sys::{
    BIGNUM, BN_CTX, BN_CTX_free, BN_CTX_new, BN_MONT_CTX, BN_MONT_CTX_free,
    BN_MONT_CTX_new_consttime, BN_bn2le_padded, BN_clear_free, BN_le2bn, BN_mod_exp_mont,
    BN_mod_exp_mont_consttime, BN_new,
};
use crypto_bigint::{Odd, U64, Uint, Word};
use zeroize::Zeroizing;

/// A modulus as AWS-LC wants it.
pub(super) struct Context {
    modulus: Number,
    montgomery: NonNull<BN_MONT_CTX>,
}

// SAFETY: the context owns both objects, so it may move to another thread. After `new` they are
// only read: every function that gets them takes them as pointers to const, and AWS-LC itself
// shares such objects between threads in its RSA keys.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    pub(super) fn new<const LIMBS: usize>(modulus: &Odd<Uint<LIMBS>>) -> Self {
        let modulus = Number::new(modulus.as_ref());
        let scratch = Scratch::new();
        // SAFETY: both pointers are to live objects, and the function keeps neither.
        let montgomery =
            unsafe { BN_MONT_CTX_new_consttime(modulus.0.as_ptr(), scratch.0.as_ptr()) };
        let montgomery = NonNull::new(montgomery).expect(OUT_OF_MEMORY);
        Self { modulus, montgomery }
    }

    /// `base` to the power `exponent`, in constant time; `base` is below the modulus.
    pub(super) fn power<const LIMBS: usize, const E: usize>(
        &self,
        base: &Uint<LIMBS>,
        exponent: &Uint<E>,
    ) -> Uint<LIMBS> {
        self.run(BN_mod_exp_mont_consttime, base, exponent)
    }

    /// `base` to a power that is no secret; `base` is below the modulus.
    pub(super) fn power_public<const LIMBS: usize>(
        &self,
        base: &Uint<LIMBS>,
        exponent: u64,
    ) -> Uint<LIMBS> {
        self.run(BN_mod_exp_mont, base, &U64::from(exponent))
    }

    fn run<const LIMBS: usize, const E: usize>(
        &self,
        function: PowerFunction,
        base: &Uint<LIMBS>,
        exponent: &Uint<E>,
    ) -> Uint<LIMBS> {
        let (base, exponent) = (Number::new(base), Number::new(exponent));
        let (result, scratch) = (Number::zero(), Scratch::new());
        // SAFETY: `function` is one of the two of AWS-LC named above. Every pointer is to a live
        // object; `result` is written and is none of the others, which are only read. The modulus
        // is odd and `base` is below it, as both functions ask.
        let done = unsafe {
            function(
                result.0.as_ptr(),
                base.0.as_ptr(),
                exponent.0.as_ptr(),
                self.modulus.0.as_ptr(),
                scratch.0.as_ptr(),
                self.montgomery.as_ptr(),
            )
        };
        assert_eq!(done, 1, "{OUT_OF_MEMORY}");
        result.to_uint()
    }
}

/// The common form of AWS-LC's powers: result, base, exponent, modulus, scratch, Montgomery form.
type PowerFunction = unsafe extern "C" fn(
    *mut BIGNUM,
    *const BIGNUM,
    *const BIGNUM,
    *const BIGNUM,
    *mut BN_CTX,
    *const BN_MONT_CTX,
) -> c_int;

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context owns the object and nobody uses it after this.
        unsafe { BN_MONT_CTX_free(self.montgomery.as_ptr()) };
    }
}

/// A number owned by us and wiped on drop.
struct Number(NonNull<BIGNUM>);

impl Number {
    fn zero() -> Self {
        // SAFETY: the function takes nothing and gives an object that is ours.
        Self(NonNull::new(unsafe { BN_new() }).expect(OUT_OF_MEMORY))
    }

    /// The number with all its words, leading zeros included, so that its size does not show.
    fn new<const LIMBS: usize>(value: &Uint<LIMBS>) -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LIMBS * WORD_BYTES));
        for word in value.as_words() {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        // SAFETY: the function reads `len` bytes that live until it returns; with a null target it
        // gives a new object that is ours.
        let number = unsafe { BN_le2bn(bytes.as_ptr(), bytes.len(), ptr::null_mut()) };
        Self(NonNull::new(number).expect(OUT_OF_MEMORY))
    }

    fn to_uint<const LIMBS: usize>(&self) -> Uint<LIMBS> {
        let mut bytes = Zeroizing::new(vec![0; LIMBS * WORD_BYTES]);
        // SAFETY: the function writes `len` bytes, which the vector has, and reads a live object.
        let fits = unsafe { BN_bn2le_padded(bytes.as_mut_ptr(), bytes.len(), self.0.as_ptr()) };
        assert_eq!(fits, 1, "a remainder is no wider than its modulus");
        let (words, _) = bytes.as_chunks::<WORD_BYTES>();
        Uint::from_words(std::array::from_fn(|i| Word::from_le_bytes(words[i])))
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // SAFETY: we own the object and nobody uses it after this.
        unsafe { BN_clear_free(self.0.as_ptr()) };
    }
}

/// Room for intermediate values of one call.
struct Scratch(NonNull<BN_CTX>);

impl Scratch {
    fn new() -> Self {
        // SAFETY: the function takes nothing and gives an object that is ours.
        Self(NonNull::new(unsafe { BN_CTX_new() }).expect(OUT_OF_MEMORY))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: we own the object and nobody uses it after this.
        unsafe { BN_CTX_free(self.0.as_ptr()) };
    }
}

const WORD_BYTES: usize = size_of::<Word>();
const OUT_OF_MEMORY: &str = "AWS-LC fails here only when memory runs out";

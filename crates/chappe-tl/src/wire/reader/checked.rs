//! Reading step by step, for types written by hand: each method tells at once whether it worked.

use bytes::Bytes;

use super::Reader;
use crate::wire::error::{DecodeError, DecodeErrorKind};
use crate::wire::string::Str;
use crate::wire::traits::Read;

impl Reader {
    /// `#`, or an id.
    ///
    /// # Errors
    /// The input ends, or an earlier read failed; this holds for every method below.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.checked()
    }

    /// `int`.
    ///
    /// # Errors
    /// As [`u32`](Self::u32).
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.checked()
    }

    /// `long`.
    ///
    /// # Errors
    /// As [`u32`](Self::u32).
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.checked()
    }

    /// `double`.
    ///
    /// # Errors
    /// As [`u32`](Self::u32).
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        self.checked()
    }

    /// `int128`: 16 bytes in order.
    ///
    /// # Errors
    /// As [`u32`](Self::u32).
    pub fn int128(&mut self) -> Result<[u8; 16], DecodeError> {
        self.checked()
    }

    /// `int256`: 32 bytes in order.
    ///
    /// # Errors
    /// As [`u32`](Self::u32).
    pub fn int256(&mut self) -> Result<[u8; 32], DecodeError> {
        self.checked()
    }

    /// `Bool`.
    ///
    /// # Errors
    /// As [`u32`](Self::u32), and for any other id than the two of `Bool`.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        self.checked()
    }

    /// `bytes`, as a slice of the input.
    ///
    /// # Errors
    /// As [`u32`](Self::u32), and for a first byte of `ff`.
    pub fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        self.checked()
    }

    /// `string`, as a slice of the input.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn str(&mut self) -> Result<Str, DecodeError> {
        self.checked()
    }

    /// `Vector T`: the vector's id, a count, and the elements as [`Decode`](crate::Decode) reads
    /// them.
    ///
    /// # Errors
    /// As [`u32`](Self::u32); another id, a negative count, or one the input cannot hold.
    pub fn vector<T: Read>(&mut self) -> Result<Vec<T>, DecodeError> {
        self.checked()
    }

    /// `vector T`: a count and the elements, without the vector's id.
    ///
    /// # Errors
    /// As [`vector`](Self::vector).
    pub fn bare_vector<T: Read>(&mut self) -> Result<Vec<T>, DecodeError> {
        let vector = self.elements(T::MIN, T::read);
        self.check()?;
        Ok(vector)
    }

    /// Exactly `count` bytes as they are, without a length.
    ///
    /// # Errors
    /// As [`u32`](Self::u32).
    pub fn take(&mut self, count: usize) -> Result<Bytes, DecodeError> {
        let Some(end) = self.pos.checked_add(count).filter(|end| *end <= self.data.len()) else {
            self.fail(DecodeErrorKind::UnexpectedEnd);
            return self.check().map(|()| Bytes::new());
        };
        let taken = self.data.slice(self.pos..end);
        self.pos = end;
        Ok(taken)
    }

    /// Reads an id that must be `id`, for types written by hand.
    ///
    /// # Errors
    /// As [`u32`](Self::u32), and for any other id; `expected` is the name in that error.
    pub fn expect_id(&mut self, id: u32, expected: &'static str) -> Result<(), DecodeError> {
        let got = self.u32()?;
        if got != id {
            self.unknown(got, expected);
        }
        self.check()
    }

    /// Ends the reading: nothing may be left.
    ///
    /// # Errors
    /// The first error met, or [`DecodeErrorKind::TrailingBytes`].
    pub fn finish(&mut self) -> Result<(), DecodeError> {
        if self.remaining() > 0 {
            self.fail(DecodeErrorKind::TrailingBytes { count: self.remaining() });
        }
        self.check()
    }

    fn checked<T: Read>(&mut self) -> Result<T, DecodeError> {
        let value = T::read(self);
        self.check()?;
        Ok(value)
    }
}

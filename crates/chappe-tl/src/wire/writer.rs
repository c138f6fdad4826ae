//! Appends values to a growing buffer.

use bytes::Bytes;

use super::VECTOR_ID;
use super::error::EncodeError;
use super::fixed::{BLOCK, Fixed};
use super::traits::{Encode, Fields};
use crate::generated::Bits;

/// A buffer to encode into. What cannot be encoded is remembered and reported at the end.
///
/// Reuse one writer for many values: [`clear`](Self::clear) keeps the memory.
#[derive(Debug, Default)]
pub struct Writer {
    buf: Vec<u8>,
    error: Option<EncodeError>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer with room for `bytes` bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Vec::with_capacity(bytes).into()
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// Forgets what was written, and the error, but keeps the memory.
    pub fn clear(&mut self) {
        self.buf.clear();
        self.error = None;
    }

    /// What was written.
    ///
    /// # Errors
    /// The first value that had no encoding.
    pub fn encoded(&self) -> Result<&[u8], EncodeError> {
        match self.error {
            None => Ok(&self.buf),
            Some(error) => Err(error),
        }
    }

    /// What was written, for good.
    ///
    /// # Errors
    /// As [`encoded`](Self::encoded).
    pub fn finish(self) -> Result<Bytes, EncodeError> {
        self.into_vec().map(Bytes::from)
    }

    /// As [`finish`](Self::finish), for callers that go on appending.
    ///
    /// # Errors
    /// As [`encoded`](Self::encoded).
    pub fn into_vec(self) -> Result<Vec<u8>, EncodeError> {
        match self.error {
            None => Ok(self.buf),
            Some(error) => Err(error),
        }
    }

    /// `#`, or an id.
    #[inline]
    pub fn u32(&mut self, value: u32) {
        self.run(&value);
    }

    /// `int`.
    #[inline]
    pub fn i32(&mut self, value: i32) {
        self.run(&value);
    }

    /// `long`.
    #[inline]
    pub fn i64(&mut self, value: i64) {
        self.run(&value);
    }

    /// `double`.
    #[inline]
    pub fn f64(&mut self, value: f64) {
        self.run(&value);
    }

    /// `int128`.
    #[inline]
    pub fn int128(&mut self, value: &[u8; 16]) {
        self.run(value);
    }

    /// `int256`.
    #[inline]
    pub fn int256(&mut self, value: &[u8; 32]) {
        self.run(value);
    }

    /// `Bool`.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.run(&value);
    }

    /// `string` or `bytes`: length, bytes, zeros up to a multiple of four.
    #[inline]
    pub fn bytes(&mut self, value: &[u8]) {
        let length = value.len();
        if length > 253 {
            return self.long_bytes(value);
        }
        // Zeros first: one look at the capacity, and the padding is there. As many as most strings
        // need are a few stores; another number is a call.
        let start = self.buf.len();
        let end = start + (1 + length).next_multiple_of(4);
        if length < BLOCK {
            self.buf.extend_from_slice(&[0; BLOCK + 4]);
            self.buf.truncate(end);
        } else {
            self.buf.resize(end, 0);
        }
        let out = &mut self.buf[start..end];
        out[0] = length as u8;
        out[1..=length].copy_from_slice(value);
    }

    fn long_bytes(&mut self, value: &[u8]) {
        let length = value.len();
        if length >= 1 << 24 {
            return self.fail(EncodeError::StringTooLong { length });
        }
        let padding = length.next_multiple_of(4) - length;
        self.buf.reserve(4 + length + padding);
        self.u32(254 | (length as u32) << 8);
        self.buf.extend_from_slice(value);
        self.buf.extend_from_slice(&[0; 3][..padding]);
    }

    /// A string of up to 23 bytes that lies in a block of its own, with anything behind its end.
    #[inline]
    pub(crate) fn short_bytes(&mut self, length: u8, value: &[u8; 23]) {
        let length = usize::from(length).min(value.len());
        let mut block = [0; 28];
        block[0] = length as u8;
        block[1..24].copy_from_slice(value);
        block[1 + length..5 + length].copy_from_slice(&[0; 4]);
        // One append of fixed size and a cut, where several would each look at the capacity.
        let start = self.buf.len();
        self.buf.extend_from_slice(&block);
        self.buf.truncate(start + (1 + length).next_multiple_of(4));
    }

    /// Bytes as they are: an encoding made elsewhere.
    #[inline]
    pub fn raw(&mut self, encoded: &[u8]) {
        self.buf.extend_from_slice(encoded);
    }

    /// `Vector T`.
    #[inline]
    pub fn vector<T: Encode>(&mut self, elements: &[T]) {
        self.vector_of(elements, T::encode);
    }

    /// `vector T`: without the vector's id.
    #[inline]
    pub fn bare_vector<T: Encode>(&mut self, elements: &[T]) {
        self.elements(elements, T::encode);
    }

    #[cold]
    fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }
}

impl From<Vec<u8>> for Writer {
    /// Appends to `buf`.
    fn from(buf: Vec<u8>) -> Self {
        Self { buf, error: None }
    }
}

/// What generated code calls. Public because that code lives in other crates.
#[doc(hidden)]
impl Writer {
    #[inline]
    pub fn put<T: Encode>(&mut self, value: &T) {
        value.encode(self);
    }

    /// An optional field; if it is there its bit is set in the word that is patched at the end.
    #[inline]
    pub fn opt<T: Encode>(&mut self, word: &mut Bits, bit: u32, value: &Option<T>) {
        if let Some(value) = value {
            word.set(bit);
            value.encode(self);
        }
    }

    /// As [`opt`](Self::opt), for a field that lives on the heap.
    #[inline]
    pub fn opt_box<T: Encode>(&mut self, word: &mut Bits, bit: u32, value: &Option<Box<T>>) {
        if let Some(value) = value {
            word.set(bit);
            value.as_ref().encode(self);
        }
    }

    /// Writes a word of flags again, at `place`: its bits are known when its fields are written.
    #[inline]
    pub fn patch(&mut self, place: usize, word: Bits) {
        if let Some(bytes) = self.buf.get_mut(place..place + 4) {
            word.lay(bytes);
        }
    }

    #[inline]
    pub fn fields<C: Fields>(&mut self, value: &C) {
        value.write_fields::<false>(self);
    }

    /// Values of fixed size, one behind the other.
    #[inline]
    pub fn run<T: Fixed>(&mut self, values: &T) {
        let mut block = [0; BLOCK];
        values.lay(&mut block);
        self.buf.extend_from_slice(&block[..T::SIZE]);
    }

    #[inline]
    pub fn count(&mut self, count: usize) {
        match i32::try_from(count) {
            Ok(count) => self.i32(count),
            Err(_) => self.fail(EncodeError::VectorTooLong { count }),
        }
    }

    #[inline]
    pub fn vector_of<T>(&mut self, elements: &[T], write: impl FnMut(&T, &mut Self)) {
        match i32::try_from(elements.len()) {
            Ok(count) => self.run(&(VECTOR_ID, count)),
            Err(_) => self.fail(EncodeError::VectorTooLong { count: elements.len() }),
        }
        self.repeat(elements, write);
    }

    #[inline]
    pub fn elements<T>(&mut self, elements: &[T], write: impl FnMut(&T, &mut Self)) {
        self.count(elements.len());
        self.repeat(elements, write);
    }

    #[inline]
    pub fn repeat<T>(&mut self, elements: &[T], mut write: impl FnMut(&T, &mut Self)) {
        for element in elements {
            write(element, self);
        }
    }

    /// Fields that must agree and do not.
    #[inline]
    pub fn agree(&mut self, agree: bool, within: &'static str) {
        if !agree {
            self.fail(EncodeError::FieldsDisagree { within });
        }
    }

    pub fn uninhabited(&mut self) {
        self.fail(EncodeError::Uninhabited);
    }
}

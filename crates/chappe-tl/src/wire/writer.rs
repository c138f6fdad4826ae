//! Appends values to a growing buffer.

use bytes::Bytes;

use super::error::EncodeError;
use super::traits::{Encode, Fields};
use super::{BOOL_FALSE_ID, BOOL_TRUE_ID, VECTOR_ID};

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
        self.buf.extend_from_slice(&value.to_le_bytes());
    }

    /// `int`.
    #[inline]
    pub fn i32(&mut self, value: i32) {
        self.buf.extend_from_slice(&value.to_le_bytes());
    }

    /// `long`.
    #[inline]
    pub fn i64(&mut self, value: i64) {
        self.buf.extend_from_slice(&value.to_le_bytes());
    }

    /// `double`.
    #[inline]
    pub fn f64(&mut self, value: f64) {
        self.buf.extend_from_slice(&value.to_le_bytes());
    }

    /// `int128`.
    #[inline]
    pub fn int128(&mut self, value: &[u8; 16]) {
        self.buf.extend_from_slice(value);
    }

    /// `int256`.
    #[inline]
    pub fn int256(&mut self, value: &[u8; 32]) {
        self.buf.extend_from_slice(value);
    }

    /// `Bool`.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.u32(if value { BOOL_TRUE_ID } else { BOOL_FALSE_ID });
    }

    /// `string` or `bytes`: length, bytes, zeros up to a multiple of four.
    #[inline]
    pub fn bytes(&mut self, value: &[u8]) {
        let length = value.len();
        let start = self.buf.len();
        let header = if length <= 253 {
            self.buf.reserve(length + 8);
            self.buf.push(length as u8);
            1
        } else if length < 1 << 24 {
            let [l0, l1, l2, _] = (length as u32).to_le_bytes();
            self.buf.reserve(length + 8);
            self.buf.extend_from_slice(&[254, l0, l1, l2]);
            4
        } else {
            return self.fail(EncodeError::StringTooLong { length });
        };
        self.buf.extend_from_slice(value);
        // Four bytes and a cut are a single store; as many bytes as needed would be a call.
        self.buf.extend_from_slice(&[0; 4]);
        self.buf.truncate(start + (header + length).next_multiple_of(4));
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
        self.u32(VECTOR_ID);
        self.bare_vector(elements);
    }

    /// `vector T`: without the vector's id.
    #[inline]
    pub fn bare_vector<T: Encode>(&mut self, elements: &[T]) {
        self.count(elements.len());
        for element in elements {
            element.encode(self);
        }
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

    #[inline]
    pub fn opt<T: Encode>(&mut self, value: &Option<T>) {
        if let Some(value) = value {
            value.encode(self);
        }
    }

    #[inline]
    pub fn opt_box<T: Encode>(&mut self, value: &Option<Box<T>>) {
        if let Some(value) = value {
            value.as_ref().encode(self);
        }
    }

    #[inline]
    pub fn fields<C: Fields>(&mut self, value: &C) {
        value.write_fields(self);
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
        self.u32(VECTOR_ID);
        self.elements(elements, write);
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

//! Reads values off shared bytes, within limits.
//!
//! The reader is *total*: reading never stops half-way. The first fault is kept, the rest of the
//! input vanishes, and what is read from then on is blank: zero, empty, absent, or the simplest
//! constructor of a type. Whoever asked for the value looks for the fault once, at its end. This
//! keeps generated code free of branches, which makes it both fast and cheap to compile.

mod checked;

use bytes::Bytes;

use super::error::{DecodeError, DecodeErrorKind};
use super::traits::{Fields, Read};
use super::{BOOL_FALSE_ID, BOOL_TRUE_ID, VECTOR_ID};
use crate::generated::Bits;

/// What one reader accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Objects and vectors inside each other. Default: 64. Each level costs some stack.
    pub depth: u32,
    /// Elements of a vector whose elements take no bytes. Default: 65 536.
    pub empty_elements: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64, empty_elements: 65_536 }
    }
}

/// Reads TL values off shared bytes. `string` and `bytes` are slices of the input, not copies.
///
/// After the first error every further read fails with the same error.
#[derive(Debug)]
pub struct Reader {
    data: Bytes,
    pos: usize,
    depth: u32,
    limits: Limits,
    error: Option<DecodeError>,
}

impl Reader {
    /// A reader at the beginning of `data`, with the default limits.
    pub fn new(data: Bytes) -> Self {
        Self::with_limits(data, Limits::default())
    }

    /// A reader at the beginning of `data`.
    pub fn with_limits(data: Bytes, limits: Limits) -> Self {
        Self { data, pos: 0, depth: limits.depth, limits, error: None }
    }

    /// A reader that has failed already: whatever is read from it is blank.
    pub(crate) fn failed() -> Self {
        let mut reader = Self::new(Bytes::new());
        reader.fail(DecodeErrorKind::UnexpectedEnd);
        reader
    }

    /// Bytes not read yet; 0 after an error.
    pub fn remaining(&self) -> usize {
        self.data.len() - self.pos
    }

    /// Offset of the next byte from the beginning of the input; after an error, its offset.
    pub fn position(&self) -> usize {
        self.error.as_ref().map_or(self.pos, |error| error.offset)
    }

    /// The next four bytes as an id, without taking them.
    pub fn peek_id(&self) -> Option<u32> {
        self.data.get(self.pos..)?.first_chunk().map(|id| u32::from_le_bytes(*id))
    }

    /// Takes everything that is left.
    pub fn rest(&mut self) -> Bytes {
        let rest = self.data.slice(self.pos..);
        self.pos = self.data.len();
        rest
    }

    /// The first error met, if any.
    ///
    /// # Errors
    /// That one.
    #[inline]
    pub fn check(&self) -> Result<(), DecodeError> {
        match &self.error {
            None => Ok(()),
            Some(error) => Err(error.clone()),
        }
    }

    /// Keeps the first fault and takes the input away.
    #[cold]
    #[inline(never)]
    pub(crate) fn fail(&mut self, kind: DecodeErrorKind) {
        if self.error.is_none() {
            self.error = Some(DecodeError { kind, offset: self.pos, within: "" });
            self.data = Bytes::new();
            self.pos = 0;
        }
    }

    #[inline]
    pub(crate) fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    #[cold]
    #[inline(never)]
    fn name_error(&mut self, within: &'static str) {
        if let Some(error) = &mut self.error
            && error.within.is_empty()
        {
            error.within = within;
        }
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        if let Some(chunk) = self.data.get(self.pos..).and_then(|rest| rest.first_chunk()) {
            self.pos += N;
            *chunk
        } else {
            self.fail(DecodeErrorKind::UnexpectedEnd);
            [0; N]
        }
    }

    #[inline]
    pub(crate) fn read_bool(&mut self) -> bool {
        match self.get() {
            BOOL_TRUE_ID => true,
            BOOL_FALSE_ID => false,
            id => {
                self.pos = self.pos.saturating_sub(4);
                self.fail(DecodeErrorKind::BadBool { id });
                false
            }
        }
    }

    /// Takes a string and its padding; gives the range of its bytes within the input.
    #[inline]
    pub(crate) fn string_range(&mut self) -> (usize, usize) {
        let rest = &self.data[self.pos..];
        let Some(head) = rest.first_chunk::<4>() else { return self.bad_string(false) };
        let (start, length) = match head[0] {
            255 => return self.bad_string(true),
            254 => (4, u32::from_le_bytes([head[1], head[2], head[3], 0]) as usize),
            short => (1, short as usize),
        };
        let total = (start + length).next_multiple_of(4);
        if total > rest.len() {
            return self.bad_string(false);
        }
        let start = self.pos + start;
        self.pos += total;
        (start, start + length)
    }

    #[cold]
    fn bad_string(&mut self, bad_length: bool) -> (usize, usize) {
        self.fail(if bad_length {
            DecodeErrorKind::BadLength
        } else {
            DecodeErrorKind::UnexpectedEnd
        });
        (0, 0)
    }

    #[inline]
    pub(crate) fn data(&self) -> &Bytes {
        &self.data
    }
}

/// What generated code calls. Public because that code lives in other crates.
#[doc(hidden)]
impl Reader {
    #[inline]
    pub fn get<T: Read>(&mut self) -> T {
        T::read(self)
    }

    #[inline]
    pub fn bits(&mut self) -> Bits {
        Bits(self.get())
    }

    #[inline]
    pub fn opt<T: Read>(&mut self, flags: Bits, bit: u32) -> Option<T> {
        if flags.has(bit) { Some(T::read(self)) } else { None }
    }

    #[inline]
    pub fn opt_box<T: Read>(&mut self, flags: Bits, bit: u32) -> Option<Box<T>> {
        if flags.has(bit) { Some(Box::new(T::read(self))) } else { None }
    }

    #[inline]
    pub fn opt_with<T>(&mut self, present: bool, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if present { Some(read(self)) } else { None }
    }

    /// The fields of a constructor whose id has been read.
    #[inline]
    pub fn fields<C: Fields>(&mut self) -> C {
        let fields = C::read_fields(self);
        if self.has_failed() {
            self.name_error(C::ABOUT.name);
        }
        fields
    }

    /// As [`fields`](Self::fields), for a constructor that lives on the heap.
    #[inline]
    pub fn boxed<C: Fields>(&mut self) -> Box<C> {
        Box::new(self.fields())
    }

    /// The fields of a constructor written without its id: a level of nesting like any object.
    #[inline]
    pub fn bare<C: Fields>(&mut self) -> C {
        self.enter();
        let fields = self.fields();
        self.end();
        fields
    }

    /// Enters an object and reads its id; 0, which is nobody's, after a fault.
    #[inline]
    pub fn begin(&mut self) -> u32 {
        self.enter();
        self.get()
    }

    /// Enters an object or vector; [`end`](Self::end) leaves it.
    #[inline]
    pub(crate) fn enter(&mut self) {
        match self.depth.checked_sub(1) {
            Some(depth) => self.depth = depth,
            None => self.fail(DecodeErrorKind::TooDeep),
        }
    }

    /// Leaves the object or vector entered last.
    #[inline]
    pub fn end(&mut self) {
        self.depth += 1;
    }

    /// The id just read belongs to no constructor of `expected`.
    #[cold]
    #[inline(never)]
    pub fn unknown(&mut self, id: u32, expected: &'static str) {
        self.pos = self.pos.saturating_sub(4);
        self.fail(DecodeErrorKind::UnknownConstructor { id, expected });
    }

    /// A value of a type without constructors.
    pub fn uninhabited(&mut self) {
        self.fail(DecodeErrorKind::Uninhabited);
    }

    /// A boxed vector whose elements `read` reads from at least `min` bytes each.
    #[inline]
    pub fn vector_of<T>(&mut self, min: usize, read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let id = self.get();
        if id != VECTOR_ID {
            self.unknown(id, "Vector");
        }
        self.elements(min, read)
    }

    /// A count and as many elements.
    #[inline]
    pub fn elements<T>(&mut self, min: usize, read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count: i32 = self.get();
        if count < 0 {
            self.pos -= 4;
            self.fail(DecodeErrorKind::BadLength);
        }
        self.repeat(count.max(0) as u32, min, read)
    }

    /// `count` elements; refused before anything is allocated when they cannot be there.
    #[inline]
    pub fn repeat<T>(
        &mut self,
        count: u32,
        min: usize,
        mut read: impl FnMut(&mut Self) -> T,
    ) -> Vec<T> {
        let wanted = count as usize;
        let most = match min {
            0 => self.limits.empty_elements as usize,
            _ => self.remaining() / min,
        };
        if wanted > most {
            self.fail(DecodeErrorKind::VectorTooLong { count: count as i32 });
        }
        self.enter();
        let mut elements = Vec::new();
        if !self.has_failed() {
            // A large element has a small encoding at times: trust the count only so far.
            elements.reserve_exact(wanted.min(PREALLOCATED_BYTES / size_of::<T>().max(1)));
            for _ in 0..wanted {
                elements.push(read(self));
                if self.has_failed() {
                    break;
                }
            }
        }
        self.end();
        elements
    }
}

/// Memory a vector may ask for on the strength of its count alone.
const PREALLOCATED_BYTES: usize = 64 * 1024;

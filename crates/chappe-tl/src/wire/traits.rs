//! What every TL type has: an encoding, a decoding, and for functions an id and an answer.

use bytes::Bytes;

use super::error::{DecodeError, EncodeError};
use super::reader::Reader;
use super::string::Str;
use super::writer::Writer;

/// A value with a boxed encoding: the constructor's id, then its fields.
///
/// Built-in types (`int`, `string`, …), which have no id, are written as they stand.
pub trait Encode {
    /// Appends the encoding. What has none is remembered by the writer.
    fn encode(&self, w: &mut Writer);
}

/// A value with a boxed decoding; the reverse of [`Encode`].
pub trait Decode: Sized {
    /// Reads one value.
    ///
    /// # Errors
    /// The bytes are not a value of this type within the reader's limits.
    fn decode(r: &mut Reader) -> Result<Self, DecodeError>;
}

/// One constructor or function with its id and fields.
pub trait Constructor: Sized {
    /// Constructor id.
    const ID: u32;
    /// Name in the schema, with its namespace.
    const NAME: &'static str;

    /// Appends the fields without the id.
    fn encode_bare(&self, w: &mut Writer);

    /// Reads the fields without the id.
    ///
    /// # Errors
    /// The bytes are not these fields within the reader's limits.
    fn decode_bare(r: &mut Reader) -> Result<Self, DecodeError>;
}

/// A function of a schema: what a client calls and a server answers.
pub trait Function: Encode + Decode {
    /// Constructor id of the call.
    const ID: u32;
    /// Name in the schema, with its namespace.
    const NAME: &'static str;
    /// What the answer is. For a wrapper (`query:!X`), the answer of the wrapped function.
    type Return: Encode + Decode;
}

/// A row of the dispatch table of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionInfo {
    /// Constructor id of the call.
    pub id: u32,
    /// Name in the schema, with its namespace.
    pub name: &'static str,
}

/// A value that can be read without stopping at a fault; see [`Reader`].
///
/// Types made by the code generator implement it; [`Decode`] follows. A type written by hand
/// implements [`Decode`].
pub trait Read: Sized {
    /// Least number of bytes of an encoding: bounds the count of a vector.
    const MIN: usize;

    /// Reads one value; blank if the reader has failed or fails.
    fn read(r: &mut Reader) -> Self;
}

/// What is known of a constructor or function without a value of it.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct About {
    pub id: u32,
    pub name: &'static str,
    /// Least number of bytes the fields take.
    pub min: usize,
}

/// The fields of one constructor, as the code generator writes them down.
///
/// [`Constructor`], [`Read`], [`Decode`] and [`Encode`] follow from it. One constant and two
/// functions: each item of each type adds to what a schema costs to compile. The id is written
/// with the fields because it is part of the first block of bytes.
#[doc(hidden)]
pub trait Fields: Sized {
    const ABOUT: About;
    fn read_fields(r: &mut Reader) -> Self;
    fn write_fields<const BOXED: bool>(&self, w: &mut Writer);
}

/// A function whose fields the code generator has written down; [`Function`] follows from it.
#[doc(hidden)]
pub trait Call: Fields {
    type Answer: Encode + Decode;
}

impl<T: Call> Function for T {
    const ID: u32 = T::ABOUT.id;
    const NAME: &'static str = T::ABOUT.name;
    type Return = T::Answer;
}

impl<T: Fields> Constructor for T {
    const ID: u32 = T::ABOUT.id;
    const NAME: &'static str = T::ABOUT.name;

    fn encode_bare(&self, w: &mut Writer) {
        self.write_fields::<false>(w);
    }

    fn decode_bare(r: &mut Reader) -> Result<Self, DecodeError> {
        let value = r.fields();
        r.check()?;
        Ok(value)
    }
}

impl<T: Fields> Read for T {
    const MIN: usize = 4 + T::ABOUT.min;

    #[inline]
    fn read(r: &mut Reader) -> Self {
        let id = r.begin();
        if id != T::ABOUT.id {
            r.unknown(id, T::ABOUT.name);
        }
        let value = r.fields();
        r.end();
        value
    }
}

impl<T: Fields> Encode for T {
    #[inline]
    fn encode(&self, w: &mut Writer) {
        self.write_fields::<true>(w);
    }
}

impl<T: Read> Decode for T {
    #[inline]
    fn decode(r: &mut Reader) -> Result<Self, DecodeError> {
        let value = T::read(r);
        r.check()?;
        Ok(value)
    }
}

/// Encodes one value.
///
/// # Errors
/// A part of the value has no encoding.
pub fn to_bytes<T: Encode + ?Sized>(value: &T) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::with_capacity(ENCODING_GUESS);
    value.encode(&mut writer);
    writer.finish()
}

/// Room that most values need no more than; more comes in doublings.
const ENCODING_GUESS: usize = 512;

/// Decodes one value that takes up all of `bytes`.
///
/// # Errors
/// The bytes are not a value of this type, or something follows it.
pub fn from_bytes<T: Decode>(bytes: impl Into<Bytes>) -> Result<T, DecodeError> {
    let mut reader = Reader::new(bytes.into());
    let value = T::decode(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// A value with every field zero, empty or absent, and the simplest constructor of each type;
/// for `..blank()` in a struct with many fields.
pub fn blank<T: Read>() -> T {
    T::read(&mut Reader::failed())
}

/// Equality of encodings, which is what equality of TL values means.
#[doc(hidden)]
pub fn same<T: Encode>(a: &T, b: &T) -> bool {
    let (mut left, mut right) = (Writer::new(), Writer::new());
    a.encode(&mut left);
    b.encode(&mut right);
    left.encoded() == right.encoded()
}

impl Read for bool {
    const MIN: usize = 4;
    #[inline]
    fn read(r: &mut Reader) -> Self {
        r.read_bool()
    }
}

/// Bare `true`: no bytes at all.
impl Read for () {
    const MIN: usize = 0;
    #[inline]
    fn read(_: &mut Reader) {}
}

impl Encode for () {
    #[inline]
    fn encode(&self, _: &mut Writer) {}
}

impl Read for Bytes {
    const MIN: usize = 4;
    #[inline]
    fn read(r: &mut Reader) -> Self {
        let (start, end) = r.string_range();
        r.data().slice(start..end)
    }
}

impl Encode for Bytes {
    #[inline]
    fn encode(&self, w: &mut Writer) {
        w.bytes(self);
    }
}

impl Read for Str {
    const MIN: usize = 4;
    #[inline]
    fn read(r: &mut Reader) -> Self {
        let (start, end) = r.string_range();
        Str::slice_of(r.data(), start, end)
    }
}

impl Encode for Str {
    #[inline]
    fn encode(&self, w: &mut Writer) {
        self.write(w);
    }
}

impl<T: Read> Read for Vec<T> {
    const MIN: usize = 8;
    #[inline]
    fn read(r: &mut Reader) -> Self {
        r.vector_of(T::MIN, T::read)
    }
}

impl<T: Encode> Encode for Vec<T> {
    #[inline]
    fn encode(&self, w: &mut Writer) {
        w.vector(self);
    }
}

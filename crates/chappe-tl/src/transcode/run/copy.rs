//! The bytes of a walk.
//!
//! What has been written is always `out` and behind it the input from `copied` to `at`: bytes that
//! stay as they are wait there, so that they are copied in few pieces, or not at all.

use super::{Run, Stop, Walked};

/// A state to come back to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    pub(super) at: usize,
    pub(super) copied: usize,
    pub(super) len: usize,
    pub(super) depth: usize,
}

/// Objects and vectors inside each other: as many as the reader of values takes.
const DEPTH_MAX: usize = 64;

impl Run<'_> {
    pub(super) fn skip_bytes(&mut self, count: usize) -> Walked {
        match self.at.checked_add(count) {
            Some(end) if end <= self.input.len() => {
                self.at = end;
                Ok(())
            }
            _ => Err(Stop::Malformed(self.at)),
        }
    }

    pub(super) fn peek(&self) -> Result<u32, Stop> {
        Ok(u32::from_le_bytes(self.chunk(self.at)?))
    }

    pub(super) fn chunk<const N: usize>(&self, at: usize) -> Result<[u8; N], Stop> {
        self.input[at..].first_chunk().copied().ok_or(Stop::Malformed(at))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Stop> {
        let value = self.peek()?;
        self.at += 4;
        Ok(value)
    }

    /// An `int` that is not written.
    pub(super) fn replaced_int(&mut self) -> Result<i32, Stop> {
        let begin = self.at;
        let value = self.u32()?.cast_signed();
        self.cut(begin);
        Ok(value)
    }

    pub(super) fn enter(&mut self) -> Walked {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(Stop::Malformed(self.at)) } else { Ok(()) }
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self) {
        self.out.extend_from_slice(&self.input[self.copied..self.at]);
        self.copied = self.at;
    }

    /// Writes what waits up to `begin`, and leaves out what is from there to here.
    pub(super) fn cut(&mut self, begin: usize) {
        self.out.extend_from_slice(&self.input[self.copied..begin]);
        self.copied = self.at;
    }

    /// Writes other bytes; nothing may wait.
    pub(super) fn emit(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn set_bit(&mut self, word: usize, bit: u8) {
        self.out[word + usize::from(bit / 8)] |= 1 << (bit % 8);
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { at: self.at, copied: self.copied, len: self.out.len(), depth: self.depth }
    }

    pub(super) fn back(&mut self, mark: Mark) {
        (self.at, self.copied, self.depth) = (mark.at, mark.copied, mark.depth);
        self.out.truncate(mark.len);
    }
}

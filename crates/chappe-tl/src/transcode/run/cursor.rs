//! The fields of one value, read in whatever order the target wants them.

use super::skip::holds;
use super::{Run, Stop, Walked};
use crate::transcode::shapes::{Condition, Field, Kind, WORDS_MAX};

/// Where the fields of a value are, as far as is known.
pub(super) struct Cursor<'a> {
    pub(super) fields: &'a [Field],
    /// Where the first begins.
    pub(super) begin: usize,
    /// Where each of those begins that have been passed, and the next one.
    starts: Vec<usize>,
    words: [u32; WORDS_MAX],
    /// The field that is being read out of order.
    current: Option<usize>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(fields: &'a [Field], begin: usize) -> Self {
        let mut starts = Vec::with_capacity(fields.len() + 1);
        starts.push(begin);
        Self { fields, begin, starts, words: [0; WORDS_MAX], current: None }
    }

    /// Passes fields up to `field`, which may be behind the last.
    #[inline]
    pub(super) fn reach(&mut self, run: &mut Run<'a>, field: usize) -> Walked {
        if self.starts.len() > field { Ok(()) } else { self.pass_to(run, field) }
    }

    fn pass_to(&mut self, run: &mut Run<'a>, field: usize) -> Walked {
        while self.starts.len() <= field {
            let next = &self.fields[self.starts.len() - 1];
            run.at = self.starts[self.starts.len() - 1];
            if holds(next, &self.words) {
                match &next.kind {
                    Kind::Word(word) => self.words[usize::from(*word)] = run.u32()?,
                    kind => run.skip(kind)?,
                }
            }
            self.starts.push(run.at);
        }
        Ok(())
    }

    /// A word of flags that is read once so many fields have been passed. Nothing may wait to be
    /// written.
    pub(super) fn word(
        &mut self,
        run: &mut Run<'a>,
        word: u8,
        known_after: u16,
    ) -> Result<u32, Stop> {
        self.reach(run, known_after.into())?;
        Ok(self.words[usize::from(word)])
    }

    /// Whether fields are there. Nothing may wait to be written.
    pub(super) fn hold(
        &mut self,
        run: &mut Run<'a>,
        conditions: &[Condition],
    ) -> Result<bool, Stop> {
        for condition in conditions {
            if self.word(run, condition.word, condition.known_after)? >> condition.bit & 1 == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The same of one, by its place.
    pub(super) fn is_there(&mut self, run: &mut Run<'a>, field: usize) -> Result<bool, Stop> {
        self.hold(run, self.fields[field].condition.as_slice())
    }

    /// Goes to the beginning of a field, to read it.
    pub(super) fn go_to(&mut self, run: &mut Run<'a>, field: usize) -> Walked {
        self.reach(run, field)?;
        run.at = self.starts[field];
        self.current = Some(field);
        Ok(())
    }

    /// The field that was gone to has been read.
    pub(super) fn passed(&mut self, run: &Run<'a>) {
        if let Some(field) = self.current.take()
            && self.starts.len() == field + 1
        {
            self.starts.push(run.at);
        }
    }

    /// Goes to the first field that has not been passed.
    pub(super) fn resume(&self, run: &mut Run<'a>) {
        run.at = self.starts[self.starts.len() - 1];
    }
}

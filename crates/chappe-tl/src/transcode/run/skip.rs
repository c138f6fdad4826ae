//! Passing values without a look at what they say.

use super::{Run, Stop, Walked};
use crate::transcode::shapes::{Field, Kind, WORDS_MAX};
use crate::wire::{BOOL_FALSE_ID, BOOL_TRUE_ID, VECTOR_ID};

impl Run<'_> {
    /// Passes a value.
    pub(super) fn skip(&mut self, kind: &Kind) -> Walked {
        if let Some(size) = kind.size() {
            return self.skip_bytes(size);
        }
        match kind {
            Kind::Text => self.skip_text(),
            Kind::Vector(item) => {
                if self.u32()? != VECTOR_ID {
                    return Err(Stop::Malformed(self.at - 4));
                }
                let count = self.u32()? as usize;
                if let Some(size) = item.size().filter(|size| *size > 0) {
                    let bytes = count.checked_mul(size).ok_or(Stop::Malformed(self.at))?;
                    return self.skip_bytes(bytes);
                }
                self.enter()?;
                for _ in 0..count {
                    let before = self.at;
                    self.skip(item)?;
                    if self.at == before {
                        return Err(Stop::Malformed(before));
                    }
                }
                self.depth -= 1;
                Ok(())
            }
            _ => self.skip_object(),
        }
    }

    fn skip_object(&mut self) -> Walked {
        let id = self.peek()?;
        match id {
            BOOL_TRUE_ID | BOOL_FALSE_ID => self.skip_bytes(4),
            VECTOR_ID => self.skip(&Kind::Vector(Box::new(Kind::Object))),
            _ => {
                let with = self.with;
                let (_, shape) = with.shapes.by_id(id).ok_or(Stop::Unknown(id))?;
                self.skip_bytes(4)?;
                if let Some(size) = shape.size {
                    return self.skip_bytes(size);
                }
                self.enter()?;
                self.skip_fields(&shape.fields)?;
                self.depth -= 1;
                Ok(())
            }
        }
    }

    pub(super) fn skip_fields(&mut self, fields: &[Field]) -> Walked {
        let mut words = [0; WORDS_MAX];
        for field in fields {
            if !holds(field, &words) {
                continue;
            }
            match &field.kind {
                Kind::Word(word) => words[usize::from(*word)] = self.u32()?,
                kind => self.skip(kind)?,
            }
        }
        Ok(())
    }

    fn skip_text(&mut self) -> Walked {
        let begin = self.at;
        let short = *self.input.get(begin).ok_or(Stop::Malformed(begin))?;
        let (header, len) = match short {
            0..254 => (1, usize::from(short)),
            254 => {
                let head = self.peek()?;
                (4, (head >> 8) as usize)
            }
            255 => return Err(Stop::Malformed(begin)),
        };
        self.skip_bytes((header + len).next_multiple_of(4))
    }
}

/// Whether a field is there.
pub(super) fn holds(field: &Field, words: &[u32; WORDS_MAX]) -> bool {
    field.condition.is_none_or(|at| words[usize::from(at.word)] >> at.bit & 1 == 1)
}

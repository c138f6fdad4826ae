//! The walk along one encoding.
//!
//! | file | holds |
//! | --- | --- |
//! | `copy` | what has been read, what of it waits to be written, what is written |
//! | `skip` | passing values |
//! | `cursor` | the fields of a value, read out of order |
//! | `map` | a value with the fields of another definition |

mod copy;
mod cursor;
mod map;
mod skip;

use bytes::Bytes;

use copy::Mark;
use cursor::Cursor;
use skip::holds;

use super::Transcoder;
use super::plan::{Flat, How, Plan};
use super::shapes::{Field, Kind, WORDS_MAX};
use crate::wire::{BOOL_FALSE_ID, BOOL_TRUE_ID, VECTOR_ID};

/// One walk. Of its bytes see [`copy`].
pub(super) struct Run<'a> {
    with: &'a Transcoder,
    input: &'a [u8],
    at: usize,
    copied: usize,
    out: Vec<u8>,
    depth: usize,
}

/// Why a walk ended early.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stop {
    /// At that offset.
    Malformed(usize),
    /// The id.
    Unknown(u32),
    /// The place of the shape.
    Inexpressible(u32),
    /// A number that the target has no room for.
    Unfit,
}

impl Stop {
    /// What a number without room is to the object that it is in.
    fn within(self, place: u32) -> Self {
        if matches!(self, Self::Unfit) { Self::Inexpressible(place) } else { self }
    }
}

type Walked = Result<(), Stop>;

impl<'a> Run<'a> {
    pub(super) fn new(with: &'a Transcoder, input: &'a Bytes) -> Self {
        Self { with, input, at: 0, copied: 0, out: Vec::new(), depth: 0 }
    }

    /// What was written, if that is not the input.
    pub(super) fn finish(mut self) -> Result<Option<Vec<u8>>, Stop> {
        if self.at != self.input.len() {
            return Err(Stop::Malformed(self.at));
        }
        if self.out.is_empty() && self.copied == 0 {
            return Ok(None);
        }
        self.flush();
        Ok(Some(self.out))
    }

    /// A boxed value of any type.
    pub(super) fn object(&mut self) -> Walked {
        match self.peek()? {
            BOOL_TRUE_ID | BOOL_FALSE_ID => self.skip_bytes(4),
            VECTOR_ID => self.vector(&Kind::Object, |run| run.object()),
            _ => self.boxed(None),
        }
    }

    pub(super) fn value(&mut self, how: &'a How) -> Walked {
        match how {
            How::Clean(kind) => self.skip(kind),
            How::Walk(kind) => self.same(kind),
            How::Flag => Ok(()),
            How::IntToLong => {
                let value = self.replaced_int()?;
                self.emit(&i64::from(value).to_le_bytes());
                Ok(())
            }
            How::LongToInt => {
                let low = self.peek()?.cast_signed();
                let begin = self.at;
                self.skip_bytes(8)?;
                if i64::from_le_bytes(self.chunk(begin)?) != i64::from(low) {
                    return Err(Stop::Unfit);
                }
                self.cut(begin);
                self.emit(&low.to_le_bytes());
                Ok(())
            }
            How::IntToDouble => {
                let value = self.replaced_int()?;
                self.emit(&f64::from(value).to_le_bytes());
                Ok(())
            }
            How::DoubleToInt => {
                let begin = self.at;
                self.skip_bytes(8)?;
                // A cast saturates; no number is zero.
                let rounded = f64::from_le_bytes(self.chunk(begin)?).round() as i32;
                self.cut(begin);
                self.emit(&rounded.to_le_bytes());
                Ok(())
            }
            How::Vector(item, how) => self.vector(item, |run| run.value(how)),
            How::Boxed(ty) => self.boxed(Some(*ty)),
            How::Project(cases) => self.project(cases),
            How::Wrap(before, how, after) => {
                self.flush();
                self.emit(before);
                self.value(how)?;
                self.flush();
                self.emit(after);
                Ok(())
            }
        }
    }

    /// A value that stays of its kind.
    fn same(&mut self, kind: &'a Kind) -> Walked {
        match kind {
            _ if !self.with.is_dirty(kind) => self.skip(kind),
            Kind::Boxed(ty) => self.boxed(Some(*ty)),
            Kind::Vector(item) => self.vector(item, |run| run.same(item)),
            _ => self.object(),
        }
    }

    /// A boxed value, for a place where one of that type is expected.
    fn boxed(&mut self, ty: Option<u32>) -> Walked {
        let mark = self.mark();
        let id = self.u32()?;
        let with = self.with;
        let Some((place, shape)) = with.shapes.by_id(id).filter(|(place, _)| with.accepts(*place))
        else {
            return Err(Stop::Unknown(id));
        };
        self.enter()?;
        let inside = Mark { depth: self.depth, ..mark };
        let ty = ty.unwrap_or(shape.ty);
        let other = with.has_others[place as usize].then(|| with.others.get(&(place, ty)));
        let plan = match other.flatten() {
            Some(plan) => plan,
            None if shape.ty == ty => &with.plans[place as usize],
            None => &Plan::Nothing,
        };
        let walked = match plan {
            Plan::Clean => self.skip_fields(&shape.fields),
            Plan::Keep(map) => match self.keep(&shape.fields) {
                Err(Stop::Inexpressible(_)) if !with.strict => {
                    self.back(inside);
                    self.map(place, &shape.fields, map, false)
                }
                walked => walked,
            },
            Plan::Map(map) => {
                self.back(inside);
                self.map(place, &shape.fields, map, false)
            }
            Plan::Flatten(field, cases) => {
                self.flatten(place, &shape.fields, (*field, cases), inside)
            }
            Plan::Nothing => Err(Stop::Inexpressible(place)),
        };
        self.depth = mark.depth;
        match walked {
            Err(Stop::Inexpressible(_)) if !with.strict => self.stand_in(mark, place, ty, walked),
            walked => walked,
        }
    }

    /// Writes what stands for a value that cannot be said.
    fn stand_in(&mut self, mark: Mark, place: u32, ty: u32, walked: Walked) -> Walked {
        let with = self.with;
        let shape = &with.shapes.list[place as usize];
        self.back(mark);
        if let Some(map) = with.fallbacks.get(&(ty, place)) {
            let stood = self.map(place, &shape.fields, map, false);
            if !matches!(stood, Err(Stop::Inexpressible(_))) {
                return stood;
            }
            self.back(mark);
        }
        let Some(bytes) = with.substitutes.get(&ty) else { return walked };
        self.skip_bytes(4)?;
        self.skip_fields(&shape.fields)?;
        self.cut(mark.at);
        self.emit(bytes);
        Ok(())
    }

    fn flatten(
        &mut self,
        place: u32,
        fields: &'a [Field],
        (field, cases): (usize, &'a [Flat]),
        mark: Mark,
    ) -> Walked {
        let mut source = Cursor::new(fields, self.at);
        source.reach(self, field)?;
        let inner = self.peek()?;
        self.back(mark);
        match cases.iter().find(|case| case.inner == inner) {
            Some(Flat { fields, map, .. }) => self.map(place, fields, map, false),
            None => Err(Stop::Inexpressible(place)),
        }
    }

    fn project(&mut self, cases: &'a [(u32, usize, How)]) -> Walked {
        let begin = self.at;
        let id = self.u32()?;
        let place = self.with.shapes.by_id(id).map(|(place, _)| place).ok_or(Stop::Unknown(id))?;
        let Some((_, field, how)) = cases.iter().find(|(shape, _, _)| *shape == place) else {
            return Err(Stop::Inexpressible(place));
        };
        self.enter()?;
        let fields = &self.with.shapes.list[place as usize].fields;
        let mut source = Cursor::new(fields, self.at);
        if !source.is_there(self, *field)? {
            return Err(Stop::Inexpressible(place));
        }
        source.go_to(self, *field)?;
        self.cut(begin);
        self.value(how)?;
        source.passed(self);
        let end = self.at;
        source.reach(self, fields.len())?;
        self.cut(end);
        self.depth -= 1;
        Ok(())
    }

    /// The fields of a definition that stays, with what is inside them.
    fn keep(&mut self, fields: &'a [Field]) -> Walked {
        let mut words = [0; WORDS_MAX];
        for field in fields {
            if !holds(field, &words) {
                continue;
            }
            match &field.kind {
                Kind::Word(word) => words[usize::from(*word)] = self.u32()?,
                kind => self.same(kind)?,
            }
        }
        Ok(())
    }

    /// A vector; elements that cannot be said are left out.
    fn vector(&mut self, item: &'a Kind, each: impl Fn(&mut Self) -> Walked) -> Walked {
        let id = self.u32()?;
        if id != VECTOR_ID {
            return Err(Stop::Malformed(self.at - 4));
        }
        // Where the count is, or will be, among what is written.
        let count_place = self.out.len() + self.at - self.copied;
        let count = self.u32()?;
        self.enter()?;
        let mut kept = count;
        for _ in 0..count {
            let mark = self.mark();
            match each(self) {
                Err(Stop::Inexpressible(_)) if !self.with.strict => {
                    self.back(mark);
                    self.skip(item)?;
                    self.cut(mark.at);
                    kept -= 1;
                }
                walked => walked?,
            }
            // Elements without bytes would make this a loop of the peer's length.
            if self.at == mark.at {
                return Err(Stop::Malformed(self.at));
            }
        }
        if kept < count {
            self.flush();
            self.out[count_place..count_place + 4].copy_from_slice(&kept.to_le_bytes());
        }
        self.depth -= 1;
        Ok(())
    }
}

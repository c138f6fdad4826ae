//! The walk along one encoding.
//!
//! What has been written is always `out` and behind it the input from `copied` to `at`: bytes that
//! stay as they are wait there, so that they are copied in few pieces, or not at all.

use bytes::Bytes;

use super::Transcoder;
use super::plan::{Flat, How, Map, Plan, Source, Step};
use super::shapes::{Field, Kind, WORDS_MAX};
use crate::wire::{BOOL_FALSE_ID, BOOL_TRUE_ID, VECTOR_ID};

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

/// A state to come back to.
#[derive(Clone, Copy)]
struct Mark {
    at: usize,
    copied: usize,
    len: usize,
    depth: usize,
}

/// Objects and vectors inside each other: as many as the reader of values takes.
const DEPTH_MAX: usize = 64;
/// Fields of one definition that may be left out for what is in them.
const GROUPS_MAX: usize = 128;

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

    /// A value from its id on, with the fields of another definition. `is_part` is one that is made
    /// of fields of what is around it: there is no id to pass.
    fn map(&mut self, place: u32, fields: &'a [Field], map: &'a Map, is_part: bool) -> Walked {
        let mark = self.mark();
        let mut left_out = 0u128;
        loop {
            match self.map_once(place, fields, map, is_part, left_out) {
                Err(Refused::Group(group)) if !self.with.strict && group < GROUPS_MAX => {
                    self.back(mark);
                    left_out |= 1 << group;
                }
                Err(Refused::Group(_)) => return Err(Stop::Inexpressible(place)),
                Err(Refused::Whole(stop)) => return Err(stop),
                Ok(()) => return Ok(()),
            }
        }
    }

    fn map_once(
        &mut self,
        place: u32,
        fields: &'a [Field],
        map: &'a Map,
        is_part: bool,
        left_out: u128,
    ) -> Result<(), Refused> {
        let begin = self.at;
        if !is_part {
            self.skip_bytes(4)?;
        }
        let mut source = Cursor::new(fields, self.at);
        self.cut(begin);
        self.emit(&map.id.to_le_bytes());
        let mut words = [0; WORDS_MAX];
        for step in &map.steps {
            let (from, group, default) = match step {
                Step::Word(word) => {
                    words[usize::from(*word)] = self.out.len();
                    self.emit(&[0; 4]);
                    continue;
                }
                Step::Field { source, group, default } => (source, group, default),
            };
            if let Some(group) = *group {
                let of = &map.groups[group];
                let is_out = group < GROUPS_MAX && left_out >> group & 1 == 1;
                if is_out || !source.are_there(self, &of.needs)? {
                    continue;
                }
                let word = words[usize::from(of.word)];
                self.set_bit(word, of.bit);
            }
            let written = self.write_field(place, &mut source, from, default.as_deref());
            match (written, group) {
                (Err(Stop::Inexpressible(_)), Some(group)) => return Err(Refused::Group(*group)),
                (written, _) => written?,
            }
        }
        source.reach(self, fields.len())?;
        source.resume(self);
        self.copied = self.at;
        Ok(())
    }

    /// One field of the target. All before it is written, and nothing waits.
    fn write_field(
        &mut self,
        place: u32,
        source: &mut Cursor<'a>,
        from: &'a Source,
        default: Option<&'a [u8]>,
    ) -> Walked {
        let is_there = match from {
            Source::Nothing => false,
            Source::Field(at, _) | Source::Gather(Some(at), _) => source.is_there(self, *at)?,
            Source::Gather(None, _) => true,
        };
        match from {
            Source::Field(at, how) if is_there => {
                source.go_to(self, *at)?;
                self.copied = self.at;
                self.value(how).map_err(|stop| stop.within(place))?;
                source.passed(self);
                self.flush();
                Ok(())
            }
            Source::Gather(_, map) if is_there => {
                let before = self.at;
                self.at = source.begin;
                self.copied = self.at;
                self.map(place, source.fields, map, true)?;
                self.at = before;
                self.copied = before;
                Ok(())
            }
            _ => {
                self.emit(default.ok_or(Stop::Inexpressible(place))?);
                Ok(())
            }
        }
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

    /// Passes a value.
    fn skip(&mut self, kind: &Kind) -> Walked {
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

    fn skip_fields(&mut self, fields: &[Field]) -> Walked {
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

    fn skip_bytes(&mut self, count: usize) -> Walked {
        match self.at.checked_add(count) {
            Some(end) if end <= self.input.len() => {
                self.at = end;
                Ok(())
            }
            _ => Err(Stop::Malformed(self.at)),
        }
    }

    fn peek(&self) -> Result<u32, Stop> {
        Ok(u32::from_le_bytes(self.chunk(self.at)?))
    }

    fn chunk<const N: usize>(&self, at: usize) -> Result<[u8; N], Stop> {
        self.input[at..].first_chunk().copied().ok_or(Stop::Malformed(at))
    }

    fn u32(&mut self) -> Result<u32, Stop> {
        let value = self.peek()?;
        self.at += 4;
        Ok(value)
    }

    /// An `int` that is not written.
    fn replaced_int(&mut self) -> Result<i32, Stop> {
        let begin = self.at;
        let value = self.u32()?.cast_signed();
        self.cut(begin);
        Ok(value)
    }

    fn enter(&mut self) -> Walked {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(Stop::Malformed(self.at)) } else { Ok(()) }
    }

    /// Writes what waits.
    fn flush(&mut self) {
        self.out.extend_from_slice(&self.input[self.copied..self.at]);
        self.copied = self.at;
    }

    /// Writes what waits up to `begin`, and leaves out what is from there to here.
    fn cut(&mut self, begin: usize) {
        self.out.extend_from_slice(&self.input[self.copied..begin]);
        self.copied = self.at;
    }

    /// Writes other bytes; nothing may wait.
    fn emit(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn set_bit(&mut self, word: usize, bit: u8) {
        self.out[word + usize::from(bit / 8)] |= 1 << (bit % 8);
    }

    fn mark(&self) -> Mark {
        Mark { at: self.at, copied: self.copied, len: self.out.len(), depth: self.depth }
    }

    fn back(&mut self, mark: Mark) {
        (self.at, self.copied, self.depth) = (mark.at, mark.copied, mark.depth);
        self.out.truncate(mark.len);
    }
}

/// Why an object is not written so.
enum Refused {
    /// What is in the fields of that group cannot be said.
    Group(usize),
    Whole(Stop),
}

impl From<Stop> for Refused {
    fn from(stop: Stop) -> Self {
        Self::Whole(stop)
    }
}

/// Whether a field is there.
fn holds(field: &Field, words: &[u32; WORDS_MAX]) -> bool {
    field.condition.is_none_or(|(word, bit)| words[usize::from(word)] >> bit & 1 == 1)
}

/// Where the fields of a value are, as far as is known.
struct Cursor<'a> {
    fields: &'a [Field],
    /// Where the first begins.
    begin: usize,
    /// Where each of those begins that have been passed, and the next one.
    starts: Vec<usize>,
    words: [u32; WORDS_MAX],
    /// The field that is being read out of order.
    current: Option<usize>,
}

impl<'a> Cursor<'a> {
    fn new(fields: &'a [Field], begin: usize) -> Self {
        let mut starts = Vec::with_capacity(fields.len() + 1);
        starts.push(begin);
        Self { fields, begin, starts, words: [0; WORDS_MAX], current: None }
    }

    /// Passes fields up to `field`, which may be behind the last.
    fn reach(&mut self, run: &mut Run<'a>, field: usize) -> Walked {
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

    /// Whether a field is there. Nothing may wait to be written.
    fn is_there(&mut self, run: &mut Run<'a>, field: usize) -> Result<bool, Stop> {
        let Some((word, _)) = self.fields[field].condition else { return Ok(true) };
        let is_word = |field: &Field| field.kind == Kind::Word(word);
        if let Some(at) = self.fields.iter().position(is_word) {
            self.reach(run, at + 1)?;
        }
        Ok(holds(&self.fields[field], &self.words))
    }

    fn are_there(&mut self, run: &mut Run<'a>, fields: &[usize]) -> Result<bool, Stop> {
        for field in fields {
            if !self.is_there(run, *field)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Goes to the beginning of a field, to read it.
    fn go_to(&mut self, run: &mut Run<'a>, field: usize) -> Walked {
        self.reach(run, field)?;
        run.at = self.starts[field];
        self.current = Some(field);
        Ok(())
    }

    /// The field that was gone to has been read.
    fn passed(&mut self, run: &Run<'a>) {
        if let Some(field) = self.current.take()
            && self.starts.len() == field + 1
        {
            self.starts.push(run.at);
        }
    }

    /// Goes to the first field that has not been passed.
    fn resume(&self, run: &mut Run<'a>) {
        run.at = self.starts[self.starts.len() - 1];
    }
}

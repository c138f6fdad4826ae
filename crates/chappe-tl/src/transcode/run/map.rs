//! A value with the fields of another definition: the target's, in its order.

use super::cursor::Cursor;
use super::{Run, Stop, Walked};
use crate::transcode::plan::{Bits, Map, Source, Step};
use crate::transcode::shapes::{Field, WORDS_MAX};

/// Fields of one definition that may be left out for what is in them.
const GROUPS_MAX: usize = 128;

impl<'a> Run<'a> {
    /// A value from its id on, with the fields of another definition. `is_part` is one that is made
    /// of fields of what is around it: there is no id to pass.
    pub(super) fn map(
        &mut self,
        place: u32,
        fields: &'a [Field],
        map: &'a Map,
        is_part: bool,
    ) -> Walked {
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
                Step::Word(word, moved) => {
                    words[usize::from(*word)] = self.out.len();
                    let mut bits = 0;
                    for Bits { from, known_after, mask, turn } in moved {
                        let word = source.word(self, *from, *known_after)?;
                        bits |= (word & mask).rotate_left(*turn);
                    }
                    self.emit(&bits.to_le_bytes());
                    continue;
                }
                Step::Field { source, group, default } => (source, group, default),
            };
            if let Some(group) = *group {
                let of = &map.groups[group];
                let is_out = group < GROUPS_MAX && left_out >> group & 1 == 1;
                if is_out || !source.hold(self, &of.needs)? {
                    continue;
                }
                let word = words[usize::from(of.word)];
                self.set_bit(word, of.bit);
            }
            let is_sure = group.is_some();
            let written = self.write_field(place, &mut source, from, default.as_deref(), is_sure);
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

    /// One field of the target. All before it is written, and nothing waits. Where it is conditional,
    /// what it comes from is there.
    fn write_field(
        &mut self,
        place: u32,
        source: &mut Cursor<'a>,
        from: &'a Source,
        default: Option<&'a [u8]>,
        is_sure: bool,
    ) -> Walked {
        let is_there = match from {
            Source::Nothing => false,
            Source::Field(at, _) | Source::Gather(Some(at), _) => {
                is_sure || source.is_there(self, *at)?
            }
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

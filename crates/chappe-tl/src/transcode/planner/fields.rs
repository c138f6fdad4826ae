//! From the fields of one definition to those of another.

use std::collections::BTreeSet;

use super::Planner;
use crate::transcode::plan::{Bits, Group, How, Map, Source, Step};
use crate::transcode::rules::Nesting;
use crate::transcode::shapes::{Condition, Field, Kind, Shape};
use crate::wire::{BOOL_FALSE_ID, VECTOR_ID};

impl Planner<'_> {
    /// `None` where the target has a field that it needs and nothing gives it.
    pub(super) fn map(
        &self,
        name: &str,
        fields: &[Field],
        target: u32,
        gathers: bool,
    ) -> Option<Map> {
        let target = self.shape(target);
        let mut steps = Vec::new();
        let mut groups: Vec<Group> = Vec::new();
        let (mut given, mut impossible) = (BTreeSet::new(), BTreeSet::new());
        for field in &target.fields {
            if let Kind::Word(word) = field.kind {
                steps.push(Step::Word(word, Vec::new()));
                continue;
            }
            let source = self.source(name, fields, field, target, gathers);
            // Most fields are such bits: none of them is looked at by itself later.
            if let (Source::Field(at, How::Flag), Some(to)) = (&source, field.condition)
                && let Some(from) = fields[*at].condition
                && target.fields.iter().filter(|other| other.condition == Some(to)).count() == 1
            {
                move_bit(&mut steps, from, to);
                continue;
            }
            let default = self.default(&field.kind);
            let is_given = !matches!(source, Source::Nothing);
            let group = match field.condition {
                None if !is_given && default.is_none() => return None,
                None => None,
                Some(Condition { word, bit, .. }) => {
                    let place =
                        groups.iter().position(|group| (group.word, group.bit) == (word, bit));
                    let place = place.unwrap_or_else(|| {
                        groups.push(Group { word, bit, needs: Vec::new() });
                        groups.len() - 1
                    });
                    match &source {
                        Source::Field(at, _) | Source::Gather(Some(at), _) => {
                            groups[place].needs.extend(fields[*at].condition);
                            given.insert(place);
                        }
                        Source::Gather(None, _) => {
                            given.insert(place);
                        }
                        // A bit that nobody sets says nothing beside fields that share it.
                        Source::Nothing if field.kind == Kind::True => continue,
                        Source::Nothing if default.is_none() => {
                            impossible.insert(place);
                        }
                        Source::Nothing => {}
                    }
                    Some(place)
                }
            };
            steps.push(Step::Field { source, group, default });
        }
        steps.retain(|step| match step {
            Step::Field { group: Some(group), .. } => {
                given.contains(group) && !impossible.contains(group)
            }
            _ => true,
        });
        Some(Map { id: target.id, steps, groups })
    }

    /// Where a field of the target comes from.
    fn source(
        &self,
        name: &str,
        fields: &[Field],
        field: &Field,
        target: &Shape,
        gathers: bool,
    ) -> Source {
        let at = fields.iter().position(|source| source.name == field.name);
        if let Some(at) = at
            && let Some(how) = self.how(&fields[at].kind, &field.kind)
        {
            return Source::Field(at, how);
        }
        if !gathers {
            return Source::Nothing;
        }
        let gather = self.rules.gathers.iter().find_map(|row| {
            let is_meant = row.field == field.name
                && self.shapes.ty(row.ty).map(Kind::Boxed) == Some(field.kind.clone());
            let when = fields.iter().position(|source| source.name == row.when)?;
            is_meant.then_some((Some(when), row.constructor))
        });
        let is_meant = |row: &&Nesting| {
            row.flat == name && row.outer == target.name && row.field == field.name
        };
        let nested = self.rules.nestings.iter().find(is_meant).map(|row| (None, row.inner));
        if let Some((when, constructor)) = gather.or(nested)
            && let Some(made) = self.target(constructor)
            && let Some(map) = self.map(name, fields, made, false)
        {
            return Source::Gather(when, Box::new(map));
        }
        Source::Nothing
    }

    /// Nothing, of that kind.
    pub(super) fn default(&self, kind: &Kind) -> Option<Vec<u8>> {
        Some(match kind {
            Kind::Bool => BOOL_FALSE_ID.to_le_bytes().to_vec(),
            Kind::Text => vec![0; 4],
            Kind::Vector(_) => [VECTOR_ID.to_le_bytes(), [0; 4]].concat(),
            Kind::Boxed(ty) => self.done.substitutes.get(ty)?.clone(),
            Kind::Object => return None,
            _ => vec![0; kind.size()?],
        })
    }
}

/// Has a word of the target take a bit from one of the source, together with others that move as far.
fn move_bit(steps: &mut [Step], from: Condition, to: Condition) {
    let turn = u32::from(to.bit).wrapping_sub(from.bit.into()) % u32::BITS;
    let words = steps.iter_mut().filter_map(|step| match step {
        Step::Word(word, bits) if *word == to.word => Some(bits),
        _ => None,
    });
    for bits in words {
        let mask = 1 << from.bit;
        match bits.iter_mut().find(|bits| (bits.from, bits.turn) == (from.word, turn)) {
            Some(bits) => bits.mask |= mask,
            None => bits.push(Bits { from: from.word, known_after: from.known_after, mask, turn }),
        }
    }
}

//! From a value of one kind to one of another.

use super::Planner;
use crate::schema::Section;
use crate::transcode::dirty::is_dirty;
use crate::transcode::plan::How;
use crate::transcode::shapes::Kind;

impl Planner<'_> {
    pub(super) fn how(&self, from: &Kind, to: &Kind) -> Option<How> {
        if from == to {
            return Some(match from {
                Kind::True => How::Flag,
                _ if is_dirty(from, &self.done.dirty) => How::Walk(from.clone()),
                _ => How::Clean(from.clone()),
            });
        }
        match (from, to) {
            (Kind::Int, Kind::Long) => return Some(How::IntToLong),
            (Kind::Long, Kind::Int) => return Some(How::LongToInt),
            (Kind::Int, Kind::Double) => return Some(How::IntToDouble),
            (Kind::Double, Kind::Int) => return Some(How::DoubleToInt),
            (Kind::Vector(from), Kind::Vector(to)) => {
                return Some(How::Vector((**from).clone(), Box::new(self.how(from, to)?)));
            }
            (Kind::Boxed(from), Kind::Boxed(to)) if self.stands_for(*from, *to) => {
                return Some(How::Boxed(*to));
            }
            _ => {}
        }
        self.projection(from, to).or_else(|| self.wrap(from, to))
    }

    /// Whether constructors of one type stand for values of another.
    fn stands_for(&self, from: u32, to: u32) -> bool {
        let ty_of = |name: &str| {
            let shape = self
                .shapes
                .list
                .iter()
                .find(|shape| shape.section == Section::Types && shape.name == name);
            shape.map(|shape| shape.ty)
        };
        let alias = self
            .rules
            .aliases
            .iter()
            .any(|(name, ty, _)| ty_of(name) == Some(from) && self.shapes.ty(ty) == Some(to));
        alias
            || self.rules.nestings.iter().any(|row| {
                let (flat, outer) = (ty_of(row.flat), ty_of(row.outer));
                (flat, outer) == (Some(from), Some(to)) || (outer, flat) == (Some(from), Some(to))
            })
    }

    fn projection(&self, from: &Kind, to: &Kind) -> Option<How> {
        let Kind::Boxed(ty) = from else { return None };
        let row = self.rules.projections.iter().find(|row| {
            self.shapes.ty(row.from) == Some(*ty) && self.shapes.kind(row.to).as_ref() == Some(to)
        })?;
        let shapes = self.accepted().into_iter().filter(|place| self.shape(*place).ty == *ty);
        let cases = shapes.filter_map(|place| {
            let field = self.shape(place).field(row.field)?;
            Some((place, field, self.how(&self.shape(place).fields[field].kind, to)?))
        });
        Some(How::Project(cases.collect()))
            .filter(|how| matches!(how, How::Project(cases) if !cases.is_empty()))
    }

    fn wrap(&self, from: &Kind, to: &Kind) -> Option<How> {
        let Kind::Boxed(ty) = to else { return None };
        let row = self.rules.wraps.iter().find(|row| {
            self.shapes.ty(row.to) == Some(*ty) && self.shapes.kind(row.from).as_ref() == Some(from)
        })?;
        let target = self.shape(self.target(row.constructor)?);
        let (mut before, mut after, mut how) = (target.id.to_le_bytes().to_vec(), Vec::new(), None);
        let wrapped = target.field(row.field)?;
        for (place, field) in target.fields.iter().enumerate() {
            let side = if how.is_none() { &mut before } else { &mut after };
            match (&field.kind, field.condition) {
                _ if place == wrapped => how = Some(self.how(from, &field.kind)?),
                (Kind::Word(word), _) => {
                    let condition = target.fields[wrapped].condition;
                    let bit =
                        condition.filter(|at| at.word == *word).map_or(0, |at| 1u32 << at.bit);
                    side.extend(bit.to_le_bytes());
                }
                (_, Some(_)) => {}
                (kind, None) => side.extend(self.default(kind)?),
            }
        }
        Some(How::Wrap(before, Box::new(how?), after))
    }
}

//! Making plans: every definition is compared with the target's.
//!
//! | file | holds |
//! | --- | --- |
//! | `fields` | from the fields of one definition to those of another |
//! | `kinds` | from a value of one kind to one of another |

mod fields;
mod kinds;

use std::collections::HashMap;
use std::sync::Arc;

use super::Transcoder;
use super::dirty::{dirty_types, is_dirty};
use super::plan::{Flat, Plan};
use super::rules::Rules;
use super::shapes::{Condition, Field, Kind, Shape, Shapes};
use crate::history::History;
use crate::schema::Section;

impl Transcoder {
    pub(in crate::transcode) fn new(
        history: &History,
        shapes: Arc<Shapes>,
        layer: u32,
        rules: &Rules,
        strict: bool,
    ) -> Self {
        let view = history.view(layer);
        let named: HashMap<(Section, &str), u32> = view
            .iter()
            .filter_map(|(key, definition)| Some((*key, shapes.by_id(definition.id)?.0)))
            .collect();
        let mut transcoder = Self {
            plans: Vec::new(),
            others: HashMap::new(),
            has_others: vec![false; shapes.list.len()],
            dirty: Vec::new(),
            substitutes: HashMap::new(),
            fallbacks: HashMap::new(),
            answers: HashMap::new(),
            strict,
            shapes: Arc::clone(&shapes),
        };
        transcoder.dirty = dirty_types(&transcoder, &named, rules);
        let mut planner = Planner { shapes: &shapes, named, rules, done: transcoder };
        planner.substitutes();
        planner.plans();
        planner.others();
        planner.fallbacks();
        planner.answers();
        let mut done = planner.done;
        for (place, _) in done.others.keys() {
            done.has_others[*place as usize] = true;
        }
        done
    }
}

struct Planner<'a> {
    shapes: &'a Shapes,
    /// Place of the target's definition of that name.
    named: HashMap<(Section, &'a str), u32>,
    rules: &'a Rules,
    done: Transcoder,
}

impl<'a> Planner<'a> {
    fn target(&self, name: &str) -> Option<u32> {
        self.named.get(&(Section::Types, name)).copied()
    }

    fn shape(&self, place: u32) -> &'a Shape {
        &self.shapes.list[place as usize]
    }

    fn accepted(&self) -> Vec<u32> {
        (0..self.shapes.list.len() as u32).filter(|place| self.done.accepts(*place)).collect()
    }

    fn substitutes(&mut self) {
        for (ty, constructor) in self.rules.substitutes {
            let (Some(ty), Some(target)) = (self.shapes.ty(ty), self.target(constructor)) else {
                continue;
            };
            if self.done.substitutes.contains_key(&ty) || self.shape(target).ty != ty {
                continue;
            }
            let mut bytes = self.shape(target).id.to_le_bytes().to_vec();
            let fields = self.shape(target).fields.iter().filter(|f| f.condition.is_none());
            let defaults: Option<Vec<_>> = fields.map(|field| self.default(&field.kind)).collect();
            if let Some(defaults) = defaults {
                bytes.extend(defaults.concat());
                self.done.substitutes.insert(ty, bytes);
            }
        }
    }

    fn plans(&mut self) {
        for place in 0..self.shapes.list.len() as u32 {
            let shape = self.shape(place);
            let target = self.named.get(&(shape.section, shape.name.as_str())).copied();
            let plan = match target {
                Some(target) if self.shape(target).ty != shape.ty => Plan::Nothing,
                Some(target) => {
                    let is_dirty = |field: &Field| is_dirty(&field.kind, &self.done.dirty);
                    match self.map(&shape.name, &shape.fields, target, true) {
                        _ if target == place && !shape.fields.iter().any(is_dirty) => Plan::Clean,
                        Some(map) if target == place => Plan::Keep(map),
                        Some(map) => Plan::Map(map),
                        None => Plan::Nothing,
                    }
                }
                None => Plan::Nothing,
            };
            self.done.plans.push(plan);
        }
    }

    /// What stands for values of other types, and what was one object and is two.
    fn others(&mut self) {
        for place in self.accepted() {
            let shape = self.shape(place);
            for (_, ty, other) in
                self.rules.aliases.iter().filter(|(name, _, _)| *name == shape.name)
            {
                if let (Some(ty), Some(target)) = (self.shapes.ty(ty), self.target(other))
                    && self.shape(target).ty == ty
                    && let Some(map) = self.map(&shape.name, &shape.fields, target, true)
                {
                    self.done.others.insert((place, ty), Plan::Map(map));
                }
            }
            for row in self.rules.nestings.iter().filter(|row| row.flat == shape.name) {
                if let Some(target) = self.target(row.outer)
                    && self.shape(target).field(row.field).is_some()
                    && shape.field(row.field).is_none()
                    && let Some(map) = self.map(&shape.name, &shape.fields, target, true)
                {
                    self.done.others.insert((place, self.shape(target).ty), Plan::Map(map));
                }
            }
            self.flatten(place);
        }
    }

    /// Makes one object of two where the target knows it so.
    fn flatten(&mut self, place: u32) {
        let outer = self.shape(place);
        let rows = self.rules.nestings.iter().filter(|row| row.outer == outer.name);
        for row in rows {
            let Some(field) = outer.field(row.field) else { continue };
            let Some(flat) = self.target(row.flat) else { continue };
            if self.shape(flat).field(row.field).is_some() {
                continue;
            }
            let Some(inner) = self.newest(row.inner) else { continue };
            let fields = joined(outer, field, self.shape(inner));
            let Some(map) = self.map(&outer.name, &fields, flat, true) else { continue };
            let case = Flat { inner: self.shape(inner).id, fields, map };
            let key = (place, self.shape(flat).ty);
            let plan =
                self.done.others.entry(key).or_insert_with(|| Plan::Flatten(field, Vec::new()));
            if let Plan::Flatten(_, cases) = plan {
                cases.push(case);
            }
        }
    }

    fn newest(&self, name: &str) -> Option<u32> {
        let is_meant = |shape: &Shape| shape.is_newest && shape.name == name;
        self.shapes.list.iter().position(is_meant).map(|place| place as u32)
    }

    fn fallbacks(&mut self) {
        for row in self.rules.fallbacks {
            let (Some(ty), Some(target)) = (self.shapes.ty(row.ty), self.target(row.constructor))
            else {
                continue;
            };
            for place in self.accepted() {
                let shape = self.shape(place);
                let has_all = row.needs.iter().all(|name| shape.field(name).is_some());
                if shape.ty == ty
                    && has_all
                    && !self.done.fallbacks.contains_key(&(ty, place))
                    && let Some(map) = self.map(&shape.name, &shape.fields, target, true)
                {
                    self.done.fallbacks.insert((ty, place), map);
                }
            }
        }
    }

    fn answers(&mut self) {
        let functions = self.shapes.list.iter().filter(|shape| shape.section == Section::Functions);
        let newest: HashMap<&str, &Kind> = functions
            .clone()
            .filter(|shape| shape.is_newest)
            .map(|shape| (shape.name.as_str(), &shape.result))
            .collect();
        for called in functions {
            if let Some(result) = newest.get(called.name.as_str()) {
                let how = self.how(result, &called.result);
                self.done.answers.insert(called.id, how);
            }
        }
    }
}

/// The fields of a value and of what is in one of its fields, as their bytes follow each other.
fn joined(outer: &Shape, at: usize, inner: &Shape) -> Vec<Field> {
    let is_word = |field: &&Field| matches!(field.kind, Kind::Word(_));
    let words = outer.fields.iter().filter(is_word).count() as u8;
    let id = Field { name: String::new(), kind: Kind::Int, condition: outer.fields[at].condition };
    let inner = inner.fields.iter().map(|field| Field {
        name: if matches!(field.kind, Kind::Word(_)) { String::new() } else { field.name.clone() },
        kind: match &field.kind {
            Kind::Word(word) => Kind::Word(word + words),
            kind => kind.clone(),
        },
        condition: field.condition.map(|of| Condition {
            word: of.word + words,
            known_after: of.known_after + at as u16 + 1,
            ..of
        }),
    });
    let mut fields = outer.fields[..at].to_vec();
    fields.push(id);
    fields.extend(inner);
    let longer = (fields.len() - (at + 1)) as u16;
    fields.extend(outer.fields[at + 1..].iter().cloned().map(|mut field| {
        if let Some(condition) = &mut field.condition
            && usize::from(condition.known_after) > at
        {
            condition.known_after += longer;
        }
        field
    }));
    fields
}

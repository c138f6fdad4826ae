//! What to do with each definition for one target layer.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Transcoder;
use super::rules::{Nesting, Rules};
use super::shapes::{Field, Kind, Shape, Shapes};
use crate::history::History;
use crate::schema::Section;
use crate::wire::{BOOL_FALSE_ID, VECTOR_ID};

/// What to do with a value of one shape.
#[derive(Debug)]
pub(super) enum Plan {
    /// The target has it, and everything that may be inside.
    Clean,
    /// The target has it; what is inside may change.
    Keep(Map),
    /// The target has another definition of that name.
    Map(Map),
    /// Its fields and those of what is in that field become one object.
    Flatten(usize, Vec<Flat>),
    /// The target has nothing of the kind.
    Nothing,
}

/// A value with another inside, as one.
#[derive(Debug)]
pub(super) struct Flat {
    /// Id of the value inside.
    pub(super) inner: u32,
    /// The fields of both, in the order of their bytes.
    pub(super) fields: Vec<Field>,
    pub(super) map: Map,
}

/// How the fields of one definition become those of another.
#[derive(Debug)]
pub(super) struct Map {
    pub(super) id: u32,
    pub(super) steps: Vec<Step>,
    pub(super) groups: Vec<Group>,
}

#[derive(Debug)]
pub(super) enum Step {
    /// A word of flags begins: its place among the words.
    Word(u8),
    Field {
        source: Source,
        /// Place among the groups, of a conditional field.
        group: Option<usize>,
        /// The bytes if the source does not have it.
        default: Option<Vec<u8>>,
    },
}

#[derive(Debug)]
pub(super) enum Source {
    Nothing,
    /// The field at that place.
    Field(usize, How),
    /// An object made of fields beside it, where the field at that place is there.
    Gather(Option<usize>, Box<Map>),
}

/// Fields of the target that share a bit: all are there, or none.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) word: u8,
    pub(super) bit: u8,
    /// Fields of the source that have to be there.
    pub(super) needs: Vec<usize>,
}

/// How a value of one kind becomes one of another.
#[derive(Debug)]
pub(super) enum How {
    /// The same kind, and nothing inside may change.
    Clean(Kind),
    /// The same kind.
    Walk(Kind),
    /// A bit.
    Flag,
    IntToLong,
    /// If it fits.
    LongToInt,
    IntToDouble,
    DoubleToInt,
    Vector(Kind, Box<How>),
    /// A constructor that stands for a value of the type.
    Boxed(u32),
    /// A field of the value: shape, place of the field.
    Project(Vec<(u32, usize, How)>),
    /// The value between those bytes.
    Wrap(Vec<u8>, Box<How>, Vec<u8>),
}

impl Transcoder {
    pub(super) fn new(
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

/// The types whose values may need a change anywhere inside.
fn dirty_types(
    transcoder: &Transcoder,
    named: &HashMap<(Section, &str), u32>,
    rules: &Rules,
) -> Vec<bool> {
    let shapes = &transcoder.shapes;
    let mut dirty = vec![false; shapes.types.len()];
    // What others wrote may have a constructor where it is not of the type.
    for (_, ty, _) in rules.aliases.iter().filter(|_| transcoder.strict) {
        shapes.ty(ty).into_iter().for_each(|ty| dirty[ty as usize] = true);
    }
    let accepted = |place: &u32| transcoder.accepts(*place);
    loop {
        let mut changed = false;
        for place in (0..shapes.list.len() as u32).filter(accepted) {
            let shape = &shapes.list[place as usize];
            let is_same = named.get(&(shape.section, shape.name.as_str())) == Some(&place);
            let is_dirty =
                !is_same || shape.fields.iter().any(|field| is_dirty(&field.kind, &dirty));
            if is_dirty && shape.section == Section::Types && !dirty[shape.ty as usize] {
                dirty[shape.ty as usize] = true;
                changed = true;
            }
        }
        if !changed {
            return dirty;
        }
    }
}

pub(super) fn is_dirty(kind: &Kind, dirty: &[bool]) -> bool {
    match kind {
        Kind::Object => true,
        _ => kind.inner_type().is_some_and(|ty| dirty[ty as usize]),
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

    /// `None` where the target has a field that it needs and nothing gives it.
    fn map(&self, name: &str, fields: &[Field], target: u32, gathers: bool) -> Option<Map> {
        let target = self.shape(target);
        let mut steps = Vec::new();
        let mut groups: Vec<Group> = Vec::new();
        let (mut given, mut impossible) = (BTreeSet::new(), BTreeSet::new());
        for field in &target.fields {
            if let Kind::Word(word) = field.kind {
                steps.push(Step::Word(word));
                continue;
            }
            let source = self.source(name, fields, field, target, gathers);
            let default = self.default(&field.kind);
            let is_given = !matches!(source, Source::Nothing);
            let group = match field.condition {
                None if !is_given && default.is_none() => return None,
                None => None,
                Some((word, bit)) => {
                    let place =
                        groups.iter().position(|group| (group.word, group.bit) == (word, bit));
                    let place = place.unwrap_or_else(|| {
                        groups.push(Group { word, bit, needs: Vec::new() });
                        groups.len() - 1
                    });
                    match &source {
                        Source::Field(at, _) | Source::Gather(Some(at), _) => {
                            groups[place].needs.push(*at);
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

    fn how(&self, from: &Kind, to: &Kind) -> Option<How> {
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
                        condition.filter(|(of, _)| of == word).map_or(0, |(_, bit)| 1u32 << bit);
                    side.extend(bit.to_le_bytes());
                }
                (_, Some(_)) => {}
                (kind, None) => side.extend(self.default(kind)?),
            }
        }
        Some(How::Wrap(before, Box::new(how?), after))
    }

    /// Nothing, of that kind.
    fn default(&self, kind: &Kind) -> Option<Vec<u8>> {
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
        condition: field.condition.map(|(word, bit)| (word + words, bit)),
    });
    let mut fields = outer.fields[..at].to_vec();
    fields.push(id);
    fields.extend(inner);
    fields.extend_from_slice(&outer.fields[at + 1..]);
    fields
}

/// See [`Transcoder::uncovered`].
pub(super) fn uncovered(
    transcoder: &Transcoder,
    functions: &[&str],
    types: &[&str],
) -> Vec<String> {
    let shapes = &transcoder.shapes;
    let results = shapes.list.iter().filter(|shape| {
        shape.is_newest && shape.section == Section::Functions && functions.contains(&&*shape.name)
    });
    let mut open: Vec<u32> = results.filter_map(|shape| shape.result.inner_type()).collect();
    open.extend(types.iter().filter_map(|name| shapes.ty(name)));
    let mut seen: BTreeSet<u32> = BTreeSet::new();
    let mut names = BTreeSet::new();
    while let Some(ty) = open.pop() {
        if !seen.insert(ty) {
            continue;
        }
        for (place, shape) in shapes.list.iter().enumerate() {
            if !shape.is_newest || shape.ty != ty || shape.section != Section::Types {
                continue;
            }
            let place = place as u32;
            let is_covered = !matches!(transcoder.plans[place as usize], Plan::Nothing)
                || transcoder.others.keys().any(|(of, _)| *of == place)
                || transcoder.substitutes.contains_key(&ty)
                || transcoder.fallbacks.contains_key(&(ty, place));
            if !is_covered {
                names.insert(shape.name.clone());
            }
            open.extend(shape.fields.iter().filter_map(|field| field.kind.inner_type()));
        }
    }
    names.into_iter().collect()
}

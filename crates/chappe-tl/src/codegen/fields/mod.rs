//! The fields of one definition: what a struct stores of them. The code that reads them is in
//! `read.rs`, the code that writes them in `write.rs`.
//!
//! A word of flags is never stored: it follows from the fields it governs. Fields that share a
//! bit are one `Option` of a tuple, so that none of them can be there without the others; a
//! `true` that shares its bit with a value is a method that looks for the value.

mod read;
mod write;

use std::collections::BTreeSet;
use std::fmt::Write;

use super::layout::Layout;
use super::names::{Names, escape, snake};
use crate::schema::{Count, Definition, Param, Schema, SchemaError, Section, Type};

/// What a struct of generated code is made of.
pub(super) struct Fields<'a> {
    definition: &'a Definition,
    context: Context<'a>,
    /// For each field of the definition, where its value is.
    slots: Vec<Slot>,
    stored: Vec<Stored>,
}

/// What the fields are seen against.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) schema: &'a Schema,
    pub(super) names: &'a Names,
    pub(super) layout: &'a Layout<'a>,
}

/// Where the value of a field of the definition is.
enum Slot {
    /// A word of flags or a count: computed.
    Word,
    /// A field of its own.
    Field(usize),
    /// An element of the tuple of a shared bit.
    Member { stored: usize, place: usize },
    /// Whether another field is there.
    Presence { stored: usize, name: String },
}

/// A field of the struct.
struct Stored {
    name: String,
    ty: String,
    /// Fields of the definition in it.
    params: Vec<usize>,
    is_boxed: bool,
}

/// The presence a field depends on: name of the word, and bit.
type Key<'a> = (&'a str, Option<u8>);

impl<'a> Fields<'a> {
    pub(super) fn new(
        definition: &'a Definition,
        context: Context<'a>,
    ) -> Result<Self, SchemaError> {
        let mut fields = Self { definition, context, slots: Vec::new(), stored: Vec::new() };
        let mut names = UniqueNames::default();
        for (place, param) in definition.params.iter().enumerate() {
            let is_last = place + 1 == definition.params.len();
            if takes_the_rest(&param.ty) && !is_last {
                return Err(fields.error("nothing says where an Object ends, so it comes last"));
            }
            let slot = if is_word(definition, place) {
                if param.condition.is_some() {
                    return Err(fields.error("a # field that governs others is conditional"));
                }
                Slot::Word
            } else {
                let stored =
                    fields.stored_for(param).unwrap_or_else(|| fields.store(place, &mut names));
                fields.slot(stored, place, &mut names)
            };
            fields.slots.push(slot);
        }
        fields.find_types()?;
        Ok(fields)
    }

    /// The stored field that has the presence of `param`, if there is one yet.
    fn stored_for(&self, param: &Param) -> Option<usize> {
        let key = key(param)?;
        let params = &self.definition.params;
        self.stored.iter().position(|stored| key_matches(&params[stored.params[0]], key))
    }

    /// Makes a stored field for the field at `place` and for all values that share its bit.
    fn store(&mut self, place: usize, names: &mut UniqueNames) -> usize {
        let params = &self.definition.params;
        let mut together = vec![place];
        if let Some(key) = key(&params[place]) {
            let shares = |place: &usize| key_matches(&params[*place], key);
            let values: Vec<usize> =
                (0..params.len()).filter(shares).filter(|p| !params[*p].is_flag()).collect();
            // Flags alone: the first of them holds the bit.
            if !values.is_empty() {
                together = values;
            }
        }
        let parts: Vec<String> = together.iter().map(|place| self.name(*place)).collect();
        let name = names.take(parts.join("_and_"));
        self.stored.push(Stored { name, ty: String::new(), params: together, is_boxed: false });
        self.stored.len() - 1
    }

    /// Where in a stored field the value of the field at `place` is.
    fn slot(&self, stored: usize, place: usize, names: &mut UniqueNames) -> Slot {
        let params = &self.stored[stored].params;
        match params.iter().position(|param| *param == place) {
            Some(_) if params.len() == 1 => Slot::Field(stored),
            Some(place) => Slot::Member { stored, place },
            None => Slot::Presence { stored, name: names.take(self.name(place)) },
        }
    }

    /// The field's name in Rust, before it is made unique.
    fn name(&self, place: usize) -> String {
        match &self.definition.params[place].name {
            Some(name) => snake(name),
            None => format!("field_{}", place + 1),
        }
    }

    fn find_types(&mut self) -> Result<(), SchemaError> {
        let owner = match (&self.definition.section, &self.definition.result) {
            (Section::Types, Type::Boxed { name, .. }) => Some(name.as_str()),
            _ => None,
        };
        for index in 0..self.stored.len() {
            let params: Vec<&Param> =
                self.stored[index].params.iter().map(|p| &self.definition.params[*p]).collect();
            let first = params[0];
            let optional = first.condition.is_some();
            let types: Vec<String> =
                params.iter().map(|param| self.rust_type(&param.ty)).collect::<Result<_, _>>()?;
            let counted = |p: &&Param| matches!(p.ty, Type::Repeat { count: Count::Param(_), .. });
            if optional && params.iter().any(counted) {
                return Err(self.error("a counted repetition is conditional"));
            }
            let layout = self.context.layout;
            let is_single = types.len() == 1;
            let is_boxed =
                is_single && !first.is_flag() && layout.is_boxed_field(owner, &first.ty, optional);
            if !is_single && params.iter().any(|p| layout.is_boxed_field(owner, &p.ty, false)) {
                return Err(self.error("a field of a shared bit holds its own type"));
            }
            let mut ty =
                if is_single { types[0].clone() } else { format!("({})", types.join(", ")) };
            if is_boxed {
                ty = format!("Box<{ty}>");
            }
            if first.is_flag() {
                ty = "bool".into();
            } else if optional {
                ty = format!("Option<{ty}>");
            }
            let stored = &mut self.stored[index];
            (stored.ty, stored.is_boxed) = (ty, is_boxed);
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }

    /// The fields of the struct, as they are declared.
    pub(super) fn declare(&self, out: &mut String) {
        for Stored { name, ty, .. } in &self.stored {
            let _ = write!(out, "pub {}: {ty}, ", escape(name));
        }
    }

    /// Methods for the `true` fields that follow from other fields.
    pub(super) fn presence_methods(&self, out: &mut String) {
        for slot in &self.slots {
            let Slot::Presence { stored, name } = slot else { continue };
            let Stored { name: field, ty, .. } = &self.stored[*stored];
            let test = if ty == "bool" { "" } else { ".is_some()" };
            let (name, field) = (escape(name), escape(field));
            let _ = write!(out, "#[inline] pub fn {name}(&self) -> bool {{ self.{field}{test} }} ");
        }
    }

    fn is_boxed(&self, place: usize) -> bool {
        matches!(self.slots[place], Slot::Field(stored) if self.stored[stored].is_boxed)
    }

    /// The place of the word that governs a field.
    fn word_of(&self, place: usize) -> usize {
        let field = self.definition.params[place].condition.as_ref().map(|c| &c.field);
        let is_it = |param: &Param| param.name.as_ref() == field;
        self.definition.params.iter().position(is_it).unwrap_or_default()
    }

    /// The Rust type of a TL type.
    pub(super) fn rust_type(&self, ty: &Type) -> Result<String, SchemaError> {
        let names = self.context.names;
        Ok(match ty {
            Type::Int => "i32".into(),
            Type::Long => "i64".into(),
            Type::Double => "f64".into(),
            Type::String => "_g::Str".into(),
            Type::Bytes => "_g::Bytes".into(),
            Type::Int128 => "[u8; 16]".into(),
            Type::Int256 => "[u8; 32]".into(),
            Type::Nat => "u32".into(),
            Type::Bool => "bool".into(),
            Type::True => "()".into(),
            Type::Object => "_g::Raw".into(),
            Type::Vector { item, .. } => format!("Vec<{}>", self.rust_type(item)?),
            Type::Query(variable) => variable.clone(),
            Type::Boxed { name, args } if args.is_empty() => {
                if self.context.schema.constructors_of(name).any(|c| c.builtin) {
                    return Err(self.error(&format!("the boxed built-in {name} has no Rust form")));
                }
                names.ty(name).rust()
            }
            Type::Bare { name, args } if args.is_empty() => names.constructor(name).rust(),
            Type::Repeat { count, params } => {
                let item = self.rust_type(self.repeated(params)?)?;
                match count {
                    Count::Fixed(count) if *count <= FIXED_MAX => format!("[{item}; {count}]"),
                    Count::Fixed(_) => return Err(self.error("the repetition is too long")),
                    _ => format!("Vec<{item}>"),
                }
            }
            _ => return Err(self.no_rust_form()),
        })
    }

    /// The single thing repeated in `n*[ … ]`.
    fn repeated<'b>(&self, params: &'b [Param]) -> Result<&'b Type, SchemaError> {
        match params {
            [param] if param.condition.is_none() && !matches!(param.ty, Type::Repeat { .. }) => {
                Ok(&param.ty)
            }
            _ => Err(self.error("a repetition of more than one field has no Rust form")),
        }
    }

    fn no_rust_form(&self) -> SchemaError {
        self.error("parameterised types have no Rust form")
    }

    fn error(&self, reason: &str) -> SchemaError {
        let Definition { name, line, .. } = self.definition;
        SchemaError::new(*line, format!("{name}: {reason}"))
    }
}

/// Names in one struct and its methods: the second of a kind gets a number.
#[derive(Default)]
struct UniqueNames(BTreeSet<String>);

impl UniqueNames {
    fn take(&mut self, name: String) -> String {
        let mut candidate = name.clone();
        for number in 2.. {
            if self.0.insert(candidate.clone()) {
                break;
            }
            candidate = format!("{name}_{number}");
        }
        candidate
    }
}

/// Whether the field at `place` is a word of flags or a count.
fn is_word(definition: &Definition, place: usize) -> bool {
    let param = &definition.params[place];
    // A word of flags may govern nothing yet; it is written as zero all the same.
    let is_reserved = param.name.as_ref().is_some_and(|name| name.starts_with("flags"));
    let governs = |other: &Param| {
        let by_name =
            other.condition.as_ref().is_some_and(|c| param.name.as_ref() == Some(&c.field));
        let counts =
            matches!(&other.ty, Type::Repeat { count: Count::Param(p), .. } if *p == place);
        by_name || counts
    };
    param.ty == Type::Nat && (is_reserved || definition.params.iter().any(governs))
}

/// Whether reading the type takes everything that is left.
fn takes_the_rest(ty: &Type) -> bool {
    match ty {
        Type::Object => true,
        Type::Vector { item, .. } => takes_the_rest(item),
        Type::Repeat { params, .. } => params.iter().any(|param| takes_the_rest(&param.ty)),
        _ => false,
    }
}

/// Whether the type's own `Read` and `Encode` are its form on the wire.
fn is_plain(ty: &Type) -> bool {
    match ty {
        Type::Vector { boxed, item } => *boxed && is_plain(item),
        Type::Bare { .. } | Type::Repeat { .. } | Type::Query(_) | Type::Variable(_) => false,
        _ => true,
    }
}

fn key(param: &Param) -> Option<Key<'_>> {
    param.condition.as_ref().map(|condition| (condition.field.as_str(), condition.bit))
}

fn key_matches(param: &Param, wanted: Key<'_>) -> bool {
    key(param) == Some(wanted)
}

/// Longest `n*[ … ]` that becomes an array.
const FIXED_MAX: u32 = 1024;

//! The fields of one definition: what a struct stores, and the code that reads and writes it.
//!
//! A word of flags is never stored: it follows from the fields it governs. Fields that share a
//! bit are one `Option` of a tuple, so that none of them can be there without the others; a
//! `true` that shares its bit with a value is a method that looks for the value.

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
        let mut used = BTreeSet::new();
        let mut unique = |name: String| {
            let mut candidate = name.clone();
            for number in 2.. {
                if used.insert(candidate.clone()) {
                    break;
                }
                candidate = format!("{name}_{number}");
            }
            candidate
        };
        let is_word = |place: usize, param: &Param| {
            // A word of flags may govern nothing yet; it is written as zero all the same.
            let is_reserved = param.name.as_ref().is_some_and(|name| name.starts_with("flags"));
            param.ty == Type::Nat
                && (is_reserved || definition.params.iter().any(|other| {
                    let governs = other.condition.as_ref().map(|c| Some(&c.field));
                    governs == Some(param.name.as_ref())
                        || matches!(&other.ty, Type::Repeat { count: Count::Param(p), .. } if *p == place)
                }))
        };
        for (place, param) in definition.params.iter().enumerate() {
            let named = |param: &Param, place: usize| match &param.name {
                Some(name) => snake(name),
                None => format!("field_{}", place + 1),
            };
            let slot = if is_word(place, param) {
                if param.condition.is_some() {
                    return Err(fields.error("a # field that governs others is conditional"));
                }
                Slot::Word
            } else if let Some(shared) = fields.stored_for(param) {
                // Somebody before it has the same bit.
                if param.is_flag() {
                    Slot::Presence { stored: shared, name: unique(named(param, place)) }
                } else {
                    let stored = &mut fields.stored[shared];
                    stored.params.push(place);
                    Slot::Member { stored: shared, place: stored.params.len() - 1 }
                }
            } else {
                let values = fields.values_of(param);
                let params = match values.first() {
                    // The first of several fields of a bit makes room for all.
                    Some(first) => vec![*first],
                    None => vec![place],
                };
                let parts: Vec<String> = if values.is_empty() {
                    vec![named(param, place)]
                } else {
                    values.iter().map(|value| named(&definition.params[*value], *value)).collect()
                };
                let name = unique(parts.join("_and_"));
                fields.stored.push(Stored { name, ty: String::new(), params, is_boxed: false });
                let stored = fields.stored.len() - 1;
                if param.is_flag() && !values.is_empty() {
                    Slot::Presence { stored, name: unique(named(param, place)) }
                } else if values.len() > 1 {
                    Slot::Member { stored, place: 0 }
                } else {
                    Slot::Field(stored)
                }
            };
            fields.slots.push(slot);
        }
        fields.settle_members();
        fields.find_types()?;
        Ok(fields)
    }

    /// Fields of the definition that have bytes and the same presence as `param`.
    fn values_of(&self, param: &Param) -> Vec<usize> {
        let Some(key) = key(param) else { return Vec::new() };
        let all = self.definition.params.iter().enumerate();
        all.filter(|(_, p)| key_matches(p, key) && !p.is_flag()).map(|(place, _)| place).collect()
    }

    /// The stored field that has the presence of `param`, if there is one yet.
    fn stored_for(&self, param: &Param) -> Option<usize> {
        let key = key(param)?;
        let params = &self.definition.params;
        self.stored.iter().position(|stored| key_matches(&params[stored.params[0]], key))
    }

    /// A bit met first at a `true` has named its first value already: make the numbers agree.
    fn settle_members(&mut self) {
        for (index, stored) in self.stored.iter_mut().enumerate() {
            stored.params.dedup();
            for (place, param) in stored.params.iter().enumerate() {
                if stored.params.len() > 1 {
                    self.slots[*param] = Slot::Member { stored: index, place };
                } else {
                    self.slots[*param] = Slot::Field(index);
                }
            }
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
            let is_single = types.len() == 1;
            let is_boxed = is_single
                && !first.is_flag()
                && self.context.layout.is_boxed_field(owner, &first.ty, optional);
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

    /// The body of a function that reads the fields off `r`, up to the `Self { … }`.
    pub(super) fn read(&self) -> Result<String, SchemaError> {
        let last_word = self.slots.iter().rposition(|slot| matches!(slot, Slot::Word));
        let scattered = self.stored.iter().filter(|s| !self.is_adjacent(s));
        let last_scattered = scattered.filter_map(|s| s.params.last().copied()).max();
        let cut = last_word.max(last_scattered);
        let mut lets = String::new();
        let mut literal = String::new();
        for (place, param) in self.definition.params.iter().enumerate() {
            if matches!(self.slots[place], Slot::Word) {
                let _ = write!(lets, "let n{place} = r.bits(); ");
            } else if cut.is_some_and(|cut| place <= cut) && !param.is_flag() {
                let value = self.read_param(place)?;
                let _ = write!(lets, "let v{place} = {value}; ");
            }
        }
        let is_read = |place: usize| cut.is_some_and(|cut| place <= cut);
        for stored in &self.stored {
            let name = escape(&stored.name);
            let first = stored.params[0];
            let value = if stored.params.len() == 1 {
                if is_read(first) && !self.definition.params[first].is_flag() {
                    format!("v{first}")
                } else {
                    self.read_param(first)?
                }
            } else if is_read(first) {
                self.zip(&stored.params)
            } else {
                let values: Vec<String> = stored
                    .params
                    .iter()
                    .map(|place| self.read_type(&self.definition.params[*place].ty))
                    .collect::<Result<_, _>>()?;
                let present = self.presence(first);
                format!("r.opt_with({present}, |r| ({}))", values.join(", "))
            };
            let _ = write!(literal, "{name}: {value}, ");
        }
        if self.stored.is_empty() {
            Ok(lets + "Self")
        } else {
            Ok(format!("{lets}Self {{ {literal}}}"))
        }
    }

    /// Options that are there together, as an option of a tuple.
    fn zip(&self, params: &[usize]) -> String {
        let values: Vec<String> = params.iter().map(|place| format!("v{place}")).collect();
        let some: Vec<String> = params.iter().map(|place| format!("Some(v{place})")).collect();
        format!(
            "match ({}) {{ ({}) => Some(({})), _ => None }}",
            values.join(", "),
            some.join(", "),
            values.join(", ")
        )
    }

    /// Whether the members of a shared bit follow each other on the wire.
    fn is_adjacent(&self, stored: &Stored) -> bool {
        let (Some(first), Some(last)) = (stored.params.first(), stored.params.last()) else {
            return true;
        };
        (*first..=*last)
            .all(|place| stored.params.contains(&place) || self.definition.params[place].is_flag())
    }

    /// An expression for the value of a field, read off `r`.
    fn read_param(&self, place: usize) -> Result<String, SchemaError> {
        let param = &self.definition.params[place];
        if param.is_flag() {
            return Ok(self.presence(place));
        }
        if let Type::Query(variable) = &param.ty {
            return Ok(format!("<{variable} as _g::Decode>::decode(r)?"));
        }
        let is_boxed = self.is_boxed(place);
        let mut value = self.read_type(&param.ty)?;
        if let Type::Repeat { count, params } = &param.ty {
            value = self.read_repeat(count, params)?;
        }
        if is_boxed {
            value = format!("Box::new({value})");
        }
        match &param.condition {
            None => Ok(value),
            Some(condition) => match condition.bit {
                Some(bit) if is_plain(&param.ty) => {
                    let opt = if is_boxed { "opt_box" } else { "opt" };
                    Ok(format!("r.{opt}(n{}, {bit})", self.word_of(place)))
                }
                _ => Ok(format!("r.opt_with({}, |r| {value})", self.presence(place))),
            },
        }
    }

    fn read_repeat(&self, count: &Count, params: &[Param]) -> Result<String, SchemaError> {
        let item = self.repeated(params)?;
        let value = self.read_type(item)?;
        match count {
            Count::Fixed(_) => Ok(format!("::std::array::from_fn(|_| {value})")),
            Count::Param(word) => {
                let min = self.context.layout.min_of(item);
                Ok(format!("r.repeat(n{word}.0, {min}, |r| {value})"))
            }
            Count::Generic(_) => Err(self.error("parameterised types have no Rust form")),
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

    /// An expression that tells whether a field is there, when reading.
    fn presence(&self, place: usize) -> String {
        let word = self.word_of(place);
        match self.definition.params[place].condition.as_ref().and_then(|c| c.bit) {
            Some(bit) => format!("n{word}.has({bit})"),
            None => format!("n{word}.0 != 0"),
        }
    }

    /// An expression of the type's value, read off `r`.
    fn read_type(&self, ty: &Type) -> Result<String, SchemaError> {
        if is_plain(ty) {
            return Ok("r.get()".into());
        }
        match ty {
            Type::Bare { .. } => Ok("r.fields()".into()),
            Type::Vector { boxed, item } => {
                let read = if *boxed { "vector_of" } else { "elements" };
                let (min, item) = (self.context.layout.min_of(item), self.read_type(item)?);
                Ok(format!("r.{read}({min}, |r| {item})"))
            }
            _ => Ok(String::new()),
        }
    }

    /// The statements that write the fields to `w`.
    pub(super) fn write(&self) -> Result<String, SchemaError> {
        let mut out = String::new();
        for (place, param) in self.definition.params.iter().enumerate() {
            match &self.slots[place] {
                Slot::Word => self.write_word(place, &mut out),
                Slot::Presence { .. } => {}
                Slot::Field(_) if param.is_flag() => {}
                Slot::Field(stored) => {
                    let name = escape(&self.stored[*stored].name);
                    self.write_field(place, &name, &mut out)?;
                }
                Slot::Member { stored, place: member } => {
                    let name = escape(&self.stored[*stored].name);
                    let write = self.write_type(&param.ty, &format!("&e.{member}"))?;
                    let _ = write!(out, "if let Some(e) = &self.{name} {{ {write}; }} ");
                }
            }
        }
        Ok(out)
    }

    fn write_field(&self, place: usize, name: &str, out: &mut String) -> Result<(), SchemaError> {
        let param = &self.definition.params[place];
        let is_boxed = self.is_boxed(place);
        let _ = if param.condition.is_none() {
            let value = if is_boxed { format!("&*self.{name}") } else { format!("&self.{name}") };
            write!(out, "{}; ", self.write_type(&param.ty, &value)?)
        } else if is_plain(&param.ty) {
            let opt = if is_boxed { "opt_box" } else { "opt" };
            write!(out, "w.{opt}(&self.{name}); ")
        } else {
            let value = if is_boxed { "&**e" } else { "e" };
            let write = self.write_type(&param.ty, value)?;
            write!(out, "if let Some(e) = &self.{name} {{ {write}; }} ")
        };
        Ok(())
    }

    /// Writes a word of flags or a count, computed from the fields it governs.
    fn write_word(&self, word: usize, out: &mut String) {
        let mut bits = String::new();
        let mut wholes = Vec::new();
        let mut counts = Vec::new();
        for stored in &self.stored {
            let first = stored.params[0];
            let param = &self.definition.params[first];
            let name = escape(&stored.name);
            if matches!(&param.ty, Type::Repeat { count: Count::Param(p), .. } if *p == word) {
                counts.push(format!("self.{name}.len()"));
            }
            if param.condition.is_none() || self.word_of(first) != word {
                continue;
            }
            let is_flag = stored.ty == "bool";
            let _ = match param.condition.as_ref().and_then(|c| c.bit) {
                Some(bit) if is_flag => write!(bits, ".flag({bit}, self.{name})"),
                Some(bit) => write!(bits, ".some({bit}, &self.{name})"),
                None => {
                    wholes.push(format!("self.{name}.is_some()"));
                    Ok(())
                }
            };
        }
        let start = match (wholes.first(), counts.first()) {
            (_, Some(count)) => format!("{count} as u32"),
            (Some(whole), None) if bits.is_empty() => format!("{whole} as u32"),
            _ => "0".into(),
        };
        let _ = write!(out, "let n{word} = _g::Bits({start}){bits}; w.put(&n{word}); ");
        // What is tied to the word in another way than by a bit of its own must agree with it.
        let tl_name = &self.definition.name;
        for whole in &wholes {
            let _ = write!(out, "w.agree((n{word}.0 != 0) == {whole}, {tl_name:?}); ");
        }
        for count in &counts {
            let _ = write!(out, "w.agree(n{word}.0 as usize == {count}, {tl_name:?}); ");
        }
    }

    /// A statement that writes what the reference `value` points to.
    fn write_type(&self, ty: &Type, value: &str) -> Result<String, SchemaError> {
        if is_plain(ty) {
            return Ok(format!("w.put({value})"));
        }
        match ty {
            Type::Bare { .. } => Ok(format!("w.fields({value})")),
            Type::Query(_) => Ok(format!("w.put({value})")),
            Type::Vector { boxed, item } => {
                let write = if *boxed { "vector_of" } else { "elements" };
                let item = self.write_type(item, "e")?;
                Ok(format!("w.{write}({value}, |e, w| {item})"))
            }
            Type::Repeat { params, .. } => {
                let item = self.write_type(self.repeated(params)?, "e")?;
                Ok(format!("w.repeat({value}, |e, w| {item})"))
            }
            _ => Err(self.error("parameterised types have no Rust form")),
        }
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
            _ => return Err(self.error("parameterised types have no Rust form")),
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

    fn error(&self, reason: &str) -> SchemaError {
        let Definition { name, line, .. } = self.definition;
        SchemaError::new(*line, format!("{name}: {reason}"))
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

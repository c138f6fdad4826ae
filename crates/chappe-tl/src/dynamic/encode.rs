//! Values by schema → bytes.

use bytes::Bytes;

use super::decode::number;
use super::error::{Error, Reason, similar};
use super::fields::{Bindings, Budget, is_implied, is_source, key, makes, sole};
use super::value::{Object, Value};
use crate::schema::{Condition, Count, Definition, Param, Schema, Type};
use crate::wire::{EncodeError, VECTOR_ID, Writer};

/// Writes `value` as one of type `ty`.
///
/// # Errors
/// The value is none of that type: a field is missing, unknown or of another kind, or fields that
/// hang on one bit do not agree; or it is nested deeper than a decoder accepts.
pub fn encode(schema: &Schema, ty: &Type, value: &Value) -> Result<Bytes, Error> {
    let mut encoder = Encoder { schema, writer: Writer::new(), budget: Budget::new() };
    encoder.value(ty, value, &Bindings::default())?;
    Ok(encoder.writer.finish()?)
}

struct Encoder<'s> {
    schema: &'s Schema,
    writer: Writer,
    budget: Budget,
}

impl<'s> Encoder<'s> {
    fn value(&mut self, ty: &Type, value: &Value, bindings: &Bindings) -> Result<(), Error> {
        let w = &mut self.writer;
        match (ty, value) {
            (Type::Int, Value::Int(value)) => w.i32(*value),
            (Type::Long, Value::Long(value)) => w.i64(*value),
            (Type::Double, Value::Double(value)) => w.f64(*value),
            (Type::Nat, Value::Nat(value)) => w.u32(*value),
            (Type::Bool | Type::Object, Value::Bool(value)) => w.bool(*value),
            (Type::True, Value::True) => {}
            (Type::String, Value::String(value)) => string(w, value)?,
            (Type::Bytes, Value::Bytes(value)) => string(w, value)?,
            (Type::Int128, Value::Int128(value)) => w.int128(value),
            (Type::Int256, Value::Int256(value)) => w.int256(value),
            (Type::Vector { boxed, item }, Value::Vector(values)) => {
                self.vector(*boxed, item, values, bindings)?;
            }
            (Type::Object, Value::Vector(values)) => {
                self.vector(true, &Type::Object, values, bindings)?;
            }
            (Type::Object, Value::Object(object)) => {
                let definition = anything(self.schema, object.name())?;
                self.boxed(definition, object, &Bindings::default())?;
            }
            (Type::Query(_), Value::Object(object)) => {
                let definition = function(self.schema, object.name())?;
                self.boxed(definition, object, &Bindings::default())?;
            }
            (Type::Boxed { name, args }, Value::Object(object)) => {
                let definition = constructor(self.schema, object.name(), name)?;
                let bindings = Bindings::of(definition, &bindings.close(args)?);
                self.boxed(definition, object, &bindings)?;
            }
            (Type::Bare { name, args }, Value::Object(object)) => {
                let definition = bare(self.schema, object.name(), name)?;
                let bindings = Bindings::of(definition, &bindings.close(args)?);
                self.object(definition, object, &bindings)?;
            }
            (Type::Variable(name), value) => {
                self.value(bindings.get(name)?, value, &Bindings::default())?;
            }
            (ty, value) => return Err(Error::mismatch(ty, kind(value))),
        }
        Ok(())
    }

    fn vector(
        &mut self,
        boxed: bool,
        item: &Type,
        values: &[Value],
        bindings: &Bindings,
    ) -> Result<(), Error> {
        if boxed {
            self.writer.u32(VECTOR_ID);
        }
        self.writer.count(values.len());
        self.elements(values, |encoder, value| encoder.value(item, value, bindings))
    }

    fn elements(
        &mut self,
        values: &[Value],
        mut write: impl FnMut(&mut Self, &Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.budget.enter()?;
        for (index, value) in values.iter().enumerate() {
            write(self, value).map_err(|error| error.at(index))?;
        }
        self.budget.leave();
        Ok(())
    }

    fn boxed(
        &mut self,
        definition: &Definition,
        object: &Object,
        bindings: &Bindings,
    ) -> Result<(), Error> {
        self.writer.u32(definition.id);
        self.object(definition, object, bindings)
    }

    fn object(
        &mut self,
        definition: &Definition,
        object: &Object,
        bindings: &Bindings,
    ) -> Result<(), Error> {
        for (name, _) in object.fields() {
            check_field(&definition.name, &definition.params, name)?;
        }
        self.budget.enter()?;
        self.params(&definition.params, object, bindings, &[])?;
        self.budget.leave();
        Ok(())
    }

    /// Fields from left to right; `outer` are the words around a repetition.
    fn params<'p>(
        &mut self,
        params: &'p [Param],
        object: &Object,
        bindings: &Bindings,
        outer: &[(&'p str, u32)],
    ) -> Result<(), Error> {
        let layout = Layout::of(params, object, outer)?;
        let named = |place: usize| params[place].name.as_deref().unwrap_or_default();
        let words: Vec<(&str, u32)> = outer
            .iter()
            .copied()
            .chain(layout.words.iter().enumerate().map(|(place, word)| (named(place), *word)))
            .collect();
        for (place, param) in params.iter().enumerate() {
            if !layout.present[place] {
                continue;
            }
            let key = key(params, place);
            let inside = |error: Error| error.inside(&key);
            if param.ty == Type::Nat {
                self.writer.u32(layout.words[place]);
                continue;
            }
            let missing = || Error::new(Reason::Missing { expected: param.ty.to_string() });
            let value = object.get(&key).ok_or_else(missing).map_err(inside)?;
            match &param.ty {
                Type::Repeat { count, params } => {
                    let expected = match count {
                        Count::Fixed(count) => *count,
                        Count::Param(place) => layout.words[*place],
                        Count::Generic(name) => number(bindings, name)?,
                    };
                    self.repeat(expected, params, value, bindings, &words)
                }
                ty => self.value(ty, value, bindings),
            }
            .map_err(inside)?;
        }
        Ok(())
    }

    fn repeat(
        &mut self,
        expected: u32,
        params: &[Param],
        value: &Value,
        bindings: &Bindings,
        words: &[(&str, u32)],
    ) -> Result<(), Error> {
        let Value::Vector(values) = value else {
            return Err(Error::mismatch("a repetition", kind(value)));
        };
        if values.len() != expected as usize {
            return Err(Error::new(Reason::Length { expected, got: values.len() }));
        }
        self.elements(values, |encoder, value| match (sole(params), value) {
            (Some(ty), value) => encoder.value(ty, value, bindings),
            (None, Value::Object(element)) => {
                for (name, _) in element.fields() {
                    check_field("the repetition", params, name)?;
                }
                encoder.params(params, element, bindings, words)
            }
            (None, value) => Err(Error::mismatch("fields", kind(value))),
        })
    }
}

/// Which fields are written, and the words that say so.
struct Layout {
    present: Vec<bool>,
    /// By place; 0 for a field that is no `#`.
    words: Vec<u32>,
}

impl Layout {
    /// A condition looks to the left, so the words are known when one goes from right to left.
    fn of(params: &[Param], object: &Object, outer: &[(&str, u32)]) -> Result<Self, Error> {
        let mut layout = Self { present: vec![false; params.len()], words: vec![0; params.len()] };
        for (place, param) in params.iter().enumerate().rev() {
            let given = object.get(&key(params, place));
            let inside = |error: Error| error.inside(&key(params, place));
            layout.present[place] = if is_implied(params, place) {
                layout.settle(params, place);
                param.condition.is_none() || layout.words[place] != 0
            } else if param.ty == Type::Nat {
                layout.words[place] = match given {
                    None => 0,
                    Some(Value::Nat(word)) => *word,
                    Some(other) => return Err(inside(Error::mismatch("#", kind(other)))),
                };
                given.is_some() || param.condition.is_none()
            } else {
                given.is_some() || param.condition.is_none()
            };
            if !layout.present[place] {
                continue;
            }
            if let (
                Type::Repeat { count: Count::Param(counter), .. },
                Some(Value::Vector(values)),
            ) = (&param.ty, given)
            {
                layout.words[*counter] = u32::try_from(values.len())
                    .map_err(|_| EncodeError::VectorTooLong { count: values.len() }.into())
                    .map_err(inside)?;
            }
            if let Some(Condition { bit: Some(bit), .. }) = &param.condition
                && let Some(source) = source(params, param)
                && is_implied(params, source)
            {
                layout.words[source] |= 1 << bit;
            }
        }
        layout.check(params, outer)?;
        Ok(layout)
    }

    /// A field that is present whenever the word is not 0 needs a bit when no other sets one.
    fn settle(&mut self, params: &[Param], word: usize) {
        let mut wanted = false;
        let mut taken = 0_u32;
        for (place, param) in params.iter().enumerate() {
            match &param.condition {
                Some(condition) if is_source(params, word, condition) => match condition.bit {
                    Some(bit) => taken |= 1 << bit,
                    None => wanted |= self.present[place],
                },
                _ => {}
            }
        }
        if wanted && self.words[word] == 0 {
            self.words[word] = 1_u32.checked_shl(taken.trailing_ones()).unwrap_or(1);
        }
    }

    /// Every conditional field is present if and only if its word says so.
    fn check(&self, params: &[Param], outer: &[(&str, u32)]) -> Result<(), Error> {
        for (place, param) in params.iter().enumerate() {
            let Some(condition) = &param.condition else { continue };
            let word = match source(params, param) {
                Some(source) => self.words[source],
                None => outer.iter().rev().find(|w| w.0 == condition.field).map_or(0, |w| w.1),
            };
            if condition.holds(word) != self.present[place] {
                let together = params
                    .iter()
                    .enumerate()
                    .filter(|(other, p)| *other != place && p.condition == param.condition)
                    .map(|(other, _)| key(params, other).into_owned())
                    .collect();
                let bit = condition.to_string().trim_end_matches('?').to_owned();
                let error = Error::new(Reason::Disagree { bit, together });
                return Err(error.inside(&key(params, place)));
            }
        }
        Ok(())
    }
}

/// Place of the word that a conditional field looks at, among the same fields.
fn source(params: &[Param], param: &Param) -> Option<usize> {
    let condition = param.condition.as_ref()?;
    (0..params.len()).find(|place| is_source(params, *place, condition))
}

fn string(w: &mut Writer, value: &[u8]) -> Result<(), Error> {
    if value.len() >= 1 << 24 {
        return Err(EncodeError::StringTooLong { length: value.len() }.into());
    }
    w.bytes(value);
    Ok(())
}

/// Refuses a field that the definition does not have, or that follows from others.
pub(super) fn check_field(within: &str, params: &[Param], name: &str) -> Result<(), Error> {
    let reason = match (0..params.len()).find(|place| key(params, *place) == name) {
        Some(place) if !is_implied(params, place) => return Ok(()),
        Some(_) => Reason::Implied,
        None => {
            let given = (0..params.len()).filter(|place| !is_implied(params, *place));
            let allowed: Vec<String> = given.map(|place| key(params, place).into_owned()).collect();
            let near = similar(name, allowed.iter().map(String::as_str));
            Reason::UnknownField { within: within.to_owned(), near, allowed }
        }
    };
    Err(Error::new(reason).inside(name))
}

/// The constructor of that name, which must make values of the type.
pub(super) fn constructor<'s>(
    schema: &'s Schema,
    name: &str,
    ty: &str,
) -> Result<&'s Definition, Error> {
    let found = schema.constructor(name).filter(|definition| makes(definition, ty));
    found.ok_or_else(|| Error::unknown_constructor(schema, name, ty))
}

/// The constructor of a bare type, which must be the one that is named.
pub(super) fn bare<'s>(
    schema: &'s Schema,
    name: &str,
    expected: &str,
) -> Result<&'s Definition, Error> {
    match schema.constructor(expected) {
        Some(definition) if name == expected => Ok(definition),
        _ => Err(Error::mismatch(expected, name)),
    }
}

/// The function of that name.
pub(super) fn function<'s>(schema: &'s Schema, name: &str) -> Result<&'s Definition, Error> {
    schema.function(name).ok_or_else(|| Error::unknown_function(schema, name, false))
}

/// The constructor of that name, or else the function.
pub(super) fn anything<'s>(schema: &'s Schema, name: &str) -> Result<&'s Definition, Error> {
    let found = schema.constructor(name).filter(|definition| !definition.builtin);
    found
        .or_else(|| schema.function(name))
        .ok_or_else(|| Error::unknown_function(schema, name, true))
}

/// What a value is, for an error.
fn kind(value: &Value) -> String {
    match value {
        Value::Int(value) => format!("int {value}"),
        Value::Long(value) => format!("long {value}"),
        Value::Double(value) => format!("double {value}"),
        Value::Nat(value) => format!("# {value}"),
        Value::Bool(value) => format!("Bool {value}"),
        Value::True => "true".to_owned(),
        Value::String(value) => format!("string of {} bytes", value.len()),
        Value::Bytes(value) => format!("bytes ({})", value.len()),
        Value::Int128(_) => "int128".to_owned(),
        Value::Int256(_) => "int256".to_owned(),
        Value::Vector(values) => format!("a vector of {}", values.len()),
        Value::Object(object) => object.name().to_owned(),
    }
}

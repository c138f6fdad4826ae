//! Bytes → values by schema.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::error::{Error, Reason};
use super::fields::{Bindings, Budget, is_implied, key, makes, min_size, min_size_of, sole};
use super::value::{Object, Value};
use crate::schema::{Condition, Count, Definition, Param, Schema, Section, Type};
use crate::wire::{
    BOOL_FALSE_ID, BOOL_TRUE_ID, DecodeError, DecodeErrorKind, Limits, Reader, VECTOR_ID,
};

/// Reads one value of type `ty`; nothing may follow it. Strings are slices of `data`.
///
/// A vector where an `Object` is expected is read as one of boxed values: nothing says more.
///
/// # Errors
/// The bytes are no such value, or go beyond the limits of [`Reader`] or
/// [`VALUES_MAX`](super::VALUES_MAX).
pub fn decode(schema: &Schema, ty: &Type, data: Bytes) -> Result<Value, Error> {
    let reader = Reader::new(data);
    let mut decoder = Decoder { schema, reader, budget: Budget::new(), names: HashMap::new() };
    let value = decoder.value(ty, &Bindings::default())?;
    decoder.reader.finish()?;
    Ok(value)
}

struct Decoder<'s> {
    schema: &'s Schema,
    reader: Reader,
    budget: Budget,
    /// Names in use, so that a thousand objects share one copy.
    names: HashMap<&'s str, Arc<str>>,
}

impl<'s> Decoder<'s> {
    fn value(&mut self, ty: &Type, bindings: &Bindings) -> Result<Value, Error> {
        self.budget.spend()?;
        Ok(match ty {
            Type::Int => Value::Int(self.reader.i32()?),
            Type::Long => Value::Long(self.reader.i64()?),
            Type::Double => Value::Double(self.reader.f64()?),
            Type::Nat => Value::Nat(self.reader.u32()?),
            Type::Bool => Value::Bool(self.reader.bool()?),
            Type::True => Value::True,
            Type::String => Value::String(self.reader.str()?),
            Type::Bytes => Value::Bytes(self.reader.bytes()?),
            Type::Int128 => Value::Int128(self.reader.int128()?),
            Type::Int256 => Value::Int256(self.reader.int256()?),
            Type::Object => self.any()?,
            Type::Query(_) => {
                let definition =
                    self.definition("function", |d| d.section == Section::Functions)?;
                self.object(definition, &Bindings::default())?
            }
            Type::Boxed { name, args } => {
                let definition = self.definition(name, |d| makes(d, name))?;
                self.object(definition, &Bindings::of(definition, &bindings.close(args)?))?
            }
            Type::Bare { name, args } => {
                let definition = self.schema.constructor(name);
                let definition = definition.ok_or_else(|| {
                    Error::unknown_constructor(self.schema, name, &ty.to_string())
                })?;
                self.object(definition, &Bindings::of(definition, &bindings.close(args)?))?
            }
            Type::Vector { boxed, item } => {
                if *boxed {
                    self.reader.expect_id(VECTOR_ID, "Vector")?;
                }
                let min = min_size(self.schema, item, bindings, Limits::default().depth);
                let count = self.count(min)?;
                self.elements(count, |decoder| decoder.value(item, bindings))?
            }
            Type::Variable(name) => self.value(bindings.get(name)?, &Bindings::default())?,
            Type::Number(_) | Type::Repeat { .. } => {
                return Err(Error::mismatch("a type", ty.to_string()));
            }
        })
    }

    /// Any boxed value or call.
    fn any(&mut self) -> Result<Value, Error> {
        match self.reader.peek_id() {
            Some(BOOL_TRUE_ID | BOOL_FALSE_ID) => Ok(Value::Bool(self.reader.bool()?)),
            Some(VECTOR_ID) => {
                let item = Box::new(Type::Object);
                self.value(&Type::Vector { boxed: true, item }, &Bindings::default())
            }
            _ => {
                let definition = self.definition("Object", |d| !d.builtin)?;
                self.object(definition, &Bindings::default())
            }
        }
    }

    /// Reads an id, which must be that of a definition that fits.
    fn definition(
        &mut self,
        expected: &str,
        fits: impl Fn(&Definition) -> bool,
    ) -> Result<&'s Definition, Error> {
        let offset = self.reader.position();
        let id = self.reader.u32()?;
        self.schema.by_id(id).filter(|definition| fits(definition)).ok_or_else(|| {
            Error::new(Reason::UnknownId { id, offset, expected: expected.to_owned() })
        })
    }

    fn object(&mut self, definition: &'s Definition, bindings: &Bindings) -> Result<Value, Error> {
        self.budget.enter()?;
        let fields = self.params(&definition.params, bindings, &[])?;
        self.budget.leave();
        Ok(Object::from_parts(self.name(&definition.name), fields).into())
    }

    /// Fields from left to right; `outer` are the words around a repetition.
    fn params(
        &mut self,
        params: &'s [Param],
        bindings: &Bindings,
        outer: &[(&'s str, u32)],
    ) -> Result<Vec<(Arc<str>, Value)>, Error> {
        let mut fields = Vec::new();
        let mut words = outer.to_vec();
        // By place, for counts without a name.
        let mut counts = vec![0; params.len()];
        for (place, param) in params.iter().enumerate() {
            if !param.condition.as_ref().is_none_or(|condition| holds(condition, &words)) {
                continue;
            }
            let inside = |error: Error| error.inside(&key(params, place));
            let value = match &param.ty {
                Type::Nat => {
                    let word = self.reader.u32().map_err(|error| inside(error.into()))?;
                    counts[place] = word;
                    words.push((param.name.as_deref().unwrap_or_default(), word));
                    if is_implied(params, place) {
                        continue;
                    }
                    self.budget.spend()?;
                    Value::Nat(word)
                }
                Type::Repeat { count, params } => {
                    let count = match count {
                        Count::Fixed(count) => *count,
                        Count::Param(place) => counts[*place],
                        Count::Generic(name) => number(bindings, name)?,
                    };
                    self.repeat(count, params, bindings, &words).map_err(inside)?
                }
                ty => self.value(ty, bindings).map_err(inside)?,
            };
            fields.push((self.key(params, place), value));
        }
        Ok(fields)
    }

    fn repeat(
        &mut self,
        count: u32,
        params: &'s [Param],
        bindings: &Bindings,
        words: &[(&'s str, u32)],
    ) -> Result<Value, Error> {
        self.budget.spend()?;
        let min = min_size_of(self.schema, params, bindings, Limits::default().depth);
        self.check_count(count, min)?;
        self.elements(count, |decoder| match sole(params) {
            Some(ty) => decoder.value(ty, bindings),
            None => {
                decoder.budget.spend()?;
                let fields = decoder.params(params, bindings, words)?;
                Ok(Object::from_parts(decoder.name(""), fields).into())
            }
        })
    }

    fn elements(
        &mut self,
        count: u32,
        mut read: impl FnMut(&mut Self) -> Result<Value, Error>,
    ) -> Result<Value, Error> {
        self.budget.enter()?;
        let mut values = Vec::new();
        for index in 0..count {
            values.push(read(self).map_err(|error| error.at(index as usize))?);
        }
        self.budget.leave();
        Ok(Value::Vector(values))
    }

    /// The count of a vector whose elements take at least `min` bytes each.
    fn count(&mut self, min: usize) -> Result<u32, Error> {
        let offset = self.reader.position();
        let count = self.reader.i32()?;
        let Ok(count) = u32::try_from(count) else {
            return Err(DecodeError { kind: DecodeErrorKind::BadLength, offset, within: "" }.into());
        };
        self.check_count(count, min)?;
        Ok(count)
    }

    fn check_count(&self, count: u32, min: usize) -> Result<(), Error> {
        let most = match min {
            0 => Limits::default().empty_elements as usize,
            min => self.reader.remaining() / min,
        };
        if count as usize <= most {
            return Ok(());
        }
        let kind = DecodeErrorKind::VectorTooLong { count: count as i32 };
        Err(DecodeError { kind, offset: self.reader.position(), within: "" }.into())
    }

    fn name(&mut self, name: &'s str) -> Arc<str> {
        self.names.entry(name).or_insert_with(|| name.into()).clone()
    }

    fn key(&mut self, params: &'s [Param], place: usize) -> Arc<str> {
        match &params[place].name {
            Some(name) => self.name(name),
            None => key(params, place).into(),
        }
    }
}

/// Whether a condition holds for the words read so far.
fn holds(condition: &Condition, words: &[(&str, u32)]) -> bool {
    let word = words.iter().rev().find(|(name, _)| *name == condition.field);
    condition.holds(word.map_or(0, |(_, word)| *word))
}

/// The number a variable stands for.
pub(super) fn number(bindings: &Bindings, name: &str) -> Result<u32, Error> {
    match bindings.get(name)? {
        Type::Number(number) => Ok(*number),
        other => Err(Error::mismatch("a number", other.to_string())),
    }
}

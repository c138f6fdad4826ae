//! JSON ⇄ values by schema; the table of forms is in the documentation of the folder.

mod base64;
mod example;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value as Json};

use super::encode::{anything, bare, check_field, constructor, function};
use super::error::{Error, Reason, constructors};
use super::fields::{Bindings, Budget, is_implied, key, sole};
use super::value::{Object, Value};
use crate::schema::{Definition, Param, Schema, Type};
use crate::wire::Str;

pub use example::example;

/// Integers up to this size are exact in every reader of JSON.
const SAFE_MAX: u64 = 1 << 53;

/// The JSON of a value, as [the module](crate::dynamic#json) describes it.
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Int(value) => (*value).into(),
        Value::Nat(value) => (*value).into(),
        Value::Long(value) if value.unsigned_abs() <= SAFE_MAX => (*value).into(),
        Value::Long(value) => value.to_string().into(),
        Value::Double(value) if value.is_nan() => "NaN".into(),
        Value::Double(value) if *value == f64::INFINITY => "Infinity".into(),
        Value::Double(value) if *value == f64::NEG_INFINITY => "-Infinity".into(),
        Value::Double(value) => (*value).into(),
        Value::Bool(value) => (*value).into(),
        Value::True => true.into(),
        Value::String(value) => match value.as_str() {
            Ok(text) => text.into(),
            Err(_) => {
                Json::Object(Map::from_iter([(ESCAPE.to_owned(), base64::encode(value).into())]))
            }
        },
        Value::Bytes(value) => base64::encode(value).into(),
        Value::Int128(value) => hex(value).into(),
        Value::Int256(value) => hex(value).into(),
        Value::Vector(values) => values.iter().map(to_json).collect(),
        Value::Object(object) => {
            let name = (!object.name().is_empty()).then(|| ("_".to_owned(), object.name().into()));
            let fields = object.fields().map(|(name, value)| (name.to_owned(), to_json(value)));
            Json::Object(name.into_iter().chain(fields).collect())
        }
    }
}

/// Reads a value of type `ty` from its JSON.
///
/// # Errors
/// The JSON is no such value; the error names the place and what may stand there.
pub fn from_json(schema: &Schema, ty: &Type, json: &Json) -> Result<Value, Error> {
    let mut parser = Parser { schema, budget: Budget::new(), names: HashMap::new() };
    parser.value(ty, json, &Bindings::default())
}

struct Parser<'s> {
    schema: &'s Schema,
    budget: Budget,
    /// Names in use, so that a thousand objects share one copy.
    names: HashMap<String, Arc<str>>,
}

impl<'s> Parser<'s> {
    fn value(&mut self, ty: &Type, json: &Json, bindings: &Bindings) -> Result<Value, Error> {
        self.budget.spend()?;
        let mismatch = || Error::mismatch(ty, shown(json));
        let object = || json.as_object().ok_or_else(mismatch);
        Ok(match ty {
            Type::Int => Value::Int(integer(json).ok_or_else(mismatch)?),
            Type::Nat => Value::Nat(integer(json).ok_or_else(mismatch)?),
            Type::Long => Value::Long(long(json).ok_or_else(mismatch)?),
            Type::Double => Value::Double(double(json).ok_or_else(mismatch)?),
            Type::Bool => Value::Bool(json.as_bool().ok_or_else(mismatch)?),
            Type::True if *json == Json::Bool(true) => Value::True,
            Type::True => return Err(mismatch()),
            Type::String => Value::String(string(json).ok_or_else(mismatch)?),
            Type::Bytes => Value::Bytes(
                bytes(json)
                    .ok_or_else(|| Error::mismatch("bytes as a base64 string", shown(json)))?,
            ),
            Type::Int128 => {
                Value::Int128(from_hex(json).ok_or_else(|| {
                    Error::mismatch("int128 as 32 hexadecimal digits", shown(json))
                })?)
            }
            Type::Int256 => {
                Value::Int256(from_hex(json).ok_or_else(|| {
                    Error::mismatch("int256 as 64 hexadecimal digits", shown(json))
                })?)
            }
            Type::Vector { item, .. } => {
                self.vector(item, json, bindings).ok_or_else(mismatch)??
            }
            Type::Object => match json {
                Json::Bool(value) => Value::Bool(*value),
                Json::Array(_) => self.vector(ty, json, bindings).ok_or_else(mismatch)??,
                _ => {
                    let fields = object()?;
                    let definition = anything(self.schema, &name(fields, "Object", Vec::new)?)?;
                    self.object(definition, fields, &Bindings::default())?
                }
            },
            Type::Query(_) => {
                let fields = object()?;
                let definition = function(self.schema, &name(fields, "a call", Vec::new)?)?;
                self.object(definition, fields, &Bindings::default())?
            }
            Type::Boxed { name: wanted, args } => {
                let fields = object()?;
                let allowed = || constructors(self.schema, wanted);
                let definition = constructor(self.schema, &name(fields, wanted, allowed)?, wanted)?;
                self.object(definition, fields, &Bindings::of(definition, &bindings.close(args)?))?
            }
            Type::Bare { name: wanted, args } => {
                let fields = object()?;
                let given = name(fields, wanted, || vec![wanted.clone()])?;
                let definition = bare(self.schema, &given, wanted)?;
                self.object(definition, fields, &Bindings::of(definition, &bindings.close(args)?))?
            }
            Type::Variable(name) => self.value(bindings.get(name)?, json, &Bindings::default())?,
            Type::Number(_) | Type::Repeat { .. } => return Err(mismatch()),
        })
    }

    /// `None` if it is no array.
    fn vector(
        &mut self,
        item: &Type,
        json: &Json,
        bindings: &Bindings,
    ) -> Option<Result<Value, Error>> {
        let values = json.as_array()?;
        Some(self.elements(values, |parser, json| parser.value(item, json, bindings)))
    }

    fn elements(
        &mut self,
        values: &[Json],
        mut read: impl FnMut(&mut Self, &Json) -> Result<Value, Error>,
    ) -> Result<Value, Error> {
        self.budget.enter()?;
        let values = values
            .iter()
            .enumerate()
            .map(|(index, json)| read(self, json).map_err(|error| error.at(index)))
            .collect::<Result<_, _>>()?;
        self.budget.leave();
        Ok(Value::Vector(values))
    }

    fn object(
        &mut self,
        definition: &Definition,
        given: &Map<String, Json>,
        bindings: &Bindings,
    ) -> Result<Value, Error> {
        self.budget.enter()?;
        let fields = self.params(&definition.name, &definition.params, given, bindings)?;
        self.budget.leave();
        Ok(Object::from_parts(self.name(&definition.name), fields).into())
    }

    fn params(
        &mut self,
        within: &str,
        params: &[Param],
        given: &Map<String, Json>,
        bindings: &Bindings,
    ) -> Result<Vec<(Arc<str>, Value)>, Error> {
        for name in given.keys().filter(|name| *name != "_") {
            check_field(within, params, name)?;
        }
        let mut fields = Vec::new();
        for (place, param) in params.iter().enumerate() {
            if is_implied(params, place) {
                continue;
            }
            let key = key(params, place);
            let json = match given.get(&*key) {
                Some(json) if !is_absent(param, json) => json,
                _ if param.condition.is_some() => continue,
                // A word that nothing depends on yet.
                _ if param.ty == Type::Nat => &Json::Number(0.into()),
                _ => {
                    let expected = param.ty.to_string();
                    return Err(Error::new(Reason::Missing { expected }).inside(&key));
                }
            };
            let value = match &param.ty {
                Type::Repeat { params, .. } => self.repeat(params, json, bindings),
                ty => self.value(ty, json, bindings),
            };
            fields.push((self.name(&key), value.map_err(|error| error.inside(&key))?));
        }
        Ok(fields)
    }

    fn repeat(
        &mut self,
        params: &[Param],
        json: &Json,
        bindings: &Bindings,
    ) -> Result<Value, Error> {
        self.budget.spend()?;
        let elements = json.as_array().ok_or_else(|| Error::mismatch("an array", shown(json)))?;
        self.elements(elements, |parser, json| match sole(params) {
            Some(ty) => parser.value(ty, json, bindings),
            None => {
                parser.budget.spend()?;
                let given =
                    json.as_object().ok_or_else(|| Error::mismatch("fields", shown(json)))?;
                let fields = parser.params("the repetition", params, given, bindings)?;
                Ok(Object::from_parts(parser.name(""), fields).into())
            }
        })
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(shared) = self.names.get(name) {
            return shared.clone();
        }
        let shared: Arc<str> = name.into();
        self.names.insert(name.to_owned(), shared.clone());
        shared
    }
}

/// The name an object gives, or the only one it can have.
fn name<'a>(
    fields: &'a Map<String, Json>,
    expected: &str,
    allowed: impl FnOnce() -> Vec<String>,
) -> Result<Cow<'a, str>, Error> {
    match fields.get("_") {
        Some(Json::String(name)) => Ok(Cow::Borrowed(name)),
        Some(other) => Err(Error::mismatch("a name", shown(other)).inside("_")),
        None => match <[String; 1]>::try_from(allowed()) {
            Ok([name]) => Ok(Cow::Owned(name)),
            Err(allowed) => {
                let expected = expected.to_owned();
                Err(Error::new(Reason::Unnamed { expected, allowed }))
            }
        },
    }
}

fn is_absent(param: &Param, json: &Json) -> bool {
    param.condition.is_some() && (json.is_null() || (param.is_flag() && *json == Json::Bool(false)))
}

fn integer<T: TryFrom<i64>>(json: &Json) -> Option<T> {
    T::try_from(json.as_i64()?).ok()
}

fn long(json: &Json) -> Option<i64> {
    match json {
        Json::String(digits) => digits.parse().ok(),
        json => json.as_i64(),
    }
}

fn double(json: &Json) -> Option<f64> {
    match json {
        Json::String(name) => match name.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        json => json.as_f64(),
    }
}

fn string(json: &Json) -> Option<Str> {
    match json {
        Json::String(text) => Some(text.as_str().into()),
        Json::Object(fields) if fields.len() == 1 => Some(bytes(fields.get(ESCAPE)?)?.into()),
        _ => None,
    }
}

fn bytes(json: &Json) -> Option<Bytes> {
    base64::decode(json.as_str()?).map(Bytes::from)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex<const N: usize>(json: &Json) -> Option<[u8; N]> {
    let digits = json.as_str()?;
    if digits.len() != 2 * N || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, place) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(digits.get(place..place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// The beginning of a JSON value, for an error.
fn shown(json: &Json) -> String {
    const SHOWN: usize = 40;
    let kind = match json {
        Json::Array(values) => return format!("an array of {}", values.len()),
        Json::Object(_) => return "an object".to_owned(),
        scalar => scalar.to_string(),
    };
    match kind.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &kind[..end]),
        None => kind,
    }
}

/// The one member of an object that stands for a string that is not UTF-8.
const ESCAPE: &str = "base64";

//! JSON skeletons, to be filled in by a person.

use serde_json::{Map, Value as Json};

use crate::dynamic::fields::{Bindings, is_implied, key, sole};
use crate::dynamic::functions;
use crate::schema::{Count, Definition, Param, Schema, Type};
use crate::wire::Limits;

/// A JSON skeleton of a definition that [`from_json`](super::from_json) accepts: every field that
/// has to be there, with the simplest value of its type.
pub fn example(schema: &Schema, definition: &Definition) -> Json {
    Skeleton { schema }.object(definition, &Bindings::default(), Limits::default().depth)
}

struct Skeleton<'s> {
    schema: &'s Schema,
}

impl Skeleton<'_> {
    fn object(&self, definition: &Definition, bindings: &Bindings, depth: u32) -> Json {
        let mut fields = self.fields(&definition.params, bindings, depth);
        fields.shift_insert(0, "_".to_owned(), definition.name.as_str().into());
        fields.into()
    }

    fn fields(&self, params: &[Param], bindings: &Bindings, depth: u32) -> Map<String, Json> {
        let required =
            |place: &usize| params[*place].condition.is_none() && !is_implied(params, *place);
        let field = |place: usize| {
            let value = self.value(&params[place].ty, bindings, depth);
            (key(params, place).into_owned(), value)
        };
        (0..params.len()).filter(required).map(field).collect()
    }

    fn value(&self, ty: &Type, bindings: &Bindings, depth: u32) -> Json {
        // Only a type that no finite value has goes this deep.
        let Some(depth) = depth.checked_sub(1) else { return Json::Null };
        match ty {
            Type::Int | Type::Long | Type::Nat => 0.into(),
            Type::Double => 0.0.into(),
            Type::String | Type::Bytes => "".into(),
            Type::Int128 => "0".repeat(32).into(),
            Type::Int256 => "0".repeat(64).into(),
            Type::Bool => false.into(),
            Type::True => true.into(),
            Type::Vector { .. } => Json::Array(Vec::new()),
            Type::Boxed { name, args } => {
                self.simplest(self.schema.constructors_of(name), bindings, args, depth)
            }
            Type::Bare { name, args } => {
                self.simplest(self.schema.constructor(name).into_iter(), bindings, args, depth)
            }
            Type::Object | Type::Query(_) => {
                self.simplest(functions(self.schema, "").into_iter(), bindings, &[], depth)
            }
            Type::Repeat { count, params } => {
                let count = if let Count::Fixed(count) = count { *count } else { 0 };
                let element = match sole(params) {
                    Some(ty) => self.value(ty, bindings, depth),
                    None => self.fields(params, bindings, depth).into(),
                };
                vec![element; count.min(REPEATED_MAX) as usize].into()
            }
            Type::Variable(name) => match bindings.get(name) {
                Ok(ty) => self.value(ty, &Bindings::default(), depth),
                Err(_) => Json::Null,
            },
            Type::Number(_) => Json::Null,
        }
    }

    /// The first of those with the fewest fields that have to be there.
    fn simplest<'d>(
        &self,
        candidates: impl Iterator<Item = &'d Definition>,
        bindings: &Bindings,
        args: &[Type],
        depth: u32,
    ) -> Json {
        // Where any call will do, one that only asks is safer to send as it stands.
        let cost = |d: &&Definition| {
            let required = d.params.iter().filter(|param| param.condition.is_none()).count();
            (required, !d.short_name().starts_with("get"))
        };
        match candidates.min_by_key(cost) {
            Some(definition) => {
                let bindings = Bindings::of(definition, &bindings.close(args).unwrap_or_default());
                self.object(definition, &bindings, depth)
            }
            None => Json::Null,
        }
    }
}

/// Most elements of a repetition that an example shows.
const REPEATED_MAX: u32 = 64;

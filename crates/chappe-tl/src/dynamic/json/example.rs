//! JSON skeletons, to be filled in by a person.

use serde_json::{Map, Value as Json};

use crate::dynamic::fields::{Bindings, is_implied, key, sole};
use crate::dynamic::functions;
use crate::schema::{Count, Definition, Param, Schema, Type};
use crate::wire::Limits;

/// A JSON skeleton of a definition that [`from_json`](super::from_json) accepts: every field that
/// has to be there, with the simplest value of its type.
pub fn example(schema: &Schema, definition: &Definition) -> Json {
    Skeleton { schema, open: Vec::new() }.object(definition, Vec::new())
}

struct Skeleton<'s> {
    schema: &'s Schema,
    /// The definitions around the place that is filled in, with the arguments of their types.
    open: Vec<(&'s str, Vec<Type>)>,
}

impl<'s> Skeleton<'s> {
    fn object(&mut self, definition: &'s Definition, args: Vec<Type>) -> Json {
        let bindings = Bindings::of(definition, &args);
        self.open.push((&definition.name, args));
        let mut fields = self.fields(&definition.params, &bindings);
        self.open.pop();
        fields.shift_insert(0, "_".to_owned(), definition.name.as_str().into());
        fields.into()
    }

    fn fields(&mut self, params: &[Param], bindings: &Bindings) -> Map<String, Json> {
        let required =
            |place: &usize| params[*place].condition.is_none() && !is_implied(params, *place);
        let field = |place: usize| {
            let value = self.value(&params[place].ty, bindings);
            (key(params, place).into_owned(), value)
        };
        (0..params.len()).filter(required).map(field).collect()
    }

    fn value(&mut self, ty: &Type, bindings: &Bindings) -> Json {
        let schema = self.schema;
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
                self.simplest(schema.constructors_of(name), bindings, args)
            }
            Type::Bare { name, args } => {
                self.simplest(schema.constructor(name).into_iter(), bindings, args)
            }
            Type::Object | Type::Query(_) => {
                self.simplest(functions(schema, "").into_iter(), bindings, &[])
            }
            Type::Repeat { count, params } => {
                let count = if let Count::Fixed(count) = count { *count } else { 0 };
                let element = match sole(params) {
                    Some(ty) => self.value(ty, bindings),
                    None => self.fields(params, bindings).into(),
                };
                vec![element; count.min(REPEATED_MAX) as usize].into()
            }
            Type::Variable(name) => match bindings.get(name) {
                Ok(ty) => self.value(ty, &Bindings::default()),
                Err(_) => Json::Null,
            },
            Type::Number(_) => Json::Null,
        }
    }

    /// The first of those with the fewest fields that have to be there.
    ///
    /// A definition inside itself would go on for ever, with several fields at a pace that no
    /// limit of depth makes bearable: a type that has nothing else gives `null`.
    fn simplest(
        &mut self,
        candidates: impl Iterator<Item = &'s Definition>,
        bindings: &Bindings,
        args: &[Type],
    ) -> Json {
        // Where any call will do, one that only asks is safer to send as it stands.
        let cost = |d: &&Definition| {
            let required = d.params.iter().filter(|param| param.condition.is_none()).count();
            (required, !d.short_name().starts_with("get"))
        };
        let args = bindings.close(args).unwrap_or_default();
        // Arguments that grow from level to level never repeat.
        let is_deep = self.open.len() >= Limits::default().depth as usize;
        let is_open =
            |d: &Definition| is_deep || self.open.iter().any(|o| o.0 == d.name && o.1 == args);
        match candidates.filter(|d| !is_open(d)).min_by_key(cost) {
            Some(definition) => self.object(definition, args),
            None => Json::Null,
        }
    }
}

/// Most elements of a repetition that an example shows.
const REPEATED_MAX: u32 = 64;

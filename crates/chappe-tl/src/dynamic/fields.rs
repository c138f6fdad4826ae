//! What decoding, encoding and JSON share: the names of fields, which of them are implied, what a
//! variable stands for, how deep and how many values may be.

use std::borrow::Cow;

use super::error::{Error, Reason};
use crate::schema::{Condition, Count, Definition, Param, Schema, Section, Type};
use crate::wire::Limits;

/// The name of the field at `place`; an anonymous one is named by its place.
pub(super) fn key(params: &[Param], place: usize) -> Cow<'_, str> {
    match &params[place].name {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(place.to_string()),
    }
}

/// Whether the field at `place` is a word of flags or a count, which follows from other fields.
///
/// A word that conditions inside a repetition refer to does not: elements need not agree.
pub(super) fn is_implied(params: &[Param], place: usize) -> bool {
    if params[place].ty != Type::Nat {
        return false;
    }
    let refers = |param: &Param| {
        let counts =
            matches!(&param.ty, Type::Repeat { count: Count::Param(p), .. } if *p == place);
        counts || param.condition.as_ref().is_some_and(|c| is_source(params, place, c))
    };
    params.iter().any(refers) && !params.iter().any(|param| refers_within(params, place, param))
}

/// Whether the condition looks at the field at `place`.
pub(super) fn is_source(params: &[Param], place: usize, condition: &Condition) -> bool {
    params[place].name.as_ref() == Some(&condition.field)
}

fn refers_within(params: &[Param], place: usize, param: &Param) -> bool {
    let Type::Repeat { params: inner, .. } = &param.ty else { return false };
    inner.iter().any(|param| {
        param.condition.as_ref().is_some_and(|c| is_source(params, place, c))
            || refers_within(params, place, param)
    })
}

/// The single nameless field of a repetition, whose elements are plain values then.
pub(super) fn sole(params: &[Param]) -> Option<&Type> {
    match params {
        [Param { name: None, condition: None, ty }] => Some(ty),
        _ => None,
    }
}

/// The constructor of that id, if it makes values of the type.
pub(super) fn makes(definition: &Definition, ty: &str) -> bool {
    definition.section == Section::Types
        && !definition.builtin
        && matches!(&definition.result, Type::Boxed { name, .. } if name == ty)
}

/// What the variables of a definition stand for. The types are closed: no variable is in them.
#[derive(Debug, Default, Clone)]
pub(super) struct Bindings(Vec<(String, Type)>);

impl Bindings {
    /// Binds the variables in the result type of a constructor to the arguments of a use.
    pub(super) fn of(definition: &Definition, args: &[Type]) -> Self {
        let Type::Boxed { args: formal, .. } = &definition.result else { return Self::default() };
        let bind = |(formal, actual): (&Type, &Type)| match formal {
            Type::Variable(name) => Some((name.clone(), actual.clone())),
            _ => None,
        };
        Self(formal.iter().zip(args).filter_map(bind).collect())
    }

    /// The type a variable stands for.
    pub(super) fn get(&self, variable: &str) -> Result<&Type, Error> {
        let bound = self.0.iter().find(|(name, _)| name == variable).map(|(_, ty)| ty);
        bound.ok_or_else(|| Error::new(Reason::Unbound { variable: variable.to_owned() }))
    }

    /// The arguments of a type with their variables replaced.
    pub(super) fn close(&self, args: &[Type]) -> Result<Vec<Type>, Error> {
        args.iter().map(|ty| self.closed(ty)).collect()
    }

    fn closed(&self, ty: &Type) -> Result<Type, Error> {
        Ok(match ty {
            Type::Variable(name) => self.get(name)?.clone(),
            Type::Vector { boxed, item } => {
                Type::Vector { boxed: *boxed, item: Box::new(self.closed(item)?) }
            }
            Type::Boxed { name, args } => {
                Type::Boxed { name: name.clone(), args: self.close(args)? }
            }
            Type::Bare { name, args } => Type::Bare { name: name.clone(), args: self.close(args)? },
            other => other.clone(),
        })
    }
}

/// What is left of the limits on one value.
#[derive(Debug)]
pub(super) struct Budget {
    depth: u32,
    values: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { depth: Limits::default().depth, values: super::VALUES_MAX }
    }

    /// Takes account of one more value.
    pub(super) fn spend(&mut self) -> Result<(), Error> {
        self.values = self.values.checked_sub(1).ok_or_else(|| Error::new(Reason::TooMany))?;
        Ok(())
    }

    /// Enters an object or vector.
    pub(super) fn enter(&mut self) -> Result<(), Error> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| Error::new(Reason::TooDeep))?;
        Ok(())
    }

    /// Leaves what was entered last.
    pub(super) fn leave(&mut self) {
        self.depth += 1;
    }
}

/// Least number of bytes a value of the type takes.
pub(super) fn min_size(schema: &Schema, ty: &Type, bindings: &Bindings, depth: u32) -> usize {
    match ty {
        Type::Int | Type::Nat | Type::Bool | Type::String | Type::Bytes => 4,
        Type::Object | Type::Query(_) | Type::Boxed { .. } => 4,
        Type::Long | Type::Double | Type::Vector { boxed: true, .. } => 8,
        Type::Vector { boxed: false, .. } => 4,
        Type::Int128 => 16,
        Type::Int256 => 32,
        Type::True | Type::Number(_) => 0,
        Type::Variable(name) => match bindings.get(name) {
            Ok(ty) => min_size(schema, ty, &Bindings::default(), depth),
            Err(_) => 0,
        },
        Type::Bare { name, args } => match (schema.constructor(name), depth.checked_sub(1)) {
            (Some(definition), Some(depth)) => {
                let bindings = Bindings::of(definition, &bindings.close(args).unwrap_or_default());
                min_size_of(schema, &definition.params, &bindings, depth)
            }
            _ => 0,
        },
        Type::Repeat { count: Count::Fixed(count), params } => {
            let element = min_size_of(schema, params, bindings, depth);
            element.saturating_mul(usize::try_from(*count).unwrap_or(usize::MAX))
        }
        Type::Repeat { .. } => 0,
    }
}

/// Least number of bytes the fields take.
pub(super) fn min_size_of(
    schema: &Schema,
    params: &[Param],
    bindings: &Bindings,
    depth: u32,
) -> usize {
    let always = params.iter().filter(|param| param.condition.is_none());
    always.map(|param| min_size(schema, &param.ty, bindings, depth)).fold(0, usize::saturating_add)
}

//! The code that reads the fields of one definition.

use std::fmt::Write;

use super::{Fields, Slot, Stored, is_plain};
use crate::codegen::names::escape;
use crate::schema::{Count, SchemaError, Type};

impl Fields<'_> {
    /// The body of a function that reads the fields off `r`, up to the `Self { … }`.
    pub(in crate::codegen) fn read(&self) -> Result<String, SchemaError> {
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
        // A field stands where a flag of its bit was met first, and is read where its value is.
        let mut on_the_wire: Vec<&Stored> = self.stored.iter().collect();
        on_the_wire.sort_by_key(|stored| stored.params[0]);
        for stored in on_the_wire {
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
        let is_boxed = self.is_boxed(place);
        let mut value = self.read_type(&param.ty)?;
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
            Type::Bare { .. } => Ok("r.bare()".into()),
            Type::Query(variable) => Ok(format!("<{variable} as _g::Decode>::decode(r)?")),
            Type::Vector { boxed, item } => {
                let read = if *boxed { "vector_of" } else { "elements" };
                let (min, item) = (self.context.layout.min_of(item), self.read_type(item)?);
                Ok(format!("r.{read}({min}, |r| {item})"))
            }
            Type::Repeat { count, params } => {
                let item = self.repeated(params)?;
                let (min, value) = (self.context.layout.min_of(item), self.read_type(item)?);
                match count {
                    Count::Fixed(_) => Ok(format!("::std::array::from_fn(|_| {value})")),
                    Count::Param(word) => Ok(format!("r.repeat(n{word}.0, {min}, |r| {value})")),
                    Count::Generic(_) => Err(self.no_rust_form()),
                }
            }
            _ => Err(self.no_rust_form()),
        }
    }
}

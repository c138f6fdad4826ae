//! The code that writes the fields of one definition.

use std::fmt::Write;

use super::{Fields, Slot, is_plain};
use crate::codegen::names::escape;
use crate::schema::{Count, SchemaError, Type};

impl Fields<'_> {
    /// The statements that write the fields to `w`.
    pub(in crate::codegen) fn write(&self) -> Result<String, SchemaError> {
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
            Type::Query(_) => Ok(format!("w.put({value})")),
            Type::Bare { .. } => Ok(format!("w.fields({value})")),
            Type::Vector { boxed, item } => {
                let write = if *boxed { "vector_of" } else { "elements" };
                let item = self.write_type(item, "e")?;
                Ok(format!("w.{write}({value}, |e, w| {item})"))
            }
            Type::Repeat { params, .. } => {
                let item = self.write_type(self.repeated(params)?, "e")?;
                Ok(format!("w.repeat({value}, |e, w| {item})"))
            }
            _ => Err(self.no_rust_form()),
        }
    }
}

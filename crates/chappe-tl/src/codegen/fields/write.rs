//! The code that writes the fields of one definition.

use std::fmt::Write;

use super::{Fields, Slot, is_plain};
use crate::codegen::names::escape;
use crate::schema::{Count, SchemaError, Type};
use crate::wire::fixed::BLOCK;

impl Fields<'_> {
    /// The statements that write the fields to `w`, with the id in front if the constant `B` says
    /// so.
    ///
    /// What has a fixed size is gathered into runs. A word of flags is written with what is known
    /// at its place and again at the end, when every field it governs has set its bit: each field
    /// is looked at once.
    pub(in crate::codegen) fn write(&self) -> Result<String, SchemaError> {
        let mut out = String::new();
        let mut end = String::new();
        let mut run = Run::default();
        run.add(format!("_g::Head::<B>({:#010x})", self.definition.id), 4, &mut out);
        for (place, param) in self.definition.params.iter().enumerate() {
            match &self.slots[place] {
                Slot::Word => {
                    let is_patched = self.write_word(place, &mut out, &mut end);
                    run.add(format!("n{place}"), 4, &mut out);
                    if is_patched {
                        run.words.push((place, run.size));
                    }
                }
                Slot::Presence { .. } => {}
                Slot::Field(_) if param.is_flag() => {}
                Slot::Field(stored) => {
                    let name = escape(&self.stored[*stored].name);
                    match fixed_size(&param.ty).filter(|_| param.condition.is_none()) {
                        Some(size) => run.add(format!("self.{name}"), size, &mut out),
                        None => {
                            run.end(&mut out);
                            self.write_field(place, &name, &mut out)?;
                        }
                    }
                }
                Slot::Member { stored, place: member } => {
                    run.end(&mut out);
                    let set = if *member == 0 { self.set_bit(place) } else { String::new() };
                    let name = escape(&self.stored[*stored].name);
                    let write = self.write_type(&param.ty, &format!("&e.{member}"))?;
                    let _ = write!(out, "if let Some(e) = &self.{name} {{ {set}{write}; }} ");
                }
            }
        }
        run.end(&mut out);
        Ok(out + &end)
    }

    fn write_field(&self, place: usize, name: &str, out: &mut String) -> Result<(), SchemaError> {
        let param = &self.definition.params[place];
        let is_boxed = self.is_boxed(place);
        let bit = param.condition.as_ref().and_then(|condition| condition.bit);
        let _ = if param.condition.is_none() {
            let value = if is_boxed { format!("&*self.{name}") } else { format!("&self.{name}") };
            write!(out, "{}; ", self.write_type(&param.ty, &value)?)
        } else if let (Some(bit), true) = (bit, is_plain(&param.ty)) {
            let opt = if is_boxed { "opt_box" } else { "opt" };
            write!(out, "w.{opt}(&mut n{}, {bit}, &self.{name}); ", self.word_of(place))
        } else {
            let value = if is_boxed { "&**e" } else { "e" };
            let (set, write) = (self.set_bit(place), self.write_type(&param.ty, value)?);
            write!(out, "if let Some(e) = &self.{name} {{ {set}{write}; }} ")
        };
        Ok(())
    }

    /// A statement for a field that is there: its bit in the word that governs it.
    fn set_bit(&self, place: usize) -> String {
        match self.definition.params[place].condition.as_ref().and_then(|c| c.bit) {
            Some(bit) => format!("n{}.set({bit}); ", self.word_of(place)),
            None => String::new(),
        }
    }

    /// Computes a word of flags or a count from what is known at its place; at the `end` comes what
    /// the fields behind it decide. Whether it is written again there.
    fn write_word(&self, word: usize, out: &mut String, end: &mut String) -> bool {
        let mut flags = String::new();
        let mut wholes = Vec::new();
        let mut counts = Vec::new();
        let mut is_patched = false;
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
            match param.condition.as_ref().and_then(|c| c.bit) {
                Some(bit) if stored.ty == "bool" => {
                    let _ = write!(flags, ".flag({bit}, self.{name})");
                }
                Some(_) => is_patched = true,
                None => wholes.push(format!("self.{name}.is_some()")),
            }
        }
        let start = match (wholes.first(), counts.first()) {
            (_, Some(count)) => format!("{count} as u32"),
            (Some(whole), None) if flags.is_empty() && !is_patched => format!("{whole} as u32"),
            _ => "0".into(),
        };
        let mutable = if is_patched { "mut " } else { "" };
        let _ = write!(out, "let {mutable}n{word} = _g::Bits({start}){flags}; ");
        if is_patched {
            let _ = write!(end, "w.patch(p{word}, n{word}); ");
        }
        // What is tied to the word in another way than by a bit of its own must agree with it.
        let tl_name = &self.definition.name;
        for whole in &wholes {
            let _ = write!(end, "w.agree((n{word}.0 != 0) == {whole}, {tl_name:?}); ");
        }
        for count in &counts {
            let _ = write!(end, "w.agree(n{word}.0 as usize == {count}, {tl_name:?}); ");
        }
        is_patched
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

/// Values of fixed size that stand side by side and are not written yet.
#[derive(Default)]
struct Run {
    values: Vec<String>,
    size: usize,
    /// Words that are written again: place in the definition, offset of the end in the run.
    words: Vec<(usize, usize)>,
}

impl Run {
    fn add(&mut self, value: String, size: usize, out: &mut String) {
        if self.size + size > BLOCK || self.values.len() == TUPLE_MAX {
            self.end(out);
        }
        self.values.push(value);
        self.size += size;
    }

    /// Writes the values gathered, if there are any.
    fn end(&mut self, out: &mut String) {
        let _ = match &self.values[..] {
            [] => Ok(()),
            [value] => write!(out, "w.run(&{value}); "),
            values => write!(out, "w.run(&({})); ", values.join(", ")),
        };
        for (place, end) in &self.words {
            let behind = self.size + 4 - end;
            let _ = write!(out, "let p{place} = w.len() - {behind}; ");
        }
        *self = Self::default();
    }
}

/// Bytes of a value whose type gives them all the same number.
fn fixed_size(ty: &Type) -> Option<usize> {
    match ty {
        Type::Int | Type::Nat | Type::Bool => Some(4),
        Type::Long | Type::Double => Some(8),
        Type::Int128 => Some(16),
        Type::Int256 => Some(32),
        _ => None,
    }
}

/// Longest tuple that can be written as one.
const TUPLE_MAX: usize = 8;

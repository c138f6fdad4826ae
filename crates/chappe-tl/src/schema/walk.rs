//! Walks along an encoding by its schema: to print a value, or to name the field at a fault.

use std::fmt::{self, Write};

use bytes::Bytes;

use super::{Count, Definition, Param, Schema, Type};
use crate::wire::{Reader, Str, VECTOR_ID};

impl Schema {
    /// Names the field of a boxed value in which reading `bytes` fails, such as
    /// `messages.sendMessage.peer.inputPeerUser.access_hash`; `None` if it does not fail.
    pub fn locate(&self, bytes: Bytes) -> Option<String> {
        let mut walk = Walk::new(self, bytes);
        walk.object(&mut Nowhere).err()?;
        Some(walk.path.join("."))
    }
}

/// Why a walk ended early.
pub(super) enum Stop {
    /// The bytes are no value of the schema.
    Fault,
    /// The sink took no more.
    Sink,
}

impl From<fmt::Error> for Stop {
    fn from(_: fmt::Error) -> Self {
        Self::Sink
    }
}

impl From<crate::DecodeError> for Stop {
    fn from(_: crate::DecodeError) -> Self {
        Self::Fault
    }
}

/// A place in an encoding. Prints what it passes; on a fault the path leads to it.
pub(super) struct Walk<'a> {
    schema: &'a Schema,
    reader: Reader,
    path: Vec<String>,
}

type Walked = Result<(), Stop>;

impl<'a> Walk<'a> {
    pub(super) fn new(schema: &'a Schema, bytes: Bytes) -> Self {
        Self { schema, reader: Reader::new(bytes), path: Vec::new() }
    }

    /// A boxed value of any type.
    pub(super) fn object(&mut self, out: &mut dyn Write) -> Walked {
        if self.reader.peek_id() == Some(VECTOR_ID) {
            // The elements of a vector met alone are unknown; in an answer they are boxed.
            return self.vector(true, &Type::Object, out);
        }
        let id = self.reader.begin();
        self.reader.check()?;
        match id {
            crate::BOOL_TRUE_ID => out.write_str("true")?,
            crate::BOOL_FALSE_ID => out.write_str("false")?,
            _ => {
                let definition = self.schema.by_id(id).ok_or(Stop::Fault)?;
                self.definition(definition, out)?;
            }
        }
        self.reader.end();
        Ok(())
    }

    /// The fields of a constructor or function whose id, if it has one, has been read.
    fn definition(&mut self, definition: &'a Definition, out: &mut dyn Write) -> Walked {
        self.path.push(definition.name.clone());
        out.write_str(&definition.name)?;
        if !definition.params.is_empty() {
            out.write_str(" {")?;
            self.params(&definition.params, &[], out)?;
            out.write_str(" }")?;
        }
        self.path.pop();
        Ok(())
    }

    /// Fields from left to right; `outer` are the words around a repetition.
    fn params(
        &mut self,
        params: &'a [Param],
        outer: &[(&'a str, u32)],
        out: &mut dyn Write,
    ) -> Walked {
        let mut words = outer.to_vec();
        // By place, for counts without a name.
        let mut counts = vec![0; params.len()];
        let mut separator = " ";
        for (place, param) in params.iter().enumerate() {
            let name = param.name.as_deref().unwrap_or("_");
            let is_absent = param.condition.as_ref().is_some_and(|condition| {
                let word = words.iter().rev().find(|(name, _)| *name == condition.field);
                !condition.holds(word.map_or(0, |(_, word)| *word))
            });
            if is_absent {
                continue;
            }
            self.path.push(name.to_owned());
            match &param.ty {
                Type::Nat => {
                    counts[place] = self.reader.u32()?;
                    words.push((name, counts[place]));
                }
                Type::Repeat { count, params: repeated } => {
                    let count = match count {
                        Count::Fixed(count) => *count,
                        Count::Param(place) => counts[*place],
                        Count::Generic(_) => return Err(Stop::Fault),
                    };
                    write!(out, "{separator}{name}: [")?;
                    for _ in 0..count {
                        let before = self.reader.position();
                        self.params(repeated, &words, out)?;
                        // Elements without bytes would make this a loop of the peer's length.
                        if self.reader.position() == before {
                            break;
                        }
                    }
                    out.write_str(" ]")?;
                    separator = ", ";
                }
                ty => {
                    write!(out, "{separator}{name}: ")?;
                    self.value(ty, out)?;
                    separator = ", ";
                }
            }
            self.path.pop();
        }
        Ok(())
    }

    fn value(&mut self, ty: &'a Type, out: &mut dyn Write) -> Walked {
        match ty {
            Type::Int => write!(out, "{}", self.reader.i32()?)?,
            Type::Nat => write!(out, "{}", self.reader.u32()?)?,
            Type::Long => write!(out, "{}", self.reader.i64()?)?,
            Type::Double => write!(out, "{:?}", self.reader.f64()?)?,
            Type::Bool => write!(out, "{}", self.reader.bool()?)?,
            Type::True => out.write_str("true")?,
            Type::String => write!(out, "{:?}", self.reader.get::<Str>())?,
            Type::Bytes => hex(&self.reader.bytes()?, out)?,
            Type::Int128 => hex(&self.reader.int128()?, out)?,
            Type::Int256 => hex(&self.reader.int256()?, out)?,
            Type::Vector { boxed, item } => self.vector(*boxed, item, out)?,
            Type::Boxed { .. } | Type::Object | Type::Query(_) => self.object(out)?,
            Type::Bare { name, args } if args.is_empty() => {
                let definition = self.schema.constructor(name).ok_or(Stop::Fault)?;
                self.enter()?;
                self.definition(definition, out)?;
                self.reader.end();
            }
            Type::Bare { .. } | Type::Variable(_) | Type::Number(_) | Type::Repeat { .. } => {
                return Err(Stop::Fault);
            }
        }
        self.reader.check()?;
        Ok(())
    }

    fn vector(&mut self, boxed: bool, item: &'a Type, out: &mut dyn Write) -> Walked {
        if boxed {
            self.reader.expect_id(VECTOR_ID, "Vector")?;
        }
        let count = self.reader.u32()?;
        self.enter()?;
        out.write_str("[")?;
        for place in 0..count {
            if place > 0 {
                out.write_str(", ")?;
            }
            let before = self.reader.position();
            self.path.push(place.to_string());
            self.value(item, out)?;
            self.path.pop();
            if self.reader.position() == before && place + 1 < count {
                // The others have no bytes either: one of them says it all.
                out.write_str(", …")?;
                break;
            }
        }
        out.write_str("]")?;
        self.reader.end();
        Ok(())
    }

    fn enter(&mut self) -> Walked {
        self.reader.enter();
        self.reader.check()?;
        Ok(())
    }
}

/// A sink for walks that only look for a fault.
struct Nowhere;

impl Write for Nowhere {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        Ok(())
    }
}

/// The first bytes in hexadecimal digits, and how many there are if that is not all.
fn hex(bytes: &[u8], out: &mut dyn Write) -> fmt::Result {
    const SHOWN: usize = 32;
    out.write_str("0x")?;
    for byte in &bytes[..bytes.len().min(SHOWN)] {
        write!(out, "{byte:02x}")?;
    }
    if bytes.len() > SHOWN { write!(out, "… ({} bytes)", bytes.len()) } else { Ok(()) }
}

//! Definitions → text.

use std::fmt::{self, Display, Formatter};

use super::ast::{Condition, Count, Definition, Param, Type};

/// The declaration in canonical form, with its id and the final `;`.
impl Display for Definition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{:08x}", self.name, self.id)?;
        for generic in &self.generics {
            write!(f, " {{{}:{}}}", generic.name, if generic.is_number { "#" } else { "Type" })?;
        }
        // `int ? = Int;`, where the two of `Bool` are plain constructors.
        if self.builtin && self.params.is_empty() && self.result != Type::Bool {
            f.write_str(" ?")?;
        }
        params(f, &self.params)?;
        write!(f, " = {};", self.result)
    }
}

fn params(f: &mut Formatter<'_>, params: &[Param]) -> fmt::Result {
    for param in params {
        f.write_str(" ")?;
        if let Some(name) = &param.name {
            write!(f, "{name}:")?;
        }
        if let Some(condition) = &param.condition {
            write!(f, "{condition}")?;
        }
        match &param.ty {
            Type::Repeat { count, params: repeated } => {
                match count {
                    Count::Fixed(count) => write!(f, "{count}*")?,
                    Count::Generic(name) => write!(f, "{name}*")?,
                    Count::Param(counter) => {
                        let name = params.get(*counter).and_then(|param| param.name.as_deref());
                        if let Some(name) = name {
                            write!(f, "{name}*")?;
                        }
                    }
                }
                f.write_str("[")?;
                self::params(f, repeated)?;
                f.write_str(" ]")?;
            }
            ty => write!(f, "{ty}")?,
        }
    }
    Ok(())
}

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.field)?;
        if let Some(bit) = self.bit {
            write!(f, ".{bit}")?;
        }
        f.write_str("?")
    }
}

/// The type as it is written for a field.
impl Display for Type {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int => f.write_str("int"),
            Self::Long => f.write_str("long"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Int128 => f.write_str("int128"),
            Self::Int256 => f.write_str("int256"),
            Self::Nat => f.write_str("#"),
            Self::Bool => f.write_str("Bool"),
            Self::True => f.write_str("true"),
            Self::Object => f.write_str("Object"),
            Self::Variable(name) => f.write_str(name),
            Self::Query(name) => write!(f, "!{name}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Vector { boxed, item } => {
                write!(f, "{}<{item}>", if *boxed { "Vector" } else { "vector" })
            }
            Self::Boxed { name, args } | Self::Bare { name, args } => {
                f.write_str(name)?;
                for (place, arg) in args.iter().enumerate() {
                    write!(f, "{}{arg}", if place == 0 { "<" } else { "," })?;
                }
                f.write_str(if args.is_empty() { "" } else { ">" })
            }
            Self::Repeat { .. } => f.write_str("[ … ]"),
        }
    }
}

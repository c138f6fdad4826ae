//! Why bytes, JSON or a value do not fit the schema: where, what was expected, what came.

use std::fmt;

use crate::schema::{Schema, Section};
use crate::wire::{DecodeError, EncodeError};

/// What does not fit, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    /// The way to the place: `query.peer.user_id`, `id[3]`; empty for the whole value.
    pub path: String,
    /// What is wrong there.
    pub reason: Reason,
}

/// Why a value does not fit its type.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The bytes break a rule of the wire.
    Decode(DecodeError),
    /// A part of the value is too large for the wire.
    Encode(EncodeError),
    /// The bytes have an id that no constructor of the type has.
    UnknownId {
        /// The id.
        id: u32,
        /// Where it stands, in bytes from the beginning.
        offset: usize,
        /// The type it should belong to.
        expected: String,
    },
    /// A value of another kind.
    Mismatch {
        /// The type as the schema writes it.
        expected: String,
        /// The beginning of what came.
        got: String,
    },
    /// A name that is no constructor of the type, or no function.
    UnknownName {
        /// The name.
        name: String,
        /// The type it should belong to.
        expected: String,
        /// Names that look like it.
        near: Vec<String>,
        /// All constructors of the type; empty where that would be most of the schema.
        allowed: Vec<String>,
    },
    /// An object that does not say its constructor, where the type has several.
    Unnamed {
        /// The type.
        expected: String,
        /// Its constructors; empty where that would be most of the schema.
        allowed: Vec<String>,
    },
    /// A field that has to be there is not.
    Missing {
        /// Its type.
        expected: String,
    },
    /// A field that the definition does not have.
    UnknownField {
        /// Name of the definition.
        within: String,
        /// Names that look like it.
        near: Vec<String>,
        /// The fields it has.
        allowed: Vec<String>,
    },
    /// A word of flags or a count is given; it follows from the other fields.
    Implied,
    /// A field does not agree with the word that says whether it is there.
    Disagree {
        /// The bit, as the schema writes it: `flags.2`.
        bit: String,
        /// The fields that go with this one: all are present, or none.
        together: Vec<String>,
    },
    /// A repetition of another length.
    Length {
        /// The length by the schema.
        expected: u32,
        /// How many elements there are.
        got: usize,
    },
    /// Objects and vectors are nested deeper than 64.
    TooDeep,
    /// More than [`VALUES_MAX`](super::VALUES_MAX) values.
    TooMany,
    /// The schema uses a variable where nothing says what it stands for.
    Unbound {
        /// The variable.
        variable: String,
    },
}

impl Error {
    pub(super) fn new(reason: Reason) -> Self {
        Self { path: String::new(), reason }
    }

    pub(super) fn mismatch(expected: impl fmt::Display, got: impl Into<String>) -> Self {
        Self::new(Reason::Mismatch { expected: expected.to_string(), got: got.into() })
    }

    /// The same error, seen from one step further out.
    pub(super) fn inside(mut self, step: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{step}{dot}{}", self.path);
        self
    }

    /// The same error, seen from the vector it is in.
    pub(super) fn at(self, index: usize) -> Self {
        self.inside(&format!("[{index}]"))
    }

    /// `name` is no constructor of the type `expected`.
    pub(super) fn unknown_constructor(schema: &Schema, name: &str, expected: &str) -> Self {
        let allowed = constructors(schema, expected);
        let mut near = similar(name, allowed.iter().map(String::as_str));
        if near.is_empty() && schema.constructor(name).is_none() {
            near = similar(name, names(schema, Section::Types));
        }
        Self::new(Reason::UnknownName {
            name: name.to_owned(),
            expected: expected.to_owned(),
            near,
            allowed,
        })
    }

    /// `name` is no function; with `or_constructor`, nor a constructor.
    pub(super) fn unknown_function(schema: &Schema, name: &str, or_constructor: bool) -> Self {
        let mut near = similar(name, names(schema, Section::Functions));
        if or_constructor && near.is_empty() {
            near = similar(name, names(schema, Section::Types));
        }
        Self::new(Reason::UnknownName {
            name: name.to_owned(),
            expected: if or_constructor { "Object" } else { "function" }.to_owned(),
            near,
            allowed: Vec::new(),
        })
    }
}

/// Names of the constructors of a type.
pub(super) fn constructors(schema: &Schema, ty: &str) -> Vec<String> {
    schema.constructors_of(ty).map(|definition| definition.name.clone()).collect()
}

fn names(schema: &Schema, section: Section) -> impl Iterator<Item = &str> {
    let in_section = move |d: &&crate::schema::Definition| d.section == section && !d.builtin;
    schema.definitions().iter().filter(in_section).map(|definition| definition.name.as_str())
}

/// At most three of `names` that a person may have meant by `name`, the nearest first.
pub(super) fn similar<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    const SHOWN: usize = 3;
    let wanted = name.to_lowercase();
    let reach = 1 + wanted.len() / 5;
    let mut near: Vec<(usize, &str)> = names
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            // A forgotten namespace is the commonest slip of all.
            let is_short = lower.rsplit('.').next() == Some(&*wanted);
            let distance = if is_short { 0 } else { distance(&wanted, &lower, reach)? };
            Some((distance, candidate))
        })
        .collect();
    near.sort_unstable();
    near.into_iter().take(SHOWN).map(|(_, candidate)| candidate.to_owned()).collect()
}

/// Edits that make `a` into `b`; `None` when there are more than `reach`.
fn distance(a: &str, b: &str, reach: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > reach {
        return None;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().filter(|distance| *distance <= reach)
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::new(Reason::Decode(error))
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Self::new(Reason::Encode(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        self.reason.fmt(f)
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => error.fmt(f),
            Self::Encode(error) => error.fmt(f),
            Self::UnknownId { id, offset, expected } => {
                write!(f, "expected {expected}, got the unknown id {id:08x} at offset {offset}")
            }
            Self::Mismatch { expected, got } => write!(f, "expected {expected}, got {got}"),
            Self::UnknownName { name, expected, near, allowed } => {
                match &**expected {
                    "function" => write!(f, "there is no function {name}")?,
                    "Object" => write!(f, "the schema has no {name}")?,
                    _ => write!(f, "{name} is no constructor of {expected}")?,
                }
                meant(f, near)?;
                list(f, "; allowed: ", allowed)
            }
            Self::Unnamed { expected, allowed } => {
                write!(f, "expected {expected}, got an object without \"_\"")?;
                list(f, "; allowed: ", allowed)
            }
            Self::Missing { expected } => write!(f, "missing; expected {expected}"),
            Self::UnknownField { within, near, allowed } => {
                write!(f, "{within} has no such field")?;
                meant(f, near)?;
                list(f, "; it has: ", allowed)
            }
            Self::Implied => f.write_str("follows from the other fields and cannot be given"),
            Self::Disagree { bit, together } => {
                write!(f, "is there if and only if {bit} is set")?;
                list(f, "; goes together with ", together)
            }
            Self::Length { expected, got } => write!(f, "expected {expected} elements, got {got}"),
            Self::TooDeep => f.write_str("objects are nested too deep"),
            Self::TooMany => f.write_str("too many values"),
            Self::Unbound { variable } => {
                write!(f, "nothing says what the variable {variable} stands for")
            }
        }
    }
}

fn meant(f: &mut fmt::Formatter<'_>, near: &[String]) -> fmt::Result {
    if near.is_empty() { Ok(()) } else { write!(f, "; did you mean {}?", near.join(" or ")) }
}

fn list(f: &mut fmt::Formatter<'_>, head: &str, names: &[String]) -> fmt::Result {
    const SHOWN: usize = 40;
    if names.is_empty() {
        return Ok(());
    }
    write!(f, "{head}{}", names[..names.len().min(SHOWN)].join(", "))?;
    match names.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

//! The text of a schema → definitions, with every name resolved and every id checked.
//!
//! [`Schema::parse`] is for tools and lets a hand-written id differ from the computed one;
//! [`Schema::parse_strict`] is for builds and refuses that unless the name is on a list.

mod ast;
mod crc;
mod diff;
mod lexer;
mod parser;
pub(crate) mod print;
mod render;
mod resolve;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use ast::{Condition, Count, Definition, Generic, Param, Section, Type};
pub use crc::{crc32, normalise};
pub use diff::{Change, diff};

/// A schema: its definitions, found by id, by name and by type.
#[derive(Debug, Clone)]
pub struct Schema {
    layer: Option<u32>,
    definitions: Vec<Definition>,
    by_id: BTreeMap<u32, usize>,
    by_name: BTreeMap<(Section, String), usize>,
    /// Every type with its constructors; a type declared by `Empty T;` has none.
    types: BTreeMap<String, Vec<usize>>,
}

/// Why a text is no schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaError {
    /// File as the caller named it; empty for a text without one.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// What is wrong there.
    pub reason: String,
}

/// A definition whose written id is not the CRC-32 of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMismatch {
    /// Full name of the definition.
    pub name: String,
    /// Line, from 1.
    pub line: u32,
    /// The id that is written.
    pub written: u32,
    /// The id that the text gives.
    pub computed: u32,
}

impl Schema {
    /// Reads a schema. An id that differs from the computed one is accepted; see
    /// [`id_mismatches`](Self::id_mismatches).
    ///
    /// # Errors
    /// The first line that breaks a rule of the language.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let (plain, layer) = lexer::without_comments(text);
        let tokens = lexer::tokens(&plain)?;
        let program = parser::parse(&plain, &tokens)?;
        let empty_types = program.empty_types.clone();
        Self::index(layer, resolve::resolve(program)?, empty_types)
    }

    /// Reads the schema of `file`. An id that differs from the computed one is an error unless
    /// `hand_assigned` names its definition.
    ///
    /// # Errors
    /// The first line that breaks a rule of the language or has such an id.
    pub fn parse_strict(
        file: &str,
        text: &str,
        hand_assigned: &[&str],
    ) -> Result<Self, SchemaError> {
        let in_file = |error: SchemaError| SchemaError { file: file.to_owned(), ..error };
        let schema = Self::parse(text).map_err(in_file)?;
        for mismatch in schema.id_mismatches() {
            if !hand_assigned.contains(&mismatch.name.as_str()) {
                return Err(in_file(SchemaError::new(mismatch.line, mismatch.to_string())));
            }
        }
        Ok(schema)
    }

    fn index(
        layer: Option<u32>,
        definitions: Vec<Definition>,
        empty_types: Vec<String>,
    ) -> Result<Self, SchemaError> {
        let mut schema = Self {
            layer,
            definitions: Vec::new(),
            by_id: BTreeMap::new(),
            by_name: BTreeMap::new(),
            types: empty_types.into_iter().map(|name| (name, Vec::new())).collect(),
        };
        for (index, definition) in definitions.iter().enumerate() {
            let Definition { name, id, section, line, .. } = definition;
            if let Some(other) = schema.by_id.insert(*id, index) {
                let other = &definitions[other];
                let reason = format!("{name}#{id:08x} has the id of line {}", other.line);
                return Err(SchemaError::new(*line, reason));
            }
            // A reader that has failed sees ids of zero.
            if *id == 0 {
                return Err(SchemaError::new(*line, format!("{name} has the id 0")));
            }
            if let Some(other) = schema.by_name.insert((*section, name.clone()), index) {
                let reason =
                    format!("{name} is declared in line {} already", definitions[other].line);
                return Err(SchemaError::new(*line, reason));
            }
            if let (Section::Types, Type::Boxed { name, .. }) = (section, &definition.result) {
                schema.types.entry(name.clone()).or_default().push(index);
            }
        }
        schema.definitions = definitions;
        Ok(schema)
    }

    /// The number of the `// LAYER n` comment.
    pub fn layer(&self) -> Option<u32> {
        self.layer
    }

    /// Every definition in the order of the text.
    pub fn definitions(&self) -> &[Definition] {
        &self.definitions
    }

    /// The constructor or function with that id.
    pub fn by_id(&self, id: u32) -> Option<&Definition> {
        self.by_id.get(&id).map(|index| &self.definitions[*index])
    }

    /// The constructor of that full name.
    pub fn constructor(&self, name: &str) -> Option<&Definition> {
        self.by_name(Section::Types, name)
    }

    /// The function of that full name.
    pub fn function(&self, name: &str) -> Option<&Definition> {
        self.by_name(Section::Functions, name)
    }

    fn by_name(&self, section: Section, name: &str) -> Option<&Definition> {
        let index = self.by_name.get(&(section, name.to_owned()))?;
        Some(&self.definitions[*index])
    }

    /// Names of all types, in order.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    /// The constructors of a type; empty when there are none, or no such type.
    pub fn constructors_of(&self, ty: &str) -> impl Iterator<Item = &Definition> {
        let indexes = self.types.get(ty).map_or(&[][..], |indexes| &indexes[..]);
        indexes.iter().map(|index| &self.definitions[*index])
    }

    /// The definitions whose written id is not the computed one.
    pub fn id_mismatches(&self) -> Vec<IdMismatch> {
        let differs = |definition: &&Definition| definition.id != definition.computed_id;
        let mismatch = |definition: &Definition| IdMismatch {
            name: definition.name.clone(),
            line: definition.line,
            written: definition.id,
            computed: definition.computed_id,
        };
        self.definitions.iter().filter(differs).map(mismatch).collect()
    }

    /// Namespaces in use, in order.
    pub fn namespaces(&self) -> BTreeSet<&str> {
        self.definitions.iter().filter_map(Definition::namespace).collect()
    }
}

impl SchemaError {
    pub(crate) fn new(line: u32, reason: String) -> Self {
        Self { file: String::new(), line, reason }
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = if self.file.is_empty() { "line " } else { &self.file };
        let colon = if self.file.is_empty() { "" } else { ":" };
        write!(f, "{file}{colon}{}: {}", self.line, self.reason)
    }
}

impl std::error::Error for SchemaError {}

impl fmt::Display for IdMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, written, computed, .. } = self;
        write!(f, "{name}#{written:08x} should have the id {computed:08x}")
    }
}

/// Whether a name is that of a type: upper case after the namespace.
pub(crate) fn is_type_name(name: &str) -> bool {
    let short = name.rsplit('.').next().unwrap_or(name);
    short.starts_with(|c: char| c.is_ascii_uppercase())
}

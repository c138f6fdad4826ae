//! Definitions → Rust, for a `build.rs`.
//!
//! What comes out of a schema:
//!
//! - `types`: a type with one constructor is a struct, any other an enum of its constructors;
//! - `ctors`: the constructors of those enums, each a struct; large or recursive ones are boxed
//!   inside the enum;
//! - `functions`: a struct for each function, with [`Function`](crate::Function);
//! - namespaces are modules inside these three;
//! - `LAYER`, `SCHEMA` (the text), `schema()` (the same, parsed on first use), and `FUNCTIONS`,
//!   the table of all functions in the order of their ids.
//!
//! The generated code is meant to be cheap to compile: one short function to read and one to write
//! for each constructor, inlined so that only those in use are turned into machine code, and
//! shared routines for equality, defaults and printing.

mod fields;
mod layout;
mod names;
mod output;

use std::path::{Path, PathBuf};

use crate::schema::{Definition, Schema, SchemaError, Section, Type};

/// Compiles the schema at `path` (relative to the package) into `OUT_DIR`, for
/// [`include_schema!`](crate::include_schema). Call it from `build.rs`.
///
/// A schema that breaks a rule, or has an id that does not match its text, ends the build with
/// file, line and reason. [`Builder`] has the options.
pub fn build(path: impl AsRef<Path>) {
    Builder::new(path).build();
}

/// How to compile a schema; [`build`] without options.
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    path: PathBuf,
    hand_assigned: Vec<String>,
    traits: bool,
}

impl Builder {
    /// Compiles the schema at `path`, relative to the package.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), hand_assigned: Vec::new(), traits: true }
    }

    /// Names definitions whose id is known to differ from the CRC-32 of their text.
    pub fn hand_assigned<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.hand_assigned.extend(names.into_iter().map(str::to_owned));
        self
    }

    /// Leaves out `Debug`, `PartialEq` and `Default`, and `Clone` of functions: together a third
    /// of what a large schema costs to compile. [`blank`](crate::blank) stands in for `Default`.
    pub fn without_traits(mut self) -> Self {
        self.traits = false;
        self
    }

    /// Writes `<name>.rs` to `OUT_DIR`, or says what is wrong and ends the process.
    pub fn build(self) {
        println!("cargo::rerun-if-changed={}", self.path.display());
        if let Err(reason) = self.write() {
            eprintln!("error: {reason}");
            std::process::exit(1);
        }
    }

    fn write(&self) -> Result<(), String> {
        let file = self.path.display().to_string();
        let text = std::fs::read_to_string(&self.path).map_err(|e| format!("{file}: {e}"))?;
        let hand_assigned: Vec<&str> = self.hand_assigned.iter().map(String::as_str).collect();
        let schema =
            Schema::parse_strict(&file, &text, &hand_assigned).map_err(|e| e.to_string())?;
        let rust = generate(&schema, &text, self.traits)
            .map_err(|e| SchemaError { file: file.clone(), ..e }.to_string())?;
        let name = self.path.file_stem().ok_or_else(|| format!("{file} has no name"))?;
        let folder =
            std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set; call this in build.rs")?;
        let target = Path::new(&folder).join(name).with_extension("rs");
        std::fs::write(&target, rust).map_err(|e| format!("{}: {e}", target.display()))
    }
}

/// The Rust of a schema; `text` is what it was parsed from, `traits` whether the types have
/// `Debug`, `PartialEq` and `Default`.
///
/// # Errors
/// A definition uses a part of TL that has no Rust form here: parameterised types other than
/// vectors, a type without finite values.
pub fn generate(schema: &Schema, text: &str, traits: bool) -> Result<String, SchemaError> {
    for definition in schema.definitions() {
        let Definition { name, line, .. } = definition;
        // A built-in function is written out like any other.
        if definition.builtin && definition.section == Section::Types {
            continue;
        }
        let reason = match (definition.section, &definition.result) {
            (Section::Types, Type::Boxed { .. } | Type::Object) => continue,
            (Section::Types, _) => format!("{name} is a constructor of no type"),
            (Section::Functions, result) => match unknown_type(schema, result) {
                Some(ty) => format!("{name} answers with {ty}, which nothing makes"),
                None => continue,
            },
        };
        return Err(SchemaError::new(*line, reason));
    }
    let names = names::Names::new(schema);
    let layout = layout::Layout::new(schema)?;
    output::Output::new(schema, &names, &layout, traits).generate(text)
}

/// The name of `ty` if nothing in the schema makes one.
fn unknown_type<'a>(schema: &Schema, ty: &'a Type) -> Option<&'a str> {
    let Type::Boxed { name, .. } = ty else { return None };
    schema.types().all(|known| known != name).then_some(name)
}

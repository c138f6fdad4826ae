//! `chappe tl`: check, show and compare schemas.

use std::path::Path;

use anyhow::{Context, Result, bail};
use chappe_tl::schema::{self, Change, Definition, Schema};

use super::files::read;
use crate::cli::TlCommand;
use crate::exit::Exit;

pub(crate) fn run(command: TlCommand) -> Result<Exit> {
    match command {
        TlCommand::Check { file, allow } => check(&file, &allow),
        TlCommand::Show { name, file } => show(&name, &load(file.as_deref())?),
        TlCommand::Diff { old, new } => Ok(diff(&load(Some(&old))?, &load(new.as_deref())?)),
    }
}

/// Reads a schema from a file, or takes Telegram's.
pub(crate) fn load(file: Option<&Path>) -> Result<Schema> {
    let Some(file) = file else {
        return Schema::parse(chappe_api::SCHEMA).context("the built-in schema");
    };
    Schema::parse(&read(file)?).map_err(|error| in_file(file, error))
}

fn in_file(file: &Path, error: schema::SchemaError) -> anyhow::Error {
    let schema::SchemaError { line, reason, .. } = error;
    anyhow::anyhow!("{}:{line}: {reason}", file.display())
}

fn check(file: &Path, allow: &[String]) -> Result<Exit> {
    let schema = load(Some(file))?;
    let faults: Vec<_> =
        schema.id_mismatches().into_iter().filter(|fault| !allow.contains(&fault.name)).collect();
    for schema::IdMismatch { name, line, written, computed } in &faults {
        println!(
            "{}:{line}: {name}: id is {written:08x}, its CRC-32 is {computed:08x}; \
             correct it, or pass --allow {name} if it was assigned by hand",
            file.display()
        );
    }
    let (functions, constructors): (Vec<_>, Vec<_>) = schema
        .definitions()
        .iter()
        .partition(|definition| definition.section == schema::Section::Functions);
    let layer = schema.layer().map_or(String::new(), |layer| format!(", layer {layer}"));
    println!(
        "{}: {} constructors of {} types, {} functions{layer}, {} wrong ids",
        file.display(),
        constructors.len(),
        schema.types().count(),
        functions.len(),
        faults.len()
    );
    Ok(if faults.is_empty() { Exit::Done } else { Exit::No })
}

fn show(name: &str, schema: &Schema) -> Result<Exit> {
    let id = name.strip_prefix("0x").map(|hex| u32::from_str_radix(hex, 16));
    let found: Vec<&Definition> = match id {
        Some(id) => {
            let id = id.with_context(|| format!("{name} is no id of 1 to 8 hexadecimal digits"))?;
            schema.by_id(id).into_iter().collect()
        }
        None => {
            let exact = [schema.constructor(name), schema.function(name)];
            exact.into_iter().flatten().chain(schema.constructors_of(name)).collect()
        }
    };
    if found.is_empty() {
        bail!("the schema has no {name}; `chappe call --list {name}` lists functions like it");
    }
    for definition in found {
        println!("{definition}");
    }
    Ok(Exit::Done)
}

fn diff(old: &Schema, new: &Schema) -> Exit {
    let changes = schema::diff(old, new);
    for change in &changes {
        match change {
            Change::Added(definition) => println!("+ {definition}"),
            Change::Removed(definition) => println!("- {definition}"),
            Change::Changed { old, new } => println!("- {old}\n+ {new}"),
        }
    }
    if changes.is_empty() { Exit::Done } else { Exit::No }
}

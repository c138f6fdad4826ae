//! What changed between two schemas.

use super::{Definition, Schema, Section};

/// One difference between an old and a new schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// Only the new schema has it.
    Added(&'a Definition),
    /// Only the old schema has it.
    Removed(&'a Definition),
    /// Both have it, with different fields, result or id.
    Changed {
        /// As it was.
        old: &'a Definition,
        /// As it is.
        new: &'a Definition,
    },
}

impl Change<'_> {
    /// The definition it is about; the new one, if there is one.
    pub fn definition(&self) -> &Definition {
        match self {
            Self::Added(definition) | Self::Removed(definition) => definition,
            Self::Changed { new, .. } => new,
        }
    }
}

/// What must be done to `old` to get `new`, by section and name.
pub fn diff<'a>(old: &'a Schema, new: &'a Schema) -> Vec<Change<'a>> {
    let mut changes = Vec::new();
    for definition in &old.definitions {
        match new.by_name(definition.section, &definition.name) {
            None => changes.push(Change::Removed(definition)),
            Some(now) if !is_same(definition, now) => {
                changes.push(Change::Changed { old: definition, new: now });
            }
            Some(_) => {}
        }
    }
    let is_new =
        |definition: &&Definition| old.by_name(definition.section, &definition.name).is_none();
    changes.extend(new.definitions.iter().filter(is_new).map(Change::Added));
    let key = |change: &Change<'_>| -> (Section, String) {
        let definition = change.definition();
        (definition.section, definition.name.clone())
    };
    changes.sort_by_key(key);
    changes
}

/// Whether two definitions of the same name say the same, wherever they stand.
fn is_same(a: &Definition, b: &Definition) -> bool {
    a.id == b.id && a.generics == b.generics && a.params == b.params && a.result == b.result
}

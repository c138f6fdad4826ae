//! Puts a schema in our order: namespaces by name, the root first; in each, types by result type
//! and constructor, then functions by name. Comments go, `// LAYER n` stays.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result};
use chappe_tl::schema::{Definition, Schema, Section};

/// Definitions whose id is not the CRC-32 of their text and is right all the same.
///
/// Layer 230 has none.
const HAND_ASSIGNED: &[&str] = &[];

/// The whole schema in our order. Fails on a line that is wrong or an id that does not verify.
pub(crate) fn arrange(source: &str) -> Result<String> {
    let schema = parse(source)?;
    let mut namespaces: BTreeMap<&str, Namespace<'_>> = BTreeMap::new();
    for definition in schema.definitions() {
        let namespace = namespaces.entry(definition.namespace().unwrap_or_default()).or_default();
        match definition.section {
            Section::Functions => namespace.functions.push(definition),
            Section::Types => {
                namespace.types.entry(definition.result.to_string()).or_default().push(definition);
            }
        }
    }
    let mut out = format!("// LAYER {}\n", layer(&schema)?);
    for namespace in namespaces.into_values() {
        namespace.write(&mut out);
    }
    Ok(out)
}

/// The number in the `// LAYER n` line of a source, as a file of its own.
pub(crate) fn layer_file(source: &str) -> Result<String> {
    Ok(format!("{}\n", layer(&parse(source)?)?))
}

fn parse(source: &str) -> Result<Schema> {
    Ok(Schema::parse_strict("api.tl", source, HAND_ASSIGNED)?)
}

fn layer(schema: &Schema) -> Result<u32> {
    schema.layer().context("the schema has no `// LAYER n` line")
}

#[derive(Debug, Default)]
struct Namespace<'s> {
    types: BTreeMap<String, Vec<&'s Definition>>,
    functions: Vec<&'s Definition>,
}

impl Namespace<'_> {
    fn write(mut self, out: &mut String) {
        if !self.types.is_empty() {
            out.push_str("\n---types---\n");
        }
        for mut constructors in self.types.into_values() {
            out.push('\n');
            lines(&mut constructors, out);
        }
        if !self.functions.is_empty() {
            out.push_str("\n---functions---\n\n");
        }
        lines(&mut self.functions, out);
    }
}

fn lines(definitions: &mut [&Definition], out: &mut String) {
    definitions.sort_by(|a, b| a.name.cmp(&b.name));
    for definition in definitions {
        writeln!(out, "{definition}").expect("a String takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_grouped_by_namespace_type_and_kind() {
        let source = "// LAYER 7\n\
            boolTrue#997275b5 = Bool; // yes\n\
            ---functions---\n\
            wallet.tonConnectGetSessions#a7ffb56e = wallet.TonConnectSessions;\n\
            ---types---\n\
            wallet.tonConnectSessions = wallet.TonConnectSessions;\n\
            true#3fedd339 = True;\nboolFalse#bc799737 = Bool;\n";
        let arranged = "// LAYER 7\n\n---types---\n\n\
            boolFalse#bc799737 = Bool;\nboolTrue#997275b5 = Bool;\n\n\
            true#3fedd339 = True;\n\n---types---\n\n\
            wallet.tonConnectSessions#a6f1fe36 = wallet.TonConnectSessions;\n\n\
            ---functions---\n\n\
            wallet.tonConnectGetSessions#a7ffb56e = wallet.TonConnectSessions;\n";
        assert_eq!(arrange(source).unwrap(), arranged);
    }

    /// Rule:   TL-03, TL-10: an id is the CRC-32 of its declaration or on a list.
    /// Source: docs/spec/01-tl.md §2.
    #[test]
    fn id_that_does_not_verify_is_refused() {
        let error = arrange("// LAYER 7\ntrue#3fedd33a = True;\n").unwrap_err().to_string();
        assert_eq!(error, "api.tl:2: true#3fedd33a should have the id 3fedd339");
    }

    /// Rule:   the service schema verifies, and says of what it shares with the API just the same.
    /// Source: docs/spec/01-tl.md §2, 05-service-messages.md §1.
    #[test]
    fn service_schema_verifies_and_agrees_with_the_api() {
        let service = read("chappe-proto/schema/mtproto.tl");
        let api = read("chappe-api/schema/api.tl");
        let mut shared = 0;
        for ours in service.definitions() {
            if let Some(theirs) = api.by_id(ours.id) {
                assert_eq!((theirs.to_string(), theirs.section), (ours.to_string(), ours.section));
                shared += 1;
            }
        }
        assert_eq!(shared, 26, "4 primitives, 9 arguments of wrappers, 11 wrappers, 2 of auth");
    }

    fn read(path: &str) -> Schema {
        let path = format!("{}/../crates/{path}", env!("CARGO_MANIFEST_DIR"));
        Schema::parse_strict(&path, &std::fs::read_to_string(&path).unwrap(), &[]).unwrap()
    }
}

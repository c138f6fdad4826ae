//! Puts a schema in our order: namespaces by name, the root first; in each, types by result type
//! and constructor, then functions by name. Comments go, `// LAYER n` stays.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use anyhow::{Context, Result, bail};

use super::declaration::Declaration;

/// The whole schema in our order. Fails on an id that does not verify or that is used twice.
pub(crate) fn arrange(source: &str) -> Result<String> {
    let mut namespaces: BTreeMap<String, Namespace> = BTreeMap::new();
    for (kind, declaration) in declarations(source)? {
        let namespace = namespaces.entry(declaration.namespace().to_owned()).or_default();
        match kind {
            Kind::Function => namespace.functions.push(declaration),
            Kind::Type => {
                namespace.types.entry(declaration.result.clone()).or_default().push(declaration);
            }
        }
    }
    let mut out = format!("// LAYER {}\n", layer(source)?);
    for namespace in namespaces.into_values() {
        namespace.write(&mut out);
    }
    Ok(out)
}

/// Which section a declaration stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Type,
    Function,
}

/// Every declaration of a schema, in the order of the source.
fn declarations(source: &str) -> Result<Vec<(Kind, Declaration)>> {
    let mut found = Vec::new();
    let mut owners: HashMap<u32, String> = HashMap::new();
    let mut kind = Kind::Type;
    let code = without_comments(source);
    let mut rest = code.as_str();
    // A section mark has no `;` of its own, so it leads the declaration that follows it.
    while let Some((declaration, after)) = rest.split_once(';') {
        let mut text = declaration.trim();
        while let Some(marked) = text.strip_prefix("---") {
            let (section, next) = marked.split_once("---").context("unfinished section mark")?;
            kind = match section {
                "functions" => Kind::Function,
                "types" => Kind::Type,
                _ => bail!("unknown section `{section}`"),
            };
            text = next.trim();
        }
        let declaration = Declaration::parse(text)?;
        if let Some(owner) = owners.insert(declaration.id, declaration.name.clone()) {
            bail!("{owner} and {} share the id {:08x}", declaration.name, declaration.id);
        }
        found.push((kind, declaration));
        rest = after;
    }
    if !rest.trim().is_empty() {
        bail!("text after the last declaration: `{}`", rest.trim());
    }
    Ok(found)
}

/// The number in the `// LAYER n` line.
pub(crate) fn layer(source: &str) -> Result<u32> {
    source
        .lines()
        .find_map(|line| line.strip_prefix("// LAYER "))
        .context("the schema has no `// LAYER n` line")?
        .trim()
        .parse()
        .context("the layer is not a number")
}

#[derive(Debug, Default)]
struct Namespace {
    types: BTreeMap<String, Vec<Declaration>>,
    functions: Vec<Declaration>,
}

impl Namespace {
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

fn lines(declarations: &mut [Declaration], out: &mut String) {
    declarations.sort_by(|a, b| a.name.cmp(&b.name));
    for declaration in declarations {
        writeln!(out, "{declaration}").expect("a String takes everything");
    }
}

fn without_comments(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    for line in source.lines() {
        out.push_str(line.split_once("//").map_or(line, |(code, _)| code));
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_grouped_by_namespace_type_and_kind() {
        let source = "// LAYER 7\n\
            boolTrue#997275b5 = Bool; // yes\n\
            ---functions---\n\
            wallet.tonConnectGetSessions#a7ffb56e = wallet.TonConnectSessions;\n\
            ---types---\n\
            true#3fedd339 = True;\nboolFalse#bc799737 = Bool;\n";
        let arranged = "// LAYER 7\n\n---types---\n\n\
            boolFalse#bc799737 = Bool;\nboolTrue#997275b5 = Bool;\n\n\
            true#3fedd339 = True;\n\n---functions---\n\n\
            wallet.tonConnectGetSessions#a7ffb56e = wallet.TonConnectSessions;\n";
        assert_eq!(arrange(source).unwrap(), arranged);
    }

    #[test]
    fn id_used_twice_is_refused() {
        let error = arrange("// LAYER 7\ntrue#3fedd339 = True;\ntrue#3fedd339 = True;\n");
        assert_eq!(error.unwrap_err().to_string(), "true and true share the id 3fedd339");
    }

    /// Rule:   the service schema verifies, and says of what it shares with the API just the same.
    /// Source: docs/spec/01-tl.md §2, 05-service-messages.md §1.
    #[test]
    fn service_schema_verifies_and_agrees_with_the_api() {
        let service = declarations(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../crates/chappe-proto/schema/mtproto.tl"
        )))
        .unwrap();
        let api = declarations(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../crates/chappe-api/schema/api.tl"
        )))
        .unwrap();
        let mut shared = 0;
        for (kind, ours) in &service {
            if let Some(theirs) = api.iter().find(|(_, other)| other.id == ours.id) {
                assert_eq!(&(*kind, ours.clone()), theirs);
                shared += 1;
            }
        }
        assert_eq!(shared, 26, "4 primitives, 9 arguments of wrappers, 11 wrappers, 2 of auth");
    }
}

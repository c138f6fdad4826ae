//! Puts a schema in our order: namespaces by name, the root first; in each, types by result type
//! and constructor, then functions by name. Comments go, `// LAYER n` stays.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use anyhow::{Context, Result, bail};

use super::declaration::Declaration;

/// The whole schema in our order. Fails on an id that does not verify or that is used twice.
pub(crate) fn arrange(source: &str) -> Result<String> {
    let mut namespaces: BTreeMap<String, Namespace> = BTreeMap::new();
    let mut owners: HashMap<u32, String> = HashMap::new();
    let mut in_functions = false;
    let code = without_comments(source);
    let mut rest = code.as_str();
    // A section mark has no `;` of its own, so it leads the declaration that follows it.
    while let Some((declaration, after)) = rest.split_once(';') {
        let mut text = declaration.trim();
        while let Some(marked) = text.strip_prefix("---") {
            let (section, next) = marked.split_once("---").context("unfinished section mark")?;
            in_functions = match section {
                "functions" => true,
                "types" => false,
                _ => bail!("unknown section `{section}`"),
            };
            text = next.trim();
        }
        let declaration = Declaration::parse(text)?;
        if let Some(owner) = owners.insert(declaration.id, declaration.name.clone()) {
            bail!("{owner} and {} share the id {:08x}", declaration.name, declaration.id);
        }
        let namespace = namespaces.entry(declaration.namespace().to_owned()).or_default();
        if in_functions {
            namespace.functions.push(declaration);
        } else {
            namespace.types.entry(declaration.result.clone()).or_default().push(declaration);
        }
        rest = after;
    }
    if !rest.trim().is_empty() {
        bail!("text after the last declaration: `{}`", rest.trim());
    }

    let mut out = format!("// LAYER {}\n", layer(source)?);
    for namespace in namespaces.into_values() {
        namespace.write(&mut out);
    }
    Ok(out)
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
}

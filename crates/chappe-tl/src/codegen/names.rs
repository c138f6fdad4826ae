//! TL names → Rust names and paths.

use std::collections::{BTreeMap, BTreeSet};

use crate::schema::{Definition, Schema, Section, Type};

/// Where each definition and type lives in the generated code.
pub(super) struct Names {
    /// Type → its path, `types::messages::Dialogs`.
    types: BTreeMap<String, Path>,
    /// Constructor → its path; that of its type if it is the only one.
    constructors: BTreeMap<String, Path>,
    functions: BTreeMap<String, Path>,
}

/// A place in the generated code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path {
    pub(super) root: &'static str,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

impl Path {
    /// The path as generated code writes it, where `_r` is the root of that code.
    pub(super) fn rust(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("_r::{}::{namespace}::{}", self.root, self.name),
            None => format!("_r::{}::{}", self.root, self.name),
        }
    }
}

impl Names {
    pub(super) fn new(schema: &Schema) -> Self {
        let mut taken = BTreeSet::new();
        let mut place = |root, name: &str| {
            let (namespace, short) = match name.split_once('.') {
                Some((namespace, short)) => (Some(escape(&snake(namespace))), short),
                None => (None, name),
            };
            let mut path = Path { root, namespace, name: escape_type(pascal(short)) };
            let first = path.name.clone();
            for number in 2.. {
                if taken.insert(path.clone()) {
                    break;
                }
                path.name = format!("{first}{number}");
            }
            path
        };
        let mut names = Self {
            types: BTreeMap::new(),
            constructors: BTreeMap::new(),
            functions: BTreeMap::new(),
        };
        for ty in schema.types() {
            names.types.insert(ty.to_owned(), place("types", ty));
        }
        for ty in schema.types() {
            let constructors: Vec<&Definition> = schema.constructors_of(ty).collect();
            for constructor in &constructors {
                let path = match constructors.len() {
                    1 => names.types[ty].clone(),
                    _ => place("ctors", &constructor.name),
                };
                names.constructors.insert(constructor.name.clone(), path);
            }
        }
        for definition in schema.definitions() {
            if is_loose(definition) {
                let path = place("ctors", &definition.name);
                names.constructors.insert(definition.name.clone(), path);
            }
            if definition.section == Section::Functions {
                let path = place("functions", &definition.name);
                names.functions.insert(definition.name.clone(), path);
            }
        }
        names
    }

    pub(super) fn ty(&self, name: &str) -> &Path {
        &self.types[name]
    }

    pub(super) fn constructor(&self, name: &str) -> &Path {
        &self.constructors[name]
    }

    pub(super) fn function(&self, name: &str) -> &Path {
        &self.functions[name]
    }
}

/// Whether a constructor belongs to no type but `Object`: `gzip_packed`.
pub(super) fn is_loose(definition: &Definition) -> bool {
    definition.section == Section::Types && definition.result == Type::Object
}

/// `inputMediaURL` → `InputMediaUrl`, `P_Q_inner_data` → `PQInnerData`.
pub(super) fn pascal(name: &str) -> String {
    let mut pascal = String::new();
    for word in words(name) {
        let mut letters = word.chars();
        pascal.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        pascal.push_str(&letters.as_str().to_ascii_lowercase());
    }
    pascal
}

/// `srp_B` → `srp_b`, `publicKey` → `public_key`.
pub(super) fn snake(name: &str) -> String {
    words(name).join("_").to_ascii_lowercase()
}

/// Splits at `_` and before each capital that begins a word: `DHParams` is `DH`, `Params`.
fn words(name: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for part in name.split('_').filter(|part| !part.is_empty()) {
        let bytes = part.as_bytes();
        let mut start = 0;
        for at in 1..bytes.len() {
            let after_small = !bytes[at - 1].is_ascii_uppercase();
            let before_small = bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase);
            if bytes[at].is_ascii_uppercase() && (after_small || before_small) {
                words.push(&part[start..at]);
                start = at;
            }
        }
        words.push(&part[start..]);
    }
    words
}

/// A name that may be a keyword, as an identifier.
pub(super) fn escape(name: &str) -> String {
    match name {
        "self" | "super" | "crate" | "" => format!("{name}_"),
        _ if KEYWORDS.contains(&name) => format!("r#{name}"),
        _ if name.starts_with(|c: char| c.is_ascii_digit()) => format!("_{name}"),
        _ => name.to_owned(),
    }
}

/// Keeps clear of the names that generated code takes from the prelude.
fn escape_type(name: String) -> String {
    match name.as_str() {
        "Self" | "Option" | "Some" | "None" | "Vec" | "Box" | "Clone" | "Default" | "PartialEq"
        | "Ok" | "Err" | "Result" => name + "_",
        "" => "Blank".into(),
        _ if name.starts_with(|c: char| c.is_ascii_digit()) => format!("_{name}"),
        _ => name,
    }
}

const KEYWORDS: [&str; 49] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield", "union",
];

//! `cargo xtask tidy`: the rules of the house that no compiler knows.
//!
//! - who may import whom (ARCHITECTURE.md);
//! - what the sans-IO core may not reach for;
//! - no left-overs (`todo!`, `dbg!`, ignored tests), tests included;
//! - links between documents lead somewhere, decisions have a number each;
//! - every rule of the specification has a test or a reason, and the conformance page says so.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::test::root;
use crate::{conformance, documents, sans_io};

/// What each crate may import of ours, tests included.
const IMPORTS: &[(&str, &[&str])] = &[
    ("chappe-tl", &[]),
    ("chappe-crypto", &[]),
    ("chappe-updates", &[]),
    ("chappe-proto", &["chappe-tl", "chappe-crypto"]),
    ("chappe-api", &["chappe-tl"]),
    ("chappe-fuzz", &["chappe-api", "chappe-proto", "chappe-tl", "chappe-crypto"]),
    ("chappe-net", &["chappe-proto", "chappe-crypto"]),
    ("chappe-backend", &["chappe-crypto"]),
    (
        "chappe-server",
        &["chappe-net", "chappe-backend", "chappe-proto", "chappe-tl", "chappe-crypto"],
    ),
    ("chappe-client", &["chappe-net", "chappe-proto", "chappe-tl", "chappe-crypto"]),
    ("chappe-proxy", &["chappe-net", "chappe-proto", "chappe-crypto"]),
    (
        "chappe-telegram",
        &[
            "chappe-server",
            "chappe-backend",
            "chappe-api",
            "chappe-crypto",
            "chappe-proto",
            "chappe-tl",
            "chappe-updates",
        ],
    ),
    ("chappe-sim", &["chappe-proto", "chappe-tl", "chappe-crypto", "chappe-updates"]),
];

/// What may import everything: the binary.
const TOP: &str = "chappe";

/// What must not be named in a crate's sources, and why.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[(
    "chappe-sim/src",
    &["HashMap", "HashSet", "SystemTime", "getrandom"],
    "a seed has to give the same run everywhere",
)];

/// What must not stand anywhere, tests included.
const LEFT_OVERS: &[&str] = &["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];

/// Folders with code of ours.
const FOLDERS: &[&str] = &["crates", "examples", "fuzz/fuzz_targets", "interop/clients"];

pub(crate) fn run() -> Result<()> {
    let crates = root().join("crates");
    let mut faults = Vec::new();
    for entry in fs::read_dir(&crates)? {
        let name = entry?.file_name().display().to_string();
        if name != TOP && !IMPORTS.iter().any(|(known, _)| *known == name) {
            faults.push(format!("{name}: nobody said what it may import (xtask/src/tidy.rs)"));
        }
    }
    for (name, allowed) in IMPORTS {
        let manifest = crates.join(name).join("Cargo.toml");
        let text = fs::read_to_string(&manifest)
            .with_context(|| format!("cannot read {}", manifest.display()))?;
        let imported = text.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
        for import in imported.filter(|import| import.starts_with("chappe-")) {
            // A crate may turn its own features on for its tests, and bring fixtures for them.
            let is_own = import.starts_with(name);
            if !is_own && !allowed.contains(&import) {
                faults.push(format!("{name} imports {import}, which ARCHITECTURE.md forbids"));
            }
        }
    }
    for (folder, words, reason) in FORBIDDEN {
        for file in sources(&crates.join(folder))? {
            let text = fs::read_to_string(&file)?;
            faults.extend(named(&file, code_of(&text), words, reason));
        }
    }
    faults.extend(sans_io::check(&crates)?);
    for folder in FOLDERS {
        for file in sources(&root().join(folder))? {
            let text = fs::read_to_string(&file)?;
            faults.extend(named(
                &file,
                uncommented(&text),
                LEFT_OVERS,
                "nothing half done is kept",
            ));
        }
    }
    faults.extend(documents::check()?);
    faults.extend(conformance::check());
    if faults.is_empty() {
        return Ok(());
    }
    bail!("{}", faults.join("\n"));
}

/// The lines of a source without comments and without its tests.
pub(crate) fn code_of(text: &str) -> impl Iterator<Item = &str> {
    uncommented(text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default())
}

fn uncommented(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or_default())
}

/// Where lines of a source name one of the words, one line each.
fn named<'a>(
    file: &Path,
    lines: impl Iterator<Item = &'a str>,
    words: &[&str],
    reason: &str,
) -> Vec<String> {
    let file = file.strip_prefix(root()).unwrap_or(file).display();
    let named = lines.zip(1..).filter_map(|(code, number)| {
        let word = words.iter().find(|word| code.contains(**word))?;
        Some(format!("{file}:{number}: `{word}`: {reason}"))
    });
    named.collect()
}

/// All Rust sources below a folder.
pub(crate) fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

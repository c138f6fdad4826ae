//! `cargo xtask conformance`: `docs/conformance.md`, made from what is known elsewhere.
//!
//! Three sources meet in the page: the rules of `docs/spec`, our tests that name them, and the
//! facts about other implementations in `docs/conformance/*.tsv`. Nothing is written by hand into
//! the page, so after a merge it is made again, never merged. `cargo xtask tidy` calls [`check`].

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::test::root;

mod named;
mod open;
mod page;
mod peers;
mod rules;

/// Runs the command: writes the page and drops what has got its test from the list of open rules.
pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some(arg) = args.first() {
        bail!("`cargo xtask conformance` takes no words, not `{arg}`");
    }
    for file in files()? {
        fs::write(&file.path, &file.text)
            .with_context(|| format!("cannot write {}", file.path.display()))?;
        println!("wrote {}: {} lines", short(&file.path), file.text.lines().count());
    }
    Ok(())
}

/// What is wrong with the page or with what it is made from, one line each.
pub(crate) fn check() -> Vec<String> {
    let files = match files() {
        Ok(files) => files,
        Err(error) => return format!("{error:#}").lines().map(str::to_owned).collect(),
    };
    files
        .iter()
        .filter(|file| fs::read_to_string(&file.path).ok().as_ref() != Some(&file.text))
        .map(|file| format!("{} is stale: run `cargo xtask conformance`", short(&file.path)))
        .collect()
}

/// A file as it should be.
struct File {
    path: PathBuf,
    text: String,
}

/// Both files the command writes; an error lists everything that stands in their way.
fn files() -> Result<Vec<File>> {
    let docs = root().join("docs");
    let folder = docs.join("conformance");
    let chapters = rules::read(&docs.join("spec"))?;
    let tests = named::read(root())?;
    let peers = peers::read(&folder, &chapters)?;
    let listed = folder.join("open.tsv");
    let open = open::read(&listed, &chapters, &tests)?;
    Ok(vec![
        File {
            path: docs.join("conformance.md"),
            text: page::page(&chapters, &tests, &peers, &open),
        },
        File { path: listed, text: open::text(&open) },
    ])
}

/// A path as seen from the root of the repository.
fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

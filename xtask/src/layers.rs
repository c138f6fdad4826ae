//! `cargo xtask layers`: `crates/chappe-api/schema/layers/` from whole schemas of older layers.
//!
//! Takes a folder of `.tl` files, each a whole schema with a `// LAYER n` line, as the histories of
//! public client libraries hold them, and writes one file for each: what the layer says otherwise
//! than the next newer one. `--check` reads the committed files alone: every id verifies, and every
//! line says something.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use chappe_tl::history::Delta;
use chappe_tl::schema::{Definition, Schema, Section};

/// Runs the command with the words that follow its name.
pub(crate) fn run(args: &[String]) -> Result<()> {
    match args {
        [word] if word == "--check" => {
            let checked = check(&folder())?;
            println!("{checked} older layers, every id verified");
            Ok(())
        }
        [sources] if !sources.starts_with("--") => write(Path::new(sources)),
        _ => bail!("usage: cargo xtask layers <folder of .tl files> | --check"),
    }
}

fn write(sources: &Path) -> Result<()> {
    let mut newer = definitions(&read(&newest())?)?;
    let newest = newer.layer;
    let mut older = BTreeMap::new();
    for path in tl_files(sources)? {
        let whole = definitions(&read(&path)?).with_context(|| path.display().to_string())?;
        if whole.layer < newest {
            older.insert(whole.layer, whole);
        }
    }
    fs::create_dir_all(folder())?;
    for (layer, whole) in older.into_iter().rev() {
        let path = folder().join(format!("{layer}.tl"));
        fs::write(&path, delta(&whole, &newer))
            .with_context(|| format!("cannot write {}", path.display()))?;
        newer = whole;
    }
    println!("wrote {} layers", check(&folder())?);
    Ok(())
}

/// The definitions of one layer: their ids, and as they are printed.
struct Whole {
    layer: u32,
    lines: BTreeMap<(Section, String), (u32, String)>,
}

fn definitions(source: &str) -> Result<Whole> {
    let schema = Schema::parse_strict("", source, &[])?;
    let layer = schema.layer().context("the schema has no `// LAYER n` line")?;
    let named = schema.definitions().iter().filter(|definition| !definition.builtin);
    let lines = named
        .map(|definition| {
            let Definition { section, name, id, .. } = definition;
            ((*section, name.clone()), (*id, definition.to_string()))
        })
        .collect();
    Ok(Whole { layer, lines })
}

/// What `older` says otherwise than `newer`.
fn delta(older: &Whole, newer: &Whole) -> String {
    let mut out = format!("// LAYER {}\n", older.layer);
    for (section, heading) in [(Section::Types, "types"), (Section::Functions, "functions")] {
        let mut lines = String::new();
        for (key, (id, line)) in older.lines.iter().filter(|((of, _), _)| *of == section) {
            if newer.lines.get(key).map(|(id, _)| id) != Some(id) {
                writeln!(lines, "{line}").expect("a String takes everything");
            }
        }
        for (_, name) in newer.lines.keys().filter(|(of, _)| *of == section) {
            if !older.lines.contains_key(&(section, name.clone())) {
                writeln!(lines, "-{name}").expect("a String takes everything");
            }
        }
        if !lines.is_empty() {
            write!(out, "\n---{heading}---\n\n{lines}").expect("a String takes everything");
        }
    }
    out
}

/// Checks the committed files and gives their number.
fn check(folder: &Path) -> Result<usize> {
    let mut deltas = Vec::new();
    for path in tl_files(folder)? {
        let delta = Delta::parse(&read(&path)?).with_context(|| path.display().to_string())?;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        ensure!(stem == Some(delta.layer.to_string()), "{} has another name", path.display());
        for line in &delta.definitions {
            ensure!(line.verifies(), "{}: {} has a wrong id", path.display(), line.name);
        }
        deltas.push(delta);
    }
    Ok(deltas.len())
}

fn tl_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "tl"));
    paths.sort();
    Ok(paths)
}

fn newest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/chappe-api/schema/api.tl")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/chappe-api/schema/layers")
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule:   LAY-02, TL-10: the schema of every layer in the range is read, each id verified.
    /// Source: docs/spec/20-telegram-api-service.md §4.3.
    #[test]
    fn committed_layers_verify() {
        assert!(check(&folder()).unwrap() > 60);
    }

    #[test]
    fn a_layer_is_written_as_what_it_says_otherwise() {
        let older = definitions(
            "// LAYER 7\nboolFalse#bc799737 = Bool;\nwallet.tonConnectSessions = wallet.X;\n",
        );
        let newer = definitions(
            "// LAYER 8\nboolFalse#bc799737 = Bool;\nwallet.tonConnectSessions a:int = wallet.X;\n\
             userEmpty#d3bc4b7a id:long = User;\n",
        );
        let text = delta(&older.unwrap(), &newer.unwrap());
        let parsed = Delta::parse(&text).unwrap();
        assert_eq!((parsed.layer, parsed.definitions.len()), (7, 1));
        assert!(text.ends_with("-userEmpty\n"), "{text}");
    }
}

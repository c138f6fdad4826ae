//! `cargo xtask planted`: whether the simulation finds faults that were put there on purpose.
//!
//! The faults stand in `crates/chappe-sim/planted/list.txt` as replacements of text. All of them
//! go into one scratch copy of the core, each behind a switch, so that one build serves them all
//! and the core itself knows nothing of them. A fault that nobody finds is a hole in the
//! simulation; one whose text is gone has to follow the core.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::test::root;

/// Seeds within which each fault has to be found.
const SEEDS: &str = "1000";
/// The crates that the simulation is made of.
const CRATES: &[&str] =
    &["chappe-tl", "chappe-crypto", "chappe-proto", "chappe-updates", "chappe-sim"];
/// The switch: in the scratch copy alone.
const SWITCH: &str = r#"//! Which fault is switched on.
#![allow(missing_docs, unreachable_pub)]

pub fn is(name: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("CHAPPE_PLANTED").unwrap_or_default()) == name
}
"#;

/// One fault.
#[derive(Debug, Default)]
struct Fault {
    name: String,
    what: String,
    changes: Vec<Change>,
}

/// One replacement.
#[derive(Debug, Default)]
struct Change {
    file: PathBuf,
    from: String,
    to: String,
}

pub(crate) fn run(wanted: &[String]) -> Result<()> {
    let list = root().join("crates/chappe-sim/planted/list.txt");
    let text =
        fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let faults = parse(&text)?;
    let is_wanted = |fault: &&Fault| wanted.is_empty() || wanted.contains(&fault.name);
    let chosen: Vec<&Fault> = faults.iter().filter(is_wanted).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = faults.iter().map(|fault| &*fault.name).collect();
        bail!("no fault is called so; the faults are: {}", names.join(", "));
    }
    let home = fs::canonicalize(root())?.join("target/planted");
    let scratch = home.join("source");
    // Not the workspace's own: cargo would take crates of the same name and place for the same.
    let target = home.join("build");
    copy(&scratch, &faults)?;
    // The scratch copy renames a crate, so its lock file has to change, and nothing else in it may.
    let fetched = Command::new("cargo").args(["fetch", "--locked"]).current_dir(root()).status()?;
    if !fetched.success() {
        bail!("cargo fetch failed");
    }
    let begun = Instant::now();
    let status = Command::new("cargo")
        .args(["build", "--release", "--offline", "--package", "chappe-sim-planted"])
        .current_dir(&scratch)
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTFLAGS", std::env::var("RUSTFLAGS").unwrap_or_default())
        .status()?;
    if !status.success() {
        bail!("the scratch copy in {} does not build", scratch.display());
    }
    println!("built in {:.1} s", begun.elapsed().as_secs_f64());
    let program = target.join("release/chappe-sim-planted");
    if let Some(found) = search(&program, "")? {
        bail!("without any fault the simulation finds: {found}");
    }
    let mut missed = Vec::new();
    for fault in &chosen {
        match search(&program, &fault.name)? {
            Some(found) => println!("{:<28} {found:.140}", fault.name),
            None => {
                println!("{:<28} NOT FOUND: {}", fault.name, fault.what);
                missed.push(&*fault.name);
            }
        }
    }
    let (count, spent) = (chosen.len(), begun.elapsed().as_secs_f64());
    if missed.is_empty() {
        println!("all {count} planted faults found within {SEEDS} seeds each, in {spent:.0} s");
        return Ok(());
    }
    bail!("{} of {count} planted faults not found: {}", missed.len(), missed.join(", "))
}

/// Runs the simulation with one fault; the first line about a failure.
fn search(program: &Path, name: &str) -> Result<Option<String>> {
    let output = Command::new(program)
        .args(["--seeds", SEEDS])
        .env("CHAPPE_PLANTED", name)
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(0) => Ok(None),
        Some(1) => {
            let line = text.lines().find(|line| line.contains("breaks an invariant"));
            Ok(Some(line.unwrap_or("something").to_owned()))
        }
        _ => bail!("the simulation itself failed: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn parse(text: &str) -> Result<Vec<Fault>> {
    let mut faults: Vec<Fault> = Vec::new();
    let mut lines = text.lines().enumerate();
    let mut file = PathBuf::new();
    while let Some((number, line)) = lines.next() {
        if let Some(title) = line.strip_prefix("== ") {
            let (name, what) = title
                .split_once(": ")
                .with_context(|| format!("line {}: a fault has a name and a text", number + 1))?;
            let (name, what) = (name.to_owned(), what.to_owned());
            faults.push(Fault { name, what, changes: Vec::new() });
        } else if line == "<<<" {
            let mut take = |end: &str| -> String {
                let lines: Vec<&str> =
                    lines.by_ref().map(|(_, line)| line).take_while(|line| *line != end).collect();
                lines.join("\n")
            };
            let (from, to) = (take("==="), take(">>>"));
            let fault = faults.last_mut().context("a replacement before any fault")?;
            fault.changes.push(Change { file: file.clone(), from, to });
        } else if !line.is_empty() && !line.starts_with('#') {
            file = PathBuf::from(line);
        }
    }
    Ok(faults)
}

/// Makes the scratch copy, with all faults in it.
fn copy(scratch: &Path, faults: &[Fault]) -> Result<()> {
    if scratch.exists() {
        fs::remove_dir_all(scratch)?;
    }
    for name in CRATES {
        let folder = Path::new("crates").join(name);
        copy_folder(&root().join(&folder), &scratch.join(&folder))?;
    }
    // The schema tools' tests bring a crate of their own, which is not needed here.
    let _ = fs::remove_dir_all(scratch.join("crates/chappe-tl/tests"));
    let text = fs::read_to_string(root().join("Cargo.toml"))?;
    let members = text.lines().find(|line| line.starts_with("members = "));
    let members = members.context("the workspace names no members")?;
    fs::write(scratch.join("Cargo.toml"), text.replace(members, r#"members = ["crates/*"]"#))?;
    let manifest = scratch.join("crates/chappe-sim/Cargo.toml");
    let text = fs::read_to_string(&manifest)?;
    let text = replaced(&text, "name = \"chappe-sim\"", "name = \"chappe-sim-planted\"")?;
    let text = replaced(&text, "[lints]", "[lib]\nname = \"chappe_sim\"\n\n[lints]")?;
    fs::write(&manifest, text)?;
    let manifest = scratch.join("crates/chappe-tl/Cargo.toml");
    let text = fs::read_to_string(&manifest)?;
    let without: Vec<&str> = text.lines().filter(|line| !line.contains("tests/fixture")).collect();
    fs::write(&manifest, without.join("\n"))?;
    fs::copy(root().join("Cargo.lock"), scratch.join("Cargo.lock"))?;
    for name in ["chappe-crypto", "chappe-proto", "chappe-updates", "chappe-sim"] {
        let source = scratch.join("crates").join(name).join("src");
        fs::write(source.join("planted.rs"), SWITCH)?;
        let text = fs::read_to_string(source.join("lib.rs"))?;
        fs::write(source.join("lib.rs"), format!("{text}\npub mod planted;\n"))?;
    }
    for fault in faults {
        for Change { file, from, to } in &fault.changes {
            let path = scratch.join(file);
            let text = fs::read_to_string(&path)
                .with_context(|| format!("{}: cannot read {}", fault.name, file.display()))?;
            let to = to.replace("PLANTED", &format!("crate::planted::is(\"{}\")", fault.name));
            let text = replaced(&text, from, &to)
                .with_context(|| format!("fault {} in {}", fault.name, file.display()))?;
            fs::write(&path, text)?;
        }
    }
    Ok(())
}

/// `text` with its one occurrence of `from` replaced.
fn replaced(text: &str, from: &str, to: &str) -> Result<String> {
    match text.matches(from).count() {
        1 => Ok(text.replacen(from, to, 1)),
        count => bail!("the text to replace occurs {count} times, not once:\n{from}"),
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

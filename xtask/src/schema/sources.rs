//! Where the facts come from: published packages, had through the ordinary clients of their
//! registries. `NOTICE` names the same packages and versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

const TL_CRATE: &str = "grammers-tl-types";
const TL_VERSION: &str = "0.11.0";
const ERRORS_PACKAGE: &str = "@mtcute/core";
const ERRORS_VERSION: &str = "0.31.0";

/// The `.tl` file of the published crate, found by asking cargo for a throw-away manifest.
pub(crate) fn published_tl() -> Result<String> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("src"))?;
    fs::write(folder.path().join("src/lib.rs"), "")?;
    fs::write(
        folder.path().join("Cargo.toml"),
        format!(
            "[package]\nname = \"schema-source\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [dependencies]\n{TL_CRATE} = \"={TL_VERSION}\"\n[workspace]\n"
        ),
    )?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut metadata = Command::new(cargo);
    metadata.args(["metadata", "--quiet", "--format-version=1"]);
    let json: Value = serde_json::from_slice(&output(&mut metadata, folder.path())?)?;
    let manifest = json["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == TL_CRATE)
        .and_then(|package| package["manifest_path"].as_str())
        .with_context(|| format!("cargo does not know where {TL_CRATE} is"))?;
    super::read(&PathBuf::from(manifest).with_file_name("tl").join("api.tl"))
}

/// The error table of the published npm package.
pub(crate) fn published_errors() -> Result<String> {
    let folder = tempfile::tempdir()?;
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent", &format!("{ERRORS_PACKAGE}@{ERRORS_VERSION}")]);
    let archive = String::from_utf8(output(&mut pack, folder.path())?)?;
    let mut unpack = Command::new("tar");
    unpack.args(["-xzf", archive.trim()]);
    output(&mut unpack, folder.path())?;
    super::read(&folder.path().join("package/tl/raw-errors.json"))
}

fn output(command: &mut Command, folder: &Path) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.current_dir(folder).output().with_context(|| format!("cannot run `{program}`"))?;
    if !output.status.success() {
        bail!("`{program}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

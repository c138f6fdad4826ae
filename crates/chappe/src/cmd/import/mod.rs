//! `chappe proxy import`: the users and settings of other proxies, in the words of ours.
//!
//! | file | holds |
//! | --- | --- |
//! | `found` | what was found, and how it is written |
//! | `telemt` | telemt's TOML |
//! | `mtprotoproxy` | mtprotoproxy's `config.py` |
//! | `python` | as much of Python as that takes; nothing is ever run |

mod found;
mod mtprotoproxy;
mod python;
mod telemt;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::found::Found;
use super::files;
use crate::cli::ProxyArgs;
use crate::config::proxy::ProxySettings;
use crate::exit::Exit;

pub(super) fn run(sources: &[PathBuf], into: Option<&Path>) -> Result<Exit> {
    let mut all = Found::default();
    for source in sources {
        let found = read(source)?;
        for note in &found.notes {
            eprintln!("{}: {note}", source.display());
        }
        all.add(found).with_context(|| source.display().to_string())?;
    }
    match into {
        Some(into) => add(&all, into)?,
        None => print!("{}", all.text()?),
    }
    Ok(Exit::Done)
}

/// Whose settings they are is seen in the language.
fn read(path: &Path) -> Result<Found> {
    let text = files::read(path)?;
    let is_python = path.extension().is_some_and(|extension| extension == "py");
    let found = match is_python {
        true => mtprotoproxy::read(&text),
        false => text
            .parse()
            .context("this is no TOML; a file in Python is called .py")
            .and_then(telemt::read),
    };
    found.with_context(|| path.display().to_string())
}

/// Adds users and sites to settings, which stay as they are otherwise.
fn add(found: &Found, into: &Path) -> Result<()> {
    let text = files::read(into)?;
    let table: toml::Table =
        text.parse().with_context(|| format!("{} is no TOML", into.display()))?;
    let added = found.added_text(&table)?;
    let text = format!("{}\n\n{added}", text.trim_end());
    ProxySettings::from_text(&ProxyArgs::default(), Some(&text))
        .with_context(|| format!("{} stays as it was", into.display()))?;
    files::replace(into, &text)?;
    if !found.settings.is_empty() {
        eprintln!("{}: only users and sites were added", into.display());
    }
    Ok(())
}

/// A secret as ours are written.
fn secret(name: &str, text: &str) -> Result<String> {
    let is_secret = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_secret {
        bail!("the secret of `{name}` is not 32 hexadecimal digits");
    }
    Ok(text.to_ascii_lowercase())
}

//! `cargo xtask schema`: `crates/chappe-api/schema/` from published packages.
//!
//! Makes three files: `api.tl` (every declaration, in our order, each id verified), `LAYER` (its
//! number) and `errors.tsv` (code and name of every known error). `--check` compares only, and
//! passes over a file whose source cannot be had, so that it can run without a network.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

mod api;
mod errors;
mod sources;

/// Runs the command with the words that follow its name.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    let files = [
        (options.tl_text(), &["api.tl", "LAYER"][..]),
        (options.errors_text(), &["errors.tsv"][..]),
    ];
    let mut stale = Vec::new();
    for (source, names) in files {
        let text = match source {
            Ok(text) => text,
            Err(error) if options.check => {
                println!("skipped {}: {error:#}", names.join(", "));
                continue;
            }
            Err(error) => return Err(error),
        };
        for &name in names {
            let made = make(name, &text)?;
            let path = folder().join(name);
            if options.check {
                let same = fs::read_to_string(&path).is_ok_and(|committed| committed == made);
                println!("{} {name}", if same { "matches" } else { "differs" });
                if !same {
                    stale.push(name);
                }
            } else {
                fs::write(&path, &made)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                println!("wrote {name}: {} lines", made.lines().count());
            }
        }
    }
    if !stale.is_empty() {
        bail!("run `cargo xtask schema` to make {} again", stale.join(", "));
    }
    Ok(())
}

fn make(name: &str, source: &str) -> Result<String> {
    match name {
        "api.tl" => api::arrange(source),
        "LAYER" => api::layer_file(source),
        "errors.tsv" => errors::table(source),
        _ => unreachable!("`run` names three files"),
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/chappe-api/schema")
}

#[derive(Debug, Default)]
struct Options {
    check: bool,
    tl: Option<PathBuf>,
    errors: Option<PathBuf>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let mut file = || {
                words.next().map(PathBuf::from).with_context(|| format!("`{word}` needs a file"))
            };
            match word.as_str() {
                "--check" => options.check = true,
                "--tl" => options.tl = Some(file()?),
                "--errors" => options.errors = Some(file()?),
                _ => bail!("unknown option `{word}`: allowed are --check, --tl and --errors"),
            }
        }
        Ok(options)
    }

    fn tl_text(&self) -> Result<String> {
        self.tl.as_deref().map_or_else(sources::published_tl, read)
    }

    fn errors_text(&self) -> Result<String> {
        self.errors.as_deref().map_or_else(sources::published_errors, read)
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The committed files are exactly what this tool writes from what they themselves say.
    #[test]
    fn committed_schema_is_in_our_order_with_every_id_verified() {
        let committed = read(&folder().join("api.tl")).unwrap();
        assert_eq!(api::arrange(&committed).unwrap(), committed);
        let layer = read(&folder().join("LAYER")).unwrap();
        assert_eq!(layer, api::layer_file(&committed).unwrap());
    }

    #[test]
    fn unknown_option_names_the_allowed_ones() {
        let error = Options::parse(&["--chek".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "unknown option `--chek`: allowed are --check, --tl and --errors");
    }
}

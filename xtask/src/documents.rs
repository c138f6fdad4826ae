//! What `cargo xtask tidy` wants of the documents: links lead somewhere, and each decision has a
//! number of its own. Both break unseen when branches meet.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::test::root;

/// Where documents are.
const PLACES: &[&str] = &[".", "docs", "docs/guide", "docs/decisions", "docs/spec", "fuzz"];

/// What is wrong with the documents, one line each.
pub(crate) fn check() -> Result<Vec<String>> {
    let mut faults = decisions()?;
    for place in PLACES {
        for file in documents(&root().join(place))? {
            let text = fs::read_to_string(&file)?;
            let name = file.strip_prefix(root()).unwrap_or(&file).display();
            let broken = links(&text).filter(|link| !leads_somewhere(&file, link));
            faults.extend(broken.map(|link| format!("{name}: nothing is at {link}")));
        }
    }
    Ok(faults)
}

/// Decisions that share a number, or whose title has another than their file.
fn decisions() -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut last = String::new();
    for file in documents(&root().join("docs/decisions"))? {
        let name = file.file_name().unwrap_or_default().display().to_string();
        let Some((number, _)) = name.split_once('-') else { continue };
        if number == last {
            faults.push(format!("docs/decisions/{name}: another page has its number"));
        }
        let title = format!("# {}. ", number.trim_start_matches('0'));
        if !fs::read_to_string(&file)?.starts_with(&title) {
            faults.push(format!("docs/decisions/{name}: its title does not begin with `{title}`"));
        }
        number.clone_into(&mut last);
    }
    Ok(faults)
}

/// The documents of a folder, in order.
fn documents(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Where the links of a document lead, those in blocks of code left out.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    let links = prose.flat_map(|prose| prose.split("](").skip(1));
    links.filter_map(|rest| rest.split_once(')')).map(|(link, _)| link)
}

/// Whether a link from `file` finds its file and its heading. Other sites are not asked.
fn leads_somewhere(file: &Path, link: &str) -> bool {
    if link.starts_with("http") {
        return true;
    }
    let (path, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = match path {
        "" => file.to_path_buf(),
        path => file.parent().unwrap_or(file).join(path),
    };
    if heading.is_empty() {
        return target.exists();
    }
    let text = fs::read_to_string(&target).unwrap_or_default();
    text.lines().any(|line| line.starts_with('#') && anchor(line) == heading)
}

/// The name under which a heading is linked to.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_prose_are_seen_and_those_of_code_are_not() {
        let text = "[a](b.md), [c](d.md#e)\n```rust\n/// [f](g)\n```\n[h](#i)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["b.md", "d.md#e", "#i"]);
    }

    #[test]
    fn link_needs_its_file_and_its_heading() {
        let readme = root().join("README.md");
        for link in ["SECURITY.md", "#what-works", "docs/guide/clients.md#our-own", "https://x.y"] {
            assert!(leads_somewhere(&readme, link), "{link}");
        }
        for link in ["NOTHING.md", "#nowhere", "SECURITY.md#nowhere", "NOTHING.md#our-own"] {
            assert!(!leads_somewhere(&readme, link), "{link}");
        }
    }
}

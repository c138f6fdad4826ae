//! Which tests name which rules, read from the doc comments of test functions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::rules;
use crate::tidy::sources;

/// Rule → file (seen from the root) → tests in it, in the order of the file.
pub(super) type Named = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// Folders that hold tests of rules.
const FOLDERS: &[&str] = &["crates", "examples"];

pub(super) fn read(root: &Path) -> Result<Named> {
    let mut named = Named::new();
    for folder in FOLDERS {
        for path in sources(&root.join(folder))? {
            let text = fs::read_to_string(&path)?;
            let file = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            for (test, ids) in tests(&text) {
                for id in ids {
                    let files = named.entry(id).or_default();
                    files.entry(file.clone()).or_default().push(test.clone());
                }
            }
        }
    }
    Ok(named)
}

/// Test functions of a source text, each with the rules its doc comment names.
fn tests(text: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut doc = String::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("///") {
            doc.push_str(comment);
            doc.push('\n');
        } else if let Some(attribute) = line.strip_prefix("#[") {
            let path = attribute.split(['(', ']']).next().unwrap_or_default();
            is_test |= path == "test" || path.ends_with("::test");
        } else {
            if is_test && let Some(name) = function(line) {
                let ids = ids(&doc);
                if !ids.is_empty() {
                    found.push((name.to_owned(), ids));
                }
            }
            doc.clear();
            is_test = false;
        }
    }
    found
}

/// The name of the function that a line opens.
fn function(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let only_qualifiers = before.split_whitespace().all(|word| word == "async" || word == "pub");
    only_qualifiers.then(|| after.split(['(', '<']).next().unwrap_or_default())
}

/// The ids in a text, each once, in order; `SES-09 to SES-16` and `SES-09 … SES-16` name all between.
fn ids(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut rest = text;
    let mut joined = false;
    while let Some(at) = rest.find(|c: char| c.is_ascii_uppercase()) {
        let between = &rest[..at];
        rest = &rest[at..];
        let Some(id) = rules::prefixes().find_map(|prefix| rules::leading_id(rest, prefix)) else {
            let word = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
            rest = &rest[word..];
            joined = false;
            continue;
        };
        if joined
            && matches!(between.trim(), "to" | "…" | "–")
            && let Some(first) = found.last().cloned()
        {
            found.extend(after(&first, id));
        }
        found.push(id.to_owned());
        rest = &rest[id.len()..];
        joined = true;
    }
    let mut seen = BTreeSet::new();
    found.retain(|id| seen.insert(id.clone()));
    found
}

/// The ids between two of one kind, both excluded.
fn after(first: &str, last: &str) -> Vec<String> {
    let split = |id: &str| {
        let digits = id.bytes().rev().take_while(u8::is_ascii_digit).count();
        let (kind, number) = id.split_at(id.len() - digits);
        (kind.to_owned(), digits, number.parse::<u32>().unwrap_or_default())
    };
    let ((kind, width, from), (other, _, to)) = (split(first), split(last));
    if kind != other {
        return Vec::new();
    }
    (from + 1..to).map(|number| format!("{kind}{number:0width$}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doc_comment_of_a_test_names_its_rules() {
        let text = "\
            /// Rules: MSG-R05, SEC-22: silence.\n\
            ///        Also V1-04.\n\
            #[test]\n\
            fn silent() {}\n\
            /// TL-01: nobody runs this.\n\
            fn helper() {}\n\
            /// KEY-07.\n\
            #[tokio::test(start_paused = true)]\n\
            async fn waits() {}\n\
            // KEY-08 in an ordinary comment.\n\
            #[test]\n\
            fn nameless() {}\n";
        let strings = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            tests(text),
            [
                ("silent".to_owned(), strings(&["MSG-R05", "SEC-22", "V1-04"])),
                ("waits".to_owned(), strings(&["KEY-07"])),
            ]
        );
    }

    #[test]
    fn span_of_ids_names_all_of_them() {
        assert_eq!(ids("SES-09 to SES-12, and SES-10"), ["SES-09", "SES-10", "SES-11", "SES-12"]);
        assert_eq!(ids("MSG-R01 to SES-03"), ["MSG-R01", "SES-03"]);
        assert_eq!(ids("SHA-256, TL-01; TL-017b, TLS-12"), ["TL-01"]);
        assert_eq!(ids("TL-01, used to TL-03"), ["TL-01", "TL-03"]);
    }
}

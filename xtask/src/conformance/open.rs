//! Rules that no test of ours names yet, each with its reason: `docs/conformance/open.tsv`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::named::Named;
use super::rules::Chapter;

/// A rule without a test.
pub(super) struct Open {
    pub(super) id: String,
    pub(super) reason: String,
}

const HEADER: &str = "\
# Rules that no test names yet: rule, reason. A rule that gets its test leaves this list by
# `cargo xtask conformance`; a rule without a test and without a line here fails `cargo xtask tidy`.
";

/// The rules that are open now, in the order of the specification.
pub(super) fn read(path: &Path, chapters: &[Chapter], named: &Named) -> Result<Vec<Open>> {
    let listed =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    open(&listed, chapters, named)
}

fn open(listed: &str, chapters: &[Chapter], named: &Named) -> Result<Vec<Open>> {
    let reasons: Vec<(&str, &str)> =
        listed.lines().filter_map(|line| line.split_once('\t')).collect();
    let untested = chapters
        .iter()
        .flat_map(|chapter| &chapter.rules)
        .filter(|rule| !named.contains_key(&rule.id));
    let mut open = Vec::new();
    let mut faults = Vec::new();
    for rule in untested {
        match reasons.iter().find(|(id, reason)| *id == rule.id && !reason.trim().is_empty()) {
            Some((id, reason)) => {
                open.push(Open { id: (*id).to_owned(), reason: reason.trim().to_owned() });
            }
            None => faults.push(format!(
                "{}: no test names it, and docs/conformance/open.tsv gives no reason",
                rule.id
            )),
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(open)
}

/// The list as it should stand in its file.
pub(super) fn text(open: &[Open]) -> String {
    let rows = open.iter().map(|open| format!("{}\t{}\n", open.id, open.reason));
    HEADER.to_owned() + &rows.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::super::rules::{Rule, Side};
    use super::*;

    #[test]
    fn rule_leaves_the_list_with_its_first_test_and_needs_a_reason_before() {
        let listed = "# Rules\nTL-02\tnot yet\nTL-01\tlong tested\nTL-09\twithdrawn\n";
        let open = open(listed, &chapters(), &named(&["TL-01"])).expect("a reason for each");
        assert_eq!(text(&open), format!("{HEADER}TL-02\tnot yet\n"));
    }

    #[test]
    fn rule_without_test_or_reason_is_named() {
        for listed in ["", "TL-02\t \n"] {
            let error = open(listed, &chapters(), &named(&["TL-01"])).err().expect("a fault");
            assert!(error.to_string().starts_with("TL-02: no test names it"), "{error}");
        }
    }

    fn named(ids: &[&str]) -> Named {
        ids.iter().map(|id| ((*id).to_owned(), Default::default())).collect()
    }

    fn chapters() -> Vec<Chapter> {
        let rule = |id: &str| Rule { id: id.to_owned(), side: Side::Both, text: String::new() };
        let rules = vec![rule("TL-01"), rule("TL-02")];
        vec![Chapter { prefix: "TL", file: "01-tl.md", title: "01 — TL".to_owned(), rules }]
    }
}

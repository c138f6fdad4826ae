//! What other implementations do: `docs/conformance/*.tsv`, one file for each.
//!
//! A file begins with `# name:`, `# repository:` and `# read:`; then come rows of rule, answer, file
//! in that repository, note. Rules that bind no clients need no row, the others need one each.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::rules::{Chapter, Rule};

/// The files, in the order of the columns.
const FILES: &[&str] = &["tdlib.tsv", "gotd.tsv", "mtcute.tsv", "telethon.tsv", "grammers.tsv"];

/// One other implementation.
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) repository: String,
    /// Version or commit that was read.
    pub(super) read: String,
    facts: BTreeMap<String, Fact>,
}

impl Peer {
    pub(super) fn fact(&self, rule: &Rule) -> Option<&Fact> {
        self.facts.get(&rule.id)
    }
}

/// What one implementation does about one rule.
pub(super) struct Fact {
    pub(super) answer: Answer,
    /// Where it is seen, as a path in that repository; empty where there is nothing to see.
    pub(super) file: String,
    pub(super) note: String,
}

/// The only answers there are.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Answer {
    Yes,
    Partly,
    No,
    /// A client can do without, or has not the feature that the rule is about.
    NotNeeded,
    /// Looked for and not found.
    NotFound,
}

impl Answer {
    fn parse(text: &str) -> Option<Self> {
        [Self::Yes, Self::Partly, Self::No, Self::NotNeeded, Self::NotFound]
            .into_iter()
            .find(|answer| answer.name() == text)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Partly => "partly",
            Self::No => "no",
            Self::NotNeeded => "not needed",
            Self::NotFound => "not found",
        }
    }

    /// Whether the answer claims something that can be looked up.
    fn needs_file(self) -> bool {
        matches!(self, Self::Yes | Self::Partly | Self::No)
    }
}

pub(super) fn read(folder: &Path, chapters: &[Chapter]) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    let mut faults = Vec::new();
    for file in FILES {
        let path = folder.join(file);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let (peer, bad) = peer(&text, chapters).with_context(|| format!("{file}: bad header"))?;
        faults.extend(bad.into_iter().map(|fault| format!("docs/conformance/{file}: {fault}")));
        peers.push(peer);
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(peers)
}

/// Reads one file; with it comes everything that is wrong in its rows.
fn peer(text: &str, chapters: &[Chapter]) -> Result<(Peer, Vec<String>)> {
    let header = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix("# ")?.strip_prefix(key)?.strip_prefix(": "))
            .map(str::to_owned)
            .with_context(|| format!("no line `# {key}: …`"))
    };
    let rules: Vec<&Rule> = chapters.iter().flat_map(|chapter| &chapter.rules).collect();
    let mut facts = BTreeMap::new();
    let mut faults = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let mut cells = line.split('\t').map(str::to_owned);
        let (Some(id), Some(answer)) = (cells.next(), cells.next()) else {
            faults.push(format!("`{line}` has no answer"));
            continue;
        };
        let (file, note) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        if !rules.iter().any(|rule| rule.id == id) {
            faults.push(format!("{id} is no rule"));
        }
        let Some(answer) = Answer::parse(&answer) else {
            faults.push(format!("{id}: `{answer}` is none of the answers"));
            continue;
        };
        if file.is_empty() && answer.needs_file() {
            faults.push(format!("{id}: no file shows `{}`", answer.name()));
        }
        if facts.insert(id.clone(), Fact { answer, file, note }).is_some() {
            faults.push(format!("{id} is answered twice"));
        }
    }
    let bound = rules.iter().filter(|rule| rule.side.binds_clients());
    let missing = bound.filter(|rule| !facts.contains_key(&rule.id));
    faults.extend(missing.map(|rule| format!("{} has no row (`not found` is one)", rule.id)));
    let (name, repository, read) = (header("name")?, header("repository")?, header("read")?);
    Ok((Peer { name, repository, read, facts }, faults))
}

#[cfg(test)]
mod tests {
    use super::super::rules::Side;
    use super::*;

    const HEADER: &str = "# name: A\n# repository: b\n# read: c\n";

    #[test]
    fn every_rule_that_binds_a_client_has_one_row_of_the_known_form() {
        check("TL-01\tyes\ta.rs\tso", &[]);
        check("TL-01\tnot found", &[]);
        check("TL-01\tno\ta.rs\nTL-02\tyes\tserver.go", &[]);
        check("", &["TL-01 has no row (`not found` is one)"]);
        check("TL-01\tyes", &["TL-01: no file shows `yes`"]);
        check("TL-01\tno\ta\nTL-01\tno\ta", &["TL-01 is answered twice"]);
        check("TL-01\tno\ta\nTL-09\tno\ta", &["TL-09 is no rule"]);
        check(
            "TL-01\tperhaps\ta",
            &["TL-01: `perhaps` is none of the answers", "TL-01 has no row (`not found` is one)"],
        );
        assert!(peer("# name: A\n# read: c\n", &chapters()).is_err());
    }

    fn check(rows: &str, expected: &[&str]) {
        let (_, faults) = peer(&format!("{HEADER}{rows}\n"), &chapters()).expect("a header");
        assert_eq!(faults, expected, "{rows}");
    }

    fn chapters() -> Vec<Chapter> {
        let rule = |id: &str, side| Rule { id: id.to_owned(), side, text: "Something.".to_owned() };
        let rules = vec![rule("TL-01", Side::Both), rule("TL-02", Side::Server)];
        vec![Chapter { prefix: "TL", file: "01-tl.md", title: "01 — TL".to_owned(), rules }]
    }
}

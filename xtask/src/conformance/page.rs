//! The text of `docs/conformance.md`.

use std::fmt::Write;

use super::named::Named;
use super::open::Open;
use super::peers::{Answer, Peer};
use super::rules::{Chapter, Rule, Side};

const INTRO: &str = "\
# Conformance

Every rule of the protocol, its transports and the proxy, whom it binds, our tests that name it, and
what five other implementations do: facts from their sources, in our words, each with the file where
it is seen. These five are clients, so what binds servers and proxies has no answer of theirs.

Made by `cargo xtask conformance` from [the specification](spec/README.md), the doc comments of our
tests and [conformance/](conformance/); never edited by hand. Whoever adds, renames or drops a test
that names a rule makes it again. After a merge it is made again, not merged (`.gitattributes` lets
git take both sides, the command replaces them); `cargo xtask tidy` fails while it is stale.

| answer | means |
| --- | --- |
| yes | does what the rule says |
| partly | does some of it; the note says what |
| no | does something else, or nothing |
| not needed | has not the feature that the rule is about, or a client can do without |
| not found | looked for, not found |
| — | the rule binds servers or proxies only |
";

pub(super) fn page(chapters: &[Chapter], named: &Named, peers: &[Peer], open: &[Open]) -> String {
    let mut page = Page { text: INTRO.to_owned(), named, peers };
    page.sources();
    page.summary(chapters);
    page.open(open);
    for chapter in chapters {
        page.chapter(chapter);
    }
    page.text
}

struct Page<'a> {
    text: String,
    named: &'a Named,
    peers: &'a [Peer],
}

impl Page<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A table row: first the cells given, then one for each peer.
    fn row(&mut self, cells: &[&str], of_peer: impl Fn(&Peer) -> String) {
        let peers = self.peers.iter().map(of_peer);
        let cells: Vec<String> = cells.iter().map(|cell| (*cell).to_owned()).chain(peers).collect();
        self.line(&format!("| {} |", cells.join(" | ")));
    }

    /// The two lines above a table with a column for each peer.
    fn head(&mut self, cells: &[&str]) {
        self.line("");
        self.row(cells, |peer| peer.name.clone());
        self.row(&vec!["---"; cells.len()], |_| "---".to_owned());
    }

    fn sources(&mut self) {
        self.line("\n| implementation | repository | read |\n| --- | --- | --- |");
        for peer in self.peers {
            self.line(&format!("| {} | {} | {} |", peer.name, peer.repository, peer.read));
        }
    }

    fn summary(&mut self, chapters: &[Chapter]) {
        self.line("\n## Summary\n");
        self.line("Of each implementation: yes / partly / no, of the rules that bind clients.");
        self.head(&["chapter", "rules", "tested", "bind clients"]);
        for chapter in chapters {
            let name = format!("[{}](#{})", chapter.prefix, chapter.prefix.to_lowercase());
            self.summary_row(&name, &chapter.rules.iter().collect::<Vec<_>>());
        }
        let all: Vec<&Rule> = chapters.iter().flat_map(|chapter| &chapter.rules).collect();
        self.summary_row("all", &all);
    }

    fn summary_row(&mut self, name: &str, rules: &[&Rule]) {
        let tested = rules.iter().filter(|rule| self.named.contains_key(&rule.id)).count();
        let bound: Vec<&&Rule> = rules.iter().filter(|rule| rule.side.binds_clients()).collect();
        let cells = [rules.len(), tested, bound.len()].map(|number| number.to_string());
        self.row(&[name, &cells[0], &cells[1], &cells[2]], |peer| {
            let count = |answer| {
                let facts = bound.iter().filter_map(|rule| peer.fact(rule));
                facts.filter(|fact| fact.answer == answer).count()
            };
            let answers = [Answer::Yes, Answer::Partly, Answer::No];
            answers.map(|answer| count(answer).to_string()).join(" / ")
        });
    }

    fn open(&mut self, open: &[Open]) {
        self.line("\n## Open rules\n");
        if open.is_empty() {
            return self.line("None: every rule is named by a test.");
        }
        self.line("No test names these yet.\n\n| rule | reason |\n| --- | --- |");
        for open in open {
            self.line(&format!("| {} | {} |", open.id, open.reason));
        }
    }

    fn chapter(&mut self, chapter: &Chapter) {
        self.line(&format!("\n## {}\n", chapter.prefix));
        self.line(&format!("[{}](spec/{})", chapter.title, chapter.file));
        self.head(&["rule", "binds", "tests"]);
        for rule in &chapter.rules {
            let tests = self.named.get(&rule.id).into_iter().flatten();
            let count = tests.map(|(_, tests)| tests.len()).sum::<usize>().to_string();
            self.row(&[&rule.id, rule.side.name(), &count], |peer| {
                peer.fact(rule).map_or("—", |fact| fact.answer.name()).to_owned()
            });
        }
        for rule in &chapter.rules {
            self.rule(rule);
        }
    }

    /// Everything known about one rule.
    fn rule(&mut self, rule: &Rule) {
        let binds = match rule.side {
            Side::Both => "binds both sides".to_owned(),
            side => format!("binds the {}", side.name()),
        };
        self.line(&format!("\n**{}** {binds}. {}\n", rule.id, rule.text));
        match self.named.get(&rule.id) {
            Some(files) => {
                for (file, tests) in files {
                    self.line(&format!("- test: `{file}`: {}", tests.join(", ")));
                }
            }
            None => self.line("- test: none yet"),
        }
        for peer in self.peers {
            let Some(fact) = peer.fact(rule) else { continue };
            let mut line = format!("- {}: {}", peer.name, fact.answer.name());
            for file in fact.file.split(", ").filter(|file| !file.is_empty()) {
                let _ = write!(line, ", `{file}`");
            }
            if !fact.note.is_empty() {
                let _ = write!(line, ": {}", fact.note);
            }
            self.line(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{named, open, peers, rules};
    use crate::test::root;

    #[test]
    fn page_has_a_row_and_a_paragraph_for_every_rule() {
        let (chapters, text) = made();
        for rule in chapters.iter().flat_map(|chapter| &chapter.rules) {
            assert!(text.contains(&format!("\n| {} | {} |", rule.id, rule.side.name())));
            assert!(text.contains(&format!("\n**{}** binds ", rule.id)), "{}", rule.id);
        }
    }

    #[test]
    fn every_table_row_has_as_many_cells_as_its_head() {
        let (chapters, text) = made();
        let tables = || text.split("\n\n").filter(|part| part.starts_with('|'));
        assert!(tables().count() > chapters.len());
        for table in tables() {
            let cells = |line: &str| line.matches(" | ").count();
            let head = table.lines().next().map(cells);
            assert!(table.lines().all(|line| Some(cells(line)) == head), "{table}");
        }
    }

    /// The page of this repository, and the rules it is about.
    fn made() -> (Vec<Chapter>, String) {
        let docs = root().join("docs");
        let folder = docs.join("conformance");
        let chapters = rules::read(&docs.join("spec")).expect("the specification");
        let tests = named::read(root()).expect("the tests");
        let peers = peers::read(&folder, &chapters).expect("the facts");
        let open = open::read(&folder.join("open.tsv"), &chapters, &tests).expect("reasons");
        let text = page(&chapters, &tests, &peers, &open);
        (chapters, text)
    }
}

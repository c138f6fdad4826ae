//! The rules of `docs/spec`: id, whom they bind, what they say.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// The chapters of the page: prefix of the ids, file of the specification.
const CHAPTERS: &[(&str, &str)] = &[
    ("TL", "01-tl.md"),
    ("CRY", "02-crypto.md"),
    ("KEY", "03-auth-key.md"),
    ("MSG", "04-messages.md"),
    ("SVC", "05-service-messages.md"),
    ("SES", "06-sessions-salts-time.md"),
    ("PFS", "07-pfs.md"),
    ("V1", "08-mtproto1.md"),
    ("SEC", "09-security-checklist.md"),
    ("TRN", "10-transports.md"),
    ("OBF", "11-obfuscation.md"),
];

/// One file of the specification.
pub(super) struct Chapter {
    pub(super) prefix: &'static str,
    pub(super) file: &'static str,
    /// Heading of the file.
    pub(super) title: String,
    /// In the order of the file.
    pub(super) rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) side: Side,
    pub(super) text: String,
}

/// Whom a rule binds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Side {
    Client,
    Server,
    Both,
    /// The schema compiler.
    Compiler,
    Proxy,
}

impl Side {
    /// Reads the side as the chapters write it: `C` in 01 to 09, `client` in 10 and 11.
    fn parse(text: &str) -> Option<Self> {
        Some(match text.split(' ').next()? {
            "C" | "client" => Self::Client,
            "S" | "server" => Self::Server,
            "all" | "both" | "receiver" | "C,S" => Self::Both,
            "K" => Self::Compiler,
            "proxy" => Self::Proxy,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Both => "both",
            Self::Compiler => "compiler",
            Self::Proxy => "proxy",
        }
    }

    /// Whether a library that is only a client has to obey.
    pub(super) fn binds_clients(self) -> bool {
        matches!(self, Self::Client | Self::Both | Self::Compiler)
    }
}

pub(super) fn read(folder: &Path) -> Result<Vec<Chapter>> {
    CHAPTERS
        .iter()
        .map(|&(prefix, file)| {
            let path = folder.join(file);
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            chapter(prefix, file, &text)
        })
        .collect()
}

fn chapter(prefix: &'static str, file: &'static str, text: &str) -> Result<Chapter> {
    let heading = text.lines().find_map(|line| line.strip_prefix("# "));
    let title = heading.with_context(|| format!("{file} has no heading"))?.to_owned();
    let mut rules: Vec<Rule> = Vec::new();
    for paragraph in text.split("\n\n") {
        let lines = paragraph.lines().filter(|line| line.starts_with('|'));
        let rows = lines.map(|line| row(line, prefix)).collect::<Result<Vec<_>>>();
        rules.extend(rows.with_context(|| file.to_owned())?.into_iter().flatten());
        rules.extend(spoken(paragraph, prefix));
    }
    if let Some(twice) = (1..rules.len()).find(|&n| rules[..n].iter().any(|r| r.id == rules[n].id))
    {
        bail!("{file} states {} twice", rules[twice].id);
    }
    Ok(Chapter { prefix, file, title, rules })
}

/// The rule of a table row, if its first cell is an id of this chapter.
fn row(line: &str, prefix: &str) -> Result<Option<Rule>> {
    let line = line.replace("\\|", "\u{0}");
    let cells: Vec<String> =
        line.split('|').skip(1).map(|cell| cell.trim().replace('\u{0}', "|")).collect();
    let [id, side, text, ..] = cells.as_slice() else { return Ok(None) };
    if leading_id(id, prefix) != Some(id.as_str()) {
        return Ok(None);
    }
    let side =
        Side::parse(side).with_context(|| format!("{id} binds `{side}`, whoever that is"))?;
    Ok(Some(Rule { id: id.clone(), side, text: text.clone() }))
}

/// Rules in running text: `TRN-30 (both): …`, to the end of the paragraph or the next such rule.
fn spoken(paragraph: &str, prefix: &str) -> Vec<Rule> {
    if paragraph.starts_with('|') {
        return Vec::new();
    }
    let starts: Vec<(usize, Rule)> = paragraph
        .match_indices(&format!("{prefix}-"))
        .filter_map(|(at, _)| {
            let id = leading_id(&paragraph[at..], prefix)?;
            let (side, text) = paragraph[at + id.len()..].strip_prefix(" (")?.split_once("): ")?;
            let rule = Rule { id: id.to_owned(), side: Side::parse(side)?, text: text.to_owned() };
            Some((at, rule))
        })
        .collect();
    let ends = starts.iter().skip(1).map(|(at, _)| *at).chain([paragraph.len()]);
    ends.zip(&starts)
        .map(|(end, (_, rule))| {
            let text = &rule.text[..rule.text.len() - (paragraph.len() - end)];
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            Rule { id: rule.id.clone(), side: rule.side, text }
        })
        .collect()
}

/// The id a text begins with: the prefix, a dash, perhaps a letter, two or three digits.
pub(super) fn leading_id<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let number = text.strip_prefix(prefix)?.strip_prefix('-')?;
    let letter = usize::from(number.starts_with(|c: char| c.is_ascii_uppercase()));
    let digits = number[letter..].bytes().take_while(u8::is_ascii_digit).count();
    let end = prefix.len() + 1 + letter + digits;
    let ends_word = !text[end..].starts_with(|c: char| c.is_ascii_alphanumeric());
    ((2..=3).contains(&digits) && ends_word).then(|| &text[..end])
}

/// Every prefix that an id of the page may have.
pub(super) fn prefixes() -> impl Iterator<Item = &'static str> {
    CHAPTERS.iter().map(|&(prefix, _)| prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_stand_in_tables_and_in_running_text() {
        let text = "# 10 — Framing\n\n\
            | Id | Binds | Rule | If broken |\n|---|---|---|---|\n\
            | TRN-01 | client | One tag, `a \\| b`. | Drop. |\n\
            | 404 | S | not a rule |\n\n\
            TRN-30 (both): cut the\npadding. See TRN-01 (above). TRN-R31 (server): answer.\n\nMore.";
        let chapter = chapter("TRN", "10-transports.md", text).expect("a chapter");
        assert_eq!(chapter.title, "10 — Framing");
        let rule =
            |id: &str, side, text: &str| Rule { id: id.to_owned(), side, text: text.to_owned() };
        assert_eq!(
            chapter.rules,
            [
                rule("TRN-01", Side::Client, "One tag, `a | b`."),
                rule("TRN-30", Side::Both, "cut the padding. See TRN-01 (above)."),
                rule("TRN-R31", Side::Server, "answer."),
            ]
        );
    }

    #[test]
    fn side_nobody_knows_and_rule_stated_twice_are_errors() {
        let unknown = "# A\n\n| TL-01 | moon | Text. | x |";
        assert!(chapter("TL", "01-tl.md", unknown).is_err());
        let twice = "# A\n\n| TL-01 | K | Text. | x |\n\nTL-01 (client): again.";
        assert!(chapter("TL", "01-tl.md", twice).is_err());
    }

    #[test]
    fn id_has_two_or_three_digits_and_ends_its_word() {
        assert_eq!(leading_id("MSG-R05, and", "MSG"), Some("MSG-R05"));
        assert_eq!(leading_id("V1-04", "V1"), Some("V1-04"));
        for other in ["MSG-5", "MSG-0512", "MSG-05b", "SEC-05", "MSG05"] {
            assert_eq!(leading_id(other, "MSG"), None, "{other}");
        }
    }
}

//! The rules of `docs/spec`: id, whom they bind, what they say.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// The chapters of the page: prefix of the ids, file of the specification, whom `both` means there.
const CHAPTERS: &[(&str, &str, Side)] = &[
    ("TL", "01-tl.md", Side::Both),
    ("CRY", "02-crypto.md", Side::Both),
    ("KEY", "03-auth-key.md", Side::Both),
    ("MSG", "04-messages.md", Side::Both),
    ("SVC", "05-service-messages.md", Side::Both),
    ("SES", "06-sessions-salts-time.md", Side::Both),
    ("PFS", "07-pfs.md", Side::Both),
    ("V1", "08-mtproto1.md", Side::Both),
    ("SEC", "09-security-checklist.md", Side::Both),
    ("TRN", "10-transports.md", Side::Both),
    ("OBF", "11-obfuscation.md", Side::Both),
    ("HTP", "12-http.md", Side::Both),
    ("WSK", "13-websocket.md", Side::Both),
    ("UDP", "14-udp.md", Side::Both),
    ("PRX", "15-proxy.md", Side::Both),
    ("FTL", "15-proxy.md", Side::Both),
    ("MPX", "15-proxy.md", Side::Link),
];

/// The rules of one prefix, in one file of the specification.
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
    /// The MTProto proxy.
    Proxy,
    /// The server that a proxy's middle links lead to.
    Middle,
    /// Both ends of a middle link: the proxy and the middle server.
    Link,
}

impl Side {
    /// Reads the side as the chapters write it: `C` in 01 to 09, `client` from 10 on; `both` is
    /// whom that word means in the chapter.
    fn parse(text: &str, both: Self) -> Option<Self> {
        Some(match text.split(' ').next()? {
            "C" | "client" => Self::Client,
            "S" | "server" => Self::Server,
            "all" | "both" | "sender" | "receiver" | "C,S" | "client/server" => both,
            "K" => Self::Compiler,
            "proxy" => Self::Proxy,
            "middle" => Self::Middle,
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
            Self::Middle => "middle server",
            Self::Link => "proxy and middle server",
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
        .map(|&(prefix, file, both)| {
            let path = folder.join(file);
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            chapter(prefix, file, both, &text)
        })
        .collect()
}

fn chapter(prefix: &'static str, file: &'static str, both: Side, text: &str) -> Result<Chapter> {
    let heading = text.lines().find_map(|line| line.strip_prefix("# "));
    let title = heading.with_context(|| format!("{file} has no heading"))?.to_owned();
    let mut rules: Vec<Rule> = Vec::new();
    for paragraph in text.split("\n\n") {
        let lines = paragraph.lines().filter(|line| line.starts_with('|'));
        let rows = lines.map(|line| row(line, prefix, both)).collect::<Result<Vec<_>>>();
        rules.extend(rows.with_context(|| file.to_owned())?.into_iter().flatten());
        rules.extend(spoken(paragraph, prefix, both));
    }
    if let Some(twice) = (1..rules.len()).find(|&n| rules[..n].iter().any(|r| r.id == rules[n].id))
    {
        bail!("{file} states {} twice", rules[twice].id);
    }
    Ok(Chapter { prefix, file, title, rules })
}

/// The rule of a table row, if its first cell is an id of this chapter.
fn row(line: &str, prefix: &str, both: Side) -> Result<Option<Rule>> {
    let line = line.replace("\\|", "\u{0}");
    let cells: Vec<String> =
        line.split('|').skip(1).map(|cell| cell.trim().replace('\u{0}', "|")).collect();
    let [id, side, text, ..] = cells.as_slice() else { return Ok(None) };
    if leading_id(id, prefix) != Some(id.as_str()) {
        return Ok(None);
    }
    let side =
        Side::parse(side, both).with_context(|| format!("{id} binds `{side}`, whoever that is"))?;
    Ok(Some(Rule { id: id.clone(), side, text: text.clone() }))
}

/// Rules in running text: `TRN-30 (both): …`, to the end of the paragraph or the next such rule.
fn spoken(paragraph: &str, prefix: &str, both: Side) -> Vec<Rule> {
    if paragraph.starts_with('|') {
        return Vec::new();
    }
    let starts: Vec<(usize, Rule)> = paragraph
        .match_indices(&format!("{prefix}-"))
        .filter_map(|(at, _)| {
            let id = leading_id(&paragraph[at..], prefix)?;
            let (side, text) = paragraph[at + id.len()..].strip_prefix(" (")?.split_once("): ")?;
            let rule =
                Rule { id: id.to_owned(), side: Side::parse(side, both)?, text: text.to_owned() };
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
    CHAPTERS.iter().map(|&(prefix, ..)| prefix)
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
        let chapter = chapter("TRN", "10-transports.md", Side::Both, text).expect("a chapter");
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
        assert!(chapter("TL", "01-tl.md", Side::Both, unknown).is_err());
        let twice = "# A\n\n| TL-01 | K | Text. | x |\n\nTL-01 (client): again.";
        assert!(chapter("TL", "01-tl.md", Side::Both, twice).is_err());
    }

    #[test]
    fn words_of_the_later_chapters_are_sides() {
        for both in ["both", "sender", "receiver", "client/server"] {
            assert_eq!(Side::parse(both, Side::Both), Some(Side::Both), "{both}");
        }
        assert_eq!(Side::parse("proxy", Side::Both), Some(Side::Proxy));
        assert_eq!(Side::parse("middle", Side::Both), Some(Side::Middle));
        assert_eq!(Side::parse("moon", Side::Both), None);
    }

    #[test]
    fn prefixes_of_one_file_are_apart_and_a_middle_link_binds_no_client() {
        let text = "# 15 — Proxy\n\n\
            | Id | Binds | Rule |\n|---|---|---|\n\
            | PRX-05 | both | Constant time. |\n\n\
            | MPX-01 | both | Addresses. |\n\
            | MPX-03 | middle | Verify. |\n\
            | MPX-08 | proxy | An id. |";
        let sides = |prefix, both| {
            let rules = chapter(prefix, "15-proxy.md", both, text).expect("a chapter").rules;
            rules.iter().map(|rule| (rule.side, rule.side.binds_clients())).collect::<Vec<_>>()
        };
        assert_eq!(sides("PRX", Side::Both), [(Side::Both, true)]);
        assert_eq!(
            sides("MPX", Side::Link),
            [(Side::Link, false), (Side::Middle, false), (Side::Proxy, false)]
        );
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

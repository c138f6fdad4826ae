//! Schema text → tokens with their lines and places.

use super::SchemaError;

/// One word or mark of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub line: u32,
    /// Offset of the first byte in the text.
    pub start: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Letters, digits and `_`; a name, a number or the digits of an id.
    Word,
    /// One of `# { } ( ) [ ] < > , : ; . ! % * ? =`.
    Mark,
    /// `---types---` or `---functions---`.
    Section,
}

impl Token<'_> {
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    pub(super) fn is(&self, mark: &str) -> bool {
        self.kind == Kind::Mark && self.text == mark
    }
}

/// The text with each comment replaced by spaces (line ends stay), and the layer it names.
pub(super) fn without_comments(text: &str) -> (String, Option<u32>) {
    let mut plain = String::with_capacity(text.len());
    let mut layer = None;
    let mut rest = text;
    while let Some(at) = rest.find('/') {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let length = if from.starts_with("//") {
            let length = from.find('\n').unwrap_or(from.len());
            let words: Vec<&str> = from[2..length].split_whitespace().collect();
            if let ["LAYER", number] = words[..] {
                layer = layer.or(number.parse().ok());
            }
            length
        } else if from.starts_with("/*") {
            from.find("*/").map_or(from.len(), |end| end + 2)
        } else {
            plain.push('/');
            rest = &from[1..];
            continue;
        };
        plain.extend(from[..length].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        rest = &from[length..];
    }
    plain.push_str(rest);
    (plain, layer)
}

/// Splits text without comments into tokens.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, SchemaError> {
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(first) = text[at..].chars().next() {
        let start = at;
        let kind = match first {
            '\n' => {
                line += 1;
                at += 1;
                continue;
            }
            _ if first.is_whitespace() => {
                at += first.len_utf8();
                continue;
            }
            _ if first.is_ascii_alphanumeric() || first == '_' => {
                let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                at += text[at..].find(|c| !word(c)).unwrap_or(text.len() - at);
                Kind::Word
            }
            '-' => {
                let length = SECTIONS
                    .iter()
                    .find(|mark| text[at..].starts_with(**mark))
                    .ok_or_else(|| SchemaError::new(line, "stray \"-\"".into()))?
                    .len();
                at += length;
                Kind::Section
            }
            _ if MARKS.contains(first) => {
                at += 1;
                Kind::Mark
            }
            _ => return Err(SchemaError::new(line, format!("stray {first:?}"))),
        };
        tokens.push(Token { kind, text: &text[start..at], line, start });
    }
    Ok(tokens)
}

pub(super) const FUNCTIONS_MARK: &str = "---functions---";
const SECTIONS: [&str; 2] = [FUNCTIONS_MARK, "---types---"];
const MARKS: &str = "#{}()[]<>,:;.!%*?=";

//! As much of Python as settings take: names that are given literal values. Nothing is run.

use anyhow::{Result, bail};

/// A literal.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// A list or a tuple.
    List(Vec<Literal>),
    Dict(Vec<(Literal, Literal)>),
}

impl Literal {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// What Python takes it for where it asks yes or no.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Dict(entries) => !entries.is_empty(),
        }
    }
}

/// A file, read.
#[derive(Debug, Default)]
pub(super) struct Module {
    /// Names and what they are given, in order.
    pub(super) names: Vec<(String, Literal)>,
    /// Lines that give no name a literal, from 1.
    pub(super) others: Vec<usize>,
}

/// Reads a file, line by line where it is not understood.
pub(super) fn read(text: &str) -> Module {
    let mut module = Module::default();
    let mut reader = Reader { text, at: 0 };
    loop {
        reader.skip(true);
        if reader.peek().is_none() {
            return module;
        }
        let begun = reader.at;
        match reader.assignment() {
            Ok((name, value)) => {
                module.names.retain(|(known, _)| *known != name);
                module.names.push((name, value));
            }
            Err(_) => {
                module.others.push(1 + text[..begun].matches('\n').count());
                reader.at = begun + text[begun..].find('\n').unwrap_or(text.len() - begun);
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// Literals within literals.
const DEPTH_MAX: usize = 16;

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.text[self.at..].starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Skips spaces and comments, and ends of lines where they mean nothing.
    fn skip(&mut self, across_lines: bool) {
        while let Some(next) = self.peek() {
            match next {
                '#' => {
                    let rest = &self.text[self.at..];
                    self.at += rest.find('\n').unwrap_or(rest.len());
                }
                '\n' if !across_lines => return,
                '\\' if self.text[self.at..].starts_with("\\\n") => self.at += 2,
                _ if next.is_whitespace() => self.at += next.len_utf8(),
                _ => return,
            }
        }
    }

    fn word(&mut self) -> &str {
        let rest = &self.text[self.at..];
        let fits = |next: char| next.is_alphanumeric() || next == '_';
        let len = rest.find(|next| !fits(next)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    fn assignment(&mut self) -> Result<(String, Literal)> {
        let name = self.word().to_owned();
        self.skip(false);
        if name.is_empty() || !self.eat("=") {
            bail!("no name is given anything");
        }
        self.skip(false);
        let value = self.product(0)?;
        self.skip(false);
        match self.peek() {
            None | Some('\n') => Ok((name, value)),
            Some(_) => bail!("more than a literal"),
        }
    }

    /// A literal, or numbers multiplied, as sizes are written.
    fn product(&mut self, depth: usize) -> Result<Literal> {
        let mut value = self.literal(depth)?;
        loop {
            self.skip(depth > 0);
            if !self.eat("*") {
                return Ok(value);
            }
            self.skip(depth > 0);
            value = match (value, self.literal(depth)?) {
                (Literal::Int(one), Literal::Int(other)) if one.checked_mul(other).is_some() => {
                    Literal::Int(one * other)
                }
                _ => bail!("no numbers, or too large ones"),
            };
        }
    }

    fn literal(&mut self, depth: usize) -> Result<Literal> {
        if depth > DEPTH_MAX {
            bail!("too many literals within another");
        }
        match self.peek() {
            Some('"' | '\'') => {
                let mut text = self.string()?;
                loop {
                    self.skip(depth > 0);
                    match self.peek() {
                        // Strings side by side are one.
                        Some('"' | '\'') => text.push_str(&self.string()?),
                        _ => return Ok(Literal::Text(text)),
                    }
                }
            }
            Some('{') => self.dict(depth),
            Some('[') => Ok(Literal::List(self.list(']', depth)?.0)),
            Some('(') => self.tuple(depth),
            Some('0'..='9' | '-') => self.number(),
            _ => match self.word() {
                "True" => Ok(Literal::Bool(true)),
                "False" => Ok(Literal::Bool(false)),
                "None" => Ok(Literal::None),
                other => bail!("`{other}` is no literal"),
            },
        }
    }

    fn string(&mut self) -> Result<String> {
        let rest = &self.text[self.at..];
        let quote = match rest.get(..3) {
            Some(three @ ("\"\"\"" | "'''")) => three,
            _ => &rest[..1],
        };
        let is_long = quote.len() == 3;
        self.at += quote.len();
        let mut text = String::new();
        loop {
            if self.eat(quote) {
                return Ok(text);
            }
            match self.next() {
                Some('\\') => match self.next() {
                    Some(plain @ ('\\' | '\'' | '"')) => text.push(plain),
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    _ => bail!("an escape that no setting needs"),
                },
                Some('\n') if !is_long => bail!("a string without an end"),
                Some(other) => text.push(other),
                None => bail!("a string without an end"),
            }
        }
    }

    fn number(&mut self) -> Result<Literal> {
        let sign = if self.eat("-") { -1 } else { 1 };
        let mut digits = self.word().replace('_', "");
        if self.eat(".") {
            digits = format!("{digits}.{}", self.word());
            return Ok(Literal::Float(f64::from(sign) * digits.parse::<f64>()?));
        }
        let number = match digits.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16)?,
            None => digits.parse()?,
        };
        Ok(Literal::Int(i64::from(sign) * number))
    }

    /// What stands up to the closing bracket, and whether a comma stands before it.
    fn list(&mut self, closing: char, depth: usize) -> Result<(Vec<Literal>, bool)> {
        self.next();
        let (mut list, mut has_comma) = (Vec::new(), false);
        loop {
            self.skip(true);
            if self.peek() == Some(closing) {
                self.next();
                return Ok((list, has_comma));
            }
            list.push(self.product(depth + 1)?);
            self.skip(true);
            has_comma = self.eat(",");
            if !has_comma && self.peek() != Some(closing) {
                bail!("a list without an end");
            }
        }
    }

    /// A tuple, or a literal in brackets.
    fn tuple(&mut self, depth: usize) -> Result<Literal> {
        let (mut list, has_comma) = self.list(')', depth)?;
        match list.len() {
            1 if !has_comma => Ok(list.remove(0)),
            _ => Ok(Literal::List(list)),
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Literal> {
        self.next();
        let mut entries: Vec<(Literal, Literal)> = Vec::new();
        loop {
            self.skip(true);
            if self.eat("}") {
                return Ok(Literal::Dict(entries));
            }
            let key = self.product(depth + 1)?;
            self.skip(true);
            if !self.eat(":") {
                bail!("a key without a value");
            }
            self.skip(true);
            let value = self.product(depth + 1)?;
            entries.retain(|(known, _)| *known != key);
            entries.push((key, value));
            self.skip(true);
            if !self.eat(",") && self.peek() != Some('}') {
                bail!("a dictionary without an end");
            }
        }
    }
}

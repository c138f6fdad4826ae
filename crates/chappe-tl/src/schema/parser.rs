//! Tokens → declarations as they are written; names are resolved afterwards.

use super::ast::{Generic, Section};
use super::crc::{crc32, normalise};
use super::lexer::{FUNCTIONS_MARK, Kind, Token};
use super::{SchemaError, is_type_name};

/// A declaration before its names are resolved.
#[derive(Debug)]
pub(super) struct Declaration {
    pub name: String,
    pub written_id: Option<u32>,
    pub computed_id: u32,
    pub generics: Vec<Generic>,
    pub fields: Vec<Field>,
    pub result: Term,
    pub section: Section,
    pub line: u32,
    pub builtin: bool,
}

#[derive(Debug)]
pub(super) struct Field {
    pub name: Option<String>,
    /// Name of the `#` field and the bit.
    pub condition: Option<(String, Option<u8>)>,
    pub ty: FieldType,
}

#[derive(Debug)]
pub(super) enum FieldType {
    Plain {
        bang: bool,
        term: Term,
    },
    /// `mult*[ fields ]`; without a multiplicity the `#` field before it counts.
    Repeat {
        mult: Option<Term>,
        fields: Vec<Field>,
    },
}

/// A type expression.
#[derive(Debug, Clone)]
pub(super) enum Term {
    Nat,
    Number(u32),
    Percent(Box<Term>),
    /// A name with its arguments.
    Name(String, Vec<Term>),
}

/// Everything a schema text declares.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub declarations: Vec<Declaration>,
    /// Types declared by `Empty T;`.
    pub empty_types: Vec<String>,
}

pub(super) fn parse(text: &str, tokens: &[Token<'_>]) -> Result<Program, SchemaError> {
    let mut parser = Parser { text, tokens, at: 0, depth: 0 };
    let mut program = Program::default();
    let mut section = Section::Types;
    while let Some(token) = parser.peek() {
        if token.kind == Kind::Section {
            let is_functions = token.text == FUNCTIONS_MARK;
            section = if is_functions { Section::Functions } else { Section::Types };
            parser.at += 1;
        } else if token.text.starts_with(|c: char| c.is_ascii_uppercase()) {
            program.empty_types.extend(parser.final_or_partial()?);
        } else {
            program.declarations.push(parser.declaration(section)?);
        }
    }
    Ok(program)
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token<'a>],
    at: usize,
    /// How many types and repetitions are open.
    depth: u32,
}

impl<'a> Parser<'a> {
    fn declaration(&mut self, section: Section) -> Result<Declaration, SchemaError> {
        let first = self.at;
        let line = self.line();
        let name = if self.accept_word("_") { "_".into() } else { self.name()? };
        if name != "_" && is_type_name(&name) {
            return Err(self.error(format!("constructor {name} must begin in lower case")));
        }
        let written_id = self.written_id()?;
        let generics = self.generics()?;
        let mut fields = Vec::new();
        let builtin = self.accept("?");
        while !self.peek_is("=") {
            self.field(&mut fields)?;
        }
        self.expect("=")?;
        let bang = self.accept("!");
        let result = self.type_expression()?;
        let end = self.expect(";")?.start;
        let source = &self.text[self.tokens[first].start..end];
        let section = if bang { Section::Functions } else { section };
        let computed_id = crc32(normalise(source).as_bytes());
        Ok(Declaration {
            name,
            written_id,
            computed_id,
            generics,
            fields,
            result,
            section,
            line,
            builtin,
        })
    }

    /// `New T;`, `Final T;`, `Empty T;`, or the obsolete `Vector int;`, which says nothing.
    fn final_or_partial(&mut self) -> Result<Option<String>, SchemaError> {
        let keyword = self.name()?;
        let mut argument = self.type_expression()?;
        while !self.accept(";") {
            argument = self.term()?;
        }
        match argument {
            Term::Name(name, _) if keyword == "Empty" => Ok(Some(name)),
            _ => Ok(None),
        }
    }

    /// `#hex`, when it follows the name at once.
    fn written_id(&mut self) -> Result<Option<u32>, SchemaError> {
        if !self.peek_is("#") || self.tokens[self.at - 1].end() != self.tokens[self.at].start {
            return Ok(None);
        }
        self.at += 1;
        let digits = self.word("the digits of an id")?;
        match u32::from_str_radix(digits, 16) {
            Ok(id) if digits.len() <= 8 => Ok(Some(id)),
            _ => Err(self.error(format!("\"#{digits}\" is no id"))),
        }
    }

    fn generics(&mut self) -> Result<Vec<Generic>, SchemaError> {
        let mut generics = Vec::new();
        while self.accept("{") {
            let mut names = Vec::new();
            while !self.accept(":") {
                names.push(self.word("a name")?.to_owned());
            }
            let is_number = match self.type_expression()? {
                Term::Nat => true,
                Term::Name(name, _) if name == "Type" => false,
                _ => return Err(self.error("a variable is a Type or a #".into())),
            };
            self.expect("}")?;
            generics.extend(names.into_iter().map(|name| Generic { name, is_number }));
        }
        Ok(generics)
    }

    /// One field, or several in the form `(a b : type)`.
    fn field(&mut self, fields: &mut Vec<Field>) -> Result<(), SchemaError> {
        if self.peek_is("(")
            && let Some(names) = self.names_in_parentheses()
        {
            let bang = self.accept("!");
            let term = self.type_expression()?;
            self.expect(")")?;
            fields.extend(names.into_iter().map(|name| Field {
                name: Some(name),
                condition: None,
                ty: FieldType::Plain { bang, term: term.clone() },
            }));
            return Ok(());
        }
        let name = if self.is_followed_by(":") {
            let name = self.word("the name of a field")?.to_owned();
            self.at += 1;
            Some(name)
        } else {
            None
        };
        let condition = self.condition()?;
        let bang = self.accept("!");
        let ty = if self.peek_is("[") {
            self.repeat(None)?
        } else {
            let term = self.term()?;
            if self.accept("*") {
                self.repeat(Some(term))?
            } else {
                FieldType::Plain { bang, term }
            }
        };
        fields.push(Field { name, condition, ty });
        Ok(())
    }

    fn repeat(&mut self, mult: Option<Term>) -> Result<FieldType, SchemaError> {
        self.expect("[")?;
        let mut fields = Vec::new();
        while !self.accept("]") {
            self.nested(|parser| parser.field(&mut fields))?;
        }
        Ok(FieldType::Repeat { mult, fields })
    }

    /// `flags.3?` or `flags?`, if it stands here.
    fn condition(&mut self) -> Result<Option<(String, Option<u8>)>, SchemaError> {
        let is = |offset: usize, mark| self.peek_at(offset).is_some_and(|token| token.is(mark));
        let has_bit = is(1, ".") && is(3, "?");
        if !has_bit && !is(1, "?") {
            return Ok(None);
        }
        let field = self.word("the name of a # field")?.to_owned();
        let mut bit = None;
        if has_bit {
            self.at += 1;
            let digits = self.word("a bit")?;
            bit = digits.parse().ok().filter(|bit| *bit < 32);
            if bit.is_none() {
                return Err(self.error(format!("bit {digits} is not within 0 to 31")));
            }
        }
        self.expect("?")?;
        Ok(Some((field, bit)))
    }

    /// `term { term }`: the first is applied to the others.
    fn type_expression(&mut self) -> Result<Term, SchemaError> {
        let mut head = self.term()?;
        while self.peek().is_some_and(|token| {
            token.kind == Kind::Word || ["(", "%", "#"].iter().any(|mark| token.is(mark))
        }) {
            let argument = self.term()?;
            match &mut head {
                Term::Name(_, arguments) => arguments.push(argument),
                _ => return Err(self.error("only a named type takes arguments".into())),
            }
        }
        Ok(head)
    }

    fn term(&mut self) -> Result<Term, SchemaError> {
        self.nested(Self::term_inside)
    }

    fn term_inside(&mut self) -> Result<Term, SchemaError> {
        if self.accept("(") {
            let inner = self.type_expression()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.accept("%") {
            return Ok(Term::Percent(Box::new(self.term()?)));
        }
        if self.accept("#") {
            return Ok(Term::Nat);
        }
        if let Some(number) =
            self.peek().filter(|t| t.text.starts_with(|c: char| c.is_ascii_digit()))
        {
            self.at += 1;
            let value = number.text.parse();
            return value
                .map(Term::Number)
                .map_err(|_| self.error(format!("\"{}\" is no number", number.text)));
        }
        let name = self.name()?;
        let mut arguments = Vec::new();
        if self.accept("<") {
            arguments.push(self.type_expression()?);
            while self.accept(",") {
                arguments.push(self.type_expression()?);
            }
            self.expect(">")?;
        }
        Ok(Term::Name(name, arguments))
    }

    /// Runs `parse` one level deeper; a hostile schema must not use up the stack.
    fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, SchemaError>,
    ) -> Result<T, SchemaError> {
        if self.depth == NESTING_MAX {
            return Err(self.error("types are nested too deep".into()));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// `name` or `namespace.name`.
    fn name(&mut self) -> Result<String, SchemaError> {
        let first = self.word("a name")?;
        let is_name = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic());
        if !is_name(first) {
            return Err(self.error(format!("\"{first}\" is no name")));
        }
        let dotted = self.peek_is(".") && self.peek_at(1).is_some_and(|token| is_name(token.text));
        if !dotted {
            return Ok(first.to_owned());
        }
        self.at += 1;
        let second = self.word("a name")?;
        Ok(format!("{first}.{second}"))
    }

    /// The names of `(a b : …)`; nothing is taken when this is another kind of parenthesis.
    fn names_in_parentheses(&mut self) -> Option<Vec<String>> {
        let inside = &self.tokens[self.at + 1..];
        let length = inside.iter().position(|token| token.kind != Kind::Word)?;
        if length == 0 || !inside[length].is(":") {
            return None;
        }
        self.at += length + 2;
        Some(inside[..length].iter().map(|token| token.text.to_owned()).collect())
    }

    fn peek(&self) -> Option<Token<'a>> {
        self.peek_at(0)
    }

    fn peek_at(&self, offset: usize) -> Option<Token<'a>> {
        self.tokens.get(self.at + offset).copied()
    }

    fn peek_is(&self, mark: &str) -> bool {
        self.peek().is_some_and(|token| token.is(mark))
    }

    fn is_followed_by(&self, mark: &str) -> bool {
        self.peek().is_some_and(|token| token.kind == Kind::Word)
            && self.peek_at(1).is_some_and(|token| token.is(mark))
    }

    fn accept(&mut self, mark: &str) -> bool {
        let found = self.peek_is(mark);
        self.at += usize::from(found);
        found
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.text == word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, mark: &str) -> Result<Token<'a>, SchemaError> {
        match self.peek() {
            Some(token) if token.is(mark) => {
                self.at += 1;
                Ok(token)
            }
            _ => Err(self.unexpected(&format!("\"{mark}\""))),
        }
    }

    fn word(&mut self, what: &str) -> Result<&'a str, SchemaError> {
        match self.peek() {
            Some(token) if token.kind == Kind::Word => {
                self.at += 1;
                Ok(token.text)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    fn unexpected(&self, wanted: &str) -> SchemaError {
        let found = self.peek().map_or("the end".into(), |token| format!("\"{}\"", token.text));
        self.error(format!("{wanted} is expected here, not {found}"))
    }

    fn line(&self) -> u32 {
        let token = self.peek().or_else(|| self.tokens.last().copied());
        token.map_or(1, |token| token.line)
    }

    fn error(&self, reason: String) -> SchemaError {
        SchemaError::new(self.line(), reason)
    }
}

/// How far types and repetitions may be nested in a schema text.
const NESTING_MAX: u32 = 64;

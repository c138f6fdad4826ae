//! The published list of middle servers, the file `proxy-multi.conf`.
//!
//! ```text
//! # force_probability 10 10
//! default 2;
//! proxy_for 1 149.154.175.50:8888;
//! proxy_for -1 149.154.175.50:8888;
//! ```
//!
//! Source: 15-proxy.md, section 8, "Config grammar".

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MiddleServers {
    clusters: BTreeMap<i16, Vec<Endpoint>>,
    default: i16,
    /// How many links to each server are advised, from and to.
    pub links: RangeInclusive<usize>,
    /// How long a server may take to be reached.
    pub timeout: Duration,
}

/// Where a middle server is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// An address, without brackets, or a name.
    pub host: String,
    /// From 1 on.
    pub port: u16,
}

/// A file that is no list of middle servers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ConfigError {
    /// Where, from 1 on.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Larger than any such file.
    #[error("the file has {0} bytes, at most 1 MiB is read")]
    Size(usize),
    /// Not the beginning of a line that is known.
    #[error("`{0}` is no directive")]
    Directive(String),
    /// Something is missing or not what it should be.
    #[error("{expected} expected, not `{got}`")]
    Expected {
        /// What should stand here.
        expected: &'static str,
        /// What does; empty at the end of the file.
        got: String,
    },
    /// The servers of a data centre stand in more than one place.
    #[error("the servers of data centre {0} are not listed together")]
    Scattered(i16),
    /// More than can be kept.
    #[error("more than {0} servers")]
    Many(usize),
    /// No server at all.
    #[error("no server is listed")]
    Empty,
}

impl MiddleServers {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// The first line that is wrong, and what is.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.len() > FILE_MAX {
            return Err(ConfigError { line: 1, problem: Problem::Size(text.len()) });
        }
        let mut tokens = Tokens { rest: text, line: 1 };
        let mut servers = Self {
            clusters: BTreeMap::new(),
            default: 0,
            links: 4..=8,
            timeout: Duration::from_millis(300),
        };
        let mut total = 0;
        let mut last = None;
        while let Some(word) = tokens.next() {
            match word {
                "default" => {
                    servers.default = tokens.number("a data centre", i16::MIN..=i16::MAX)?
                }
                "proxy_for" | "proxy" => {
                    let dc = match word {
                        "proxy" => 0,
                        _ => tokens.number("a data centre", i16::MIN..=i16::MAX)?,
                    };
                    let endpoint = tokens.endpoint()?;
                    let is_known = servers.clusters.contains_key(&dc);
                    if is_known && last != Some(dc) {
                        return Err(tokens.error(Problem::Scattered(dc)));
                    }
                    total += 1;
                    if total > SERVERS_MAX {
                        return Err(tokens.error(Problem::Many(SERVERS_MAX)));
                    }
                    servers.clusters.entry(dc).or_default().push(endpoint);
                    last = Some(dc);
                }
                "min_connections" => {
                    let max = *servers.links.end();
                    servers.links =
                        tokens.number("as many as max_connections at most", 1..=max)?..=max;
                }
                "max_connections" => {
                    let min = *servers.links.start();
                    servers.links = min..=tokens.number("a number up to 1000", min..=1000)?;
                }
                "timeout" => {
                    let timeout = tokens.number("10 to 30000 milliseconds", 10..=30_000)?;
                    servers.timeout = Duration::from_millis(timeout);
                }
                other => return Err(tokens.error(Problem::Directive(short(other)))),
            }
            tokens.expect(";", "`;`")?;
        }
        if servers.clusters.is_empty() {
            return Err(tokens.error(Problem::Empty));
        }
        Ok(servers)
    }

    /// The servers for a data centre: `dc` is as a client wrote it, negative for media. For one that
    /// is not listed they are those of the default one, if that is.
    pub fn of(&self, dc: i16) -> &[Endpoint] {
        self.clusters.get(&dc).map_or_else(|| self.unknown(), Vec::as_slice)
    }

    /// The servers for every data centre that is not listed.
    pub fn unknown(&self) -> &[Endpoint] {
        self.clusters.get(&self.default).map_or(&[], Vec::as_slice)
    }

    /// Every data centre that is listed, with its servers.
    pub fn clusters(&self) -> impl Iterator<Item = (i16, &[Endpoint])> {
        self.clusters.iter().map(|(dc, servers)| (*dc, servers.as_slice()))
    }
}

/// Largest file that is read, in bytes.
const FILE_MAX: usize = 1 << 20;
/// Most servers in one file.
const SERVERS_MAX: usize = 4096;

/// The words of a file: `;` and `:` are words of their own, `#` begins a comment.
struct Tokens<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Option<&'a str> {
        self.skip();
        let mut chars = self.rest.char_indices();
        let (_, first) = chars.next()?;
        let len = match first {
            ';' => first.len_utf8(),
            // An IPv6 address: its colons are not ours.
            '[' => self.rest.find(']').map_or(self.rest.len(), |at| at + 1),
            ':' => 1,
            _ => chars.find(|(_, next)| ends(*next)).map_or(self.rest.len(), |(at, _)| at),
        };
        let (word, rest) = self.rest.split_at(len);
        self.line += word.matches('\n').count();
        self.rest = rest;
        Some(word)
    }

    fn skip(&mut self) {
        loop {
            let trimmed = self.rest.trim_start();
            self.line += self.rest[..self.rest.len() - trimmed.len()].matches('\n').count();
            self.rest = trimmed;
            if !trimmed.starts_with('#') {
                return;
            }
            self.rest = &trimmed[trimmed.find('\n').unwrap_or(trimmed.len())..];
        }
    }

    fn error(&self, problem: Problem) -> ConfigError {
        ConfigError { line: self.line, problem }
    }

    fn unexpected(&self, expected: &'static str, got: Option<&str>) -> ConfigError {
        self.error(Problem::Expected { expected, got: got.map(short).unwrap_or_default() })
    }

    fn expect(&mut self, word: &str, expected: &'static str) -> Result<(), ConfigError> {
        match self.next() {
            Some(got) if got == word => Ok(()),
            got => Err(self.unexpected(expected, got)),
        }
    }

    fn number<T: std::str::FromStr + PartialOrd>(
        &mut self,
        expected: &'static str,
        range: RangeInclusive<T>,
    ) -> Result<T, ConfigError> {
        let got = self.next();
        let number = got.and_then(|word| word.parse().ok()).filter(|number| range.contains(number));
        number.ok_or_else(|| self.unexpected(expected, got))
    }

    fn endpoint(&mut self) -> Result<Endpoint, ConfigError> {
        let got = self.next();
        let host = got.and_then(host).ok_or_else(|| self.unexpected("a host", got))?;
        self.expect(":", "`:` and a port")?;
        let port = self.number("a port from 1 to 65535", 1..=u16::MAX)?;
        Ok(Endpoint { host: host.to_owned(), port })
    }
}

fn ends(next: char) -> bool {
    next.is_whitespace() || matches!(next, ';' | ':' | '#')
}

/// A host as it is connected to.
fn host(word: &str) -> Option<&str> {
    if let Some(inside) = word.strip_prefix('[') {
        let address = inside.strip_suffix(']')?;
        return address.parse::<Ipv6Addr>().is_ok().then_some(address);
    }
    let labels = || word.split('.');
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(is_inner)
    };
    // What looks like an address has to be one.
    let is_number = labels().all(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    let is_host = match is_number {
        true => word.parse::<Ipv4Addr>().is_ok(),
        false => word.len() <= 253 && labels().all(is_label),
    };
    is_host.then_some(word)
}

/// As much of a word as belongs into an error.
fn short(word: &str) -> String {
    word.chars().take(40).collect()
}

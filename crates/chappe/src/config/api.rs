//! The interface for operators of `chappe proxy`, as the file has it: where it is, and its token.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use chappe_crypto::{equal, sha256};
use serde::Deserialize;

use super::listen::ListenAddress;
use crate::cmd::files;

/// The table `[api]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Api {
    listen: String,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
}

/// Where the interface is, and who may use it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiSettings {
    pub(crate) listen: ListenAddress,
    pub(crate) token: Token,
}

/// What operators know. Only what a token can be told by is kept of it.
#[derive(Clone)]
pub(crate) struct Token([u8; 32]);

/// Fewest characters of a token: nobody should guess it.
const TOKEN_MIN: usize = 16;

impl Api {
    /// Reads the token; the file, too, that it stands in.
    pub(super) fn load(self) -> Result<(ApiSettings, Option<PathBuf>)> {
        let listen = listen(&self.listen)?;
        let (text, file) = match (self.token_file, self.token_env) {
            (Some(path), None) => (files::read(&path).context("api.token-file")?, Some(path)),
            (None, Some(name)) => {
                let text = std::env::var(&name);
                (text.with_context(|| format!("api.token-env: {name}"))?, None)
            }
            (None, None) => bail!("api: it needs a token; name one of token-file and token-env"),
            (Some(_), Some(_)) => bail!("api: name one of token-file and token-env"),
        };
        let token = text.trim();
        if token.len() < TOKEN_MIN {
            bail!("api: a token of fewer than {TOKEN_MIN} characters could be guessed");
        }
        Ok((ApiSettings { listen, token: Token::new(token) }, file))
    }
}

/// An address, `unix:PATH`, or a port alone, which is one of this machine for itself.
fn listen(text: &str) -> Result<ListenAddress> {
    let port = text.strip_prefix(':').unwrap_or(text);
    match port.parse() {
        Ok(port) => Ok(ListenAddress::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))),
        Err(_) => text.parse().context("api.listen"),
    }
}

impl Token {
    fn new(text: &str) -> Self {
        Self(sha256(&[text.as_bytes()]))
    }

    /// Whether `text` is it, in a time that says nothing of it.
    pub(crate) fn is(&self, text: &str) -> bool {
        self == &Self::new(text)
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        equal(&self.0, &other.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<(ApiSettings, Option<PathBuf>)> {
        toml::from_str::<Api>(text)?.load()
    }

    #[test]
    fn a_port_alone_is_for_this_machine() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        for (listen, expected) in [
            ("9180", "127.0.0.1:9180"),
            (":9180", "127.0.0.1:9180"),
            ("0.0.0.0:9180", "0.0.0.0:9180"),
            ("[::1]:9180", "[::1]:9180"),
            ("unix:/run/api.sock", "unix:/run/api.sock"),
        ] {
            let text = format!("listen = \"{listen}\"\ntoken-file = {path:?}");
            let (api, file) = load(&text).unwrap();
            assert_eq!((api.listen.to_string().as_str(), file.as_ref()), (expected, Some(&path)));
            assert!(api.token.is("0123456789abcdef") && !api.token.is("0123456789abcdeg"));
            assert!(!format!("{api:?}").contains("0123456789abcdef"));
        }
    }

    #[test]
    fn without_a_good_token_there_is_no_interface() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "short\n").unwrap();
        for (text, word) in [
            ("listen = \"9180\"".to_owned(), "needs a token"),
            ("listen = \"9180\"\ntoken-env = \"CHAPPE_NO_SUCH\"".into(), "CHAPPE_NO_SUCH"),
            (format!("listen = \"9180\"\ntoken-file = {path:?}"), "guessed"),
            ("listen = \"9180\"\ntoken-file = \"/none\"".into(), "token-file"),
            ("listen = \"here\"\ntoken-env = \"PATH\"".into(), "listen"),
        ] {
            let error = format!("{:#}", load(&text).unwrap_err());
            assert!(error.contains(word), "{error}");
        }
    }
}

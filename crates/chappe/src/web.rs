//! Addresses of the web, and connections there.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use chappe_net::connect::{Authorities, Endpoint, HttpConnection, Proxy, Site, connect};

use crate::config::proxy::tag;

/// `http://HOST[:PORT][/PATH]`, or the same with `https`.
///
/// Shown without what follows a `?`, which may be a password.
#[derive(Clone, PartialEq)]
pub(crate) struct WebAddress {
    is_tls: bool,
    endpoint: Endpoint,
    /// Host, and port where one is named, as requests have it.
    authority: String,
    path: String,
}

/// No address of the web. What was written is not shown, for it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("this is no address of the web such as https://example.org/path")]
pub(crate) struct NoWebAddress;

impl FromStr for WebAddress {
    type Err = NoWebAddress;

    fn from_str(text: &str) -> Result<Self, NoWebAddress> {
        let (is_tls, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(NoWebAddress),
        };
        let at = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let port = if is_tls { 443 } else { 80 };
        let endpoint = authority
            .parse()
            .or_else(|_| Endpoint::new(authority.trim_matches(['[', ']']), port))
            .map_err(|_| NoWebAddress)?;
        let path = if path.is_empty() { "/" } else { path };
        let (authority, path) = (authority.to_owned(), path.to_owned());
        Ok(Self { is_tls, endpoint, authority, path })
    }
}

impl WebAddress {
    /// Whether others cannot read along or answer in its place: by TLS, or because it is here.
    pub(crate) fn is_private(&self) -> bool {
        let host = self.endpoint.host();
        let is_here = host.parse::<IpAddr>().map_or(host == "localhost", |ip| ip.is_loopback());
        self.is_tls || is_here
    }

    /// Tells one address from another, and does not show it.
    pub(crate) fn tag(&self) -> String {
        tag(&format!("{} {} {}", self.is_tls, self.authority, self.path))
    }

    /// Where that is.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What requests are made to.
    pub(crate) fn site(&self) -> Site {
        Site::new(&self.authority, &self.path)
    }

    /// Connects, within `wait_max` but for what TLS takes, which the caller bounds.
    pub(crate) async fn connect(
        &self,
        site: Site,
        proxy: Option<&Proxy>,
        authorities: &Authorities,
        wait_max: Duration,
    ) -> Result<HttpConnection> {
        let there = std::slice::from_ref(&self.endpoint);
        let stream = connect(there, proxy, wait_max).await?.stream;
        Ok(if self.is_tls {
            let tls = authorities.connect(self.endpoint.host(), stream).await?;
            HttpConnection::begin(tls, site).await?
        } else {
            HttpConnection::begin(stream, site).await?
        })
    }
}

impl fmt::Display for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        let path = self.path.split(['?', '#']).next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.authority)
    }
}

impl fmt::Debug for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_what_may_be_a_password() {
        for (text, shown, endpoint, is_private) in [
            ("https://example.org", "https://example.org/", "example.org:443", true),
            (
                "https://example.org:8443/a/b?key=1",
                "https://example.org:8443/a/b",
                "example.org:8443",
                true,
            ),
            ("http://[::1]/x", "http://[::1]/x", "[::1]:80", true),
            ("http://localhost:81/", "http://localhost:81/", "localhost:81", true),
            ("http://127.3.2.1:81", "http://127.3.2.1:81/", "127.3.2.1:81", true),
            (
                "http://127.0.0.1.example.org/",
                "http://127.0.0.1.example.org/",
                "127.0.0.1.example.org:80",
                false,
            ),
        ] {
            let address: WebAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(
                (address.endpoint().to_string().as_str(), address.is_private()),
                (endpoint, is_private)
            );
            assert!(!format!("{address:?}").contains("key"));
        }
        for text in
            ["example.org", "ftp://a/", "https://", "https://me:word@example.org/", "https://a b/"]
        {
            let error = text.parse::<WebAddress>().unwrap_err().to_string();
            assert!(!error.contains("word"), "{error}");
        }
    }
}

//! SOCKS5 and HTTP proxies: where one is, and how it is asked to lead somewhere.

use std::fmt;
use std::io;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;
use tokio_socks::{Error as SocksError, TargetAddr};

use super::endpoint::{Endpoint, EndpointError};
use super::error::ConnectError;

/// A proxy that passes connections on.
///
/// Text: `socks5://user:password@host:port` or `http://user:password@host:port`, name and password
/// percent-encoded, both or none.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    endpoint: Endpoint,
    credentials: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Socks5,
    Http,
}

/// No proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyUrlError {
    /// It has another form.
    #[error(
        "write a proxy as socks5://HOST:PORT or http://HOST:PORT, USER:PASSWORD@ before the host"
    )]
    Form,
    /// We speak neither of its languages.
    #[error("proxies are socks5:// or http://, not {0}://")]
    Scheme(String),
    /// Its address is none.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// SOCKS5 has one byte for the length of each, and none of them may be empty.
    #[error("the name and password for a proxy have 1 to 255 bytes each")]
    Credentials,
}

/// Why a proxy does not lead there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// It cannot be reached itself.
    #[error("the proxy cannot be reached: {0}")]
    Unreachable(#[from] ConnectError),
    /// A SOCKS5 proxy refuses, or is none.
    #[error("the SOCKS5 proxy: {0}")]
    Socks(#[from] SocksError),
    /// An HTTP proxy wants to know another user.
    #[error("the HTTP proxy wants another user or password (status 407)")]
    Unauthorized,
    /// An HTTP proxy refuses.
    #[error("the HTTP proxy answered with status {0}")]
    Status(u16),
    /// What answers is no HTTP proxy.
    #[error("what answers is no HTTP proxy")]
    NotHttp,
    /// The connection to an HTTP proxy broke.
    #[error("the HTTP proxy: {0}")]
    Io(#[from] io::Error),
}

impl Proxy {
    /// A SOCKS5 proxy, with name and password if it wants to know who asks.
    ///
    /// # Errors
    ///
    /// Name or password are empty, or longer than 255 bytes.
    pub fn socks5(
        endpoint: Endpoint,
        credentials: Option<(String, String)>,
    ) -> Result<Self, ProxyUrlError> {
        Self { kind: Kind::Socks5, endpoint, credentials }.checked()
    }

    /// An HTTP proxy, with name and password if it wants to know who asks.
    ///
    /// # Errors
    ///
    /// As for [`socks5`](Self::socks5).
    pub fn http(
        endpoint: Endpoint,
        credentials: Option<(String, String)>,
    ) -> Result<Self, ProxyUrlError> {
        Self { kind: Kind::Http, endpoint, credentials }.checked()
    }

    fn checked(self) -> Result<Self, ProxyUrlError> {
        let fits = |text: &str| (1..=255).contains(&text.len());
        match &self.credentials {
            Some((user, password)) if !fits(user) || !fits(password) => {
                Err(ProxyUrlError::Credentials)
            }
            _ => Ok(self),
        }
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether it is an HTTP proxy, which takes HTTP requests for others as well (HTP-33).
    pub fn is_http(&self) -> bool {
        self.kind == Kind::Http
    }

    /// The value of `Proxy-Authorization`, for an HTTP proxy that wants to know who asks.
    pub fn authorization(&self) -> Option<String> {
        let (user, password) = self.credentials.as_ref()?;
        Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }

    /// Has the proxy at the other end of `stream` connect it to `target`.
    pub(super) async fn ask_for(
        &self,
        stream: TcpStream,
        target: &Endpoint,
    ) -> Result<TcpStream, ProxyError> {
        match self.kind {
            Kind::Socks5 => self.ask_socks(stream, target).await,
            Kind::Http => self.ask_http(stream, target).await,
        }
    }

    async fn ask_socks(
        &self,
        stream: TcpStream,
        target: &Endpoint,
    ) -> Result<TcpStream, ProxyError> {
        let target = match target.ip() {
            Some(ip) => TargetAddr::Ip((ip, target.port()).into()),
            None => TargetAddr::Domain(target.host().into(), target.port()),
        };
        let asked = match &self.credentials {
            None => Socks5Stream::connect_with_socket(stream, target).await,
            Some((user, password)) => {
                Socks5Stream::connect_with_password_and_socket(stream, target, user, password).await
            }
        };
        Ok(asked?.into_inner())
    }

    async fn ask_http(
        &self,
        mut stream: TcpStream,
        target: &Endpoint,
    ) -> Result<TcpStream, ProxyError> {
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(authorization) = self.authorization() {
            request += &format!("Proxy-Authorization: {authorization}\r\n");
        }
        request += "\r\n";
        stream.write_all(request.as_bytes()).await?;
        match read_status(&mut stream).await? {
            200..=299 => Ok(stream),
            407 => Err(ProxyError::Unauthorized),
            status => Err(ProxyError::Status(status)),
        }
    }
}

/// Reads the head of a response, and of what comes after it nothing.
async fn read_status(stream: &mut TcpStream) -> Result<u16, ProxyError> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // Byte by byte, for what follows the head is the server's.
        head.push(stream.read_u8().await?);
        let is_http = head.iter().zip(b"HTTP/1.").all(|(got, expected)| got == expected);
        if !is_http || head.len() > HEAD_MAX {
            return Err(ProxyError::NotHttp);
        }
    }
    let status = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
    status.and_then(|digits| digits.parse().ok()).ok_or(ProxyError::NotHttp)
}

/// Longest head of a response, in bytes.
const HEAD_MAX: usize = 16 << 10;

impl FromStr for Proxy {
    type Err = ProxyUrlError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let uri: Uri = url.parse().map_err(|_| ProxyUrlError::Form)?;
        let kind = match uri.scheme_str() {
            Some("socks5" | "socks5h") => Kind::Socks5,
            Some("http") => Kind::Http,
            Some(other) => return Err(ProxyUrlError::Scheme(other.to_owned())),
            None => return Err(ProxyUrlError::Form),
        };
        let authority = uri.authority().ok_or(ProxyUrlError::Form)?.as_str();
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(ProxyUrlError::Form);
        }
        let (user_info, endpoint) = match authority.rsplit_once('@') {
            Some((user_info, endpoint)) => (Some(user_info), endpoint),
            None => (None, authority),
        };
        let credentials = match user_info {
            None => None,
            Some(user_info) => {
                let (user, password) =
                    user_info.split_once(':').ok_or(ProxyUrlError::Credentials)?;
                Some((decoded(user)?, decoded(password)?))
            }
        };
        Self { kind, endpoint: endpoint.parse()?, credentials }.checked()
    }
}

fn decoded(text: &str) -> Result<String, ProxyUrlError> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| ProxyUrlError::Form)?;
    Ok(text.into_owned())
}

/// Without name and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::Socks5 => "socks5",
            Kind::Http => "http",
        };
        write!(f, "{scheme}://{}", self.endpoint)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

//! What a user writes for a server: addresses, a URL, or a link to a proxy.

use std::str::FromStr;

use chappe_net::connect::{Endpoint, EndpointError};
use chappe_proto::transport::{EndpointSecret, EndpointSecretError};
use http::Uri;
use percent_encoding::percent_decode_str;

use crate::address::Address;
use crate::way::Way;

/// A server, or the proxy before it, as text says it.
///
/// Text: `HOST:PORT`, several separated by commas; `ws://HOST[:PORT][/PATH]`, `wss://…`, `http://…`
/// or `https://…`; or `tg://proxy?server=…&port=…&secret=…`, the same as `https://t.me/proxy?…`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Target {
    /// The server's addresses, best first.
    Addresses(Vec<Address>),
    /// Its address by WebSocket or HTTP.
    Web {
        /// Which of these.
        way: Way,
        /// Where it listens.
        address: Address,
        /// The path to ask for; none asks for the usual one.
        path: Option<String>,
    },
    /// An MTProto proxy.
    Proxy(MtProxy),
}

/// An MTProto proxy, which passes on to the data centre that the client asks for.
///
/// Source: 15-proxy, "Secrets and links".
#[derive(Clone, Debug)]
pub struct MtProxy {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Its secret, which says how to speak to it.
    pub secret: EndpointSecret,
}

/// Why a text names no server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It looks like an address and is none.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// It looks like a URL, of a kind that is of no use here.
    #[error(
        "`{0}` is no server: write HOST:PORT, a URL (ws, wss, http, https) or a link to a proxy"
    )]
    Url(String),
    /// A link without one of its parameters, or with one that is no text.
    #[error("the link to the proxy has no `{0}`, or one that cannot be read")]
    Parameter(&'static str),
    /// The secret in a link is none.
    #[error(transparent)]
    Secret(#[from] EndpointSecretError),
}

/// Hosts of links that browsers open.
const LINK_HOSTS: [&str; 3] = ["t.me", "telegram.me", "telegram.dog"];

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.contains("://") {
            let addresses = text.split(',').map(|address| address.trim().parse());
            return Ok(Self::Addresses(addresses.collect::<Result<_, _>>()?));
        }
        let uri: Uri = text.parse().map_err(|_| TargetError::Url(text.to_owned()))?;
        match (uri.scheme_str(), uri.host().unwrap_or_default(), uri.path()) {
            (Some("tg"), "proxy", "" | "/") => Ok(Self::Proxy(proxy(&uri)?)),
            (Some("http" | "https"), host, "/proxy") if LINK_HOSTS.contains(&host) => {
                Ok(Self::Proxy(proxy(&uri)?))
            }
            (Some("ws"), ..) => web(Way::WebSocket, &uri),
            (Some("wss"), ..) => web(Way::WebSocketTls, &uri),
            (Some("http"), ..) => web(Way::Http, &uri),
            (Some("https"), ..) => web(Way::Https, &uri),
            _ => Err(TargetError::Url(text.to_owned())),
        }
    }
}

impl FromStr for MtProxy {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse()? {
            Target::Proxy(proxy) => Ok(proxy),
            _ => Err(TargetError::Url(text.to_owned())),
        }
    }
}

fn web(way: Way, uri: &Uri) -> Result<Target, TargetError> {
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    if authority.contains('@') || uri.query().is_some() {
        return Err(TargetError::Url(uri.to_string()));
    }
    let endpoint = match uri.port() {
        Some(_) => authority.parse()?,
        None => format!("{authority}:{}", way.web_port()).parse()?,
    };
    let path = Some(uri.path().to_owned()).filter(|path| !path.is_empty() && path != "/");
    Ok(Target::Web { way, address: Address::new(endpoint), path })
}

fn proxy(uri: &Uri) -> Result<MtProxy, TargetError> {
    let host = parameter(uri, "server")?;
    let port = parameter(uri, "port")?;
    let port = port.parse().map_err(|_| EndpointError::Port(port))?;
    let secret = parameter(uri, "secret")?.parse()?;
    Ok(MtProxy { endpoint: Endpoint::new(&host, port)?, secret })
}

/// A parameter of a link, decoded.
fn parameter(uri: &Uri, name: &'static str) -> Result<String, TargetError> {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name).unwrap_or((name, ""));
    let value = percent_decode_str(value).decode_utf8().unwrap_or_default();
    if value.is_empty() {
        return Err(TargetError::Parameter(name));
    }
    Ok(value.into_owned())
}

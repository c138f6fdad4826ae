//! The web sites that a proxy seems to be.

use std::path::PathBuf;

use chappe_net::connect::Endpoint;
use chappe_net::proxy_protocol::Version;

/// A web site that the proxy seems to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Domain {
    /// Its name, as hellos have it, in small letters.
    pub name: String,
    /// Where it is. Default: at its name, port 443, or 80 for who comes to our port 80.
    pub at: Option<SiteAddress>,
    /// Whether it is told on whose behalf we come. Default: no.
    pub proxy_protocol: Option<Version>,
}

/// Where a web site is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteAddress {
    /// An address or a name.
    Tcp(Endpoint),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// What becomes of a hello to a site that the proxy does not seem to be (PRX-29).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownDomain {
    /// It is the first site's business.
    #[default]
    Mask,
    /// The connection is closed.
    Drop,
    /// It is told, in TLS, that there is no such site.
    Alert,
}

impl Domain {
    /// A site at its own name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), at: None, proxy_protocol: None }
    }
}

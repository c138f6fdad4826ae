//! How a server is asked for by WebSocket and HTTP.

use std::sync::OnceLock;

use chappe_net::connect::{Authorities, Endpoint, Site};

use crate::address::Address;
use crate::way::Way;

/// Settings for [`Way::WebSocket`], [`Way::Http`] and those with TLS.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WebConfig {
    /// Name of the server, in requests and in its certificate. Default: that of the address.
    pub host: Option<String>,
    /// Where a WebSocket is to be had. Default: `/apiws`, for data centres of the test network
    /// `/apiws_test`.
    pub ws_path: Option<String>,
    /// Where requests go. Default: `/api`, for data centres of the test network `/api_test`.
    pub http_path: Option<String>,
    /// Where WebSocket and HTTP are served, if not at the addresses of the server. Default: there.
    pub addresses: Vec<Address>,
    /// Whom to believe that the server is who it says. Default: whom browsers believe.
    pub authorities: Option<Authorities>,
}

/// The same, with everything settled.
#[derive(Clone, Debug)]
pub(crate) struct Web {
    host: Option<String>,
    ws_path: String,
    http_path: String,
    /// Made when they are needed: they are many.
    authorities: OnceLock<Authorities>,
}

/// Numbers of data centres of the test network begin above it (KEY-11).
const TEST: u32 = 10_000;

impl Web {
    pub(crate) fn new(config: &WebConfig, dc: i32) -> Self {
        let suffix = if dc.unsigned_abs() > TEST { "_test" } else { "" };
        let path = |given: &Option<String>, usual: &str| match given {
            Some(path) => path.clone(),
            None => format!("{usual}{suffix}"),
        };
        Self {
            host: config.host.clone(),
            ws_path: path(&config.ws_path, "/apiws"),
            http_path: path(&config.http_path, "/api"),
            authorities: config.authorities.clone().map(OnceLock::from).unwrap_or_default(),
        }
    }

    /// Whom to believe that the server is who it says.
    pub(crate) fn authorities(&self) -> &Authorities {
        self.authorities.get_or_init(Authorities::public)
    }

    /// The name that a certificate has to be for.
    pub(crate) fn name<'a>(&'a self, endpoint: &'a Endpoint) -> &'a str {
        self.host.as_deref().unwrap_or(endpoint.host())
    }

    /// What requests of this way are made to.
    pub(crate) fn site(&self, way: Way, endpoint: &Endpoint) -> Site {
        let named = Endpoint::new(self.name(endpoint), endpoint.port());
        let mut authority = named.as_ref().unwrap_or(endpoint).to_string();
        if endpoint.port() == way.web_port() {
            let len = authority.rfind(':').unwrap_or(authority.len());
            authority.truncate(len);
        }
        Site::new(authority, if way.is_http() { &*self.http_path } else { &*self.ws_path })
    }
}

//! Where a server is: addresses, with what is known of each.

use std::str::FromStr;

use chappe_net::connect::{Endpoint, EndpointError};
use chappe_proto::transport::EndpointSecret;

use crate::way::Way;

/// One address of a server, as `dcOption` of `help.getConfig` describes it.
///
/// Shape:  the flags of `dcOption` by their names; `ipv6` is seen from the address itself.
/// Source: Telegram API schema, `dcOption`; TRN-39, OBF-16.
#[derive(Clone, Debug)]
pub struct Address {
    pub(crate) endpoint: Endpoint,
    pub(crate) this_port_only: bool,
    pub(crate) tcpo_only: bool,
    pub(crate) is_static: bool,
    pub(crate) secret: Option<EndpointSecret>,
}

/// Ports on which a data centre may be tried, in this order (TRN-39).
const PORTS: [u16; 3] = [443, 80, 5222];

impl Address {
    /// An address with this one port, spoken to in any way.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, this_port_only: true, tcpo_only: false, is_static: false, secret: None }
    }

    /// Whether the server is to be looked for at this port alone, or at 443, 80 and 5222 as well;
    /// for WebSocket and HTTP at 443 with TLS and 80 without. Default: at this port alone.
    #[must_use]
    pub fn this_port_only(self, this_port_only: bool) -> Self {
        Self { this_port_only, ..self }
    }

    /// Whether the address takes only obfuscated transports on TCP. Default: no.
    #[must_use]
    pub fn tcpo_only(self, tcpo_only: bool) -> Self {
        Self { tcpo_only, ..self }
    }

    /// Whether the address stays for long, so that proxies may be set up for it: through one it
    /// comes before others. Default: no.
    #[must_use]
    pub fn is_static(self, is_static: bool) -> Self {
        Self { is_static, ..self }
    }

    /// The secret of the address, without which it answers nobody; it says how to speak there
    /// (OBF-16). Default: none.
    #[must_use]
    pub fn secret(self, secret: EndpointSecret) -> Self {
        Self { secret: Some(secret), ..self }
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether the address can be reached in this way at all: `tcpo_only` and a secret mean
    /// obfuscation on TCP.
    pub(crate) fn takes(&self, way: Way) -> bool {
        !(way.is_web() && (self.tcpo_only || self.secret.is_some()))
    }

    /// The ports to try.
    pub(crate) fn ports(&self, way: Way) -> Vec<u16> {
        let given = self.endpoint.port();
        if way.is_web() && !self.this_port_only {
            return vec![way.web_port()];
        }
        let others = PORTS.into_iter().filter(|port| !self.this_port_only && *port != given);
        std::iter::once(given).chain(others).collect()
    }
}

impl FromStr for Address {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self::new)
    }
}

//! What the service tells clients about itself.

use std::net::SocketAddr;

/// Settings of the Telegram service.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Number of the one data centre there is. Default: 2, where most clients begin.
    pub dc: i32,
    /// Address that clients are told to connect to. Default: the one they came to. A wrong one
    /// shows only when a client reconnects.
    pub advertise: Option<SocketAddr>,
    /// Whether this is a test installation: clients ask, and must hear what they expect.
    pub test_mode: bool,
    /// Country that `help.getNearestDc` names, two letters. Default: `XX`.
    pub country: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { dc: 2, advertise: None, test_mode: false, country: "XX".into() }
    }
}

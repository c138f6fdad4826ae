//! Where `chappe proxy check` asks for the time.

use std::str::FromStr;

use chappe_net::connect::Endpoint;

/// A web site that is asked for the time: `https://HOST[:PORT][/PATH]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClockSource(pub(crate) Endpoint);

/// No source of time.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no address of a web site such as https://www.example.org")]
pub(crate) struct NoClock(String);

impl FromStr for ClockSource {
    type Err = NoClock;

    fn from_str(text: &str) -> Result<Self, NoClock> {
        let no_clock = || NoClock(text.to_owned());
        let rest = text.strip_prefix("https://").ok_or_else(no_clock)?;
        let authority = rest.split('/').next().unwrap_or_default();
        let endpoint = authority.parse().or_else(|_| Endpoint::new(authority, 443));
        endpoint.map(Self).map_err(|_| no_clock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_web_sites() {
        let host = |text: &str| text.parse().map(|ClockSource(endpoint)| endpoint.to_string()).ok();
        assert_eq!(host("https://example.org").as_deref(), Some("example.org:443"));
        assert_eq!(host("https://example.org:8443/now").as_deref(), Some("example.org:8443"));
        assert_eq!(host("https://[2001:db8::1]:444/").as_deref(), Some("[2001:db8::1]:444"));
        for text in ["http://example.org", "example.org", "https://", "https://a b"] {
            assert_eq!(host(text), None, "{text}");
        }
    }
}

//! Why settings cannot be used.

/// Why settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Nobody would be served.
    #[error("there is no user")]
    NoUser,
    /// Nobody could come.
    #[error("no mode is switched on: name one of plain, padded, tls")]
    NoMode,
    /// Two users could not be told apart.
    #[error("users `{0}` and `{1}` have the same name or the same secret")]
    Twice(String, String),
    /// Fake TLS of no site.
    #[error("mode tls needs a domain")]
    NoDomain,
    /// A name that hellos cannot have.
    #[error("`{0}` is no name of a web site in small letters, of at most 182 bytes")]
    Domain(String),
    /// A user of a site that the proxy does not seem to be.
    #[error("user `{0}` is to come by `{1}`, which is not among the domains")]
    ForeignDomain(String, String),
    /// The keys of a link depend on addresses that nobody behind a proxy knows.
    #[error("middle servers cannot be reached through a proxy")]
    MiddleByProxy,
    /// A time that nobody means, and that no clock here could count to.
    #[error("{0} is longer than a year")]
    TooLong(&'static str),
    /// A number out of its bounds.
    #[error("{0} has to be from {1} to {2}")]
    Bounds(&'static str, usize, usize),
}

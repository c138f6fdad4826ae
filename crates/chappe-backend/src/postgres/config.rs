//! Which database, and how to work with it.

use std::fmt;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::StoreError;
use crate::temporary::UNBOUND_KEYS_MAX;

/// How a [`SqlStore`](crate::SqlStore) in a PostgreSQL database works. `Debug` shows no password.
#[derive(Clone)]
#[non_exhaustive]
pub struct PostgresConfig {
    pub(super) options: PgConnectOptions,
    /// Most connections at once. Default: 16. Each is a process of PostgreSQL; those who come when
    /// all are busy wait.
    pub connections_max: u32,
    /// Longest wait for a connection, be all busy or the database away. Default: 10 s, in which
    /// it can be started again. Calls that come meanwhile are held.
    pub wait_max: Duration,
    /// Longest run of one statement. Default: 30 s. Steps that build tables may take longer.
    pub statement_max: Duration,
    /// As of [`SqliteConfig`](crate::SqliteConfig). Default: 128 MiB, some 200 000 keys.
    pub temporary_bytes_max: usize,
    /// As of [`SqliteConfig`](crate::SqliteConfig). Default: 50 000, some 30 MiB.
    pub unbound_keys_max: usize,
}

impl PostgresConfig {
    /// Reads an address: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, each part percent-encoded,
    /// with the parameters of libpq that [`PARAMETERS`](Self::PARAMETERS) names. What is absent
    /// comes from `PGHOST`, `PGPASSWORD` and their like, and the password from `~/.pgpass`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`], which does not repeat the address: it may hold a password.
    pub fn from_url(url: &str) -> Result<Self, StoreError> {
        let refused = |problem: String| StoreError::Unusable {
            place: "the address of the PostgreSQL database".to_owned(),
            problem,
            mend: "write postgres://USER:PASSWORD@HOST:PORT/DATABASE, special characters as %XX",
        };
        if !is_address(url) {
            return Err(refused("does not begin with postgres://".to_owned()));
        }
        // The library logs what it does not know, with the value, which may be a password.
        let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let name = parameter.split('=').next().unwrap_or_default();
            if !Self::PARAMETERS.contains(&name) {
                return Err(refused(format!(
                    "has a parameter that is none of {}",
                    Self::PARAMETERS.join(", ")
                )));
            }
        }
        let options: PgConnectOptions = url
            .parse()
            .map_err(|error: sqlx::Error| refused(format!("cannot be read: {error}")))?;
        Ok(Self {
            options: options.application_name("chappe").disable_statement_logging(),
            connections_max: 16,
            wait_max: Duration::from_secs(10),
            statement_max: Duration::from_secs(30),
            temporary_bytes_max: 128 * 1024 * 1024,
            unbound_keys_max: UNBOUND_KEYS_MAX,
        })
    }

    /// Parameters that an address may have after its `?`.
    pub const PARAMETERS: &[&str] = &[
        "sslmode",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "host",
        "port",
        "user",
        "password",
        "dbname",
        "options",
        "statement-cache-capacity",
    ];

    /// The database without its secrets.
    pub(super) fn place(&self) -> String {
        let options = &self.options;
        let database = options.get_database().unwrap_or(options.get_username());
        match options.get_socket() {
            Some(socket) => format!("PostgreSQL database {database} at {}", socket.display()),
            None => {
                let (host, port) = (options.get_host(), options.get_port());
                format!("PostgreSQL database {database} at {host}:{port}")
            }
        }
    }

    /// Whether somebody between here and the database could read or change what is said.
    pub(super) fn is_exposed(&self) -> bool {
        let host = self.options.get_host();
        let is_here = self.options.get_socket().is_some()
            || host.starts_with('/')
            || host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        !is_here
            && !matches!(self.options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull)
    }
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("place", &self.place())
            .field("connections_max", &self.connections_max)
            .field("wait_max", &self.wait_max)
            .field("statement_max", &self.statement_max)
            .field("temporary_bytes_max", &self.temporary_bytes_max)
            .field("unbound_keys_max", &self.unbound_keys_max)
            .finish_non_exhaustive()
    }
}

/// Whether a text means to be the address of a PostgreSQL database.
fn is_address(text: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
}

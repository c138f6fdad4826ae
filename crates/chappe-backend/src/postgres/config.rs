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
    /// with the parameters that [`PARAMETERS`](Self::PARAMETERS) names: those of libpq, and
    /// `connections-max`, `wait-max` and `statement-max` (seconds) of this type. What is absent comes from `PGHOST`, `PGPASSWORD` and their like, and the password from `~/.pgpass`.
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
        let mut config = Self {
            options: PgConnectOptions::new_without_pgpass(),
            connections_max: 16,
            wait_max: Duration::from_secs(10),
            statement_max: Duration::from_secs(30),
            temporary_bytes_max: 128 * 1024 * 1024,
            unbound_keys_max: UNBOUND_KEYS_MAX,
        };
        let (base, parameters) = url.split_once('?').unwrap_or((url, ""));
        let mut for_library = Vec::new();
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let is_number = match name {
                "connections-max" => read(value, &mut config.connections_max),
                "wait-max" => read_seconds(value, &mut config.wait_max),
                "statement-max" => read_seconds(value, &mut config.statement_max),
                // The library logs what it does not know, with the value, which may be a password.
                name if Self::PARAMETERS.contains(&name) => {
                    for_library.push(parameter);
                    true
                }
                _ => {
                    let known = Self::PARAMETERS.join(", ");
                    return Err(refused(format!("has a parameter that is none of {known}")));
                }
            };
            if !is_number {
                return Err(refused(format!("has a {name} that is no positive number")));
            }
        }
        let for_library = format!("{base}?{}", for_library.join("&"));
        let options: PgConnectOptions = for_library
            .parse()
            .map_err(|error: sqlx::Error| refused(format!("cannot be read: {error}")))?;
        config.options = options.application_name("chappe").disable_statement_logging();
        Ok(config)
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
        "connections-max",
        "wait-max",
        "statement-max",
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

/// Whether a text is a positive number, which goes to its place.
fn read(text: &str, place: &mut u32) -> bool {
    text.parse().is_ok_and(|number| {
        *place = number;
        number > 0
    })
}

fn read_seconds(text: &str, place: &mut Duration) -> bool {
    let mut seconds = 0;
    let is_number = read(text, &mut seconds);
    *place = Duration::from_secs(seconds.into());
    is_number
}

//! Where everything is kept: one SQLite file, or a PostgreSQL database.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use chappe_backend::{Backend, PostgresConfig};
use serde::Deserialize;

use crate::cmd::files::DATABASE;

/// An address as it was written. It may hold a password, so nothing shows it.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct DatabaseUrl(String);

/// Where everything is kept.
#[derive(Clone, Debug)]
pub(crate) enum DatabaseConfig {
    /// One file.
    Sqlite(PathBuf),
    Postgres(Box<PostgresConfig>),
}

impl DatabaseUrl {
    /// As it was written, for a file that nobody else reads.
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl From<&str> for DatabaseUrl {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

impl DatabaseConfig {
    /// What an address means, or where a data directory has its own.
    pub(crate) fn of(url: Option<&DatabaseUrl>, data: &Path) -> Result<Self> {
        let Some(DatabaseUrl(text)) = url else { return Ok(Self::Sqlite(data.join(DATABASE))) };
        match text.split_once(':') {
            Some(("sqlite", "")) => bail!("database: name the file, as in sqlite:PATH"),
            Some(("sqlite", path)) => Ok(Self::Sqlite(path.into())),
            Some(("postgres" | "postgresql", _)) => {
                Ok(Self::Postgres(Box::new(PostgresConfig::from_url(text)?)))
            }
            // Without what was written, in which there may be a password.
            _ => bail!("database: begins neither with sqlite: nor with postgres://"),
        }
    }

    pub(crate) async fn open(&self) -> Result<Backend> {
        Ok(match self {
            Self::Sqlite(path) => Backend::embedded(path).await?,
            Self::Postgres(config) => Backend::postgres((**config).clone()).await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_which_engine() {
        let of = |text: &str| DatabaseConfig::of(Some(&text.into()), Path::new("data"));
        let shown = |text| format!("{:?}", of(text).unwrap());
        assert_eq!(shown("sqlite:/var/lib/db"), "Sqlite(\"/var/lib/db\")");
        let postgres = shown("postgres://me:s3cret@db/chappe");
        assert!(postgres.contains("chappe at db:5432") && !postgres.contains("s3cret"));
        let own = DatabaseConfig::of(None, Path::new("data")).unwrap();
        assert_eq!(format!("{own:?}"), "Sqlite(\"data/chappe.db\")");
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        for text in ["mysql://me:s3cret@db/x", "s3cret", "sqlite:", "postgres://me:s3cret@db?x=y"] {
            let error = DatabaseConfig::of(Some(&text.into()), Path::new("data")).unwrap_err();
            assert!(!format!("{error:#} {error:?}").contains("s3cret"), "{error:#}");
            assert!(!format!("{:?}", DatabaseUrl::from(text)).contains("s3cret"));
        }
    }
}

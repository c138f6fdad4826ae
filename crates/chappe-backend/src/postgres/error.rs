//! What an error of PostgreSQL means for the one who runs the server.

use std::borrow::Cow;
use std::io;

use crate::StoreError;

/// What follows from an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The connection is gone, or was not to be had, and another may be.
    Lost,
    /// Another transaction came in between.
    Conflict,
    /// Anything else.
    Other,
}

/// Meanings of the codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub(super) fn kind(error: &sqlx::Error) -> Kind {
    match error {
        // What the other end says is no TLS, or its certificate is not to be trusted.
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => Kind::Other,
        sqlx::Error::Io(_) | sqlx::Error::BeginFailed => Kind::Lost,
        sqlx::Error::Database(_) => match &*code(error) {
            // Shutting down, crashed, starting; an idle transaction was ended.
            "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Kind::Lost,
            // A serialisation failure and a deadlock. A row that somebody else made after we had
            // looked whether it is there comes as a violation of uniqueness.
            "40001" | "40P01" | "23505" => Kind::Conflict,
            code if code.starts_with("08") => Kind::Lost,
            _ => Kind::Other,
        },
        _ => Kind::Other,
    }
}

pub(super) fn from_sqlx(place: &str, error: &sqlx::Error) -> StoreError {
    let place = place.to_owned();
    let unavailable = |place, problem: &str, mend| StoreError::Unavailable {
        place,
        problem: problem.to_owned(),
        mend,
    };
    match error {
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => StoreError::Closed,
        sqlx::Error::PoolTimedOut => unavailable(
            place,
            "no connection was to be had in time",
            "see whether the database runs; allow more connections, or find what makes queries slow",
        ),
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            no_tls(place, error.to_string())
        }
        sqlx::Error::Tls(error) => no_tls(place, error.to_string()),
        sqlx::Error::Io(error) => {
            unavailable(place, &format!("cannot be reached: {error}"), "see whether it runs")
        }
        sqlx::Error::Database(database) => {
            let said = format!("{} ({})", database.message(), code(error));
            from_code(place, &code(error), said)
        }
        other => StoreError::Unusable { place, problem: other.to_string(), mend: REPORT },
    }
}

fn no_tls(place: String, error: String) -> StoreError {
    StoreError::Unusable {
        place,
        problem: format!("no TLS with it: {error}"),
        mend: "see to its certificate, sslmode and sslrootcert",
    }
}

fn from_code(place: String, code: &str, said: String) -> StoreError {
    let unusable = |place, mend| StoreError::Unusable { place, problem: said.clone(), mend };
    let unavailable = |place, mend| StoreError::Unavailable { place, problem: said.clone(), mend };
    match code {
        "28000" | "28P01" => unusable(place, "check user and password, and its pg_hba.conf"),
        "3D000" => unusable(place, "make the database, with the encoding UTF8"),
        "42501" => unusable(place, "let this user make tables and use them"),
        "42P07" => unusable(place, "give Chappe a database or a schema of its own"),
        "25006" => unusable(place, "give the address of the primary, which takes changes"),
        "53300" => unavailable(place, "raise its max_connections, or allow us fewer"),
        "53100" => unavailable(place, "free space on its disk"),
        "57014" => unavailable(place, "find what makes it slow, or allow statements more time"),
        "XX001" | "XX002" => unusable(place, "it is damaged: restore it from a backup"),
        code if code.starts_with("57") || code.starts_with("08") => {
            unavailable(place, "see whether it runs")
        }
        code if code.starts_with("53") => unavailable(place, "see what it lacks"),
        _ => unusable(place, REPORT),
    }
}

fn code(error: &sqlx::Error) -> Cow<'_, str> {
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default()
}

const REPORT: &str = "report this as a defect";

//! What an error of SQLite or of the file system means for the one who runs the server.

use std::io;
use std::path::Path;

use crate::StoreError;

pub(super) fn from_sqlx(path: &Path, error: sqlx::Error) -> StoreError {
    let place = path.display().to_string();
    match error {
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => StoreError::Closed,
        sqlx::Error::PoolTimedOut => StoreError::Unavailable {
            place,
            problem: "every connection is busy".to_owned(),
            mend: "allow more readers, or find what makes queries slow",
        },
        sqlx::Error::Io(error) => from_io(path, &error),
        sqlx::Error::Database(error) => {
            let code = error.code().and_then(|code| code.parse::<i32>().ok());
            from_code(path, code.unwrap_or_default(), error.message())
        }
        other => StoreError::Unusable { place, problem: other.to_string(), mend: REPORT },
    }
}

/// Meanings of the result codes: <https://www.sqlite.org/rescode.html>.
fn from_code(path: &Path, code: i32, message: &str) -> StoreError {
    let place = path.display().to_string();
    // The low byte is the kind; the rest refines it.
    match code & 0xff {
        5 | 6 => StoreError::Unavailable {
            place,
            problem: "another process keeps it locked".to_owned(),
            mend: "stop the other process",
        },
        13 => no_space(place),
        10 => StoreError::Unavailable {
            place,
            problem: format!("{message} (code {code})"),
            mend: "look for disk errors in the system log",
        },
        3 | 8 | 14 | 23 => {
            StoreError::Unusable { place, problem: message.to_owned(), mend: GIVE_ACCESS }
        }
        11 => damaged(path, message),
        26 => StoreError::Unusable {
            place,
            problem: "is no SQLite database, or its beginning is damaged".to_owned(),
            mend: "give another path, or restore the file from a backup",
        },
        _ => StoreError::Unusable {
            place,
            problem: format!("{message} (code {code})"),
            mend: REPORT,
        },
    }
}

fn damaged(path: &Path, detail: &str) -> StoreError {
    StoreError::Unusable {
        place: path.display().to_string(),
        problem: format!("is damaged: {detail}"),
        mend: "restore it from a backup, or save what is left with `sqlite3 FILE .recover`",
    }
}

pub(super) fn from_io(path: &Path, error: &io::Error) -> StoreError {
    let place = path.display().to_string();
    let (problem, mend) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => return no_space(place),
        io::ErrorKind::NotFound => ("its directory does not exist", "create the directory"),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ("permission denied", GIVE_ACCESS)
        }
        io::ErrorKind::IsADirectory => ("is a directory", "give the path of a file in it"),
        _ => return StoreError::Unusable { place, problem: error.to_string(), mend: GIVE_ACCESS },
    };
    StoreError::Unusable { place, problem: problem.to_owned(), mend }
}

fn no_space(place: String) -> StoreError {
    StoreError::Unavailable {
        place,
        problem: "no space left for it".to_owned(),
        mend: "free space on its disk",
    }
}

const GIVE_ACCESS: &str = "let this user read and write the file and its directory";
const REPORT: &str = "report this as a defect";

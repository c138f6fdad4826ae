//! Rows of answers, read column by column.

#[cfg(feature = "postgres")]
use sqlx::postgres::PgRow;
#[cfg(feature = "sqlite")]
use sqlx::sqlite::SqliteRow;

use self::kinds::Kind;
use crate::StoreError;

/// A row of an answer, read column by column.
#[derive(Debug)]
pub struct Row {
    row: EngineRow,
    next: usize,
}

/// A row of one of the engines.
#[derive(Debug)]
pub enum EngineRow {
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteRow),
    #[cfg(feature = "postgres")]
    Postgres(PgRow),
}

/// A type that columns are read as: integers of 64 or 32 bits, `bool`, texts, bytes, and each of
/// them in an `Option`.
pub trait Column: kinds::Column {}

impl<T: kinds::Column> Column for T {}

impl Row {
    pub(super) fn new(row: EngineRow) -> Self {
        Self { row, next: 0 }
    }

    /// The next column.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`] where the column is of another type, or there is none.
    pub fn read<T: Column>(&mut self) -> Result<T, StoreError> {
        let at = self.next;
        self.next += 1;
        let value = T::Kind::of(&self.row, at).map_err(|error| unreadable(&error.to_string()))?;
        T::from_kind(value).ok_or_else(|| unreadable(&format!("column {at} is out of range")))
    }
}

fn unreadable(problem: &str) -> StoreError {
    StoreError::Unusable {
        place: "the database".to_owned(),
        problem: format!("a row is not what was asked for: {problem}"),
        mend: "restore a backup, and report this",
    }
}

/// What engines keep, and what it is read as.
mod kinds {
    use sqlx::Row as _;
    #[cfg(feature = "postgres")]
    use sqlx::{Column as _, TypeInfo as _};

    use super::EngineRow;

    /// What engines keep in a column.
    pub trait Kind: Sized {
        fn of(row: &EngineRow, at: usize) -> Result<Option<Self>, sqlx::Error>;
    }

    impl Kind for i64 {
        fn of(row: &EngineRow, at: usize) -> Result<Option<Self>, sqlx::Error> {
            match row {
                #[cfg(feature = "sqlite")]
                EngineRow::Sqlite(row) => row.try_get(at),
                // Constants and some functions are shorter than columns; their length tells.
                #[cfg(feature = "postgres")]
                EngineRow::Postgres(row) => match row.try_column(at)?.type_info().name() {
                    "INT2" | "INT4" => row.try_get_unchecked(at),
                    // What SQLite says as 0 and 1.
                    "BOOL" => Ok(row.try_get::<Option<bool>, _>(at)?.map(i64::from)),
                    _ => row.try_get(at),
                },
            }
        }
    }

    macro_rules! kinds {
        ($($kind:ty),+) => {$(
            impl Kind for $kind {
                fn of(row: &EngineRow, at: usize) -> Result<Option<Self>, sqlx::Error> {
                    match row {
                        #[cfg(feature = "sqlite")]
                        EngineRow::Sqlite(row) => row.try_get(at),
                        #[cfg(feature = "postgres")]
                        EngineRow::Postgres(row) => row.try_get(at),
                    }
                }
            }
        )+};
    }

    kinds!(String, Vec<u8>);

    /// What a column is read as.
    pub trait Column: Sized {
        type Kind: Kind;

        /// `None` where it cannot be read so.
        fn from_kind(value: Option<Self::Kind>) -> Option<Self>;
    }

    macro_rules! columns {
        ($($column:ty: $kind:ty, $value:ident => $from:expr;)+) => {$(
            impl Column for $column {
                type Kind = $kind;

                fn from_kind(value: Option<$kind>) -> Option<Self> {
                    value.and_then(|$value| $from)
                }
            }
        )+};
    }

    columns! {
        i64: i64, value => Some(value);
        i32: i64, value => value.try_into().ok();
        bool: i64, value => Some(value != 0);
        String: String, value => Some(value);
        Vec<u8>: Vec<u8>, value => Some(value);
    }

    impl<T: Column> Column for Option<T> {
        type Kind = T::Kind;

        fn from_kind(value: Option<T::Kind>) -> Option<Self> {
            match value {
                None => Some(None),
                value => T::from_kind(value).map(Some),
            }
        }
    }
}

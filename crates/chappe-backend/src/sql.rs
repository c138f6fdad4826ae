//! SQL that every engine understands: one text with numbered places (`$1`, `$2`, …), and integers,
//! texts and bytes as values.

use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Sqlite, SqliteExecutor};

use crate::{Database, SqliteDatabase, StoreError};

/// One statement with its values.
#[derive(Clone, Debug)]
#[must_use = "a statement does nothing until it is run"]
pub struct Statement {
    text: &'static str,
    values: Vec<Value>,
}

/// A value to put in a statement, or nothing of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// Of 64 bits, whatever the column holds.
    Integer(Option<i64>),
    /// Text.
    Text(Option<String>),
    /// Bytes.
    Bytes(Option<Vec<u8>>),
}

/// Begins a statement; [`Statement::bind`] fills its places in their order.
pub fn sql(text: &'static str) -> Statement {
    Statement { text, values: Vec::new() }
}

impl Statement {
    /// Fills the next place.
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    fn for_sqlite(self) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
        self.values.into_iter().fold(sqlx::query(self.text), |query, value| match value {
            Value::Integer(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
        })
    }
}

macro_rules! values {
    ($($variant:ident: $($from:ty => $into:ty),+;)+) => {$($(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(Some(<$into>::from(value)))
            }
        }

        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Self {
                Self::$variant(value.map(<$into>::from))
            }
        }
    )+)+};
}

values! {
    Integer: i64 => i64, i32 => i64, bool => i64;
    Text: String => String, &str => String;
    Bytes: Vec<u8> => Vec<u8>, &[u8] => Vec<u8>;
}

/// A row of an answer, read column by column.
#[derive(Debug)]
pub struct Row {
    row: EngineRow,
    next: usize,
}

#[derive(Debug)]
enum EngineRow {
    Sqlite(SqliteRow),
}

/// A type that columns are read as: integers, texts, bytes, and each of them in an `Option`.
pub trait Column: private::Column {}

impl<T: private::Column> Column for T {}

mod private {
    use sqlx::{Decode, Sqlite, Type};

    pub trait Column: for<'r> Decode<'r, Sqlite> + Type<Sqlite> {}

    impl<T: for<'r> Decode<'r, Sqlite> + Type<Sqlite>> Column for T {}
}

impl Row {
    fn of_sqlite(row: SqliteRow) -> Self {
        Self { row: EngineRow::Sqlite(row), next: 0 }
    }

    /// The next column.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`] where the column is of another type, or there is none.
    pub fn read<T: Column>(&mut self) -> Result<T, StoreError> {
        let at = self.next;
        self.next += 1;
        let EngineRow::Sqlite(row) = &self.row;
        sqlx::Row::try_get(row, at).map_err(|error| StoreError::Unusable {
            place: "the database".to_owned(),
            problem: format!("a row is not what was asked for: {error}"),
            mend: "restore a backup, and report this",
        })
    }
}

/// Changes that are made together or not at all. Dropped without [`commit`](Self::commit), none is.
///
/// With SQLite it is the only writer: others wait until it ends.
#[derive(Debug)]
pub struct Transaction<'d>(EngineTransaction<'d>);

#[derive(Debug)]
enum EngineTransaction<'d> {
    Sqlite(&'d SqliteDatabase, sqlx::Transaction<'static, Sqlite>),
}

impl Database {
    /// Begins a transaction that may write.
    ///
    /// # Errors
    ///
    /// What befell the engine.
    pub async fn begin(&self) -> Result<Transaction<'_>, StoreError> {
        let Self::Sqlite(database) = self;
        let begun = database.writer().begin_with("BEGIN IMMEDIATE").await;
        let transaction = begun.map_err(|error| database.error(error))?;
        Ok(Transaction(EngineTransaction::Sqlite(database, transaction)))
    }

    /// Every row of a query, as of what was committed before.
    ///
    /// # Errors
    ///
    /// What befell the engine.
    pub async fn rows(&self, query: Statement) -> Result<Vec<Row>, StoreError> {
        let Self::Sqlite(database) = self;
        rows(database, database.reader(), query).await
    }

    /// The only row of a query, if there is one.
    ///
    /// # Errors
    ///
    /// What befell the engine.
    pub async fn row(&self, query: Statement) -> Result<Option<Row>, StoreError> {
        let Self::Sqlite(database) = self;
        row(database, database.reader(), query).await
    }
}

impl Transaction<'_> {
    /// Makes a change; how many rows it touched.
    ///
    /// # Errors
    ///
    /// What befell the engine; the transaction is of no use then.
    pub async fn run(&mut self, change: Statement) -> Result<u64, StoreError> {
        let EngineTransaction::Sqlite(database, transaction) = &mut self.0;
        let done = change.for_sqlite().execute(&mut **transaction).await;
        Ok(done.map_err(|error| database.error(error))?.rows_affected())
    }

    /// Every row of a query, or of a change that returns some.
    ///
    /// # Errors
    ///
    /// As of [`run`](Self::run).
    pub async fn rows(&mut self, query: Statement) -> Result<Vec<Row>, StoreError> {
        let EngineTransaction::Sqlite(database, transaction) = &mut self.0;
        rows(database, &mut **transaction, query).await
    }

    /// The only row of a query, or of a change, if there is one.
    ///
    /// # Errors
    ///
    /// As of [`run`](Self::run).
    pub async fn row(&mut self, query: Statement) -> Result<Option<Row>, StoreError> {
        let EngineTransaction::Sqlite(database, transaction) = &mut self.0;
        row(database, &mut **transaction, query).await
    }

    /// Makes the changes last.
    ///
    /// # Errors
    ///
    /// What befell the engine: nothing was changed, or, if it broke while it wrote, nobody knows.
    pub async fn commit(self) -> Result<(), StoreError> {
        let EngineTransaction::Sqlite(database, transaction) = self.0;
        transaction.commit().await.map_err(|error| database.error(error))
    }
}

async fn rows(
    database: &SqliteDatabase,
    executor: impl SqliteExecutor<'_>,
    query: Statement,
) -> Result<Vec<Row>, StoreError> {
    let found = query.for_sqlite().fetch_all(executor).await;
    let rows = found.map_err(|error| database.error(error))?;
    Ok(rows.into_iter().map(Row::of_sqlite).collect())
}

async fn row(
    database: &SqliteDatabase,
    executor: impl SqliteExecutor<'_>,
    query: Statement,
) -> Result<Option<Row>, StoreError> {
    let found = query.for_sqlite().fetch_optional(executor).await;
    Ok(found.map_err(|error| database.error(error))?.map(Row::of_sqlite))
}

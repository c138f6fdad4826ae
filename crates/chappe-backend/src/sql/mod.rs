//! SQL that every engine understands: one text with numbered places (`$1`, `$2`, …), and integers,
//! texts and bytes as values.
//!
//! What the texts have to keep to, so that the engines agree: the types `BIGINT`, `TEXT` and
//! `BYTEA`; `ON CONFLICT` and `RETURNING`; 0 and 1 where something is so or not; no `LIKE` and no
//! `lower`, which know different letters; no order by a column of texts, which may follow a
//! language.

mod row;
mod transaction;

use sqlx::{Encode, Type};

pub use self::row::{Column, Row};
pub use self::transaction::Transaction;

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
    /// Text. PostgreSQL cannot keep U+0000, so every engine gets U+FFFD in its place.
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

    /// The statement as an engine takes it.
    pub(crate) fn query<DB: sqlx::Database>(self) -> sqlx::query::Query<'static, DB, DB::Arguments>
    where
        Option<i64>: Encode<'static, DB> + Type<DB>,
        Option<String>: Encode<'static, DB> + Type<DB>,
        Option<Vec<u8>>: Encode<'static, DB> + Type<DB>,
    {
        self.values.into_iter().fold(sqlx::query(self.text), |query, value| match value {
            Value::Integer(value) => query.bind(value),
            Value::Text(Some(text)) if text.contains('\0') => {
                query.bind(Some(text.replace('\0', "\u{fffd}")))
            }
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

//! SQL that every engine understands: one text with numbered places (`$1`, `$2`, …), and integers,
//! texts and bytes as values.
//!
//! What the texts have to keep to, so that the engines agree:
//!
//! - the types `BIGINT`, `TEXT` and `BYTEA`, and 0 and 1 where something is so or not;
//! - `ON CONFLICT` and `RETURNING`; in `DO UPDATE SET` a column of before has its table's name;
//! - texts are compared whole, or by `LIKE … ESCAPE` where both sides were put in lower case before:
//!   each engine knows letters of its own, and so it is with `lower`;
//! - no order by a column of texts, which may follow a language;
//! - a sum is `CAST` to `BIGINT`; what is grouped names nothing but its groups and aggregates.

mod row;
mod transaction;

use std::borrow::Cow;
use std::fmt::Write;

use sqlx::{AssertSqlSafe, Encode, Type};
use tracing::trace;

pub use self::row::{Column, Row};
pub use self::transaction::Transaction;

/// One statement with its values.
#[derive(Clone, Debug)]
#[must_use = "a statement does nothing until it is run"]
pub struct Statement {
    text: Cow<'static, str>,
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
    Statement { text: text.into(), values: Vec::new() }
}

/// Begins a statement about many rows at once: between two texts without places there are `rows`
/// lists of `width` places each, `($1, $2), ($3, $4), …`.
///
/// Engines keep what they prepared for each number of rows: [`in_rows`] makes do with few.
pub fn sql_rows(
    before: &'static str,
    (rows, width): (usize, usize),
    after: &'static str,
) -> Statement {
    let mut text = String::from(before);
    for row in 0..rows {
        text.push_str(if row == 0 { " (" } else { ", (" });
        for column in 0..width {
            let separator = if column == 0 { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(text, "{separator}${}", row * width + column + 1);
        }
        text.push(')');
    }
    text.push(' ');
    text.push_str(after);
    Statement { text: text.into(), values: Vec::new() }
}

/// Cuts what goes into rows into parts whose lengths are powers of two, 32 at most.
pub fn in_rows<T>(mut all: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let most = all.len().min(ROWS_MAX);
        let len = 1_usize.checked_shl(most.checked_ilog2()?)?;
        let (part, rest) = all.split_at(len);
        all = rest;
        Some(part)
    })
}

/// Rows of one statement.
const ROWS_MAX: usize = 32;

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
        // Never its values: they are people's.
        trace!(text = %self.text, "statement");
        self.values.into_iter().fold(sqlx::query(AssertSqlSafe(self.text)), |query, value| {
            match value {
                Value::Integer(value) => query.bind(value),
                Value::Text(Some(text)) if text.contains('\0') => {
                    query.bind(Some(text.replace('\0', "\u{fffd}")))
                }
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_numbered_places() {
        let insert = sql_rows("INSERT INTO t (a, b) VALUES", (2, 2), "RETURNING a");
        assert_eq!(insert.text, "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) RETURNING a");
    }

    #[test]
    fn parts_are_few_kinds_and_lose_nothing() {
        let parts = |of: usize| {
            let all: Vec<usize> = (0..of).collect();
            let parts: Vec<Vec<usize>> = in_rows(&all).map(<[_]>::to_vec).collect();
            assert_eq!(parts.concat(), all);
            parts.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(parts(0), []);
        assert_eq!(parts(1), [1]);
        assert_eq!(parts(2), [2]);
        assert_eq!(parts(10), [8, 2]);
        assert_eq!(parts(200), [32, 32, 32, 32, 32, 32, 8]);
    }
}

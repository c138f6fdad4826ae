//! The table of errors a Telegram server gives: code, a tab, name; by code, then by name.
//!
//! `%d` in a name stands for a number. What an error means to people is not part of the table.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Lines `code\tname` from a JSON object whose `errors` member maps names to `{code, name}`.
pub(crate) fn table(source: &str) -> Result<String> {
    let json: Value = serde_json::from_str(source).context("the error table is not JSON")?;
    let errors = json["errors"].as_object().context("the error table has no `errors` object")?;
    let mut rows = BTreeSet::new();
    for (key, error) in errors {
        let code = error["code"].as_i64().with_context(|| format!("`{key}` has no code"))?;
        let name = error["name"].as_str().with_context(|| format!("`{key}` has no name"))?;
        ensure!(
            name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '%')),
            "`{name}` is not the name of an error"
        );
        rows.insert((code, name));
    }
    Ok(rows.iter().map(|(code, name)| format!("{code}\t{name}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_ordered_and_carry_no_description() {
        let source = r#"{"errors": {
            "FLOOD_WAIT_%d": {"code": 420, "name": "FLOOD_WAIT_%d", "description": "wait"},
            "USER_MIGRATE_%d": {"code": 303, "name": "USER_MIGRATE_%d"}
        }}"#;
        assert_eq!(table(source).unwrap(), "303\tUSER_MIGRATE_%d\n420\tFLOOD_WAIT_%d\n");
    }

    #[test]
    fn entry_without_code_is_named() {
        let error = table(r#"{"errors": {"X": {"name": "X"}}}"#).unwrap_err();
        assert_eq!(error.to_string(), "`X` has no code");
    }
}

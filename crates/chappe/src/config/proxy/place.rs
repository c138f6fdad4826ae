//! What is wrong with a file, for people.

use std::borrow::Cow;

/// What is wrong and where, without what stands there: it may be a secret.
pub(super) fn place(text: &str, error: &toml::de::Error) -> anyhow::Error {
    let message = without_value(error.message());
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return anyhow::anyhow!("{message}");
    };
    let (number, start) =
        (before.matches('\n').count() + 1, before.rfind('\n').map_or(0, |at| at + 1));
    let line = text[start..].lines().next().unwrap_or_default();
    // What is in quotes may be a value, with `=` in its base64.
    match line.split_once('=').filter(|(key, _)| !key.contains(['"', '\''])) {
        Some((key, _)) => anyhow::anyhow!("line {number}, `{}`: {message}", key.trim()),
        None => anyhow::anyhow!("line {number}: {message}"),
    }
}

/// A message of the reader of the file, some of which quote the value that they complain of.
fn without_value(message: &str) -> Cow<'_, str> {
    let quotes = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "];
    if !quotes.iter().any(|begin| message.starts_with(begin)) {
        return message.into();
    }
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}").into(),
        None => "this cannot stand here".into(),
    }
}

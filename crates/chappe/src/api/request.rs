//! What requests bring: a body in JSON, and which settings they are meant for.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};

use super::answer::Problem;

/// A body; an empty one is as good as `{}`.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|why| Problem::body(why.status(), why.body_text()))?;
        let text: &[u8] = if bytes.trim_ascii().is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Self).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Problem::invalid(error.to_string()),
            _ => Problem::body(StatusCode::BAD_REQUEST, error.to_string()),
        })
    }
}

/// Which settings a change is meant for: those of `If-Match`, if there is such a header.
pub(super) struct Meant(Option<String>);

impl Meant {
    /// Whether these are they.
    pub(super) fn is(&self, tag: &str) -> bool {
        let is_it = |text: &str| matches!(text.trim(), "*") || text.trim().trim_matches('"') == tag;
        self.0.as_ref().is_none_or(|tags| tags.split(',').any(is_it))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Meant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(header(parts, IF_MATCH)?))
    }
}

/// Whether something is to be made only if it is not there: `If-None-Match: *`.
pub(super) struct OnlyNew(pub(super) bool);

impl<S: Send + Sync> FromRequestParts<S> for OnlyNew {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match header(parts, IF_NONE_MATCH)?.as_deref().map(str::trim) {
            None => Ok(Self(false)),
            Some("*") => Ok(Self(true)),
            Some(_) => Err(Problem::invalid("If-None-Match: only * is understood")),
        }
    }
}

fn header(parts: &Parts, name: axum::http::HeaderName) -> Result<Option<String>, Problem> {
    let value = parts.headers.get(&name).map(|value| value.to_str());
    let value = value.transpose().map_err(|_| Problem::invalid(format!("{name} is no text")))?;
    Ok(value.map(str::to_owned))
}

/// A member that is `null`, which takes a limit away, is not one that is missing.
pub(super) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

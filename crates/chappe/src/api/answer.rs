//! Answers, and errors: a status and a body in JSON, whatever befalls.

use axum::Json;
use axum::http::header::{CONNECTION, ETAG, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::cmd::proxy::live::{InUse, NotChanged};

/// Why something was not done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    #[serde(skip)]
    #[schema(ignore)]
    status: StatusCode,
    /// A word for programs: `no-user` and the like.
    #[schema(value_type = String)]
    error: &'static str,
    /// A sentence for people.
    message: String,
}

impl Problem {
    fn new(status: StatusCode, error: &'static str, message: impl Into<String>) -> Self {
        Self { status, error, message: message.into() }
    }

    pub(super) fn unknown() -> Self {
        let message = "say `Authorization: Bearer` and the token";
        Self::new(StatusCode::UNAUTHORIZED, "no-token", message)
    }

    pub(super) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-such-path", "see /v1/openapi.json")
    }

    pub(super) fn no_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "no-such-method", "see /v1/openapi.json")
    }

    pub(super) fn slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the request took too long")
    }

    pub(super) fn no_user(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-user", format!("there is no user `{name}`"))
    }

    pub(super) fn of_flags(name: &str) -> Self {
        let message = format!("user `{name}` is named by a flag, which the file does not overrule");
        Self::new(StatusCode::CONFLICT, "user-of-flags", message)
    }

    pub(super) fn no_place(error: &anyhow::Error) -> Self {
        Self::new(StatusCode::CONFLICT, "no-public", format!("{error:#}"))
    }

    pub(super) fn changed() -> Self {
        let message = "the settings are not those that the request is meant for; look again";
        Self::new(StatusCode::PRECONDITION_FAILED, "changed", message)
    }

    pub(super) fn body(status: StatusCode, message: impl Into<String>) -> Self {
        let error = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "too-large",
            StatusCode::UNPROCESSABLE_ENTITY => "invalid",
            _ => "no-json",
        };
        Self::new(status, error, message)
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::body(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// The file is of no use, and not by this request.
    pub(super) fn broken(error: &anyhow::Error) -> Self {
        let message = format!("the file of the settings has to be mended first: {error:#}");
        Self::new(StatusCode::CONFLICT, "file-broken", message)
    }

    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // What is left of the body is not read.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

impl From<NotChanged<Self>> for Problem {
    fn from(why: NotChanged<Self>) -> Self {
        match why {
            NotChanged::Other => Self::changed(),
            NotChanged::Refused(problem) => problem,
            NotChanged::Broken(error) => Self::broken(&error),
            NotChanged::Impossible(error) => Self::invalid(format!("{error:#}")),
            NotChanged::File(error) => Self::failed(format!("{error:#}")),
        }
    }
}

/// Something about settings, and which settings.
pub(super) struct Tagged<T> {
    pub(super) status: StatusCode,
    pub(super) tag: String,
    pub(super) body: T,
}

impl<T> Tagged<T> {
    pub(super) fn new(in_use: &InUse, body: T) -> Self {
        Self { status: StatusCode::OK, tag: in_use.tag.clone(), body }
    }
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let Self { status, tag, body } = self;
        (status, [(ETAG, format!("\"{tag}\""))], Json(body)).into_response()
    }
}

/// What may become of any request.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it is there to be described")]
pub(super) enum Always {
    /// The token is missing or wrong.
    #[response(status = 401)]
    Unknown(Problem),
    /// It took too long.
    #[response(status = 408)]
    Slow(Problem),
}

/// What may become of any change besides.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it is there to be described")]
pub(super) enum Unchanged {
    /// The body is no JSON.
    #[response(status = 400)]
    NoJson(Problem),
    /// What is to be changed is not in the file, or the file has to be mended first.
    #[response(status = 409)]
    Conflict(Problem),
    /// The settings are not those that `If-Match` or `If-None-Match` names.
    #[response(status = 412)]
    Changed(Problem),
    /// The body is too large.
    #[response(status = 413)]
    TooLarge(Problem),
    /// The body says what cannot be meant; nothing was changed.
    #[response(status = 422)]
    Invalid(Problem),
    /// The file cannot be written.
    #[response(status = 500)]
    Failed(Problem),
}

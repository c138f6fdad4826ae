//! What a request is for, by its head alone.

use ::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use ::http::request::Parts;
use ::http::{Method, StatusCode};

use super::HttpConfig;

/// What a head asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// To take a packet of so many bytes.
    Packet(usize),
    /// To say whether anybody is there: a packet of no bytes (HTP-07).
    Probe,
    /// Whether a page may send requests.
    Preflight,
    /// A WebSocket, perhaps.
    Upgrade,
    /// Something that is not served.
    Refused(StatusCode),
}

/// Longest path (HTP-01).
const PATH_MAX: usize = 64;
/// How the paths begin that are served, and those that pages of any origin may call.
const SERVED: &str = "/api";
const PUBLIC: &str = "/apiw";

/// Judges a head, of which `has_length` tells whether there was a `Content-Length` in it.
pub(super) fn judge(head: &Parts, has_length: bool, config: &HttpConfig) -> Judged {
    let path = head.uri.path();
    if path.len() > PATH_MAX {
        return Judged::Refused(StatusCode::URI_TOO_LONG);
    }
    if head.headers.contains_key(TRANSFER_ENCODING) {
        return Judged::Refused(judge_encoding(head, has_length));
    }
    let is_served = config.packets && path.starts_with(SERVED);
    match head.method {
        Method::GET => Judged::Upgrade,
        Method::POST if is_served => judge_length(head),
        Method::OPTIONS if is_served => Judged::Preflight,
        Method::POST | Method::OPTIONS => Judged::Refused(StatusCode::NOT_FOUND),
        Method::HEAD | Method::PUT | Method::DELETE | Method::PATCH | Method::TRACE => {
            Judged::Refused(StatusCode::METHOD_NOT_ALLOWED)
        }
        _ => Judged::Refused(StatusCode::NOT_IMPLEMENTED),
    }
}

/// Whether a page of any origin may read the answers to this path (HTP-28, HTP-29).
pub(super) fn is_public(path: &str) -> bool {
    path.starts_with(PUBLIC)
}

/// Only `Content-Length` tells the length of a packet. Where both headers stand, somebody before us
/// may have believed the other one (HTP-04).
fn judge_encoding(head: &Parts, has_length: bool) -> StatusCode {
    if head.method == Method::POST && !has_length {
        StatusCode::LENGTH_REQUIRED
    } else {
        StatusCode::BAD_REQUEST
    }
}

fn judge_length(head: &Parts) -> Judged {
    let Some(length) = head.headers.get(CONTENT_LENGTH) else {
        return Judged::Refused(StatusCode::LENGTH_REQUIRED);
    };
    match length.to_str().ok().and_then(|length| length.parse::<u64>().ok()) {
        Some(0) => Judged::Probe,
        Some(length) => usize::try_from(length)
            .map_or(Judged::Refused(StatusCode::PAYLOAD_TOO_LARGE), Judged::Packet),
        None => Judged::Refused(StatusCode::BAD_REQUEST),
    }
}

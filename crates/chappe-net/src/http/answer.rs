//! The answers to requests, header by header.

use ::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE,
    HeaderName, HeaderValue, PRAGMA,
};
use ::http::request::Parts;
use ::http::{HeaderMap, Response, StatusCode, Version};
use bytes::Bytes;
use http_body_util::Full;

use super::HttpConfig;
use super::request::is_public;

/// What the head of a request says about its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// The peer wants to go on with the connection.
    keeps: bool,
    /// Pages of any origin may read it.
    is_public: bool,
    /// It also lets a page of the public network call us.
    allows_private: bool,
}

const ALLOW_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-allow-private-network");
const REQUEST_PRIVATE_NETWORK: &str = "access-control-request-private-network";

impl Answer {
    pub(super) fn to(head: &Parts, config: &HttpConfig) -> Self {
        let keeps = match head.version {
            Version::HTTP_11 => !has_token(&head.headers, "close"),
            _ => has_token(&head.headers, "keep-alive"),
        };
        Self {
            keeps,
            is_public: config.cors_everywhere || is_public(head.uri.path()),
            allows_private: config.private_network
                && head
                    .headers
                    .get(REQUEST_PRIVATE_NETWORK)
                    .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true")),
        }
    }

    /// A packet.
    pub(super) fn packet(self, packet: Bytes) -> Response<Full<Bytes>> {
        self.response(
            StatusCode::OK,
            &[
                (CONTENT_TYPE, "application/octet-stream"),
                (PRAGMA, "no-cache"),
                (CACHE_CONTROL, "no-store"),
            ],
            packet,
        )
    }

    /// Nothing but a status, on a connection that goes on.
    pub(super) fn empty(self, status: StatusCode) -> Response<Full<Bytes>> {
        self.response(status, &[], Bytes::new())
    }

    /// Nothing but a status, and the connection ends (HTP-10).
    pub(super) fn refused(self, status: StatusCode) -> Response<Full<Bytes>> {
        let last = Self { keeps: false, ..self };
        if status == StatusCode::METHOD_NOT_ALLOWED {
            return last.response(status, &[(ALLOW, "POST, OPTIONS")], Bytes::new());
        }
        last.empty(status)
    }

    /// Tells a browser that a page may send requests (HTP-28).
    pub(super) fn preflight(self) -> Response<Full<Bytes>> {
        self.response(StatusCode::OK, &[(CONTENT_TYPE, "text/plain")], Bytes::new())
    }

    /// What somebody else answered to who wanted a WebSocket and gets none. Leave to read answers
    /// means nothing there (WSK-06).
    pub(super) fn not_upgraded(self, theirs: Response<()>) -> Response<Full<Bytes>> {
        let (head, ()) = theirs.into_parts();
        let mut response = Self { is_public: false, ..self }.refused(head.status);
        let length = response.headers_mut().remove(CONTENT_LENGTH);
        response.headers_mut().extend(head.headers);
        response.headers_mut().extend(length.map(|length| (CONTENT_LENGTH, length)));
        response
    }

    /// `Content-Length` stands last, for a client that reads the body right behind it (HTP-27).
    fn response(
        self,
        status: StatusCode,
        fields: &[(HeaderName, &'static str)],
        body: Bytes,
    ) -> Response<Full<Bytes>> {
        let length = HeaderValue::from(body.len());
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let mut put = |name, value| headers.append(name, HeaderValue::from_static(value));
        put(CONNECTION, if self.keeps { "keep-alive" } else { "close" });
        for (name, value) in fields {
            put(name.clone(), value);
        }
        if self.is_public {
            put(ACCESS_CONTROL_ALLOW_ORIGIN, "*");
            put(ACCESS_CONTROL_ALLOW_METHODS, "POST, OPTIONS");
            put(ACCESS_CONTROL_ALLOW_HEADERS, "origin, content-type");
            put(ACCESS_CONTROL_MAX_AGE, "1728000");
        }
        if self.allows_private {
            put(ALLOW_PRIVATE_NETWORK, "true");
        }
        headers.append(CONTENT_LENGTH, length);
        response
    }
}

/// Whether the connection ends with this answer by our wish.
pub(super) fn ends_connection<B>(response: &Response<B>) -> bool {
    has_token(response.headers(), "close") && response.status() != StatusCode::OK
}

/// Whether a header `Connection` says this.
fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let values = headers.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
}

//! WebSocket: the request that asks for one, and the link inside it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chappe_net::ws::{HEADERS, WebSocketConfig};
use chappe_net::{Io, WebSocket};
use http::header::{
    CONNECTION, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, Request, Response, StatusCode, Version};

use crate::config::{ServerConfig, WebSocketSettings};
use crate::connection::Connection;
use crate::link;

/// Whether a WebSocket may be had at this path (WSK-01).
pub(crate) fn is_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/api") else { return false };
    let rest = rest.strip_prefix('w').unwrap_or(rest);
    matches!(rest, "s" | "s_test" | "s_premium" | "s_test_premium")
}

/// The answer to a request that was made to such a path: 101 if it may become a WebSocket, else
/// what it is refused with (WSK-02 to WSK-06).
pub(crate) fn upgrade_response<B>(
    request: &Request<B>,
    settings: &WebSocketSettings,
) -> Response<()> {
    accept(request, settings).unwrap_or_else(|status| {
        let mut refusal = respond(status);
        if status == StatusCode::UPGRADE_REQUIRED {
            refusal.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        refusal
    })
}

fn accept<B>(
    request: &Request<B>,
    settings: &WebSocketSettings,
) -> Result<Response<()>, StatusCode> {
    let asks = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && tokens(request, UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket"))
        && tokens(request, CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    if !asks {
        return Err(StatusCode::BAD_REQUEST);
    }
    if only(request, SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(StatusCode::UPGRADE_REQUIRED);
    }
    let key = only(request, SEC_WEBSOCKET_KEY).ok_or(StatusCode::BAD_REQUEST)?;
    if BASE64.decode(key).map(|key| key.len()) != Ok(16) {
        return Err(StatusCode::BAD_REQUEST);
    }
    if !settings.origins.is_empty() {
        let origin = only(request, ORIGIN).ok_or(StatusCode::FORBIDDEN)?;
        if !settings.origins.iter().any(|known| known.eq_ignore_ascii_case(origin)) {
            return Err(StatusCode::FORBIDDEN);
        }
    }
    let mut response = respond(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    let proof = BASE64.encode(chappe_crypto::sha1(&[key.as_bytes(), GUID]));
    let proof = HeaderValue::try_from(proof).map_err(|_| StatusCode::BAD_REQUEST)?;
    headers.insert(SEC_WEBSOCKET_ACCEPT, proof);
    let mut offered = tokens(request, SEC_WEBSOCKET_PROTOCOL).peekable();
    if offered.peek().is_none() && settings.without_subprotocol {
        return Ok(response);
    }
    if !offered.any(|protocol| protocol == BINARY) {
        return Err(StatusCode::BAD_REQUEST);
    }
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(BINARY));
    Ok(response)
}

/// The subprotocol of all clients.
const BINARY: &str = "binary";
/// What a server shows that it has read the key with (RFC 6455, 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

fn respond(status: StatusCode) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    response
}

/// The words of a header that is a list, in any number of lines.
fn tokens<B>(request: &Request<B>, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = request.headers().get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

/// The value of a header that may come once.
fn only<B>(request: &Request<B>, name: HeaderName) -> Option<&str> {
    let mut values = request.headers().get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Serves the link inside a WebSocket whose request was answered, to the end of the connection.
pub(crate) async fn serve(connection: Box<Connection>, io: impl Io) {
    let connection = connection.begin_websocket();
    let mut wire = WebSocket::server(io, wire_config(&connection.shared.config));
    let (_, reason) = link::serve(&connection, &mut wire).await;
    connection.closed(reason);
}

fn wire_config(config: &ServerConfig) -> WebSocketConfig {
    let mut wire = WebSocketConfig::default();
    wire.message_max_bytes = config.link.packet_max_bytes.saturating_add(HEADERS);
    let interval = config.websocket.ping_interval;
    wire.ping_interval = (!interval.is_zero()).then_some(interval);
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule:   only GET asks for a WebSocket, whatever else the request says.
    /// Source: WSK-02.
    #[test]
    fn other_methods_ask_for_no_websocket() {
        for (method, status) in [("GET", 101), ("POST", 400), ("HEAD", 400), ("PUT", 400)] {
            let request = Request::builder()
                .method(method)
                .uri("/apiws")
                .header(UPGRADE, "websocket")
                .header(CONNECTION, "upgrade")
                .header(SEC_WEBSOCKET_VERSION, "13")
                .header(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")
                .header(SEC_WEBSOCKET_PROTOCOL, BINARY)
                .body(())
                .expect("its parts are well-formed");
            let response = upgrade_response(&request, &WebSocketSettings::default());
            assert_eq!(response.status(), status, "{method}");
        }
    }
}

//! HTTP/1.1 from the side of a client: requests that carry packets, and the one that begins a
//! WebSocket.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chappe_crypto::{Rng, sha1};
use http::header::{
    CONNECTION, CONTENT_TYPE, HOST, PROXY_AUTHORIZATION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
};
use http::request::Builder;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::proxy::Proxy;
use crate::prefixed::Io;

/// What requests are made to.
#[derive(Clone, Debug)]
pub struct Site {
    authority: String,
    path: String,
    /// An HTTP proxy that is asked instead, by the whole address.
    proxy: Option<Proxy>,
    /// What bodies are, where the server wants to know.
    content_type: Option<&'static str>,
}

/// What a server answers to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status of HTTP.
    pub status: u16,
    /// The body; empty where the status says that there is nothing to read (HTP-11).
    pub body: Bytes,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    /// Host or path cannot stand in a request.
    #[error("`{0}` cannot stand in a request")]
    Site(String),
    /// The connection broke, or what comes over it is no HTTP.
    #[error("HTTP: {}", causes(.0))]
    Http(#[from] hyper::Error),
    /// No answer came in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The body is larger than accepted (HTP-13).
    #[error("a body of more than {0} bytes")]
    TooLong(usize),
    /// The server begins no WebSocket.
    #[error("the server begins no WebSocket, it answers with status {0}")]
    NotUpgraded(u16),
    /// It seems to, and breaks the rules of doing so.
    #[error("the server begins no WebSocket: {0}")]
    Upgrade(&'static str),
}

impl Site {
    /// A path of the host `authority`, which names a port where it is not the usual one.
    pub fn new(authority: impl Into<String>, path: impl Into<String>) -> Self {
        Self { authority: authority.into(), path: path.into(), proxy: None, content_type: None }
    }

    /// The same, by an HTTP proxy that is asked for the whole address (HTP-33).
    #[must_use]
    pub fn through(self, proxy: Proxy) -> Self {
        Self { proxy: Some(proxy), ..self }
    }

    /// The same, told what the bodies sent to it are.
    #[must_use]
    pub fn taking(self, content_type: &'static str) -> Self {
        Self { content_type: Some(content_type), ..self }
    }

    fn request(&self, method: &str) -> Builder {
        let Self { authority, path, proxy, content_type } = self;
        let mut request = Request::builder().method(method).header(HOST, authority);
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, *content_type);
        }
        match proxy {
            None => request = request.uri(path),
            Some(proxy) => {
                request = request.uri(format!("http://{authority}{path}"));
                if let Some(authorization) = proxy.authorization() {
                    request = request.header(PROXY_AUTHORIZATION, authorization);
                }
            }
        }
        request
    }

    fn bad(&self) -> WebError {
        WebError::Site(format!("{}{}", self.authority, self.path))
    }
}

/// A connection that takes one request after the other (HTP-08).
#[derive(Debug)]
pub struct HttpConnection {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
    site: Site,
}

impl HttpConnection {
    /// Speaks HTTP over a connection to `site`, or to its proxy.
    ///
    /// # Errors
    ///
    /// The connection broke.
    pub async fn begin<S: Io + 'static>(stream: S, site: Site) -> Result<Self, WebError> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Its end is told by whatever is asked of it next.
        let driver = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Ok(Self { sender, driver, site })
    }

    /// Whether the connection takes another request.
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a body, and waits for the one that answers it for at most `wait_max`.
    ///
    /// # Errors
    ///
    /// There is no answer, or one of more than `body_max` bytes. The connection is of no use then.
    pub async fn post(
        &mut self,
        body: Bytes,
        body_max: usize,
        wait_max: Duration,
    ) -> Result<Answer, WebError> {
        let request = self.site.request("POST").header(CONNECTION, "keep-alive");
        self.ask(request, body, body_max, wait_max).await
    }

    /// Asks for what is there, and waits for it for at most `wait_max`.
    ///
    /// # Errors
    ///
    /// As for [`post`](Self::post).
    pub async fn get(&mut self, body_max: usize, wait_max: Duration) -> Result<Answer, WebError> {
        let request = self.site.request("GET").header(USER_AGENT, "chappe");
        self.ask(request, Bytes::new(), body_max, wait_max).await
    }

    async fn ask(
        &mut self,
        request: Builder,
        body: Bytes,
        body_max: usize,
        wait_max: Duration,
    ) -> Result<Answer, WebError> {
        let request = request.body(Full::new(body)).map_err(|_| self.site.bad())?;
        let answer = async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            let status = response.status();
            let body = match status {
                StatusCode::OK => read(response, body_max).await?,
                _ => Bytes::new(),
            };
            Ok(Answer { status: status.as_u16(), body })
        };
        timeout(wait_max, answer).await.unwrap_or(Err(WebError::TimedOut(wait_max)))
    }
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn read(response: Response<Incoming>, body_max: usize) -> Result<Bytes, WebError> {
    let body = Limited::new(response.into_body(), body_max).collect().await;
    match body {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(WebError::TooLong(body_max)),
        Err(error) => match error.downcast::<hyper::Error>() {
            Ok(error) => Err(WebError::Http(*error)),
            // The body has no other errors than these two.
            Err(_) => Err(WebError::TooLong(body_max)),
        },
    }
}

/// Begins a WebSocket of the subprotocol `binary` over a connection to `site` (WSK-03).
///
/// # Errors
///
/// The server does not, or breaks the rules of doing so.
pub async fn upgrade<S: Io + 'static>(
    stream: S,
    site: &Site,
    rng: &mut Rng,
) -> Result<TokioIo<Upgraded>, WebError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let key = STANDARD.encode(rng.bytes::<16>());
    let request = site
        .request("GET")
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key)
        .header(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
    let request = request.body(Full::new(Bytes::new())).map_err(|_| site.bad())?;
    // It ends by handing its connection over.
    tokio::spawn(connection.with_upgrades());
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(WebError::NotUpgraded(response.status().as_u16()));
    }
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    if !header(UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
        return Err(WebError::Upgrade("it speaks something else"));
    }
    let proof = STANDARD.encode(sha1(&[key.as_bytes(), GUID]));
    if header(SEC_WEBSOCKET_ACCEPT) != Some(&proof) {
        return Err(WebError::Upgrade("its proof is wrong"));
    }
    if !matches!(header(SEC_WEBSOCKET_PROTOCOL), None | Some(SUBPROTOCOL)) {
        return Err(WebError::Upgrade("it speaks another subprotocol"));
    }
    Ok(TokioIo::new(hyper::upgrade::on(response).await?))
}

const SUBPROTOCOL: &str = "binary";
/// What the proof of a server hashes besides the key (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// An error and what it comes from, which alone says what happened.
fn causes(error: &hyper::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

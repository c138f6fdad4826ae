//! The tests' server by HTTP and WebSocket, both by hand but for the frames of WebSocket.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use chappe_net::{BoxedIo, Io, Prefixed};
use chappe_proto::link::{Link, Response};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server as upgrade;

use crate::server::{Accept, State};

/// A connection, whatever its bytes travel in.
pub(crate) enum Pipe {
    Stream(BoxedIo),
    WebSocket(Box<WebSocketStream<BoxedIo>>),
    /// Requests that bring packets.
    Http(BoxedIo),
}

/// What becomes of a request that brings a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    /// The same, its body in chunks.
    Chunked,
    /// The same, and the connection ends.
    AnsweredAndClosed,
    /// The packet is taken, and the connection ends without an answer.
    Lost,
    /// The connection ends before the packet is taken.
    Refused,
    /// A status, and nothing else.
    Status(u16),
    /// A body of so many bytes.
    Oversize(usize),
}

impl Pipe {
    /// Looks at the first bytes, unless the server is none that would.
    #[allow(clippy::result_large_err, reason = "the callback of the library is made so")]
    pub(crate) async fn begin(
        mut stream: impl Io + 'static,
        accept: &Accept,
        state: &Mutex<State>,
        id: u64,
    ) -> Option<Self> {
        if let Accept::Close | Accept::Trickle = accept {
            return Some(Self::Stream(Box::new(stream)));
        }
        let mut first = BytesMut::new();
        while first.len() < 4 {
            if stream.read_buf(&mut first).await.ok()? == 0 {
                return None;
            }
        }
        let begins = |word: &[u8]| first.starts_with(word);
        let (is_get, is_post) = (begins(b"GET "), begins(b"POST"));
        let stream: BoxedIo = Box::new(Prefixed::new(first, stream));
        if is_post {
            state.lock().unwrap().begin_requests(id);
            return Some(Self::Http(stream));
        }
        if !is_get {
            return Some(Self::Stream(stream));
        }
        let agree = |request: &upgrade::Request, mut response: upgrade::Response| {
            let head = format!("GET {} {:?}", request.uri(), request.headers());
            state.lock().unwrap().heads.push(head);
            if let Some(offered) = request.headers().get("sec-websocket-protocol") {
                response.headers_mut().insert("sec-websocket-protocol", offered.clone());
            }
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(stream, agree).await.ok()?;
        Some(Self::WebSocket(Box::new(socket)))
    }

    /// Whether that went.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> bool {
        match self {
            _ if bytes.is_empty() => true,
            Self::Stream(stream) | Self::Http(stream) => {
                stream.write_all(bytes).await.is_ok() && stream.flush().await.is_ok()
            }
            Self::WebSocket(socket) => {
                // A ping between messages is none of the link's business.
                let _ = socket.send(Message::Ping(vec![1, 2, 3].into())).await;
                // Where messages end means nothing.
                let (one, other) = bytes.split_at(bytes.len() / 2);
                let messages = [one, other].map(|half| Message::Binary(half.to_vec().into()));
                let [one, other] = messages;
                socket.send(one).await.is_ok() && socket.send(other).await.is_ok()
            }
        }
    }

    /// Appends what comes; whether anything can.
    pub(crate) async fn read(&mut self, input: &mut BytesMut) -> bool {
        match self {
            Self::Stream(stream) | Self::Http(stream) => {
                matches!(stream.read_buf(input).await, Ok(1..))
            }
            Self::WebSocket(socket) => match socket.next().await {
                Some(Ok(Message::Binary(bytes))) => {
                    input.extend_from_slice(&bytes);
                    true
                }
                Some(Ok(Message::Pong(bytes))) => {
                    assert_eq!(&bytes[..], [1, 2, 3]);
                    true
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => false,
                Some(Ok(other)) => panic!("{other:?}"),
            },
        }
    }
}

/// Takes packets from requests and answers with such, one after the other.
pub(crate) async fn serve_requests(
    state: &Arc<Mutex<State>>,
    mut stream: BoxedIo,
    accept: Accept,
    id: u64,
) {
    let (mut link, clock) = {
        let mut state = state.lock().unwrap();
        let silent_at = Duration::MAX;
        (Link::of_requests(state.link.clone(), silent_at, state.fork_rng()), state.clock())
    };
    loop {
        let Some((head, body)) = read_request(&mut stream).await else { return };
        let fate = {
            let mut state = state.lock().unwrap();
            state.heads.push(head);
            let number = state.heads.len();
            (state.requests)(&mut { number })
        };
        if let Accept::Silent = accept {
            continue;
        }
        match fate {
            Fate::Refused => return,
            Fate::Status(status) => {
                let head = format!("HTTP/1.1 {status} No\r\nContent-Length: 4\r\n\r\noops");
                if stream.write_all(head.as_bytes()).await.is_err() {
                    return;
                }
                continue;
            }
            Fate::Oversize(len) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n");
                let answer = [head.into_bytes(), vec![0; len]].concat();
                let _ = stream.write_all(&answer).await;
                return;
            }
            _ => {}
        }
        link.expect_request(clock.now(), Duration::from_secs(60));
        link.handle_request(clock.now(), body);
        let response = loop {
            let response = {
                let mut state = state.lock().unwrap();
                while let Some(event) = link.poll_event() {
                    if state.handle(&mut link, id, event) {
                        return;
                    }
                }
                let is_over = state.speak(&mut link, id);
                if is_over || fate == Fate::Lost {
                    return;
                }
                link.poll_response()
            };
            match response {
                Some(response) => break response,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let answer = match response {
            Response::Error(code) => {
                format!("HTTP/1.1 {code} No\r\nContent-Length: 0\r\n\r\n").into_bytes()
            }
            Response::Packet(packet) if fate == Fate::Chunked => {
                let (one, other) = packet.split_at(packet.len() / 2);
                let chunk = |part: &[u8]| {
                    [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat()
                };
                let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
                [head, chunk(one), chunk(other), b"0\r\n\r\n".to_vec()].concat()
            }
            Response::Packet(packet) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", packet.len());
                [head.as_bytes(), &packet].concat()
            }
        };
        let is_written = stream.write_all(&answer).await.is_ok() && stream.flush().await.is_ok();
        if !is_written || fate == Fate::AnsweredAndClosed {
            return;
        }
    }
}

/// The head of the next request, and its body.
async fn read_request(stream: &mut BoxedIo) -> Option<(String, BytesMut)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    let mut body = BytesMut::zeroed(length.expect("a request says how long it is"));
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

/// A certificate for `localhost` and 127.0.0.1, in PEM, and a server that has it.
pub(crate) fn certificate() -> (String, TlsAcceptor) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(names).unwrap();
    let chain = vec![CertificateDer::from(cert.der().to_vec())];
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    (cert.pem(), TlsAcceptor::from(Arc::new(config)))
}

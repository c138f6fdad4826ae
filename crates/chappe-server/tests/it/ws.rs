//! WebSocket: clients that read one frame per message and such that read a stream, and everything
//! that is refused.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use chappe_crypto::Ctr;
use chappe_proto::handshake::client::{KeyRequest, start};
use chappe_proto::link::{Link, LinkConfig, LinkEvent};
use chappe_proto::transport::{ClientOptions, Framing, Transport};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{Role, frame::Frame};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::client::{Client, Heard, PATIENCE, Scribe, Wire, rng};
use crate::functions::{Echo, Fill};
use crate::world::World;

/// Rules:  a client that takes all messages for one stream, and sends its own as it likes, talks as
///         over any transport, in each framing that can be hidden.
/// Source: WSK-08, WSK-10, WSK-21.
#[tokio::test]
async fn client_that_reads_a_stream_is_served() {
    let world = World::new().await;
    for framing in [Framing::Abridged, Framing::Intermediate, Framing::Padded] {
        for pieces in [usize::MAX, 100, 7] {
            let stream = Messages::open(&world, pieces).await;
            let mut wire = Wire::over(stream, Transport::obfuscated(framing).unwrap());
            let account = wire.exchange(&world).await.unwrap();
            let mut client = Client::over(wire, &account);
            for len in [1, 500, 10_000] {
                let text = "x".repeat(len);
                let answer = client.call(Echo::from(text.as_str())).await.unwrap();
                assert_eq!(answer, text.as_str(), "{framing}, pieces of {pieces}");
            }
        }
    }
}

/// Rules:  each message from the server is one whole frame, so a client that takes it for that loses
///         nothing, whatever is ready at once.
/// Source: WSK-11, WSK-21.
#[tokio::test]
async fn client_that_reads_one_frame_per_message_is_served() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    let account = client.account.clone();
    client.call(Echo::from("x")).await.unwrap();
    for framing in [Framing::Abridged, Framing::Intermediate, Framing::Padded] {
        let mut socket = open(&world, "/apiws").await;
        let transport = Transport::obfuscated(framing).unwrap();
        let options = ClientOptions::default();
        let mut link = Link::client(LinkConfig::client(), transport, &options, rng());
        link.use_key(account.key.clone());
        let mut scribe = Scribe::new(&account);
        // All at once, so that the answers are ready at once: each too large to share a packet.
        for _ in 0..20 {
            link.send(account.key.clone(), scribe.write(&Fill::from("100000")));
        }
        let mut out = BytesMut::new();
        link.poll_transmit(&mut out).unwrap();
        socket.send(Message::Binary(out.freeze())).await.unwrap();
        let mut answers = 0;
        while answers < 20 {
            let Message::Binary(frame) = hear(&mut socket).await else { panic!("no binary") };
            let mut inbound = BytesMut::from(frame);
            link.handle_bytes(client.wire.clock.now(), &mut inbound);
            assert!(inbound.is_empty(), "{framing}: a message ends within a frame");
            let Some(LinkEvent::Message(_, opened)) = link.poll_event() else {
                panic!("{framing}: a message is not a frame");
            };
            assert!(link.poll_event().is_none(), "{framing}: two frames in a message");
            answers += usize::from(opened.message.body.len() > 50_000);
        }
    }
}

/// Rule:   paths of WebSockets are these, with and without a query; all others get 404.
/// Source: WSK-01, WSK-15.
#[tokio::test]
async fn paths_of_websockets_are_known() {
    let world = World::new().await;
    for base in ["/apiws", "/apis"] {
        for end in ["", "_test", "_premium", "_test_premium", "?x=1", "_test?"] {
            let path = format!("{base}{end}");
            let answer = ask(&world, &Asked { path: &path, ..Asked::default() }).await;
            assert_eq!(answer.status, 101, "{path}");
            assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
            assert_eq!(answer.header("upgrade"), Some("websocket"));
            assert_eq!(answer.header("connection"), Some("Upgrade"));
        }
    }
    for path in ["/", "/apiws/", "/apiwss", "/apiws_tes", "/ws", "/apisw", "/x/apiws", "/APIWS"] {
        let answer = ask(&world, &Asked { path, ..Asked::default() }).await;
        assert_eq!(answer.status, 404, "{path}");
    }
}

/// Rule:   a request lacks nothing that an upgrade needs; without version 13 it is told which.
/// Source: WSK-02.
#[tokio::test]
async fn request_is_checked() {
    let world = World::new().await;
    let fine = Asked::default();
    for (asked, status) in [
        (Asked { upgrade: "WebSocket", connection: "keep-alive, UPGRADE", ..fine }, 101),
        (Asked { upgrade: "h2c, websocket", ..fine }, 101),
        (Asked { upgrade: "h2c", ..fine }, 400),
        (Asked { upgrade: "", ..fine }, 400),
        (Asked { connection: "keep-alive", ..fine }, 400),
        (Asked { connection: "", ..fine }, 400),
        (Asked { version: "12", ..fine }, 426),
        (Asked { version: "", ..fine }, 426),
        (Asked { key: "dGhlIHNhbXBsZSBub25jZQ", ..fine }, 400),
        (Asked { key: "c2hvcnQ=", ..fine }, 400),
        (Asked { key: "", ..fine }, 400),
        (Asked { http: "1.0", ..fine }, 400),
    ] {
        let answer = ask(&world, &asked).await;
        assert_eq!(answer.status, status, "{asked:?}");
        let version = answer.header("sec-websocket-version");
        assert_eq!(version, (status == 426).then_some("13"), "{asked:?}");
    }
}

/// Rule:   the answer that begins a WebSocket says `Connection: Upgrade` and nothing more, once,
///         for clients compare the whole value.
/// Source: QRK-29.
#[tokio::test]
async fn connection_is_upgrade_alone() {
    let world = World::new().await;
    for connection in ["Upgrade", "upgrade", "keep-alive, Upgrade", "Upgrade, Keep-Alive"] {
        let answer = ask(&world, &Asked { connection, ..Asked::default() }).await;
        assert_eq!(answer.status, 101, "{connection}");
        let name = |line: &str| line.to_ascii_lowercase().starts_with("connection:");
        let lines: Vec<&str> = answer.head.lines().filter(|line| name(line)).collect();
        assert_eq!(lines, ["Connection: Upgrade"], "{connection}");
    }
}

/// Rule:   of the subprotocols offered `binary` is taken; without it there is no WebSocket, unless
///         nothing is offered and the settings allow that.
/// Source: WSK-04, WSK-03.
#[tokio::test]
async fn subprotocol_is_binary() {
    let strict = World::new().await;
    let lenient = World::with(|config| config.websocket.without_subprotocol = true).await;
    for (offered, by_strict, by_lenient) in [
        ("binary", 101, 101),
        ("base64, binary", 101, 101),
        ("base64", 400, 400),
        ("Binary", 400, 400),
        ("", 400, 101),
    ] {
        for (world, status) in [(&strict, by_strict), (&lenient, by_lenient)] {
            let answer = ask(world, &Asked { protocol: offered, ..Asked::default() }).await;
            assert_eq!(answer.status, status, "{offered}");
            let is_echoed = status == 101 && !offered.is_empty();
            let echoed = answer.header("sec-websocket-protocol");
            assert_eq!(echoed, is_echoed.then_some("binary"), "{offered}");
        }
    }
}

/// Rule:   no extension is ever agreed upon.
/// Source: WSK-05.
#[tokio::test]
async fn extensions_are_not_agreed_upon() {
    let world = World::new().await;
    let rest = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let answer = ask(&world, &Asked { rest, ..Asked::default() }).await;
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("sec-websocket-extensions"), None);
}

/// Rule:   pages of any origin may connect, unless the settings name some.
/// Source: WSK-06.
#[tokio::test]
async fn origins_can_be_limited() {
    let open = World::new().await;
    let home = "https://web.example.org".to_owned();
    let closed = World::with(|config| config.websocket.origins = vec![home]).await;
    for (rest, by_closed) in [
        ("Origin: https://web.example.org\r\n", 101),
        ("Origin: https://example.org\r\n", 403),
        ("Origin: null\r\n", 403),
        ("", 403),
    ] {
        assert_eq!(ask(&open, &Asked { rest, ..Asked::default() }).await.status, 101, "{rest}");
        let answer = ask(&closed, &Asked { rest, ..Asked::default() }).await;
        assert_eq!(answer.status, by_closed, "{rest}");
    }
}

/// Rule:   the request has to be whole by the deadline, and so has the first packet inside; its head
///         is 16 KiB at most.
/// Source: WSK-07, TRN-22.
#[tokio::test]
async fn request_has_a_deadline_and_a_bound() {
    let world = World::with(|config| config.link.first_packet_wait_max = WAIT).await;
    let head = Asked::default().head();
    for begun in [4, head.len() - 1] {
        let begin = Instant::now();
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(&head.as_bytes()[..begun]).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
        assert!(begin.elapsed() >= WAIT);
    }
    let mut socket = open(&world, "/apiws").await;
    let begin = Instant::now();
    assert_eq!(closed(&mut socket).await, (1000, "         0".to_owned()));
    assert!(begin.elapsed() >= WAIT / 2);

    let rest = format!("X: {}\r\n", "x".repeat(16 << 10));
    let answer = ask(&world, &Asked { rest: &rest, ..Asked::default() }).await;
    assert_eq!(answer.status, 431);
    let rest = format!("X: {}\r\n", "x".repeat(15 << 10));
    assert_eq!(ask(&world, &Asked { rest: &rest, ..Asked::default() }).await.status, 101);
}

/// Rule:   without obfuscation there is nothing to talk about: silence, then the close.
/// Source: WSK-09, TRN-21.
#[tokio::test]
async fn data_that_is_not_obfuscated_is_not_answered() {
    let world = World::with(|config| config.link.first_packet_wait_max = WAIT).await;
    let mut link = Link::client(
        LinkConfig::client(),
        Transport::plain(Framing::Intermediate),
        &ClientOptions::default(),
        rng(),
    );
    link.send_plain(Duration::from_secs(1_700_000_000), &[1; 40]);
    let mut out = BytesMut::new();
    link.poll_transmit(&mut out).unwrap();
    let begin = Instant::now();
    let mut socket = open(&world, "/apiws").await;
    socket.send(Message::Binary(out.freeze())).await.unwrap();
    assert_eq!(closed(&mut socket).await, (1000, "         0".to_owned()));
    assert!(begin.elapsed() >= WAIT);
}

/// Rule:   what breaks WebSocket ends the connection with its code: 1003 for text, 1002 for
///         reserved bits, frames without a mask, bad control frames.
/// Source: WSK-05, WSK-08, WSK-12.
#[tokio::test]
async fn broken_frames_end_the_connection_with_their_code() {
    let world = World::new().await;
    for (frame, code) in [
        (&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'][..], 1003),
        (&[0xc2, 0x80, 0, 0, 0, 0], 1002),
        (&[0x82, 0x02, 1, 2], 1002),
        (&[0x09, 0x80, 0, 0, 0, 0], 1002),
        (&[0x89, 0xfe, 0, 126, 0, 0, 0, 0], 1002),
        (&[0x83, 0x80, 0, 0, 0, 0], 1002),
        // A message of 2 MiB, announced.
        (&[0x82, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0], 1000),
    ] {
        let answer = ask(&world, &Asked::default()).await;
        let mut stream = answer.stream;
        stream.write_all(frame).await.unwrap();
        let mut said = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut said)).await.unwrap().unwrap();
        let expected = [&[0x88, 12][..], &u16::to_be_bytes(code), b"         0"].concat();
        assert_eq!(said, expected, "{frame:x?}");
    }
}

/// Rule:   a message may be as long as the largest packet with what frames and hides it, also the
///         first one of a client whose key is known; a stranger's is refused when its key is.
/// Source: WSK-13, TRN-38, WSK-16.
#[tokio::test]
async fn large_messages_are_for_those_who_have_a_key() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    client.call(Echo::from("x")).await.unwrap();
    let account = client.account.clone();
    let text = "x".repeat(1_000_000);
    let transport = Transport::obfuscated(Framing::Intermediate).unwrap();
    let mut wire = Wire::over(Messages::open(&world, usize::MAX).await, transport);
    let message = Scribe::new(&account).write(&Echo::from(text.as_str()));
    wire.send(&account.key, message).await;
    assert!(matches!(wire.hear().await, Heard::Message(_)));

    let mut socket = open(&world, "/apiws").await;
    let mut link = Link::client(LinkConfig::client(), transport, &ClientOptions::default(), rng());
    let stranger = std::sync::Arc::new(chappe_crypto::AuthKey::new([7; 256]));
    link.send(stranger, Scribe::new(&account).write(&Echo::from(text.as_str())));
    let mut out = BytesMut::new();
    link.poll_transmit(&mut out).unwrap();
    // The beginning of the message is enough to tell.
    let wire = masked(&out);
    socket.get_mut().write_all(&wire[..20_000]).await.unwrap();
    let Message::Binary(frame) = hear(&mut socket).await else { panic!("no binary") };
    link.handle_bytes(client.wire.clock.now(), &mut BytesMut::from(frame));
    assert!(matches!(link.poll_event(), Some(LinkEvent::TransportError(404))));
    assert_eq!(closed(&mut socket).await, (1000, "       404".to_owned()));
}

/// Rule:   every transport error is a frame of its own, and the last but for the close, whose code
///         is 1000 and whose reason is the error in ten columns.
/// Source: WSK-16, WSK-17, WSK-11.
#[tokio::test]
async fn transport_error_comes_as_a_frame_before_the_close() {
    let world = World::new().await;
    for framing in [Framing::Abridged, Framing::Intermediate, Framing::Padded] {
        let mut socket = open(&world, "/apiws").await;
        let transport = Transport::obfuscated(framing).unwrap();
        let options = ClientOptions::default();
        let mut link = Link::client(LinkConfig::client(), transport, &options, rng());
        // No function of the key exchange.
        link.send_plain(Duration::from_secs(1_700_000_000), &[1; 40]);
        let mut out = BytesMut::new();
        link.poll_transmit(&mut out).unwrap();
        socket.send(Message::Binary(out.freeze())).await.unwrap();
        let Message::Binary(frame) = hear(&mut socket).await else { panic!("no binary") };
        link.handle_bytes(world.clock.now(), &mut BytesMut::from(frame));
        assert!(matches!(link.poll_event(), Some(LinkEvent::TransportError(404))));
        assert_eq!(closed(&mut socket).await, (1000, "       404".to_owned()), "{framing}");
    }
}

/// Rule:   a ping is answered, in the middle of everything; a server that is told to pings as well.
/// Source: WSK-14.
#[tokio::test]
async fn pings_go_both_ways() {
    let world =
        World::with(|config| config.websocket.ping_interval = Duration::from_millis(100)).await;
    let mut socket = open(&world, "/apiws").await;
    socket.send(Message::Ping(Bytes::from_static(b"are you there"))).await.unwrap();
    assert_eq!(hear(&mut socket).await, Message::Pong(Bytes::from_static(b"are you there")));
    assert_eq!(hear(&mut socket).await, Message::Ping(Bytes::new()));
    assert_eq!(hear(&mut socket).await, Message::Ping(Bytes::new()));
}

/// Rule:   a close is answered and ends the connection; one that breaks off without is no more than
///         that: the session waits for its client.
/// Source: WSK-19, WSK-18.
#[tokio::test]
async fn close_is_answered_and_loss_is_forgiven() {
    let world = World::new().await;
    let mut socket = open(&world, "/apiws").await;
    let frame = CloseFrame { code: CloseCode::Away, reason: "page left".into() };
    socket.close(Some(frame)).await.unwrap();
    assert_eq!(closed(&mut socket).await, (1000, "         0".to_owned()));
    let gone = timeout(PATIENCE, socket.get_mut().read(&mut [0; 1])).await.unwrap();
    assert_eq!(gone.unwrap(), 0);

    let transport = Transport::obfuscated(Framing::Abridged).unwrap();
    let mut wire = Wire::over(Messages::open(&world, usize::MAX).await, transport);
    let account = wire.exchange(&world).await.unwrap();
    let mut client = Client::over(wire, &account);
    client.call(Echo::from("x")).await.unwrap();
    let session = client.session.id();
    let wire = Wire::over(Messages::open(&world, usize::MAX).await, transport);
    client.reconnect_over(wire).await;
    client.call(Echo::from("y")).await.unwrap();
    assert_eq!(client.session.id(), session);
    assert_eq!(world.heard.all().len(), 1, "{:?}", world.heard.all());
}

/// Rule:   inside a WebSocket nothing is recognised by its first bytes: browser clients avoid none of
///         the openings. The header may come alone, with frames, or in pieces.
/// Source: WSK-20, WSK-10, WSK-15.
#[tokio::test]
async fn header_may_begin_like_anything() {
    let world = World::new().await;
    let openings: [&[u8]; 10] = [
        &[0xef],
        &[0xee; 4],
        &[0xdd; 4],
        b"POST",
        b"GET ",
        b"HEAD",
        b"OPTI",
        b"PVrG",
        &[0x16, 3, 1, 2],
        &[9, 9, 9, 9, 0, 0, 0, 0],
    ];
    for opening in openings {
        for cut in [1, 4, 63, 64, 65, 80, usize::MAX] {
            let mut raw = [0x5a; 64];
            raw[..opening.len()].copy_from_slice(opening);
            raw[56..60].fill(0xee);
            let mut reversed = raw;
            reversed.reverse();
            let mut outward = stream(&raw);
            let mut inward = stream(&reversed);
            let mut hidden = raw;
            outward.apply(&mut hidden);
            let mut wire = [&raw[..56], &hidden[56..]].concat();

            let plain = Transport::plain(Framing::Intermediate);
            let options = ClientOptions::default();
            let mut link = Link::client(LinkConfig::client(), plain, &options, rng());
            let request = KeyRequest { dc: 2, expires_in: None, server_keys: world.trusted() };
            let (_, body) = start(request, &mut rng());
            link.send_plain(world.clock.now().unix, &body);
            let mut out = BytesMut::new();
            link.poll_transmit(&mut out).unwrap();
            // The tag of the framing is in the header.
            let frame = out.len();
            out.advance(4);
            outward.apply(&mut out);
            assert_eq!(out.len(), frame - 4);
            wire.extend_from_slice(&out);

            let mut socket = open(&world, "/apiws_test").await;
            let (first, second) = wire.split_at(cut.min(wire.len()));
            for part in [first, second] {
                socket.send(Message::Binary(Bytes::copy_from_slice(part))).await.unwrap();
            }
            let Message::Binary(answer) = hear(&mut socket).await else { panic!("no binary") };
            let mut answer = BytesMut::from(answer);
            inward.apply(&mut answer);
            link.handle_bytes(world.clock.now(), &mut answer);
            let event = link.poll_event();
            assert!(matches!(event, Some(LinkEvent::Plain(_))), "{opening:x?}, {cut}: {event:?}");
        }
    }
}

/// Rule:   where WebSockets are not served, their requests are a stranger's.
/// Source: TRN-23.
#[tokio::test]
async fn websocket_can_be_switched_off() {
    let world = World::with(|config| {
        (config.detect.http, config.detect.websocket) = (false, false);
        config.link.first_packet_wait_max = WAIT;
    })
    .await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let begin = Instant::now();
    stream.write_all(Asked::default().head().as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.is_empty() && begin.elapsed() >= WAIT);
}

/// The deadline of first packets where a test waits for it.
const WAIT: Duration = Duration::from_millis(400);

type Socket = WebSocketStream<TcpStream>;

async fn open(world: &World, path: &str) -> Socket {
    let answer = ask(world, &Asked { path, ..Asked::default() }).await;
    assert_eq!(answer.status, 101);
    WebSocketStream::from_raw_socket(answer.stream, Role::Client, None).await
}

async fn hear(socket: &mut Socket) -> Message {
    timeout(PATIENCE, socket.next()).await.expect("nothing comes").unwrap().unwrap()
}

/// Code and reason of the close that comes next.
async fn closed(socket: &mut Socket) -> (u16, String) {
    match hear(socket).await {
        Message::Close(Some(frame)) => (frame.code.into(), frame.reason.as_str().to_owned()),
        message => panic!("{message:?}"),
    }
}

/// One binary message of a client, as on the wire.
fn masked(payload: &[u8]) -> Vec<u8> {
    let mut frame = Frame::message(payload.to_vec(), OpCode::Data(Data::Binary), true);
    frame.header_mut().mask = Some([0; 4]);
    let mut wire = Vec::new();
    frame.format(&mut wire).unwrap();
    wire
}

/// The keystream that a header, or the reverse of it, stands for.
fn stream(header: &[u8; 64]) -> Ctr {
    let (key, iv) = (header[8..40].try_into().unwrap(), header[40..56].try_into().unwrap());
    Ctr::new(&key, &iv)
}

/// A request for a WebSocket; an empty text leaves its header out.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    method: &'a str,
    path: &'a str,
    http: &'a str,
    upgrade: &'a str,
    connection: &'a str,
    version: &'a str,
    key: &'a str,
    protocol: &'a str,
    rest: &'a str,
}

impl Default for Asked<'_> {
    fn default() -> Self {
        Self {
            method: "GET",
            path: "/apiws",
            http: "1.1",
            upgrade: "websocket",
            connection: "Upgrade",
            version: "13",
            key: "dGhlIHNhbXBsZSBub25jZQ==",
            protocol: "binary",
            rest: "",
        }
    }
}

/// What answers the key above (RFC 6455, 1.3).
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

impl Asked<'_> {
    fn head(&self) -> String {
        let Self { method, path, http, rest, .. } = self;
        let mut head = format!("{method} {path} HTTP/{http}\r\nHost: example.org\r\n");
        for (name, value) in [
            ("Upgrade", self.upgrade),
            ("Connection", self.connection),
            ("Sec-WebSocket-Version", self.version),
            ("Sec-WebSocket-Key", self.key),
            ("Sec-WebSocket-Protocol", self.protocol),
        ] {
            if !value.is_empty() {
                head += &format!("{name}: {value}\r\n");
            }
        }
        head + rest + "\r\n"
    }
}

struct Answer {
    status: u16,
    head: String,
    stream: TcpStream,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let mut values = lines.filter(|(at, _)| at.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value)
    }
}

/// Makes a request and reads the head of the answer, not a byte more.
async fn ask(world: &World, asked: &Asked<'_>) -> Answer {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(asked.head().as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = timeout(PATIENCE, stream.read_u8()).await.expect("no answer");
        head.push(byte.unwrap_or_else(|error| panic!("{error} after {asked:?}")));
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, stream }
}

/// A WebSocket as a stream of bytes: writes go out as messages of so many bytes at most.
pub(crate) struct Messages<S> {
    socket: WebSocketStream<S>,
    pieces: usize,
    heard: Bytes,
}

impl Messages<TcpStream> {
    async fn open(world: &World, pieces: usize) -> Self {
        Self::over(TcpStream::connect(world.address).await.unwrap(), pieces).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Messages<S> {
    pub(crate) async fn over(stream: S, pieces: usize) -> Self {
        let request = ClientRequestBuilder::new("ws://localhost/apiws".parse().unwrap());
        let (socket, _) = client_async(request.with_sub_protocol("binary"), stream).await.unwrap();
        Self { socket, pieces, heard: Bytes::new() }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Messages<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.heard.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                Some(Ok(Message::Binary(heard))) => self.heard = heard,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Ok(())),
            }
        }
        let len = self.heard.len().min(buffer.remaining());
        buffer.put_slice(&self.heard.split_to(len));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Messages<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(context)).map_err(broken)?;
        let len = bytes.len().min(self.pieces);
        let message = Message::Binary(Bytes::copy_from_slice(&bytes[..len]));
        Pin::new(&mut self.socket).start_send(message).map_err(broken)?;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context).map_err(broken)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(context).map_err(broken)
    }
}

fn broken(error: Error) -> io::Error {
    io::Error::other(error)
}

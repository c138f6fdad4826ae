//! WebSocket as a carrier, against a WebSocket library and against bytes written by hand.

use std::time::Duration;

use bytes::BytesMut;
use chappe_crypto::Rng;
use chappe_net::ws::{WebSocketConfig, WebSocketError};
use chappe_net::{End, WebSocket, Wire};
use chappe_proto::link::CloseReason;
use futures_util::{SinkExt, StreamExt};
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{Bytes, Message};

/// Rule:   where messages and their frames begin and end means nothing inwards, however they are cut.
/// Source: WSK-10, WSK-08, WSK-13 (payload is taken as it comes).
#[tokio::test]
async fn messages_are_one_stream_however_they_are_cut() {
    let wire = heard_by_peer(Role::Client, async |peer| {
        peer.send(Message::binary(vec![1; 3])).await.unwrap();
        peer.send(Message::binary(vec![])).await.unwrap();
        let pieces = [(vec![2; 70], Data::Binary, false), (vec![3; 1], Data::Continue, false)];
        for (payload, kind, is_final) in pieces {
            peer.send(piece(payload, kind, is_final)).await.unwrap();
        }
        peer.send(Message::Ping(Bytes::from_static(b"between"))).await.unwrap();
        peer.send(piece(vec![4; 70_000], Data::Continue, true)).await.unwrap();
        peer.send(Message::binary(vec![5; 200])).await.unwrap();
    })
    .await;
    let payload = [vec![1; 3], vec![2; 70], vec![3; 1], vec![4; 70_000], vec![5; 200]].concat();
    for cut in [1, 2, 3, 7, 13, 14, 15, 100, 4096, wire.len()] {
        let mut server = server();
        let mut inbound = BytesMut::new();
        for bytes in wire.clone().chunks_mut(cut) {
            server.receive(bytes, &mut inbound).unwrap();
        }
        assert_eq!(inbound, payload, "in pieces of {cut}");
        // The ping inside the message is answered.
        assert_eq!(said(&mut server), [&[0x8a, 7][..], b"between"].concat());
    }
    for cut in 0..=100 {
        let mut server = server();
        let mut inbound = BytesMut::new();
        let (first, second) = wire.split_at(cut);
        server.receive(&mut first.to_vec(), &mut inbound).unwrap();
        server.receive(&mut second.to_vec(), &mut inbound).unwrap();
        assert_eq!(inbound, payload, "cut at {cut}");
    }
}

/// Rule:   each transport frame is one message in one WebSocket frame, unmasked from a server and
///         masked from a client, in the shortest form of its length.
/// Source: WSK-11, WSK-12.
#[tokio::test]
async fn each_frame_is_one_message() {
    let lens = [0, 1, 4, 125, 126, 127, 65_535, 65_536, 1_000_000];
    for role in [Role::Client, Role::Server] {
        let mut wire = match role {
            Role::Client => server(),
            Role::Server => client(),
        };
        let mut outbound = BytesMut::new();
        for (at, len) in lens.into_iter().enumerate() {
            let start = outbound.len();
            outbound.resize(start + len, at as u8);
            wire.wrap(&mut outbound, start);
        }
        let header = if matches!(role, Role::Client) { [0x82, 0] } else { [0x82, 0x80] };
        assert_eq!(outbound[..2], header);
        let (ours, theirs) = tokio::io::duplex(outbound.len());
        let mut peer = WebSocketStream::from_raw_socket(theirs, role, None).await;
        let mut ours = ours;
        tokio::io::AsyncWriteExt::write_all(&mut ours, &outbound).await.unwrap();
        for (at, len) in lens.into_iter().enumerate() {
            let heard = peer.next().await.unwrap().unwrap();
            assert_eq!(heard, Message::binary(vec![at as u8; len]));
        }
    }
}

/// Rule:   what breaks WebSocket is refused with its code: text 1003; reserved bits, no mask, a
///         mask from a server, unknown kinds, control frames too long or in pieces 1002. What came
///         before is heard.
/// Source: WSK-05, WSK-08, WSK-12.
#[test]
fn broken_frames_are_refused_with_their_code() {
    use WebSocketError::{Malformed, Masking, Reserved, Text};
    for (broken, error, code) in [
        (&[0x81, 0x80][..], Text, 1003),
        (&[0xc2, 0x80], Reserved, 1002),
        (&[0xa2, 0x80], Reserved, 1002),
        (&[0x92, 0x80], Reserved, 1002),
        (&[0xc9, 0x80], Reserved, 1002),
        (&[0x82, 0x01, 7], Masking, 1002),
        (&[0x89, 0x00], Masking, 1002),
        (&[0x83, 0x80], Malformed, 1002),
        (&[0x8b, 0x80], Malformed, 1002),
        (&[0x80, 0x80], Malformed, 1002),
        (&[0x09, 0x80], Malformed, 1002),
        (&[0x89, 0xfe, 0, 126], Malformed, 1002),
        // A message begun, then another.
        (&[0x02, 0x80, 0, 0, 0, 0, 0x02, 0x80], Malformed, 1002),
    ] {
        let mut server = server();
        let mut inbound = BytesMut::new();
        let mut bytes = [&[0x82, 0x82, 0, 0, 0, 0, 7, 7], broken, &[0; 4]].concat();
        let end = server.receive(&mut bytes, &mut inbound).unwrap_err();
        assert!(matches!(end, End::WebSocket(got) if got == error), "{broken:x?}: {end:?}");
        assert_eq!(inbound[..2], [7, 7]);
        assert_eq!(last_words(&mut server, &end), (code, "         0".to_owned()));
    }
    let mut client = client();
    let end = client.receive(&mut [0x82, 0x80, 0, 0, 0, 0], &mut BytesMut::new()).unwrap_err();
    assert!(matches!(end, End::WebSocket(Masking)));
}

/// Rule:   a message may hold as much as is accepted, in all its frames, and not one byte more; that
///         is decided when it is announced.
/// Source: WSK-13.
#[test]
fn message_that_is_too_long_is_refused_when_announced() {
    let announce = |first: u8, len: u64| [&[first, 0xff][..], &len.to_be_bytes(), &[0; 4]].concat();
    let check = |frames: &[(u8, u64)], is_accepted: bool| {
        let mut config = WebSocketConfig::default();
        config.message_max_bytes = 100_000;
        let mut server = WebSocket::server(tokio::io::empty(), config);
        let mut outcome = Ok(());
        for (at, (first, len)) in frames.iter().enumerate() {
            outcome = server.receive(&mut announce(*first, *len), &mut BytesMut::new());
            if at + 1 < frames.len() {
                outcome.as_ref().unwrap();
                server.receive(&mut vec![0; *len as usize], &mut BytesMut::new()).unwrap();
            }
        }
        match outcome {
            Ok(()) => assert!(is_accepted, "{frames:?}"),
            Err(end) => {
                assert!(!is_accepted, "{frames:?}");
                assert!(matches!(end, End::WebSocket(WebSocketError::TooLong(_))));
                assert_eq!(last_words(&mut server, &end).0, 1000);
            }
        }
    };
    check(&[(0x82, 100_000)], true);
    check(&[(0x82, 100_001)], false);
    check(&[(0x82, u64::MAX)], false);
    check(&[(0x02, 60_000), (0x80, 40_000)], true);
    check(&[(0x02, 60_000), (0x80, 40_001)], false);
    check(&[(0x02, 60_000), (0x80, u64::MAX)], false);
    check(&[(0x82, 60_000), (0x82, 60_000)], true);
}

/// Rule:   the close code is 1000 whatever the reason; the reason is the number of the error in ten
///         columns.
/// Source: WSK-17.
#[test]
fn close_reason_is_ten_columns_wide() {
    for (end, reason) in [
        (End::Closed(CloseReason::Error(404)), Some("       404")),
        (End::Closed(CloseReason::Error(429)), Some("       429")),
        (End::Closed(CloseReason::Silent), Some("         0")),
        (End::Closed(CloseReason::Owner), Some("         0")),
        // Nobody is there to hear it.
        (End::Eof, None),
        (End::Stalled { waiting: 1 }, None),
    ] {
        let mut outbound = BytesMut::new();
        let has_words = server().close(&end, &mut outbound);
        assert_eq!(has_words, reason.is_some(), "{end}");
        if let Some(reason) = reason {
            assert_eq!(outbound, [&[0x88, 12, 3, 0xe8][..], reason.as_bytes()].concat());
        }
    }
}

/// Rule:   a close frame is answered by one, and ends the connection; what came before counts,
///         what comes after does not.
/// Source: WSK-19, WSK-17.
#[tokio::test]
async fn close_frame_is_answered() {
    let mut wire = heard_by_peer(Role::Client, async |peer| {
        peer.send(Message::binary(vec![1; 3])).await.unwrap();
        let frame = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
        peer.close(Some(frame)).await.unwrap();
    })
    .await;
    wire.extend_from_slice(&[0x82, 0x81, 0, 0, 0, 0, 9]);
    let mut server = server();
    let mut inbound = BytesMut::new();
    let end = server.receive(&mut wire, &mut inbound).unwrap_err();
    assert!(matches!(end, End::Eof));
    assert_eq!(inbound[..], [1; 3]);
    assert_eq!(last_words(&mut server, &end), (1000, "         0".to_owned()));
}

/// Rule:   a ping is answered with its payload, the last of several, and not at all while the peer
///         reads nothing.
/// Source: WSK-14, SEC-47.
#[test]
fn pings_are_answered() {
    let mut server = server();
    let ping = |server: &mut WebSocket<_>, byte| {
        let mut bytes = [0x89, 0x81, 0, 0, 0, 0, byte];
        server.receive(&mut bytes, &mut BytesMut::new()).unwrap();
    };
    ping(&mut server, 1);
    ping(&mut server, 2);
    assert_eq!(said(&mut server), [0x8a, 1, 2]);
    assert!(said(&mut server).is_empty());
    ping(&mut server, 3);
    let mut full = BytesMut::zeroed(4 << 10);
    server.poll_transmit(Duration::ZERO, &mut full);
    assert_eq!(full.len(), 4 << 10);
    assert_eq!(said(&mut server), [0x8a, 1, 3]);
    // A pong is nothing.
    server.receive(&mut [0x8a, 0x80, 0, 0, 0, 0], &mut BytesMut::new()).unwrap();
    assert!(said(&mut server).is_empty());
}

/// Rule:   a server that is told to pings at its interval, unless something waits to be written.
/// Source: WSK-14.
#[test]
fn server_pings_at_its_interval() {
    let mut config = WebSocketConfig::default();
    config.ping_interval = Some(Duration::from_secs(30));
    let mut server = WebSocket::server(tokio::io::empty(), config);
    let mut at = |second, waiting: &[u8]| {
        let mut outbound = BytesMut::from(waiting);
        server.poll_transmit(Duration::from_secs(second), &mut outbound);
        (outbound.to_vec(), server.poll_timeout().unwrap().as_secs())
    };
    assert_eq!(at(5, &[]), (vec![], 35));
    assert_eq!(at(34, &[]), (vec![], 35));
    assert_eq!(at(36, &[]), (vec![0x89, 0], 66));
    assert_eq!(at(66, &[7]), (vec![7], 96));
    assert_eq!(server_without_pings().poll_timeout(), None);
}

fn server_without_pings() -> WebSocket<tokio::io::Empty> {
    let mut server = WebSocket::server(tokio::io::empty(), WebSocketConfig::default());
    server.poll_transmit(Duration::ZERO, &mut BytesMut::new());
    server
}

fn server() -> WebSocket<tokio::io::Empty> {
    WebSocket::server(tokio::io::empty(), WebSocketConfig::default())
}

fn client() -> WebSocket<tokio::io::Empty> {
    let rng = Rng::from_seed([3; 32]);
    WebSocket::client(tokio::io::empty(), WebSocketConfig::default(), rng)
}

/// What the end has to say of itself.
fn said<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send>(
    end: &mut WebSocket<S>,
) -> Vec<u8> {
    let mut outbound = BytesMut::new();
    end.poll_transmit(Duration::ZERO, &mut outbound);
    outbound.to_vec()
}

/// Code and reason of the close frame that a server ends with.
fn last_words(server: &mut WebSocket<tokio::io::Empty>, end: &End) -> (u16, String) {
    let mut outbound = BytesMut::new();
    assert!(server.close(end, &mut outbound));
    assert_eq!(outbound[..2], [0x88, 12]);
    let code = u16::from_be_bytes([outbound[2], outbound[3]]);
    (code, String::from_utf8(outbound[4..].to_vec()).unwrap())
}

fn piece(payload: Vec<u8>, kind: Data, is_final: bool) -> Message {
    Message::Frame(Frame::message(payload, OpCode::Data(kind), is_final))
}

/// The bytes that a library puts on the wire.
async fn heard_by_peer(
    role: Role,
    speak: impl AsyncFnOnce(&mut WebSocketStream<DuplexStream>),
) -> Vec<u8> {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let mut peer = WebSocketStream::from_raw_socket(theirs, role, None).await;
    speak(&mut peer).await;
    drop(peer);
    let mut ours = ours;
    let mut wire = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut ours, &mut wire).await.unwrap();
    wire
}

//! Links whose packets come in requests of HTTP, both ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::{AuthKey, AuthKeyId};
use chappe_proto::envelope::encrypted::{Header, Message, PacketError};
use chappe_proto::envelope::version::Version;
use chappe_proto::link::{CloseReason, Link, LinkConfig, LinkEvent, Response};
use chappe_proto::transport::{FrameError, HANDSHAKE_LIMIT, SERVER_LIMIT};
use chappe_proto::{MsgId, SessionId};

use crate::handshake_ends::at;
use crate::transport_ends::rng;

/// Rule:   a request takes one packet there and its response one back, under a key or, for the
///         exchange of one, without; each request shows anew which MTProto it speaks.
/// Source: HTP-09, HTP-14, MSG-34.
#[test]
fn request_and_response_carry_a_packet_each() {
    let mut server = server();
    server.use_key(key());
    let mut stranger = Link::by_requests(LinkConfig::client(), rng(2));
    stranger.send_plain(at(0).unix, &[1; 20]);
    let event = carry(&mut stranger, &mut server);
    assert!(matches!(event, LinkEvent::Plain(plain) if plain.body[..] == [1; 20]));
    server.send_plain(at(0).unix, &[2; 24]);
    let event = carry_back(&mut server, &mut stranger);
    assert!(matches!(event, LinkEvent::Plain(plain) if plain.body[..] == [2; 24]));

    for version in [Version::V1, Version::V2, Version::V1] {
        let mut client = client(version);
        assert_eq!(client.version(), Some(version));
        client.send(key(), message(4, 40));
        let event = carry(&mut client, &mut server);
        assert_eq!(received(event), message(4, 40));
        assert_eq!(server.version(), Some(version));
        server.send(key(), message(5, 300));
        assert_eq!(received(carry_back(&mut server, &mut client)), message(5, 300));
        assert!(client.poll_request().is_none() && server.poll_response().is_none());
    }
    // A server that does not speak 1.0 cannot open it.
    let mut config = LinkConfig::server();
    config.mtproto1 = false;
    let mut server = Link::of_requests(config, at(10).mono, rng(1));
    server.use_key(key());
    let mut client = client(Version::V1);
    client.send(key(), message(4, 40));
    let event = carry(&mut client, &mut server);
    let mismatch = CloseReason::Packet(PacketError::MsgKeyMismatch);
    assert!(matches!(event, LinkEvent::Closed(reason) if reason == mismatch));
}

/// Rule:   what cannot be a packet is answered with 404 and not looked at: less than 24 bytes, or
///         no whole words; the next request is heard.
/// Source: HTP-06.
#[test]
fn body_that_is_no_packet_is_answered_with_404() {
    let mut server = server();
    for len in [0, 4, 20, 23, 25, 26, 42] {
        server.handle_request(at(0), BytesMut::from(&vec![7; len][..]));
        assert_eq!(server.poll_response(), Some(Response::Error(404)), "{len} bytes");
        assert!(server.poll_event().is_none(), "{len} bytes");
    }
    server.close(CloseReason::Owner);
    server.handle_request(at(0), BytesMut::from(&[7; 25][..]));
    assert_eq!(server.poll_response(), None, "the link is over");
}

/// Rule:   the link waits for its first request until it was told, for one that has begun as long as
///         is said then, and after it for the next; what answers an earlier request is not left for
///         a later one.
/// Source: TRN-22, TRN-42, HTP-15.
#[test]
fn link_waits_for_requests() {
    let mut server = server();
    assert_eq!(server.poll_timeout(), Some(at(10).mono));
    server.expect_request(at(3), Duration::from_secs(60));
    assert_eq!(server.poll_timeout(), Some(at(63).mono));
    let mut stranger = Link::by_requests(LinkConfig::client(), rng(2));
    stranger.send_plain(at(0).unix, &[1; 20]);
    let packet = stranger.poll_request().unwrap();
    server.handle_request(at(4), BytesMut::from(packet));
    assert_eq!(server.poll_timeout(), Some(at(604).mono));
    server.send_plain(at(4).unix, &[2; 24]);
    server.expect_request(at(5), Duration::from_secs(60));
    assert_eq!(server.poll_response(), None);
}

/// Rule:   a stranger may send 4096 bytes; more is taken where it names a key that there is, and
///         refused otherwise.
/// Source: TRN-38, HTP-04.
#[test]
fn large_request_is_taken_under_a_known_key_only() {
    let limits = |link: &Link| (link.request_max_bytes(), link.packet_max_bytes());
    let asked = || {
        let mut server = server();
        assert_eq!(limits(&server), (HANDSHAKE_LIMIT, SERVER_LIMIT));
        server.announce_request(5000, key().id());
        assert!(matches!(server.poll_event(), Some(LinkEvent::KeyWanted(id)) if id == key().id()));
        server
    };
    let mut known = asked();
    known.provide_key(at(0), key().id(), Some(key()));
    assert_eq!(limits(&known), (SERVER_LIMIT, SERVER_LIMIT));
    assert!(known.poll_event().is_none() && known.poll_response().is_none());

    let mut unknown = asked();
    unknown.provide_key(at(0), key().id(), None);
    assert_eq!(unknown.poll_response(), Some(Response::Error(404)));
    assert!(matches!(unknown.poll_event(), Some(LinkEvent::Closed(CloseReason::Error(404)))));

    let mut plain = server();
    plain.announce_request(5000, AuthKeyId(0));
    let too_long = FrameError::TooLong { limit: HANDSHAKE_LIMIT, got: 5000 };
    let Some(LinkEvent::Closed(reason)) = plain.poll_event() else { panic!("it goes on") };
    assert_eq!(reason, CloseReason::Frame(too_long));
    plain.announce_request(5000, key().id());
    assert!(plain.poll_event().is_none(), "the link is over");

    // Who has shown a key is no stranger.
    let mut proved = server();
    proved.use_key(key());
    let mut client = client(Version::V2);
    client.send(key(), message(4, 40));
    carry(&mut client, &mut proved);
    assert_eq!(limits(&proved), (SERVER_LIMIT, SERVER_LIMIT));
}

fn server() -> Link {
    Link::of_requests(LinkConfig::server(), at(10).mono, rng(1))
}

fn client(version: Version) -> Link {
    let mut config = LinkConfig::client();
    config.mtproto1 = version == Version::V1;
    let mut client = Link::by_requests(config, rng(2));
    client.use_key(key());
    client
}

fn key() -> Arc<AuthKey> {
    Arc::new(AuthKey::new(std::array::from_fn(|at| at as u8)))
}

fn message(msg_id: i64, len: usize) -> Message {
    let header = Header { salt: 1, session_id: SessionId(2), msg_id: MsgId(msg_id), seq_no: 1 };
    Message { header, body: Bytes::from(vec![7; len]) }
}

/// What comes of the next request of `client`.
fn carry(client: &mut Link, server: &mut Link) -> LinkEvent {
    let packet = client.poll_request().expect("a request");
    server.handle_request(at(0), BytesMut::from(packet));
    server.poll_event().expect("something comes of it")
}

/// What comes of the response to it.
fn carry_back(server: &mut Link, client: &mut Link) -> LinkEvent {
    let Some(Response::Packet(packet)) = server.poll_response() else { panic!("no response") };
    client.handle_answer(at(0), BytesMut::from(packet));
    client.poll_event().expect("something comes of it")
}

fn received(event: LinkEvent) -> Message {
    let LinkEvent::Message(id, received) = event else { panic!("{event:?}") };
    assert_eq!((id, received.quick_ack), (key().id(), None));
    received.message
}

//! Quick acknowledgements: asked for by a client, given by a server for what it took, and no proof
//! of anything.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chappe_crypto::AuthKey;
use chappe_proto::envelope::encrypted::{Header, Message};
use chappe_proto::envelope::version::Version;
use chappe_proto::link::{Link, LinkConfig, LinkEvent, Received};
use chappe_proto::schema::ctors;
use chappe_proto::session::client::{CallError, CallOptions, ClientEvent, Doubt};
use chappe_proto::session::container::Inner;
use chappe_proto::session::server::{ServerEvent, SessionConfig};
use chappe_proto::transport::{ClientOptions, Detect, Transport};
use chappe_proto::{MsgId, SessionId};

use crate::handshake_ends::at;
use crate::pair::Pair;
use crate::raw::{RawServer, ack, answer_to, id_at, ping, query, words};
use crate::transport_ends::{drain, rng, wants_quick_ack};

/// Rules:  TRN-25 to TRN-28: over every transport and in both versions of MTProto a packet that asks
///         arrives with its token, which brings the acknowledgement of that message; one that does
///         not ask draws nothing. Full has no room for the question.
/// Source: the token is what each side computes by itself, 10-transports §4.
#[test]
fn token_goes_there_and_back() {
    for transport in Transport::ALL {
        for version in [Version::V1, Version::V2] {
            let mut ends = Ends::new(transport, version);
            ends.client.send(key(), message(4));
            ends.client.send_with_quick_ack(key(), message(8));
            ends.client.send_with_quick_ack(key(), message(12));
            ends.client.send(key(), message(16));
            let received = ends.deliver_to_server();
            let asked: Vec<bool> = received.iter().map(|one| one.quick_ack.is_some()).collect();
            let has_quick_acks = transport.framing().has_quick_acks();
            let expected = [false, has_quick_acks, has_quick_acks, false];
            assert_eq!(asked, expected, "{transport} {version:?}");
            // In the other order, and twice: each is told once.
            let tokens = received.iter().filter_map(|one| one.quick_ack);
            let tokens: Vec<u32> = tokens.collect();
            assert!(tokens.iter().all(|token| token >> 31 == 1));
            for token in tokens.iter().rev().chain(&tokens) {
                ends.server.acknowledge_quickly(*token);
            }
            let told = if has_quick_acks { vec![MsgId(12), MsgId(8)] } else { vec![] };
            assert_eq!(ends.deliver_to_client(), told, "{transport} {version:?}");
        }
    }
}

/// Rule: TRN-25: the first packet of a link may ask, whose key the server has yet to look up; a
///       message of the key exchange never asks.
#[test]
fn first_packet_may_ask_and_an_unencrypted_one_does_not() {
    for transport in Transport::ALL.into_iter().filter(|one| one.framing().has_quick_acks()) {
        let mut ends = Ends::strangers(transport, Version::V2);
        ends.client.send_plain(at(0).unix, &[1; 20]);
        ends.client.send_with_quick_ack(key(), message(4));
        let mut wire = ends.client_wire();
        let mut seen = Vec::new();
        ends.server.handle_bytes(at(0), &mut wire);
        while let Some(event) = ends.server.poll_event() {
            if let LinkEvent::KeyWanted(id) = event {
                ends.server.provide_key(at(0), id, Some(key()));
            }
            seen.push(event);
        }
        let [LinkEvent::Plain(_), LinkEvent::KeyWanted(_), LinkEvent::Message(_, received)] =
            &seen[..]
        else {
            panic!("{seen:?}")
        };
        ends.server.acknowledge_quickly(received.quick_ack.unwrap());
        assert_eq!(ends.deliver_to_client(), [MsgId(4)]);
    }
}

/// Rule: TRN-25: the request is one bit of the length; what is sent without it has none.
#[test]
fn only_the_packets_that_ask_carry_the_bit() {
    for transport in Transport::ALL.into_iter().filter(|one| !one.is_obfuscated()) {
        let mut ends = Ends::new(transport, Version::V2);
        ends.client.send_plain(at(0).unix, &[1; 20]);
        ends.client.send(key(), message(4));
        ends.client.send_with_quick_ack(key(), message(8));
        let mut wire = ends.client_wire();
        let _ = wire.split_to(crate::transport_ends::tag(transport.framing()).len());
        let mut codec = crate::transport_ends::server(transport.framing());
        let frames = drain(&mut codec, &mut wire).unwrap();
        let bits: Vec<bool> = frames.iter().map(wants_quick_ack).collect();
        assert_eq!(bits, [false, false, transport.framing().has_quick_acks()]);
    }
}

/// Rules:  TRN-26, TRN-29: an acknowledgement stands on the wire where it was given, before the answer
///         that follows it, and in padded its frame has at most 15 bytes.
#[test]
fn acknowledgement_leaves_before_the_answer() {
    for transport in Transport::ALL.into_iter().filter(|one| one.framing().has_quick_acks()) {
        for seed in 0..20 {
            let mut ends = Ends::seeded(transport, Version::V2, seed);
            ends.client.send_with_quick_ack(key(), message(4));
            let token = ends.deliver_to_server()[0].quick_ack.unwrap();
            ends.server.acknowledge_quickly(token);
            let mut alone = BytesMut::new();
            ends.server.poll_transmit(&mut alone).unwrap();
            assert!(alone.len() <= 4 + 15, "{transport}: {} bytes", alone.len());
            ends.server.acknowledge_quickly(token);
            ends.server.send(key(), message(5));
            let mut wire = BytesMut::new();
            ends.server.poll_transmit(&mut wire).unwrap();
            alone.unsplit(wire);
            ends.client.handle_bytes(at(0), &mut alone);
            let told = std::iter::from_fn(|| ends.client.poll_event()).collect::<Vec<_>>();
            let [LinkEvent::QuickAck(MsgId(4)), LinkEvent::Message(..)] = &told[..] else {
                panic!("{told:?}")
            };
        }
    }
}

/// Rule: TRN-26: a link that is over acknowledges nothing.
#[test]
fn closed_link_acknowledges_nothing() {
    let mut ends = Ends::new(crate::transport_ends::ABRIDGED, Version::V2);
    ends.client.send_with_quick_ack(key(), message(4));
    let token = ends.deliver_to_server()[0].quick_ack.unwrap();
    ends.server.fail(at(0), 429);
    ends.server.acknowledge_quickly(token);
    assert_eq!(ends.deliver_to_client(), []);
}

/// Rule: TRN-26: a session says of a packet that it was taken only when all in it was new and
///       passed every check.
#[test]
fn only_what_was_taken_counts_as_such() {
    type Send = fn(&mut RawServer);
    let taken: [(&str, Send); 4] = [
        ("a call", |raw| _ = raw.call(query(1))),
        ("a ping", |raw| _ = raw.service(ping(1))),
        ("an acknowledgement", |raw| _ = raw.service(ack(&[id_at(0, 1)]))),
        ("a container", |raw| two(raw, |_| {})),
    ];
    let not_taken: [(&str, Send); 13] = [
        ("a parity", |raw| raw.send(MsgId(id_at(0, 9).0 | 1), 1, query(1))),
        ("an old id", |raw| raw.send(id_at(-400, 1), 1, query(1))),
        ("an id ahead", |raw| raw.send(id_at(60, 1), 1, query(1))),
        ("a sequence number", |raw| raw.send(id_at(0, 900), 0, query(1))),
        ("a salt", |raw| {
            raw.salt ^= 1;
            raw.call(query(1));
        }),
        ("a repeated call", |raw| {
            let id = raw.call(query(1));
            raw.send(id, 1, query(1));
        }),
        ("a repeated ping", |raw| {
            let id = raw.service(ping(1));
            raw.send(id, 0, ping(1));
        }),
        ("a container of which one is refused", |raw| two(raw, |one| one.seq_no -= 1)),
        ("a container with a broken end", |raw| _ = raw.service(words(&[CONTAINER, 9]))),
        ("a container with too many", |raw| _ = raw.service(words(&[CONTAINER, 1_000_000]))),
        ("too many ids", |raw| _ = raw.service(ack(&vec![id_at(0, 1); 8193]))),
        ("a copy of what came", |raw| {
            let msg_id = raw.call(query(1));
            raw.service(copy(&Inner { msg_id, seq_no: 1, body: query(1) }));
        }),
        ("a call too many", |raw| {
            for number in 0..4 {
                raw.call(query(number));
                assert!(raw.is_taken);
            }
            raw.call(query(5));
        }),
    ];
    let taken = taken.map(|(what, send)| (what, send, true));
    let not_taken = not_taken.map(|(what, send)| (what, send, false));
    for (what, send, is_taken) in taken.into_iter().chain(not_taken) {
        let mut config = SessionConfig::default();
        config.calls_max = 4;
        let mut raw = RawServer::with(config);
        raw.greet();
        raw.replies();
        send(&mut raw);
        assert_eq!(raw.is_taken, is_taken, "{what}");
        let refusals: Vec<Inner> = raw.replies().into_iter().filter(is_refusal).collect();
        let is_closing = raw.events().iter().any(|it| matches!(it, ServerEvent::CloseLink(..)));
        assert!(!(is_taken && (is_closing || !refusals.is_empty())), "{what}: {refusals:?}");
        // One refusal says nothing of what comes next.
        raw.salt = crate::raw::salts().current(crate::pair::EPOCH).value;
        raw.wait(Duration::from_secs(1));
        raw.service(ping(2));
        assert!(raw.is_taken, "after {what}");
    }
}

/// Rules:  TRN-25, TRN-28: a client's session asks for the packets that carry such a call, alone or in
///         a container, tells of each call once, and of nothing that it did not ask about.
#[test]
fn session_tells_of_the_calls_that_asked() {
    let mut pair = Pair::connected();
    pair.answers_itself = false;
    let plain = pair.client.call(query(1));
    let asking = pair.client.call_with(query(2), CallOptions::default().quick_ack());
    let other = pair.client.call_with(query(3), CallOptions::default().quick_ack());
    let container = sent(&mut pair);
    assert!(pair.client.wants_quick_ack(container));
    assert!(!pair.client.wants_quick_ack(MsgId(container.0 + 4)));
    pair.client.handle_quick_ack(MsgId(container.0 + 4));
    assert_eq!(told(&mut pair), []);
    pair.client.handle_quick_ack(container);
    assert_eq!(told(&mut pair), [asking, other]);
    pair.client.handle_quick_ack(container);
    assert_eq!(told(&mut pair), []);
    assert!(!pair.client.wants_quick_ack(container));

    let alone = pair.client.call_with(query(4), CallOptions::default().quick_ack());
    let message = sent(&mut pair);
    assert!(pair.client.wants_quick_ack(message));
    pair.client.handle_quick_ack(message);
    assert_eq!(told(&mut pair), [alone]);

    pair.client.call(query(5));
    let message = sent(&mut pair);
    assert!(!pair.client.wants_quick_ack(message));
    // A call that is answered, or was given up, is not told of any more.
    let answered = pair.client.call_with(query(6), CallOptions::default().quick_ack());
    let dropped = pair.client.call_with(query(7), CallOptions::default().quick_ack());
    let message = sent(&mut pair);
    pair.run_to_idle();
    pair.answer_all();
    pair.client.drop_call(dropped);
    pair.run_to_idle();
    assert!(pair.is_answered(answered) && pair.is_answered(plain));
    pair.client.handle_quick_ack(message);
    assert_eq!(told(&mut pair), []);
}

/// Rules: TRN-25, SES-12: a quick acknowledgement, which anybody can forge, is no delivery: a call that
///        the server never got goes out again, and one whose fate nobody knows stays in doubt.
#[test]
fn forged_acknowledgement_delivers_nothing() {
    let mut pair = Pair::connected();
    let call = pair.client.call_with(query(1), CallOptions::default().quick_ack());
    let message = sent(&mut pair);
    pair.client.handle_quick_ack(message);
    assert_eq!(told(&mut pair), [call]);
    pair.cut();
    pair.reconnect();
    pair.run_to_idle();
    assert_eq!(pair.answers[&call], [Ok(chappe_tl::Raw(answer_to(&query(1))))]);
    assert_eq!(pair.runs_of(&query(1)), 1);

    let call = pair.client.call_with(query(2), CallOptions::default().quick_ack());
    let message = sent(&mut pair);
    pair.client.handle_quick_ack(message);
    pair.forget_session();
    pair.cut();
    pair.reconnect();
    pair.run_for(Duration::from_secs(60));
    let doubt = CallError::Unknown(Doubt::SessionForgotten);
    assert_eq!(pair.answers[&call], [Err(doubt)]);
    assert_eq!(pair.runs_of(&query(2)), 0);
}

const CONTAINER: u32 = 0x73f1_f8dc;

/// The id of the packet that the client has just made.
fn sent(pair: &mut Pair) -> MsgId {
    pair.collect();
    pair.to_server.back().unwrap().header.msg_id
}

fn told(pair: &mut Pair) -> Vec<chappe_proto::session::client::CallId> {
    pair.collect();
    let told = |event| match event {
        ClientEvent::QuickAck(call) => Some(call),
        _ => None,
    };
    std::mem::take(&mut pair.client_events).into_iter().filter_map(told).collect()
}

/// A container of two calls, the second of which is changed.
fn two(raw: &mut RawServer, change: fn(&mut Inner)) {
    let (first, mut second) = (raw.inner(true, query(1)), raw.inner(true, query(2)));
    change(&mut second);
    raw.container(&[first, second]);
}

fn copy(inner: &Inner) -> bytes::Bytes {
    let mut body = BytesMut::new();
    body.extend_from_slice(&0xe06046b2u32.to_le_bytes());
    body.extend_from_slice(&inner.msg_id.0.to_le_bytes());
    body.extend_from_slice(&inner.seq_no.to_le_bytes());
    body.extend_from_slice(&(inner.body.len() as u32).to_le_bytes());
    body.extend_from_slice(&inner.body);
    body.freeze()
}

fn is_refusal(inner: &Inner) -> bool {
    crate::raw::read::<ctors::BadMsgNotification>(&inner.body).is_some()
        || crate::raw::read::<ctors::BadServerSalt>(&inner.body).is_some()
}

/// The two links of a connection.
struct Ends {
    client: Link,
    server: Link,
}

impl Ends {
    /// A connection whose ends know the key.
    fn new(transport: Transport, version: Version) -> Self {
        Self::seeded(transport, version, 1)
    }

    fn seeded(transport: Transport, version: Version, seed: u8) -> Self {
        let mut ends = Self::strangers_seeded(transport, version, seed);
        ends.server.use_key(key());
        ends
    }

    fn strangers(transport: Transport, version: Version) -> Self {
        Self::strangers_seeded(transport, version, 1)
    }

    fn strangers_seeded(transport: Transport, version: Version, seed: u8) -> Self {
        let mut config = LinkConfig::client();
        config.mtproto1 = version == Version::V1;
        let mut client = Link::client(config, transport, &ClientOptions::default(), rng(seed));
        client.use_key(key());
        let detect = Arc::new(Detect::default());
        let server = Link::server(at(0), LinkConfig::server(), detect, rng(seed + 1));
        Self { client, server }
    }

    fn client_wire(&mut self) -> BytesMut {
        let mut wire = BytesMut::new();
        self.client.poll_transmit(&mut wire).unwrap();
        wire
    }

    fn deliver_to_server(&mut self) -> Vec<Received> {
        let mut wire = self.client_wire();
        self.server.handle_bytes(at(0), &mut wire);
        let received = |event| match event {
            LinkEvent::Message(_, received) => received,
            event => panic!("{event:?}"),
        };
        std::iter::from_fn(|| self.server.poll_event()).map(received).collect()
    }

    fn deliver_to_client(&mut self) -> Vec<MsgId> {
        let mut wire = BytesMut::new();
        self.server.poll_transmit(&mut wire).unwrap();
        self.client.handle_bytes(at(0), &mut wire);
        let told = |event| match event {
            LinkEvent::QuickAck(id) => Some(id),
            _ => None,
        };
        std::iter::from_fn(|| self.client.poll_event()).filter_map(told).collect()
    }
}

fn key() -> Arc<AuthKey> {
    Arc::new(AuthKey::new([6; 256]))
}

fn message(msg_id: i64) -> Message {
    let header = Header { salt: 1, session_id: SessionId(2), msg_id: MsgId(msg_id), seq_no: 1 };
    Message { header, body: words(&[7, 8, 9]) }
}

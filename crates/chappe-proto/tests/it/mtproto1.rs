//! MTProto 1.0: its envelope, and links that speak one version each.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::{AuthKey, ige, msg_key::AesKeys, msg_key::MsgKey, packet};
use chappe_proto::envelope::encrypted::{Header, Message, Opened, PacketError, direction_from};
use chappe_proto::envelope::version::Version;
use chappe_proto::link::{CloseReason, Link, LinkConfig, LinkEvent, Received};
use chappe_proto::schema::ctors;
use chappe_proto::session::salts::{GRACE, LIFE};
use chappe_proto::transport::{
    ClientOptions, Codec, Detect, Frame, Framing, Transport, payload_len,
};
use chappe_proto::{MsgId, SessionId, Side};
use proptest::prelude::*;
use serde_json::Value;

use crate::handshake_ends::at;
use crate::link::{Seen, plain_packet, seen};
use crate::pair::EPOCH;
use crate::raw::{RawServer, ping, salts};
use crate::transport_ends::{ABRIDGED, FRAMINGS, bytes, client, drain, list, rng, server, vectors};

/// Rules:  V1-03, V1-10, SEC-59: every published packet opens to its fields, both ways, and its
///         message is sealed to the same packet but for the padding.
/// Source: `messages_v1.json`.
#[test]
fn published_packets_open_and_seal() {
    for case in list(&vectors("messages_v1.json")["cases"]) {
        let (key, from, packet) = (auth_key(case), side(case), bytes(&case["payload"]));
        let opened = open_one(&key, &packet, from).unwrap();
        assert_eq!(u64::from(opened.token), case["quick_ack_token"].as_u64().unwrap());
        let long = |name: &str| i64::from_le_bytes(bytes(&case[name]).try_into().unwrap());
        let header = Header {
            salt: long("salt_le"),
            session_id: SessionId(long("session_id_le")),
            msg_id: MsgId(case["msg_id"].as_i64().unwrap()),
            seq_no: case["seqno"].as_i64().unwrap() as i32,
        };
        let expected = Message { header, body: bytes(&case["body"]).into() };
        assert_eq!(opened.message, expected, "{}", case["name"]);

        // The message key leaves the padding out, so it is the published one.
        let sealed = seal_one(&key, &expected, from, 1);
        assert_eq!((sealed.len(), &sealed[..24]), (packet.len(), &packet[..24]));
        let whole_blocks = 24 + (32 + expected.body.len()) / 16 * 16;
        assert_eq!(sealed[..whole_blocks], packet[..whole_blocks]);
        assert_eq!(open_one(&key, &sealed, from).unwrap(), opened);

        let back = if from == Side::Client { Side::Server } else { Side::Client };
        assert_eq!(open_one(&key, &packet, back), Err(PacketError::MsgKeyMismatch));
    }
}

/// Rules:  V1-04, V1-05, V1-10, SEC-21, SEC-48: each bad packet is refused, and all in the same way.
/// Source: `messages_negative.json`, version 1.
#[test]
fn published_bad_packets_are_refused_alike() {
    let all = vectors("messages_negative.json");
    let cases = list(&all["cases"]).iter().filter(|case| case["version"] == 1);
    let mut refused = 0;
    for case in cases {
        let outcome = open_one(&auth_key(case), &bytes(&case["payload"]), side(case));
        if case["expect"] == "reject" {
            assert_eq!(outcome, Err(PacketError::MsgKeyMismatch), "{}", case["name"]);
            refused += 1;
        } else {
            assert!(outcome.is_ok(), "{}", case["name"]);
        }
    }
    assert_eq!(refused, 2);
}

/// Rules:  MSG-33: the first packet tells the version.
/// Source: `version_detect.json`.
#[test]
fn published_first_packets_are_recognised() {
    for case in list(&vectors("version_detect.json")["cases"]) {
        let packet = bytes(&case["payload"])[..].into();
        let (version, _) = Version::recognise(&auth_key(case), packet, Side::Client).unwrap();
        let expected = if case["version"] == 1 { Version::V1 } else { Version::V2 };
        assert_eq!(version, expected, "{}", case["name"]);
    }
}

/// Rules: V1-05, V1-04, MSG-R03: the length decides how many blocks a packet has, to the block;
///        one that cannot be ends like a wrong message key even where that key covers everything.
#[test]
fn length_must_fill_its_packet() {
    for (stated, room, good) in [
        (16, 16, true),
        (4, 16, true),
        (20, 32, true),
        (32, 32, true),
        (16, 32, false),
        (36, 32, false),
        (0, 16, false),
        (18, 32, false),
        (17, 32, false),
        (-4, 16, false),
        (i32::MIN, 16, false),
        (i32::MAX, 16, false),
        (i32::MAX - 3, 16, false),
    ] {
        let outcome = open_stated(stated, room).map(|opened| opened.message.body.len());
        let expected = if good { Ok(stated as usize) } else { Err(PacketError::MsgKeyMismatch) };
        assert_eq!(outcome, expected, "{stated} of {room}");
    }
    // No room for a body, and not in blocks: seen by the size alone.
    assert_eq!(open_stated(0, 0), Err(PacketError::Size(24 + 32)));
    let mut packet = seal_one(&key(1), &message(4, 4), Side::Client, 1);
    packet.truncate(packet.len() - 1);
    assert_eq!(open_one(&key(1), &packet, Side::Client), Err(PacketError::Size(24 + 47)));
}

/// Rules: V1-03, V1-07: 0 to 15 random bytes fill the last block; whatever they are, a packet means
///        the same.
#[test]
fn padding_fills_the_last_block_and_is_not_looked_at() {
    for len in (4..200).step_by(4) {
        let (key, message) = (key(1), message(4, len));
        let packets = [1, 2].map(|seed| seal_one(&key, &message, Side::Client, seed));
        assert_eq!(packets[0].len(), 24 + (32 + len).next_multiple_of(16));
        let opened = packets.each_ref().map(|packet| open_one(&key, packet, Side::Client).unwrap());
        assert_eq!(opened[0], opened[1]);
        assert_eq!(opened[0].message, message);
        assert_eq!(packets[0] == packets[1], len % 16 == 0, "{len}");
    }
}

/// Rule: V1-08: the 192 bytes of a key that a server keeps suffice for both directions.
#[test]
fn stored_key_speaks_the_older_version() {
    let full = key(3);
    let stored = AuthKey::from_stored(full.id(), full.aux_hash(), full.stored());
    for from in [Side::Client, Side::Server] {
        let packet = seal_one(&stored, &message(4, 20), from, 1);
        assert_eq!(packet, seal_one(&full, &message(4, 20), from, 1));
        assert!(open_one(&stored, &packet, from).is_ok());
    }
}

/// Rule: V1-06: up to 15 bytes that a transport adds are cut off before the length is judged; a
///       block more is one too many.
#[test]
fn padding_of_the_transport_is_cut_off_first() {
    // The other one takes whole words only.
    for (framing, step) in [(Framing::Padded, 1), (Framing::Intermediate, 4)] {
        for added in (0..=16).step_by(step) {
            for len in [4, 16, 20] {
                let mut end = End::new(LinkConfig::server(), Transport::plain(framing));
                let packet = seal_one(&key(1), &message(8, len), Side::Client, 1);
                let frame = [&packet[..], &vec![9; added]].concat();
                let mut wire = bytes_of_tag(framing);
                wire.extend((frame.len() as u32).to_le_bytes());
                wire.extend(frame);
                let expected = match added {
                    16 => Seen::Closed(CloseReason::Packet(PacketError::MsgKeyMismatch)),
                    _ => Seen::Message(key(1).id(), 8),
                };
                assert_eq!(end.hear(&wire), [expected], "{framing}, {added} bytes added");
            }
        }
    }
    // And as our own client writes it, which draws how much it adds.
    let mut end = End::new(LinkConfig::server(), Transport::plain(Framing::Padded));
    for rank in 1..50 {
        assert_eq!(end.say(Version::V1, 4 * rank), [Seen::Message(key(1).id(), 4 * rank)]);
    }
}

/// Rules: V1-01, MSG-33, MSG-34, SEC-43: the first encrypted packet settles the version for both
///        directions and all keys; unencrypted ones say nothing about it; a later packet of the
///        other version ends the link in silence.
#[test]
fn link_keeps_the_version_of_its_first_packet() {
    for framing in FRAMINGS {
        for (first, other) in [(Version::V1, Version::V2), (Version::V2, Version::V1)] {
            let mut end = End::new(LinkConfig::server(), Transport::plain(framing));
            let plain = end.wire(&plain_packet(4, &[1; 20]));
            assert_eq!((end.hear(&plain), end.link.version()), (vec![Seen::Plain(20)], None));
            for msg_id in [8, 12] {
                assert_eq!(end.say(first, msg_id), [Seen::Message(key(1).id(), msg_id)]);
                assert_eq!(end.link.version(), Some(first));
            }
            end.link.use_key(Arc::new(key(2)));
            let wire = end.seal(first, &key(2), 16);
            assert_eq!(end.hear(&wire), [Seen::Message(key(2).id(), 16)]);
            for number in [1, 2] {
                end.link.send(Arc::new(key(number)), message(21, 8));
                let [Frame::Packet { bytes, .. }] = &end.said()[..] else { panic!() };
                let read = |version: Version| {
                    let packet = bytes[..payload_len(bytes).unwrap()].into();
                    version.open(&key(number), vec![packet], Side::Server).remove(0)
                };
                assert_eq!(read(first).unwrap().message, message(21, 8));
                assert_eq!(read(other), Err(PacketError::MsgKeyMismatch));
            }
            let seen = end.say(other, 24);
            assert_eq!(seen, [Seen::Closed(CloseReason::Packet(PacketError::MsgKeyMismatch))]);
            assert!(end.said().is_empty());
        }
    }
}

/// Rules: MSG-33, MSG-34: packets that come together with the first are judged by its version.
#[test]
fn first_packet_decides_for_those_that_came_with_it() {
    for (first, other) in [(Version::V1, Version::V2), (Version::V2, Version::V1)] {
        let mut end = End::new(LinkConfig::server(), ABRIDGED);
        let wire = [8, 12, 16].map(|msg_id| end.seal(first, &key(1), msg_id));
        let wire = [wire.concat(), end.seal(other, &key(1), 20)].concat();
        let mut expected = Vec::from([8, 12, 16].map(|msg_id| Seen::Message(key(1).id(), msg_id)));
        expected.push(Seen::Closed(CloseReason::Packet(PacketError::MsgKeyMismatch)));
        assert_eq!(end.hear(&wire), expected);
    }
}

/// Rules: MSG-33, V1-04, SEC-22, SEC-48: a first packet that is neither ends the link in silence,
///        whatever is wrong with it in either version; so does one of 2.0 whose key is right and
///        whose length is not, without a second opinion.
#[test]
fn first_packet_of_no_version_is_refused_in_silence() {
    let v1 = |plain: &[u8]| sealed_v1(&key(1), plain);
    let mut flipped = seal_one(&key(1), &message(8, 4), Side::Client, 1).to_vec();
    flipped[70] ^= 1;
    let mut bad_length = vec![0; 24 + 64];
    bad_length[52] = 2;
    packet::seal(&key(1), direction_from(Side::Client), &mut bad_length);
    let mismatch = PacketError::MsgKeyMismatch;
    for (packet, error) in [
        ([&key(1).id().to_le_bytes()[..], &[7; 16 + 48]].concat(), mismatch.clone()),
        (flipped, mismatch.clone()),
        (v1(&stated_plain(-4, 32)), mismatch.clone()),
        (v1(&stated_plain(16, 32)), mismatch.clone()),
        (v1(&stated_plain(48, 32)), mismatch),
        (bad_length, PacketError::Length { stated: 2, room: 32 }),
    ] {
        let mut end = End::new(LinkConfig::server(), ABRIDGED);
        let wire = end.wire(&packet);
        assert_eq!(end.hear(&wire), [Seen::Closed(CloseReason::Packet(error))]);
        assert!(end.said().is_empty() && end.link.version().is_none());
    }
}

/// Rules: MSG-35, V1-01: a server that is told so takes 2.0 only.
#[test]
fn server_may_refuse_the_older_version() {
    let mut config = LinkConfig::server();
    config.mtproto1 = false;
    let mut end = End::new(config.clone(), ABRIDGED);
    let closed = Seen::Closed(CloseReason::Packet(PacketError::MsgKeyMismatch));
    assert_eq!(end.say(Version::V1, 8), [closed]);
    assert!(end.said().is_empty());
    let mut end = End::new(config, ABRIDGED);
    assert_eq!(end.say(Version::V2, 8), [Seen::Message(key(1).id(), 8)]);
}

/// Rules: MSG-32, V1-02, SEC-43: a client speaks 2.0 unless told otherwise, and then 1.0 only; what
///        comes in the other version ends its link.
#[test]
fn client_speaks_the_version_it_was_told() {
    let mut older = LinkConfig::client();
    older.mtproto1 = true;
    for (config, own, other) in
        [(LinkConfig::client(), Version::V2, Version::V1), (older, Version::V1, Version::V2)]
    {
        for (version, good) in [(own, true), (other, false)] {
            let options = ClientOptions::default();
            let mut link = Link::client(config.clone(), ABRIDGED, &options, rng(1));
            assert_eq!(link.version(), Some(own));
            let key = Arc::new(key(1));
            link.use_key(Arc::clone(&key));
            link.send(Arc::clone(&key), message(4, 4));
            let mut out = BytesMut::new();
            link.poll_transmit(&mut out).unwrap();
            let mut codec = server(Framing::Abridged);
            let frames = drain(&mut codec, &mut out.split_off(1)).unwrap();
            let [Frame::Packet { bytes, .. }] = &frames[..] else { panic!("{frames:?}") };
            assert!(own.open(&key, vec![bytes.clone()], Side::Client).remove(0).is_ok());

            let packet = version.seal(&[(&key, &message(5, 4))], Side::Server, &mut rng(3));
            let mut wire = BytesMut::new();
            codec.put(&[&packet[0].packet], &mut wire, &mut rng(4)).unwrap();
            link.handle_bytes(at(0), &mut wire);
            let expected = if good {
                Seen::Message(key.id(), 5)
            } else {
                Seen::Closed(CloseReason::Packet(PacketError::MsgKeyMismatch))
            };
            assert_eq!(seen(&mut link), [expected]);
        }
    }
}

/// Rules: V1-09, MSG-34: over 1.0, too, a salt is accepted for its 1800 seconds and 1800 more, then
///        corrected. One session is spoken to over links of either version.
#[test]
fn salts_live_as_long_as_over_the_newer_version() {
    for version in [Version::V1, Version::V2] {
        for (age, good) in [(LIFE + GRACE - 1, true), (LIFE + GRACE, false)] {
            let mut raw = RawServer::greeted();
            let since = salts().current(EPOCH).valid_since;
            raw.wait(Duration::from_secs((since + age - EPOCH) as u64));
            let mut end = End::new(LinkConfig::server(), ABRIDGED);
            let header = Header {
                salt: raw.salt,
                session_id: raw.session.id(),
                msg_id: raw.id(),
                seq_no: raw.seq_no(false),
            };
            let message = Message { header, body: ping(7) };
            let packet = version.seal(&[(&key(1), &message)], Side::Client, &mut rng(5));
            let wire = end.wire(&packet[0].packet);
            end.input.extend_from_slice(&wire);
            end.link.handle_bytes(at(0), &mut end.input);
            let Some(LinkEvent::Message(_, Received { message, .. })) = end.link.poll_event()
            else {
                panic!()
            };
            raw.session.handle_message(raw.now, raw.link, message);
            let corrections = raw.replied::<ctors::BadServerSalt>();
            assert_eq!(corrections.is_empty(), good, "{version:?} after {age} s");
        }
    }
}

proptest! {
    /// Rules: V1-04, V1-05, V1-10, SEC-24: whatever comes first is refused or opened, without a
    ///        panic, and with a right message key a length is good only if it fills its packet.
    #[test]
    fn any_first_packet_is_judged(
        garbage in prop::collection::vec(any::<u8>(), 0..300),
        stated in any::<i32>(),
        near in -40..80_i32,
        blocks in 1..20_usize,
    ) {
        let (key, room) = (key(1), 16 * blocks);
        prop_assert!(Version::recognise(&key, garbage[..].into(), Side::Client).is_err());
        for stated in [stated, room as i32 - near] {
            let fits = (room as i64 - 15..=room as i64).contains(&i64::from(stated));
            prop_assert_eq!(open_stated(stated, room).is_ok(), fits && stated % 4 == 0);
        }
    }
}

/// A server's link that holds key 1, and the codec of its client.
struct End {
    link: Link,
    codec: Codec,
    input: BytesMut,
}

impl End {
    fn new(config: LinkConfig, transport: Transport) -> Self {
        let mut link = Link::server(at(0), config, Arc::new(Detect::default()), rng(1));
        link.use_key(Arc::new(key(1)));
        Self { link, codec: client(transport), input: BytesMut::new() }
    }

    fn wire(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut wire = BytesMut::new();
        self.codec.put(&[packet], &mut wire, &mut rng(msg_seed(packet))).unwrap();
        wire.to_vec()
    }

    fn seal(&mut self, version: Version, key: &AuthKey, msg_id: i64) -> Vec<u8> {
        let packets = version.seal(&[(key, &message(msg_id, 8))], Side::Client, &mut rng(2));
        self.wire(&packets[0].packet)
    }

    fn hear(&mut self, wire: &[u8]) -> Vec<Seen> {
        self.input.extend_from_slice(wire);
        self.link.handle_bytes(at(0), &mut self.input);
        seen(&mut self.link)
    }

    /// Hears a message under key 1.
    fn say(&mut self, version: Version, msg_id: i64) -> Vec<Seen> {
        let wire = self.seal(version, &key(1), msg_id);
        self.hear(&wire)
    }

    fn said(&mut self) -> Vec<Frame> {
        let mut out = BytesMut::new();
        self.link.poll_transmit(&mut out).unwrap();
        drain(&mut self.codec, &mut out).unwrap()
    }
}

/// Another seed for each packet, so that the padding of frames differs.
fn msg_seed(packet: &[u8]) -> u8 {
    packet.iter().fold(0, |sum, byte| sum ^ byte)
}

fn bytes_of_tag(framing: Framing) -> Vec<u8> {
    crate::transport_ends::tag(framing).to_vec()
}

/// Opens a packet whose message states `stated` bytes of `room`, and whose message key covers as
/// much as that says, or everything where it cannot be.
fn open_stated(stated: i32, room: usize) -> Result<Opened, PacketError> {
    open_one(&key(1), &sealed_v1(&key(1), &stated_plain(stated, room)), Side::Client)
}

fn stated_plain(stated: i32, room: usize) -> Vec<u8> {
    let mut plain = vec![3; 32 + room];
    plain[28..32].copy_from_slice(&stated.to_le_bytes());
    plain
}

/// A client's packet around a plaintext that need not be right.
fn sealed_v1(key: &AuthKey, plain: &[u8]) -> Vec<u8> {
    let stated = i32::from_le_bytes(plain[28..32].try_into().unwrap());
    let covered = usize::try_from(stated).ok().and_then(|stated| plain.get(..32 + stated));
    let msg_key = MsgKey::v1(covered.unwrap_or(plain)).bytes;
    let keys = AesKeys::v1(key, &msg_key, direction_from(Side::Client));
    let mut packet = [&key.id().to_le_bytes(), &msg_key[..], plain].concat();
    ige::encrypt(&mut packet[24..], &keys.key, &keys.iv).unwrap();
    packet
}

fn seal_one(key: &AuthKey, message: &Message, from: Side, seed: u8) -> BytesMut {
    Version::V1.seal(&[(key, message)], from, &mut rng(seed)).remove(0).packet
}

fn open_one(key: &AuthKey, packet: &[u8], from: Side) -> Result<Opened, PacketError> {
    Version::V1.open(key, vec![packet.into()], from).remove(0)
}

fn message(msg_id: i64, len: usize) -> Message {
    let header = Header { salt: 1, session_id: SessionId(2), msg_id: MsgId(msg_id), seq_no: 1 };
    Message { header, body: Bytes::from(vec![9; len]) }
}

fn key(number: u8) -> AuthKey {
    AuthKey::new([number; 256])
}

fn auth_key(case: &Value) -> AuthKey {
    AuthKey::new(bytes(&case["auth_key"]).try_into().unwrap())
}

fn side(case: &Value) -> Side {
    if case["direction"] == "client_to_server" { Side::Client } else { Side::Server }
}

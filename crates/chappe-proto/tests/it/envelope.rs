//! Messages on the wire: unencrypted ones, and those of MTProto 2.0.

use bytes::{Bytes, BytesMut};
use chappe_crypto::{AuthKey, packet};
use chappe_proto::envelope::encrypted::{self, Header, Message, PacketError};
use chappe_proto::envelope::plain::{self, PlainError};
use chappe_proto::{MsgId, SessionId, Side};
use proptest::prelude::*;
use serde_json::Value;

use crate::transport_ends::{bytes, list, rng, vectors};

/// Rules:  MSG-02, CRY-07, SEC-44, SEC-59: every published packet opens to its fields, both ways,
///         and its message is sealed to the same packet where the padding is the same.
/// Source: `messages_v2.json`.
#[test]
fn published_packets_open_and_seal() {
    for case in list(&vectors("messages_v2.json")["cases"]) {
        let key = auth_key(case);
        let (from, packet) = (side(case), bytes(&case["payload"]));
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

        // All but the padding is laid out as published; with that padding, all of it.
        let mut sealed = encrypted::seal(&[(&key, &expected)], from, &mut rng(1)).remove(0).packet;
        packet::open(&key, encrypted::direction_from(from), &mut sealed).unwrap();
        let plain = bytes(&case["plaintext"]);
        let content = plain.len() - bytes(&case["padding"]).len();
        assert_eq!(sealed[24..24 + content], plain[..content]);
        let mut again = [&[0; 24][..], &sealed[24..24 + content], &plain[content..]].concat();
        packet::seal(&key, encrypted::direction_from(from), &mut again);
        assert_eq!(again, packet);

        // The other direction is another key: a packet is never taken back by who wrote it.
        let back = if from == Side::Client { Side::Server } else { Side::Client };
        assert_eq!(open_one(&key, &packet, back), Err(PacketError::MsgKeyMismatch));
    }
}

/// Rules:  MSG-R02, MSG-R03, MSG-R05, MSG-R06, MSG-01, MSG-02, SEC-21, SEC-22, SEC-24, SEC-44: each
///         bad packet is refused by the rule that it breaks, each good one accepted.
/// Source: `messages_negative.json`, version 2.
#[test]
fn published_bad_packets_are_refused() {
    let all = vectors("messages_negative.json");
    let cases = list(&all["cases"]).iter().filter(|case| case["version"] == 2);
    for case in cases {
        let packet = bytes(&case["payload"]);
        let outcome = open_one(&auth_key(case), &packet, side(case));
        let rule = match outcome {
            Ok(_) => "",
            Err(PacketError::Size(_)) => "MSG-R03",
            // Which key a packet names is seen before it is opened; here it has the wrong one.
            Err(PacketError::MsgKeyMismatch) if case["rule"] == "MSG-R02" => "MSG-R02",
            Err(PacketError::MsgKeyMismatch) => "MSG-R05",
            Err(PacketError::Length { .. }) => "MSG-R06",
            Err(other) => panic!("{other}"),
        };
        let expected = if case["expect"] == "reject" { &case["rule"] } else { &Value::from("") };
        assert_eq!(rule, expected, "{}", case["name"]);
    }
}

/// Rules:  MSG-R04, MSG-R05, SEC-43: a packet of MTProto 1.0 does not pass for one of 2.0.
/// Source: `messages_negative.json`, version 1.
#[test]
fn packet_of_the_older_version_is_refused() {
    let all = vectors("messages_negative.json");
    let cases = list(&all["cases"]).iter().filter(|case| case["version"] == 1);
    let outcomes: Vec<_> =
        cases.map(|case| open_one(&auth_key(case), &bytes(&case["payload"]), side(case))).collect();
    assert_eq!(outcomes, vec![Err(PacketError::MsgKeyMismatch); 3]);
}

/// Rules: MSG-01, MSG-02: 12 to 1024 random bytes pad a message to whole blocks, and their number
///        is drawn, so that sizes tell little.
#[test]
fn padding_is_within_bounds_and_drawn() {
    let (key, mut rng) = (AuthKey::new([7; 256]), rng(1));
    let mut lengths = std::collections::BTreeSet::new();
    let mut contents = std::collections::HashSet::new();
    for draw in 0..2000_usize {
        let message = message(4 + 4 * (draw % 8));
        let mut packet =
            encrypted::seal(&[(&key, &message)], Side::Client, &mut rng).remove(0).packet;
        assert!((packet.len() - 24).is_multiple_of(16));
        let padding = packet.len() - 24 - 32 - message.body.len();
        assert!((12..=1024).contains(&padding), "{padding}");
        assert_eq!(open_one(&key, &packet, Side::Client).unwrap().message, message);
        let direction = encrypted::direction_from(Side::Client);
        packet::open(&key, direction, &mut packet).unwrap();
        contents.insert(packet[packet.len() - 12..].to_vec());
        if message.body.len() == 4 {
            lengths.insert(padding);
        }
    }
    assert_eq!(lengths.len(), 16, "{lengths:?}");
    assert_eq!(contents.len(), 2000);
}

/// Rules: MSG-03, MSG-01: the drawn padding never makes a packet longer than a server takes, up to
///        the longest body that fits with the least padding.
#[test]
fn padding_stays_within_the_packet_limit() {
    const LIMIT: usize = 1_044_480;
    let (key, mut rng) = (AuthKey::new([7; 256]), rng(1));
    for short in [0, 4, 16, 100, 240, 272, 300] {
        let message = message(1_044_404 - short);
        for _ in 0..10 {
            let packet =
                encrypted::seal(&[(&key, &message)], Side::Client, &mut rng).remove(0).packet;
            assert!(packet.len() <= LIMIT, "{} of a body {short} below", packet.len());
            assert!(open_one(&key, &packet, Side::Client).is_ok());
        }
    }
}

/// Rules: MSG-R06, SEC-24, MSG-02: every length that does not fit its packet is refused, without a
///        read outside; the bounds of the padding are exact.
#[test]
fn length_must_fit_its_packet() {
    for (stated, room, good) in [
        (20, 32, true),
        (16, 32, true),
        (24, 32, false),
        (4, 16, true),
        (0, 16, false),
        (-4, 16, false),
        (i32::MIN, 32, false),
        (i32::MAX, 32, false),
        (i32::MAX - 3, 32, false),
        (19, 32, false),
        (32, 32, false),
        (36, 32, false),
        (8, 1024 + 16, false),
        (16, 1024 + 16, true),
        (20, 1024 + 16, true),
        (1024 + 4, 1024 + 16, true),
        (1024 + 8, 1024 + 16, false),
    ] {
        let outcome = open_stated(stated, room);
        assert_eq!(outcome.is_ok(), good, "{stated} of {room}");
        match outcome {
            Ok(len) => assert_eq!(len, stated as usize),
            Err(error) => assert_eq!(error, PacketError::Length { stated, room }),
        }
    }
}

/// Rules: MSG-R03, MSG-R05: a packet too small for a message, or not in whole blocks, is refused by
///        its size alone; the smallest possible one is opened.
#[test]
fn packet_must_have_room_for_a_message() {
    let key = AuthKey::new([7; 256]);
    for len in 0..=24 + 64 {
        let mut packet = vec![9; len];
        if len >= 8 {
            packet[..8].copy_from_slice(&key.id().to_le_bytes());
        }
        let fits = len >= 24 + 48 && (len - 24) % 16 == 0;
        let expected = if fits { PacketError::MsgKeyMismatch } else { PacketError::Size(len) };
        assert_eq!(open_one(&key, &packet, Side::Client), Err(expected), "{len} bytes");
    }
}

/// Rules: SEC-21, MSG-R05: a change of any bit of a packet is noticed, the padding included.
#[test]
fn any_flipped_bit_is_noticed() {
    let key = AuthKey::new([7; 256]);
    let packet =
        encrypted::seal(&[(&key, &message(20))], Side::Server, &mut rng(1)).remove(0).packet;
    for bit in 0..packet.len() * 8 {
        let mut packet = packet.to_vec();
        packet[bit / 8] ^= 1 << (bit % 8);
        let outcome = open_one(&key, &packet, Side::Server);
        assert_eq!(outcome, Err(PacketError::MsgKeyMismatch), "bit {bit}");
    }
}

/// Rules: MSG-R05, MSG-06: several packets at once are judged each by itself and keep their order,
///        whatever stands between them; each message keeps its own session.
#[test]
fn batch_is_judged_one_by_one() {
    let (key, mut rng) = (AuthKey::new([7; 256]), rng(1));
    let messages: Vec<Message> = (0..9)
        .map(|i| {
            let mut message = message(4 + 4 * i);
            message.header.session_id = SessionId(100 + i as i64);
            message
        })
        .collect();
    let jobs: Vec<_> = messages.iter().map(|message| (&key, message)).collect();
    let sealed = encrypted::seal(&jobs, Side::Client, &mut rng);
    let mut packets: Vec<BytesMut> = sealed.into_iter().map(|sealed| sealed.packet).collect();
    packets[2][30] ^= 1;
    packets[4].truncate(30);
    packets[8] = BytesMut::new();
    let outcomes = encrypted::open(&key, packets, Side::Client);
    assert_eq!(outcomes.len(), 9);
    for (i, outcome) in outcomes.into_iter().enumerate() {
        match i {
            2 => assert_eq!(outcome, Err(PacketError::MsgKeyMismatch)),
            4 => assert_eq!(outcome, Err(PacketError::Size(30))),
            8 => assert_eq!(outcome, Err(PacketError::Size(0))),
            _ => assert_eq!(outcome.unwrap().message, messages[i]),
        }
    }
    assert!(encrypted::open(&key, Vec::new(), Side::Client).is_empty());
}

/// Rules: KEY-03, KEY-04, KEY-05, QRK-21: an unencrypted message states 20 bytes or more, in words,
///        no more than are there; what follows them is dropped; a client may give it any id, a
///        server one of its own.
#[test]
fn unencrypted_message_must_have_its_form() {
    let open = |msg_id: i64, stated: i32, present: usize, from| {
        let mut packet = vec![0; 8];
        packet.extend(msg_id.to_le_bytes());
        packet.extend(stated.to_le_bytes());
        packet.resize(20 + present, 5);
        plain::open(packet.into(), from).map(|message| message.body.len())
    };
    for (stated, present, good) in [
        (20, 20, true),
        (20, 35, true),
        (24, 24, true),
        (24, 23, false),
        (16, 16, false),
        (4, 40, false),
        (0, 40, false),
        (-20, 40, false),
        (22, 40, false),
        (i32::MAX, 40, false),
        (i32::MIN, 40, false),
    ] {
        let expected =
            if good { Ok(stated as usize) } else { Err(PlainError::Length { stated, present }) };
        assert_eq!(open(4, stated, present, Side::Client), expected);
    }
    for (msg_id, server) in [
        (0, false),
        (4, false),
        (8 | 1 << 40, false),
        (1, true),
        (3, true),
        (2, false),
        (-4, false),
    ] {
        assert!(open(msg_id, 20, 20, Side::Client).is_ok(), "{msg_id} of a client");
        assert_eq!(open(msg_id, 20, 20, Side::Server).is_ok(), server, "{msg_id} of a server");
    }
    for got in 0..20 {
        let error = plain::open(vec![0; got].into(), Side::Client).unwrap_err();
        assert_eq!(error, PlainError::Truncated { got });
    }
}

proptest! {
    /// Rules: SEC-24, MSG-R06: whatever comes is refused or opened, without a panic.
    #[test]
    fn any_packet_is_judged(
        packet in prop::collection::vec(any::<u8>(), 0..200),
        header in prop::collection::vec(0..3_u8, 20),
    ) {
        let key = AuthKey::new([7; 256]);
        let _ = encrypted::key_id(&packet);
        prop_assert!(open_one(&key, &packet, Side::Client).is_err());
        let packet = [header, packet].concat();
        if let Ok(message) = plain::open(packet.clone().into(), Side::Client) {
            prop_assert!(message.body.len() + 20 <= packet.len());
        }
    }

    /// Rules: SEC-24, MSG-R06: with a right message key any length is judged, without a panic.
    #[test]
    fn any_length_is_judged(stated in any::<i32>(), blocks in 1..80_usize) {
        let room = 16 * blocks;
        let fits = (room as i64 - 1024..=room as i64 - 12).contains(&i64::from(stated));
        let good = fits && stated >= 4 && stated % 4 == 0;
        prop_assert_eq!(open_stated(stated, room).is_ok(), good);
    }
}

/// Opens a packet whose message key is right and whose message states `stated` bytes of `room`;
/// the length of its body.
fn open_stated(stated: i32, room: usize) -> Result<usize, PacketError> {
    let key = AuthKey::new([7; 256]);
    let mut packet = vec![3; 24 + 32 + room];
    packet[52..56].copy_from_slice(&stated.to_le_bytes());
    packet::seal(&key, encrypted::direction_from(Side::Client), &mut packet);
    open_one(&key, &packet, Side::Client).map(|opened| opened.message.body.len())
}

fn open_one(key: &AuthKey, packet: &[u8], from: Side) -> Result<encrypted::Opened, PacketError> {
    encrypted::open(key, vec![packet.into()], from).remove(0)
}

fn message(len: usize) -> Message {
    let header = Header { salt: 1, session_id: SessionId(2), msg_id: MsgId(4), seq_no: 1 };
    Message { header, body: Bytes::from(vec![9; len]) }
}

fn auth_key(case: &Value) -> AuthKey {
    AuthKey::new(bytes(&case["auth_key"]).try_into().unwrap())
}

fn side(case: &Value) -> Side {
    if case["direction"] == "client_to_server" { Side::Client } else { Side::Server }
}

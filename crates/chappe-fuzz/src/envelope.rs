//! Envelopes of both versions: whatever comes is refused or means what its sender wrote.

use bytes::{Bytes, BytesMut};
use chappe_crypto::msg_key::{AesKeys, MsgKey};
use chappe_crypto::{AuthKey, ige, packet};
use chappe_proto::envelope::encrypted::{
    EXTERNAL_HEADER, Header, INTERNAL_HEADER, Message, Opened, PacketError, direction_from,
};
use chappe_proto::envelope::plain;
use chappe_proto::envelope::version::Version;
use chappe_proto::{MsgId, SessionId, Side};

use crate::identity::rng;
use crate::script::Script;

pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    // No part of it like another: the two directions use different ones.
    let key = AuthKey::new(rng(7).bytes());
    let from = if script.one_in(2) { Side::Server } else { Side::Client };
    match script.below(5) {
        0 => plain_packet(script.rest(), from),
        1 => any_packet(&key, script.rest(), from),
        2 => any_plaintext(Version::V1, &key, script.rest(), from),
        3 => any_plaintext(Version::V2, &key, script.rest(), from),
        _ => any_message(&mut script, &key, from),
    }
}

fn plain_packet(data: &[u8], from: Side) {
    let packet = [&[0; 8], data].concat();
    if let Ok(message) = plain::open(packet.clone().into(), from) {
        let mut again = BytesMut::new();
        plain::seal(message.msg_id, &message.body, &mut again);
        assert_eq!(again, packet[..again.len()]);
    }
}

/// Nobody finds a message key by chance.
fn any_packet(key: &AuthKey, data: &[u8], from: Side) {
    let packet = [&key.id().to_le_bytes(), data].concat();
    for version in [Version::V1, Version::V2] {
        assert!(open(version, key, &packet, from).is_err());
    }
    assert!(Version::recognise(key, packet[..].into(), from).is_err());
}

/// Somebody who has the key writes a plaintext that need not be right.
fn any_plaintext(version: Version, key: &AuthKey, data: &[u8], from: Side) {
    let mut plain = data.to_vec();
    plain.resize(plain.len().max(INTERNAL_HEADER).next_multiple_of(16), 0);
    let stated = i32::from_le_bytes(plain[28..32].try_into().unwrap());
    let packet = match version {
        Version::V2 => {
            let mut packet = [&[0; EXTERNAL_HEADER], &plain[..]].concat();
            packet::seal(key, direction_from(from), &mut packet);
            packet
        }
        Version::V1 => {
            let end = usize::try_from(stated).ok().and_then(|len| len.checked_add(INTERNAL_HEADER));
            let covered = end.and_then(|end| plain.get(..end)).unwrap_or(&plain);
            let msg_key = MsgKey::v1(covered).bytes;
            let keys = AesKeys::v1(key, &msg_key, direction_from(from));
            let mut packet = [&key.id().to_le_bytes(), &msg_key[..], &plain].concat();
            ige::encrypt(&mut packet[EXTERNAL_HEADER..], &keys.key, &keys.iv).unwrap();
            packet
        }
    };
    let room = (plain.len() - INTERNAL_HEADER) as i64;
    let padding = if version == Version::V2 { 12..=1024 } else { 0..=15 };
    let fits = stated >= 4 && stated % 4 == 0 && padding.contains(&(room - i64::from(stated)));
    let outcome = open(version, key, &packet, from);
    assert_eq!(outcome.is_ok(), fits, "{stated} of {room}: {outcome:?}");
    let recognised = Version::recognise(key, packet[..].into(), from);
    match outcome {
        Err(_) => assert!(recognised.is_err()),
        Ok(opened) => {
            assert_eq!(opened.message.body, plain[32..32 + stated as usize]);
            assert_eq!(recognised, Ok((version, opened.clone())));
            let again = seal(version, key, &opened.message, from, 1);
            assert_eq!(open(version, key, &again, from).unwrap().message, opened.message);
        }
    }
}

/// What is sealed opens to the same, in its version, its direction and undamaged only.
fn any_message(script: &mut Script<'_>, key: &AuthKey, from: Side) {
    let header = Header {
        salt: script.i64(),
        session_id: SessionId(script.i64()),
        msg_id: MsgId(script.i64()),
        seq_no: script.i32(),
    };
    let (seed, at) = (script.byte(), usize::from(script.byte()) << 3 | script.below(8));
    let mut body = script.rest().to_vec();
    body.resize((body.len() & !3).max(4), 0);
    let message = Message { header, body: Bytes::from(body) };
    for (version, other) in [(Version::V1, Version::V2), (Version::V2, Version::V1)] {
        let mut packet = seal(version, key, &message, from, seed);
        assert_eq!(open(version, key, &packet, from).unwrap().message, message);
        assert!(open(other, key, &packet, from).is_err());
        let back = if from == Side::Client { Side::Server } else { Side::Client };
        assert!(open(version, key, &packet, back).is_err());
        let bit = at % (packet.len() * 8);
        packet[bit / 8] ^= 1 << (bit % 8);
        assert!(open(version, key, &packet, from).is_err(), "bit {bit}");
    }
}

fn seal(version: Version, key: &AuthKey, message: &Message, from: Side, seed: u8) -> BytesMut {
    version.seal(&[(key, message)], from, &mut rng(seed)).remove(0).packet
}

fn open(version: Version, key: &AuthKey, packet: &[u8], from: Side) -> Result<Opened, PacketError> {
    version.open(key, vec![packet.into()], from).remove(0)
}

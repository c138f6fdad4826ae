//! Packets: message keys, derivation, sealing and opening, 2.0 and 1.0.

use chappe_crypto::msg_key::{AesKeys, MsgKey};
use chappe_crypto::packet::{self, HEADER_LEN, OpenJob, PacketError, SealJob};
use chappe_crypto::{AuthKey, Direction, Rng};
use proptest::prelude::*;
use serde_json::Value;

use crate::vectors::{array, bytes, list, load, text};

/// CRY-07, SEC-44: every vector of `kdf.json`; x follows the direction.
#[test]
fn derivation_gives_the_published_keys() {
    for case in list(&load("kdf"), "cases") {
        let key = AuthKey::new(array(case, "auth_key"));
        let msg_key = array(case, "msg_key");
        let v2 = AesKeys::v2(&key, &msg_key, direction(case));
        assert_eq!((v2.key, v2.iv), (array(case, "v2_aes_key"), array(case, "v2_aes_iv")));
        let v1 = AesKeys::v1(&key, &msg_key, direction(case));
        assert_eq!((v1.key, v1.iv), (array(case, "v1_aes_key"), array(case, "v1_aes_iv")));
        assert_eq!(format!("{v1:?}"), "AesKeys");
    }
}

/// Every vector of `messages_v2.json`, both ways and bit for bit.
#[test]
fn v2_packets_are_the_published_ones() {
    for case in list(&load("messages_v2"), "cases") {
        let key = AuthKey::new(array(case, "auth_key"));
        let msg_key = MsgKey::v2(&key, &bytes(case, "plaintext"), direction(case));
        assert_eq!(msg_key.bytes, array(case, "msg_key"));

        let mut packet = room_for(&bytes(case, "plaintext"));
        let token = packet::seal(&key, direction(case), &mut packet);
        assert_eq!(packet, bytes(case, "payload"), "{}", text(case, "name"));
        assert_eq!(Some(u64::from(token)), case["quick_ack_token"].as_u64());
        assert_eq!(packet::open(&key, direction(case), &mut packet), Ok(token));
        assert_eq!(packet[HEADER_LEN..], bytes(case, "plaintext"));
    }
}

/// V1-03: every vector of `messages_v1.json`, both ways and bit for bit.
#[test]
fn v1_packets_are_the_published_ones() {
    for case in list(&load("messages_v1"), "cases") {
        let key = AuthKey::new(array(case, "auth_key"));
        let mut packet = room_for(&bytes(case, "plaintext"));
        let token = packet::seal_v1(&key, direction(case), &mut packet);
        assert_eq!(packet, bytes(case, "payload"), "{}", text(case, "name"));
        assert_eq!(Some(u64::from(token)), case["quick_ack_token"].as_u64());
        assert_eq!(packet::open_v1(&key, direction(case), &mut packet), Ok(token));
        assert_eq!(packet[HEADER_LEN..], bytes(case, "plaintext"));
    }
}

/// V1-08: the server's 192 bytes of a key suffice for both versions and both directions.
#[test]
fn stored_keys_seal_like_full_ones() {
    for case in list(&load("messages_v1"), "cases") {
        let mut key = AuthKey::new(array(case, "auth_key"));
        key.forget_client_part();
        let mut packet = bytes(case, "payload");
        assert!(packet::open_v1(&key, direction(case), &mut packet).is_ok());
    }
    for case in list(&load("messages_v2"), "cases") {
        let mut key = AuthKey::new(array(case, "auth_key"));
        key.forget_client_part();
        let mut packet = bytes(case, "payload");
        assert!(packet::open(&key, direction(case), &mut packet).is_ok());
    }
}

/// SEC-21, SEC-44, V1-10: the cryptographic part of `messages_negative.json`. What is wrong inside a packet
/// that opens (MSG-R06) is for the envelope to see.
#[test]
fn damaged_packets_do_not_open() {
    for case in list(&load("messages_negative"), "cases") {
        let key = AuthKey::new(array(case, "auth_key"));
        let mut packet = bytes(case, "payload");
        let outcome = match case["version"].as_u64() {
            Some(1) => packet::open_v1(&key, direction(case), &mut packet),
            _ => packet::open(&key, direction(case), &mut packet),
        };
        let name = text(case, "name");
        match text(case, "rule") {
            "MSG-R02" => assert!(matches!(outcome, Err(PacketError::OtherKey(_))), "{name}"),
            "MSG-R03" => assert!(matches!(outcome, Err(PacketError::Length(_))), "{name}"),
            "MSG-R05" | "V1-04" | "V1-05" => {
                assert_eq!(outcome, Err(PacketError::MsgKeyMismatch), "{name}");
                assert!(packet[HEADER_LEN..].iter().all(|byte| *byte == 0), "{name}");
            }
            "" | "MSG-R06" => assert!(outcome.is_ok(), "{name}"),
            other => panic!("unknown rule {other} in {name}"),
        }
    }
}

/// CRY-02: after a failed check nothing of the plaintext is left to act on, at any length.
/// CRY-01: the shortest and the unaligned packet.
#[test]
fn refused_packets_leave_nothing_behind() {
    let key = AuthKey::new([1; 256]);
    let id = key.id().to_le_bytes();
    for blocks in [1, 2, 3, 64] {
        let mut packet = [&id[..], &vec![0x5a; 16 + 16 * blocks]].concat();
        let mut older = packet.clone();
        let refused = Err(PacketError::MsgKeyMismatch);
        assert_eq!(packet::open(&key, Direction::ClientToServer, &mut packet), refused);
        assert_eq!(packet::open_v1(&key, Direction::ClientToServer, &mut older), refused);
        assert_eq!(packet[HEADER_LEN..], vec![0; 16 * blocks]);
        assert_eq!(older[HEADER_LEN..], vec![0; 16 * blocks]);
    }
    for len in [0, 8, 23, 24, 25, 39, 41, 55] {
        let mut packet = [&id[..], &[0; 56]].concat();
        packet.truncate(len);
        let refused = Err(PacketError::Length(len));
        assert_eq!(packet::open(&key, Direction::ClientToServer, &mut packet), refused);
        assert_eq!(packet::open_v1(&key, Direction::ClientToServer, &mut packet), refused);
    }
}

/// V1-05: the length field of 1.0 decides the size of the packet; one too large, too small, odd or
/// negative does not open even if the message key covers everything.
/// V1-07: the padding may hold anything.
#[test]
fn v1_length_must_fit_the_packet() {
    check_v1_length(36, 36, true);
    check_v1_length(48, 48, true);
    check_v1_length(48, 36, true);
    check_v1_length(48, 32, false);
    check_v1_length(48, 52, false);
    check_v1_length(48, 38, false);
    check_v1_length(48, -4, false);
    check_v1_length(48, i32::MIN, false);
    check_v1_length(48, i32::MAX, false);
}

/// CRY-07: a packet opens only in the direction it was sealed for, so none can be reflected.
#[test]
fn reflected_packet_does_not_open() {
    let key = AuthKey::new(Rng::from_seed([7; 32]).bytes());
    for direction in [Direction::ClientToServer, Direction::ServerToClient] {
        let mut packet = room_for(&[3; 64]);
        packet::seal(&key, direction, &mut packet);
        let refused = Err(PacketError::MsgKeyMismatch);
        assert_eq!(packet::open(&key, direction.reverse(), &mut packet.clone()), refused);
        assert!(packet::open(&key, direction, &mut packet).is_ok());
    }
}

/// `bind_temp_auth_key.json`: the inner message in 1.0 under the permanent key and the outer one in
/// 2.0 under the temporary key.
#[test]
fn key_binding_packets_are_the_published_ones() {
    for case in list(&load("bind_temp_auth_key"), "cases") {
        let permanent = AuthKey::new(array(case, "perm_auth_key"));
        let temporary = AuthKey::new(array(case, "temp_auth_key"));
        assert_eq!(permanent.id().to_le_bytes(), array(case, "perm_auth_key_id_le"));
        assert_eq!(temporary.id().to_le_bytes(), array(case, "temp_auth_key_id_le"));

        let inner = [bytes(case, "plaintext_without_padding"), bytes(case, "padding")].concat();
        let mut packet = room_for(&inner);
        packet::seal_v1(&permanent, Direction::ClientToServer, &mut packet);
        assert_eq!(packet, bytes(case, "encrypted_message"));
        assert!(packet::open_v1(&permanent, Direction::ClientToServer, &mut packet).is_ok());
        assert_eq!(packet[HEADER_LEN..], inner);

        let outer = &case["outer"];
        let mut packet = bytes(outer, "payload");
        let token = packet::open(&temporary, Direction::ClientToServer, &mut packet).unwrap();
        assert_eq!(Some(u64::from(token)), outer["quick_ack_token"].as_u64());
        assert_eq!(packet[HEADER_LEN + 32..][..132], bytes(case, "request_body"));
        packet::seal(&temporary, Direction::ClientToServer, &mut packet);
        assert_eq!(packet, bytes(outer, "payload"));
    }
}

proptest! {
    /// A batch does to each packet what a batch of one does, whatever stands beside it.
    #[test]
    fn batch_equals_one_by_one(
        seed: [u8; 32],
        lengths in prop::collection::vec(1usize..80, 0..20),
    ) {
        let mut rng = Rng::from_seed(seed);
        let keys = [AuthKey::new(rng.bytes()), AuthKey::new(rng.bytes())];
        let choice: Vec<_> = lengths.iter().map(|_| (rng.below(2) as usize, any_way(&mut rng))).collect();
        let plain: Vec<Vec<u8>> = lengths.iter().map(|blocks| {
            let mut plaintext = vec![0; blocks * 16];
            rng.fill(&mut plaintext);
            room_for(&plaintext)
        }).collect();

        let mut single = plain.clone();
        let tokens: Vec<u32> = single.iter_mut().zip(&choice)
            .map(|(packet, (key, way))| packet::seal(&keys[*key], *way, packet)).collect();
        let mut batched = plain.clone();
        let mut jobs: Vec<_> = batched.iter_mut().zip(&choice)
            .map(|(packet, (key, way))| SealJob::new(&keys[*key], *way, packet)).collect();
        packet::seal_batch(&mut jobs);
        prop_assert_eq!(jobs.iter().map(|job| job.quick_ack).collect::<Vec<_>>(), tokens.clone());
        prop_assert_eq!(&batched, &single);

        // One damaged packet is refused and the others are not.
        let bad = (!batched.is_empty()).then(|| rng.below(batched.len() as u32) as usize);
        if let Some(bad) = bad {
            batched[bad][8] ^= 1;
        }
        let mut jobs: Vec<_> = batched.iter_mut().zip(&choice)
            .map(|(packet, (key, way))| OpenJob::new(&keys[*key], *way, packet)).collect();
        packet::open_batch(&mut jobs);
        for (i, job) in jobs.iter().enumerate() {
            if Some(i) == bad {
                prop_assert_eq!(job.outcome, Err(PacketError::MsgKeyMismatch));
            } else {
                prop_assert_eq!(job.outcome, Ok(tokens[i]));
                prop_assert_eq!(&job.packet[HEADER_LEN..], &plain[i][HEADER_LEN..]);
            }
        }
    }

    /// No bytes make the opening of a packet panic.
    #[test]
    fn any_bytes_are_opened_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), named: bool) {
        let key = AuthKey::new([8; 256]);
        let mut packet = bytes;
        if named && packet.len() >= 8 {
            packet[..8].copy_from_slice(&key.id().to_le_bytes());
        }
        prop_assert!(packet::open(&key, Direction::ServerToClient, &mut packet.clone()).is_err());
        prop_assert!(packet::open_v1(&key, Direction::ServerToClient, &mut packet).is_err());
    }
}

/// V1-04: a 1.0 packet of `body` bytes behind its header whose length field says `length` and whose
/// message key covers what the field says, or all where it cannot be true, opens only if it fits.
fn check_v1_length(body: usize, length: i32, opens: bool) {
    let key = AuthKey::new([6; 256]);
    let mut plaintext = vec![0xee; (32 + body).next_multiple_of(16)];
    plaintext[28..32].copy_from_slice(&length.to_le_bytes());
    let end = usize::try_from(length).ok().and_then(|length| length.checked_add(32));
    let covered = end.and_then(|end| plaintext.get(..end)).unwrap_or(&plaintext);
    let msg_key = MsgKey::v1(covered).bytes;
    let keys = AesKeys::v1(&key, &msg_key, Direction::ClientToServer);
    let mut packet = room_for(&plaintext);
    packet[..8].copy_from_slice(&key.id().to_le_bytes());
    packet[8..24].copy_from_slice(&msg_key);
    chappe_crypto::ige::encrypt(&mut packet[24..], &keys.key, &keys.iv).unwrap();
    let outcome = packet::open_v1(&key, Direction::ClientToServer, &mut packet);
    assert_eq!(outcome.is_ok(), opens, "{body} bytes, length field {length}");
}

fn room_for(plaintext: &[u8]) -> Vec<u8> {
    [&[0; HEADER_LEN], plaintext].concat()
}

fn direction(case: &Value) -> Direction {
    match text(case, "direction") {
        "client_to_server" => Direction::ClientToServer,
        "server_to_client" => Direction::ServerToClient,
        other => panic!("unknown direction {other}"),
    }
}

fn any_way(rng: &mut Rng) -> Direction {
    if rng.below(2) == 0 { Direction::ClientToServer } else { Direction::ServerToClient }
}

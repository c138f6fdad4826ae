//! Recognising what a peer speaks from its first bytes.

use bytes::BytesMut;
use chappe_proto::transport::{Carrier, Detect, DetectConfig, Detected, Framing, Transport};
use proptest::prelude::*;

use crate::transport_ends::{bytes, client, list, listener, put, vectors};

/// Rules:  TRN-17, TRN-18, TRN-19: the table of openings, in its order.
/// Source: `transports.json`, `detection`.
#[test]
fn opening_names_the_protocol() {
    for case in list(&vectors("transports.json")["detection"]) {
        let prefix = bytes(&case["prefix"]);
        let mut padded = prefix.clone();
        padded.resize(64, 0x55);
        // Sixty-four bytes that no header decrypts to are a stranger's.
        let expected = match case["result"].as_str().unwrap() {
            "obfuscated" => "unknown",
            "padded_intermediate" => "padded",
            name => name,
        };
        assert_eq!(name(&everything().handle(&mut padded[..].into())), expected, "{case}");
    }
}

/// Rules: TRN-17, TRN-20: whatever a client of ours opens with is recognised, byte for byte; until
///        it is, nothing is consumed, and afterwards no more than its tag or header.
#[test]
fn opening_is_recognised_at_its_last_byte() {
    for (transport, needed, consumed) in [
        ("abridged", 1, 1),
        ("intermediate", 4, 4),
        ("padded", 4, 4),
        ("full", 8, 0),
        ("obfuscated-abridged", 64, 64),
        ("obfuscated-intermediate", 64, 64),
        ("obfuscated-padded", 64, 64),
    ] {
        let transport: Transport = transport.parse().unwrap();
        let wire = put(&mut client(transport), &[1; 24]);
        for len in 0..=wire.len() {
            let mut input = BytesMut::from(&wire[..len]);
            let detected = everything().handle(&mut input);
            match detected {
                Detected::NeedMore => {
                    // With fewer than four bytes the three other tags are still possible.
                    assert!(len < needed, "{transport} after {len}");
                    assert_eq!(input, wire[..len]);
                }
                Detected::Codec(codec, None) => {
                    assert!(len >= needed, "{transport} after {len}");
                    assert_eq!(codec.transport(), transport);
                    assert_eq!(input, wire[consumed..len]);
                }
                other => panic!("{transport} after {len}: {other:?}"),
            }
        }
    }
}

/// Rule: TRN-18: only four words select HTTP; all others may open an obfuscated connection.
#[test]
fn other_words_do_not_select_http() {
    for word in ["PUT ", "DELE", "CONN", "PVrG", "PATC", "TRAC", "get ", "GET/"] {
        let mut input = BytesMut::from(word.as_bytes());
        input.resize(63, 0x55);
        assert_eq!(name(&everything().handle(&mut input)), "more", "{word}");
    }
    assert_eq!(name(&everything().handle(&mut b"GET "[..].into())), "http");
    assert_eq!(name(&everything().handle(&mut b"GET"[..].into())), "more");
}

/// Rule: TRN-19: three bytes tell TLS where it is served, whatever the length of the record; where
///       it is not, they are the beginning of anything else.
#[test]
fn tls_is_told_by_three_bytes_where_it_is_served() {
    for high in [0, 1, 2, 6, 0xff] {
        let mut hello = [0x16, 0x03, 0x01, high, 0, 1, 0, 1];
        assert_eq!(name(&everything().handle(&mut hello[..].into())), "tls");
        assert_eq!(name(&listener(&[]).handle(&mut hello[..].into())), "more");
        hello[4..].fill(0);
        assert_eq!(name(&listener(&[]).handle(&mut hello[..].into())), "full");
    }
}

/// Rule: TRN-17: inside TLS is what there is outside, but for TLS itself.
#[test]
fn inside_tls_there_is_no_tls() {
    let inside = everything().inside_tls();
    assert_eq!(name(&inside.handle(&mut [0x16, 3, 1, 2, 0, 1, 0, 1][..].into())), "more");
    assert_eq!(name(&inside.handle(&mut b"POST"[..].into())), "http");
    assert_eq!(name(&inside.handle(&mut [0xef][..].into())), "abridged");
}

/// Rules: WSK-09, WSK-20: inside a WebSocket everything is an obfuscated stream, whatever it begins
///        with.
#[test]
fn inside_a_websocket_everything_is_obfuscated() {
    let inside = Detect::inside_websocket();
    for opening in
        [&[0xef; 4][..], &[0xee; 4], &[0xdd; 4], b"GET ", b"POST", &[0x16, 3, 1], &[0; 8]]
    {
        let mut input = BytesMut::from(opening);
        assert_eq!(name(&inside.handle(&mut input)), "more", "{opening:x?}");
        input.resize(64, 0x55);
        assert_eq!(name(&inside.handle(&mut input)), "unknown", "{opening:x?}");
    }
    let transport = Transport::obfuscated(Framing::Padded).unwrap();
    let wire = put(&mut client(transport), &[1; 24]);
    let detected = inside.handle(&mut wire[..].into());
    assert!(matches!(detected, Detected::Codec(codec, None) if codec.transport() == transport));
}

/// Rules: TRN-20, TRN-21: a header that hides no tag is a stranger's; its bytes stay where they
///        are, and it stays a stranger.
#[test]
fn stranger_is_left_unanswered_and_unread() {
    let mut input = BytesMut::from(&[0x55; 80][..]);
    for _ in 0..2 {
        assert_eq!(name(&everything().handle(&mut input)), "unknown");
        assert_eq!(input.len(), 80);
        input.extend_from_slice(&[0xef; 80]);
        input.truncate(80);
    }
}

/// Rule: TRN-23: each row can be switched off, and its peers are strangers then.
#[test]
fn row_switched_off_makes_strangers() {
    for off in Transport::ALL {
        let mut config = DetectConfig::default();
        config.transports.retain(|transport| *transport != off);
        let detect = Detect::new(config);
        for transport in Transport::ALL {
            let wire = put(&mut client(transport), &[1; 24]);
            let mut input = BytesMut::from(&wire[..]);
            let detected = detect.handle(&mut input);
            if transport == off {
                assert!(matches!(detected, Detected::Unknown), "{transport}: {detected:?}");
                assert_eq!(input, wire);
            } else {
                assert!(matches!(detected, Detected::Codec(..)), "{transport}: {detected:?}");
            }
        }
    }
    for opening in ["POST", "HEAD", "OPTI", "GET "] {
        assert_eq!(name(&listener(&[]).handle(&mut opening.as_bytes().into())), "unknown");
    }
    let mut config = DetectConfig::default();
    config.websocket = true;
    let websocket = Detect::new(config);
    assert_eq!(name(&websocket.handle(&mut b"GET "[..].into())), "http");
    assert_eq!(name(&websocket.handle(&mut b"POST"[..].into())), "unknown");
}

/// Rule: TRN-24: the full framing cannot be hidden, so no client can be made to try.
#[test]
fn full_framing_is_never_obfuscated() {
    assert_eq!(Transport::obfuscated(Framing::Full), None);
    assert!("obfuscated-full".parse::<Transport>().is_err());
    assert!(Transport::ALL.iter().all(|t| t.framing() != Framing::Full || !t.is_obfuscated()));
}

proptest! {
    /// First bytes of any kind never panic; the decision does not depend on how they come, and is
    /// not taken back.
    #[test]
    fn decision_does_not_depend_on_the_pieces(
        opening in prop::sample::select(OPENINGS.to_vec()),
        rest in prop::collection::vec(any::<u8>(), 0..100),
        tls: bool,
    ) {
        let wire = [opening, &rest].concat();
        let detect = if tls { everything() } else { listener(&[[1; 16], [2; 16]]) };
        let whole = name(&detect.handle(&mut wire[..].into()));
        let mut decided = None;
        for len in 0..=wire.len() {
            let mut input = BytesMut::from(&wire[..len]);
            let detected = name(&detect.handle(&mut input));
            if detected != "more" {
                prop_assert_eq!(*decided.get_or_insert(detected), detected);
            } else {
                prop_assert_eq!(decided, None);
                prop_assert_eq!(&input[..], &wire[..len]);
            }
        }
        prop_assert_eq!(decided.unwrap_or("more"), whole);
    }
}

/// A listener for which every row of the table is on.
fn everything() -> Detect {
    let mut config = DetectConfig::default();
    (config.http, config.websocket, config.tls) = (true, true, true);
    Detect::new(config)
}

fn name(detected: &Detected) -> &'static str {
    match detected {
        Detected::NeedMore => "more",
        Detected::Codec(codec, _) if codec.transport().is_obfuscated() => "obfuscated",
        Detected::Codec(codec, _) => codec.transport().framing().name(),
        Detected::Carrier(Carrier::Http) => "http",
        Detected::Carrier(Carrier::Tls) => "tls",
        Detected::Unknown => "unknown",
    }
}

const OPENINGS: [&[u8]; 14] = [
    &[],
    &[0xef],
    &[0xee; 4],
    &[0xee; 3],
    &[0xdd; 4],
    &[0xdd; 3],
    b"POST",
    b"HEAD",
    b"OPTI",
    b"GET ",
    &[0x16, 3, 1],
    &[0x16, 3],
    &[1, 2, 3, 4, 0, 0, 0, 0],
    &[1, 2, 3, 4, 0, 0, 0, 1],
];

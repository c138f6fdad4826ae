//! Obfuscation seen from outside: headers, secrets, data centres, streams.

use std::collections::HashSet;

use bytes::BytesMut;
use chappe_proto::transport::{
    CLIENT_LIMIT, ClientOptions, Codec, DcField, Detect, DetectConfig, Detected, EndpointSecret,
    EndpointSecretError, Frame, FrameError, Framing, HANDSHAKE_LIMIT, Secret, Transport,
};
use proptest::prelude::*;
use serde_json::Value;

use crate::transport_ends::{
    bytes, check, client, drain, frames, framing, in_pieces, list, listener, packet, put, rng,
    vectors,
};

/// Rules:  OBF-04, OBF-06, OBF-09, OBF-10, OBF-14: a server finds the framing and the dc field of
///         each connection and follows its stream, cut at every byte; its own stream starts
///         without a header. The published first bytes need not obey the rules for clients.
/// Source: `obfuscation.json`, `cases`.
#[test]
fn server_follows_every_connection_of_the_vectors() {
    'cases: for case in list(&vectors("obfuscation.json")["cases"]) {
        let header = bytes(&case["init_wire"]);
        let sent = |dir| {
            let pieces = list(&case["stream"]).iter().filter(move |piece| piece["dir"] == dir);
            pieces.flat_map(|piece| bytes(&piece["wire"])).collect::<Vec<u8>>()
        };
        let expected: Vec<Frame> = list(&case["stream"])
            .iter()
            .filter(|piece| piece["dir"] == "c2s")
            .map(|piece| content(framing(&case["transport"]), &bytes(&piece["plain"])))
            .collect();
        check(|| accept(case, &header), &sent("c2s"), &Ok(expected));

        // What a server says is random in the padded framing only.
        let mut codec = accept(case, &header);
        let mut out = BytesMut::new();
        for piece in list(&case["stream"]).iter().filter(|piece| piece["dir"] == "s2c") {
            let plain = bytes(&piece["plain"]);
            match (codec.transport().framing(), plain.len()) {
                (Framing::Padded, _) => continue 'cases,
                (_, 4) => {
                    let token = u32::from_le_bytes(plain.try_into().unwrap());
                    codec.put_quick_ack(token, &mut out, &mut rng(1));
                }
                (framing, _) => {
                    let Frame::Packet { bytes, .. } = content(framing, &plain) else { panic!() };
                    codec.put(&[&bytes], &mut out, &mut rng(1)).unwrap();
                }
            }
        }
        assert_eq!(hex::encode(&out), hex::encode(sent("s2c")), "{}", case["name"]);
    }
}

/// Rules: OBF-02, OBF-03, OBF-07: header and first frame leave together, the tag is not sent
///        again, and no two connections have the same header.
#[test]
fn header_leaves_with_the_first_frame_and_once() {
    let rng = &mut rng(7);
    let mut headers = HashSet::new();
    for transport in OBFUSCATED {
        for _ in 0..20 {
            let mut codec = Codec::client(transport, &ClientOptions::default(), CLIENT_LIMIT, rng);
            let mut wire = BytesMut::new();
            codec.put(&[&[1; 24]], &mut wire, rng).unwrap();
            let header = wire[..64].to_vec();
            let first = wire.len();
            codec.put(&[&[2; 24]], &mut wire, rng).unwrap();
            assert!((64 + 24..=64 + 24 + 4 + 15).contains(&first), "{transport} sent {first}");
            assert!(wire.len() - first <= 24 + 4 + 15);
            assert!(headers.insert(header), "{transport} repeats a header");

            let Detected::Codec(mut server, None) = listener(&[]).handle(&mut wire) else {
                panic!("{transport} is not recognised");
            };
            assert_eq!(drain(&mut server, &mut wire).unwrap().len(), 2);
        }
    }
}

/// Rules: OBF-01, OBF-05: no client's opening is taken for another protocol, even where the
///        generator proposes one: an abridged tag, every 256th time.
#[test]
fn drawn_header_is_never_reserved() {
    let mut proposed = 0;
    for seed in 0..=255 {
        proposed += u32::from(rng(seed).bytes::<64>()[0] == 0xef);
        let options = ClientOptions::default();
        let mut codec = Codec::client(OBFUSCATED[1], &options, CLIENT_LIMIT, &mut rng(seed));
        let mut wire = BytesMut::from(&put(&mut codec, &[1; 24])[..]);
        let detected = listener(&[]).handle(&mut wire);
        assert!(
            matches!(&detected, Detected::Codec(codec, None) if codec.transport() == OBFUSCATED[1])
        );
    }
    assert!(proposed > 0, "no seed makes the generator propose a tag");
}

/// Rule: OBF-04: 64 bytes and not one less; what the first eight look like is of no concern.
#[test]
fn header_is_read_at_its_last_byte() {
    let wire = put(&mut client(OBFUSCATED[0]), &[1; 24]);
    assert!(matches!(listener(&[]).handle(&mut wire[..63].into()), Detected::NeedMore));
    assert!(matches!(listener(&[]).handle(&mut wire[..64].into()), Detected::Codec(_, None)));
    // Where TLS is not served its opening is a header like any other; keys start at byte 8.
    let mut odd = wire.clone();
    odd[..8].copy_from_slice(&[0x16, 0x03, 0x01, 2, 0, 1, 0, 1]);
    assert!(matches!(listener(&[]).handle(&mut odd[..].into()), Detected::Codec(_, None)));
}

/// Rule: OBF-08: any of the secrets opens the connection, and no other; without a secret on both
///       ends neither understands the other.
#[test]
fn each_secret_of_several_is_recognised() {
    let secrets = [[1; 16], [2; 16], [3; 16]];
    for transport in OBFUSCATED {
        for secret in secrets {
            let mut input = knock(transport, Some(secret), 2);
            let Detected::Codec(mut server, dc) = listener(&secrets).handle(&mut input) else {
                panic!("{transport} with {secret:?}");
            };
            assert_eq!((server.transport(), dc), (transport, Some(2)));
            assert_eq!(drain(&mut server, &mut input).unwrap().len(), 1);
        }
        let refused = |secret, known: &[[u8; 16]]| {
            let mut input = knock(transport, secret, 2);
            let len = input.len();
            let detected = listener(known).handle(&mut input);
            assert!(matches!(detected, Detected::Unknown), "{detected:?}");
            assert_eq!(input.len(), len);
        };
        refused(Some([4; 16]), &secrets);
        refused(None, &secrets);
        refused(Some([1; 16]), &[]);
    }
}

/// Rule: OBF-09: a server's first bytes are a frame, hidden, without anything before it.
#[test]
fn server_sends_no_header() {
    for transport in OBFUSCATED {
        let (mut client, mut server) = pair(transport);
        let mut out = BytesMut::new();
        server.put_error(404, &mut out);
        assert!(out.len() <= 4 + 7);
        assert_eq!(frames(&mut client, &out), Ok(vec![Frame::Error(404)]));
    }
}

/// Rule: OBF-10: one keystream runs through everything a side says; a byte lost in between makes
///       the rest unreadable.
#[test]
fn streams_run_on_and_cannot_be_resumed() {
    let (mut client, mut server) = pair(OBFUSCATED[1]);
    let mut wire = BytesMut::new();
    server.put(&[&[1; 24]], &mut wire, &mut rng(9)).unwrap();
    server.put_quick_ack(5, &mut wire, &mut rng(9));
    server.put_error(429, &mut wire);
    server.put(&[&[2; 20]], &mut wire, &mut rng(9)).unwrap();
    let expected =
        vec![packet(&[1; 24]), Frame::QuickAck(5 | 1 << 31), Frame::Error(429), packet(&[2; 20])];
    assert_eq!(in_pieces(&mut client, wire.chunks(7)), Ok(expected));

    let lost = put(&mut server, &[3; 24]);
    let rest = put(&mut server, &[4; 24]);
    let cut = [&lost[..lost.len() - 1], &rest].concat();
    assert_ne!(frames(&mut client, &cut), Ok(vec![packet(&[3; 24]), packet(&[4; 24])]));
}

/// Rule: OBF-11: a length changed on the way is only a length: the limits hold for it.
#[test]
fn changed_length_is_held_to_the_limit() {
    let (mut client, mut server) = pair(OBFUSCATED[1]);
    let mut wire = put(&mut client, &[1; 24]);
    wire[3] ^= 0x40;
    let error = FrameError::TooLong { limit: HANDSHAKE_LIMIT, got: 0x4000_0018 };
    assert_eq!(frames(&mut server, &wire), Err(error));
}

/// Rule: OBF-12: production and test data centres, media endpoints of both, content networks.
#[test]
fn dc_field_names_the_data_centre() {
    let check = |field, id, test, media_only| {
        let dc = DcField { id, test, media_only };
        assert_eq!(dc.encode(), Some(field), "{dc:?}");
        assert_eq!(DcField::decode(field), Some(dc));
    };
    check(1, 1, false, false);
    check(-4, 4, false, true);
    check(10_002, 2, true, false);
    check(-10_003, 3, true, true);
    check(203, 203, false, false);
    check(i16::MAX, 22_767, true, false);

    for id in [0, 10_000, 10_001, u16::MAX] {
        assert_eq!(DcField { id, test: false, media_only: false }.encode(), None);
    }
    for id in [0, 22_768, u16::MAX] {
        assert_eq!(DcField { id, test: true, media_only: true }.encode(), None);
    }
}

/// Rules: OBF-13, OBF-14: our client fills the field always; a server reads it only where it has a
///        secret, since others fill it with chance.
#[test]
fn dc_field_counts_with_a_secret_only() {
    for dc in [1, -2, 10_002, -10_003, 203, 0, i16::MIN] {
        let mut with = knock(OBFUSCATED[2], Some([9; 16]), dc);
        let detected = listener(&[[9; 16]]).handle(&mut with);
        assert!(matches!(detected, Detected::Codec(_, Some(got)) if got == dc), "{detected:?}");
        let mut without = knock(OBFUSCATED[2], None, dc);
        assert!(matches!(listener(&[]).handle(&mut without), Detected::Codec(_, None)));
    }
    // The field stands in the last bytes of the header: with other keystreams it would differ.
    let [one, two] = [1, 2].map(|dc| knock(OBFUSCATED[2], None, dc)[60..62].to_vec());
    assert_ne!(one, two);
}

/// Rule: OBF-15: a field that names nothing is told from one that does, for every number there is.
#[test]
fn every_dc_field_is_read_without_overflow() {
    for field in i16::MIN..=i16::MAX {
        let names_nothing = [0, 10_000, -10_000].contains(&field);
        match DcField::decode(field) {
            None => assert!(names_nothing, "{field}"),
            // The one number whose negative does not fit.
            Some(dc) if field == i16::MIN => assert_eq!(dc.encode(), None),
            Some(dc) => assert_eq!(dc.encode(), Some(field)),
        }
    }
}

/// Rules: OBF-06, OBF-16: a secret of a data centre is 16 bytes, 17 for padded framing, or more for
///        padded framing in fake TLS.
#[test]
fn secret_of_an_endpoint_chooses_the_transport() {
    let raw: [u8; 16] = std::array::from_fn(|n| n as u8);
    let parse = |raw: &[u8]| EndpointSecret::try_from(raw);

    for (prefix, transport) in
        [(&[][..], "obfuscated-intermediate"), (&[0xdd], "obfuscated-padded")]
    {
        let endpoint = parse(&[prefix, &raw].concat()).unwrap();
        assert_eq!(endpoint.transport.to_string(), transport);
        let options = ClientOptions { secret: Some(endpoint.secret), dc: 2 };
        let mut codec = Codec::client(endpoint.transport, &options, CLIENT_LIMIT, &mut rng(10));
        let mut wire = BytesMut::from(&put(&mut codec, &[1; 24])[..]);
        assert!(matches!(listener(&[raw]).handle(&mut wire), Detected::Codec(_, Some(2))));
    }
    let tls = [&[0xee], &raw[..], b"example.org"].concat();
    let endpoint = parse(&tls).unwrap();
    assert_eq!(endpoint.transport, OBFUSCATED[2]);
    assert_eq!(endpoint.domain.as_deref(), Some("example.org"));
    let nameless = [&[0xee], &raw[..], b"exam ple.org"].concat();
    assert_eq!(parse(&nameless).unwrap_err(), EndpointSecretError::Domain);
    for wrong in [&raw[..15], &[&[0xee], &raw[..]].concat(), &[&[1], &raw[..]].concat(), &[]] {
        assert_eq!(parse(wrong).unwrap_err(), EndpointSecretError::Shape(wrong.len()));
    }
    // Sixteen bytes that begin like a longer form are sixteen bytes.
    assert_eq!(parse(&[0xee; 16]).unwrap().transport, OBFUSCATED[1]);
    assert_eq!(parse(&[0xdd; 16]).unwrap().transport, OBFUSCATED[1]);
}

/// Rules:  PRX-01, OBF-16: hexadecimal of either case and base64 of either alphabet say the same;
///         what is none of the three shapes is no secret.
/// Source: `fake_tls.json`, `secrets`.
#[test]
fn secret_is_read_from_text() {
    for case in list(&vectors("fake_tls.json")["secrets"]) {
        let text = case["text"].as_str().unwrap();
        let parsed = text.parse::<EndpointSecret>();
        match case["kind"].as_str() {
            Some(kind) => {
                let expected = OBFUSCATED[if kind == "plain" { 1 } else { 2 }];
                let endpoint = parsed.unwrap();
                assert_eq!(endpoint.reveal_hex(), case["raw"].as_str().unwrap());
                let again = endpoint.reveal().parse::<EndpointSecret>().unwrap();
                assert_eq!(again.reveal_hex(), endpoint.reveal_hex());
                let EndpointSecret { secret, transport, domain } = endpoint;
                assert_eq!(transport, expected, "{text}");
                assert_eq!(domain.as_deref(), case["domain"].as_str());
                let options = ClientOptions { secret: Some(secret), dc: 2 };
                let mut codec = Codec::client(transport, &options, CLIENT_LIMIT, &mut rng(10));
                let mut wire = BytesMut::from(&put(&mut codec, &[1; 24])[..]);
                let raw = hex::decode(case["raw"].as_str().unwrap()).unwrap();
                let (prefix, domain) = (usize::from(kind != "plain"), domain.unwrap_or_default());
                let raw = raw[prefix..raw.len() - domain.len()].try_into().unwrap();
                assert!(
                    matches!(listener(&[raw]).handle(&mut wire), Detected::Codec(..)),
                    "{text}"
                );
            }
            None => match parsed.unwrap_err() {
                EndpointSecretError::Text => assert_eq!(text, "zz!!"),
                error => assert!(matches!(error, EndpointSecretError::Shape(_)), "{text}: {error}"),
            },
        }
    }
    // Both alphabets, with and without padding.
    let both = ["3f__EjRWeJCrze_-3LqYdlQ", "3f//EjRWeJCrze/+3LqYdlQ="];
    for text in both {
        let parsed = text.parse::<EndpointSecret>();
        assert_eq!(parsed.unwrap().transport, OBFUSCATED[2], "{text}");
    }
}

/// Rules: PRX-01: links have hexadecimal, or base64 where there is a host name.
#[test]
fn secret_is_written_as_links_have_it() {
    let plain = "00112233445566778899aabbccddeeff";
    let padded = "dd00112233445566778899aabbccddeeff";
    let tls = "7gARIjNEVWZ3iJmqu8zd7v93d3cuZXhhbXBsZS5vcmc";
    for text in [plain, padded, tls] {
        assert_eq!(text.parse::<EndpointSecret>().unwrap().reveal(), text);
    }
}

/// Rules: PRX-04: secrets that anybody would guess are known as such.
#[test]
fn weak_secrets_are_known() {
    for (weak, text) in [
        (true, "00000000000000000000000000000000"),
        (true, "00000000000000000000000000000001"),
        (true, "ffffffffffffffffffffffffffffffff"),
        (true, "0123456789abcdef0123456789abcdef"),
        (true, "000102030405060708090a0b0c0d0e0f"),
        (true, "00112233445566778899aabbccddeeff"),
        (false, "00112233445566778899aabbccddeefe"),
        (false, "d4a1b3c2e5f60718293a4b5c6d7e8f90"),
    ] {
        let secret: [u8; 16] = hex::decode(text).unwrap().try_into().unwrap();
        assert_eq!(Secret::from(secret).is_weak(), weak, "{text}");
    }
}

#[test]
fn secret_is_not_printed() {
    let options = ClientOptions { secret: Some(Secret::from([0x42; 16])), dc: 2 };
    let mut shown = format!("{options:?} {:?}", listener(&[[0x42; 16]]));
    shown += &format!("{:?}", client(OBFUSCATED[0]));
    assert!(!shown.contains("42") && !shown.contains("66"), "{shown}");
}

proptest! {
    /// After a good header, garbage never panics either end.
    #[test]
    fn garbage_behind_a_header_never_panics(
        wire in prop::collection::vec(any::<u8>(), 0..300),
        size in 1..100_usize,
    ) {
        for transport in OBFUSCATED {
            let (mut client, mut server) = pair(transport);
            let _ = in_pieces(&mut client, wire.chunks(size));
            let _ = in_pieces(&mut server, wire.chunks(size));
        }
    }
}

/// A client and the server that has read its header and first packet.
fn pair(transport: Transport) -> (Codec, Codec) {
    let mut client = client(transport);
    let mut wire = BytesMut::from(&put(&mut client, &[0; 24])[..]);
    let Detected::Codec(mut server, None) = listener(&[]).handle(&mut wire) else {
        panic!("{transport} is not recognised");
    };
    assert_eq!(drain(&mut server, &mut wire).unwrap().len(), 1);
    (client, server)
}

/// What a client with this secret sends first.
fn knock(transport: Transport, secret: Option<[u8; 16]>, dc: i16) -> BytesMut {
    let options = ClientOptions { secret: secret.map(Secret::from), dc };
    let mut codec = Codec::client(transport, &options, CLIENT_LIMIT, &mut rng(11));
    put(&mut codec, &[1; 24])[..].into()
}

/// The server of a connection of the vectors, which must be recognised for what it is.
fn accept(case: &Value, header: &[u8]) -> Codec {
    let secret = bytes(&case["secret"]);
    let secrets: Vec<[u8; 16]> = secret.try_into().into_iter().collect();
    let mut input = BytesMut::from(header);
    let Detected::Codec(codec, dc) = listener(&secrets).handle(&mut input) else {
        panic!("{} is not recognised", case["name"]);
    };
    assert!(input.is_empty());
    assert_eq!(codec.transport(), Transport::obfuscated(framing(&case["transport"])).unwrap());
    let expected = case["dc"].as_i64().filter(|_| !secrets.is_empty());
    assert_eq!(dc.map(i64::from), expected, "{}", case["name"]);
    codec
}

/// The packet inside a short frame of the vectors.
fn content(framing: Framing, plain: &[u8]) -> Frame {
    packet(&plain[if framing == Framing::Abridged { 1 } else { 4 }..])
}

const OBFUSCATED: [Transport; 3] = {
    let [_, _, _, _, obfuscated @ ..] = Transport::ALL;
    obfuscated
};

/// Rules: OBF-17, PRX-24, PRX-25: the header of a client that knew the secret is good once, whatever
///        is changed in it that makes no keys; so are as many as are remembered. A header that was
///        not accepted is not remembered, and without a secret none is.
#[test]
fn header_is_good_once_where_there_is_a_secret() {
    let secret = [1; 16];
    let wires: Vec<BytesMut> = (0..20)
        .map(|seed| {
            let options = ClientOptions { secret: Some(secret.into()), dc: 2 };
            let mut codec = Codec::client(OBFUSCATED[1], &options, CLIENT_LIMIT, &mut rng(seed));
            put(&mut codec, &[1; 24])[..].into()
        })
        .collect();
    let mut config = DetectConfig::default();
    config.secrets = vec![secret.into()];
    config.headers_kept = 8;
    let detect = Detect::new(config);
    let inside = detect.inside_tls();
    let is_accepted = |detect: &Detect, wire: &BytesMut| match detect.handle(&mut wire.clone()) {
        Detected::Codec(..) => true,
        Detected::Unknown => false,
        detected => panic!("{detected:?}"),
    };
    for wire in &wires {
        let mut broken = wire.clone();
        broken[60] ^= 1;
        broken[57] ^= 1;
        assert!(!is_accepted(&detect, &broken), "the tag is wrong");
        assert!(is_accepted(&detect, wire), "a wrong header was remembered");
        let mut changed = wire.clone();
        changed[0] = 0x44;
        changed[62] ^= 1;
        for again in [wire, &changed] {
            assert!(!is_accepted(&detect, again) && !is_accepted(&inside, again));
        }
    }
    // Of the earliest nothing is left; the last eight are there.
    assert!(wires[12..].iter().all(|wire| !is_accepted(&detect, wire)));
    assert!(is_accepted(&detect, &wires[0]));
    let open = listener(&[]);
    let wire = put(&mut client(OBFUSCATED[0]), &[1; 24]);
    for _ in 0..2 {
        assert!(is_accepted(&open, &wire[..].into()));
    }
}

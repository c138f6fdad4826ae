//! The four framings: lengths, flags, padding, numbers.

use std::collections::HashSet;

use bytes::{BufMut, BytesMut};
use chappe_proto::transport::{
    Codec, Frame, FrameError, Framing, HANDSHAKE_LIMIT, PACKET_MAX, PacketSize, Transport,
};

use crate::transport_ends::{
    ABRIDGED, FRAMINGS, FULL, INTERMEDIATE, PADDED, bytes, check, client, content, drain, frames,
    framing, list, packet, put, rng, server, tag, vectors, wants_quick_ack,
};

/// Rules:  TRN-03, TRN-05, TRN-11, TRN-12: what a server reads in each framing, with the question
///         for a quick acknowledgement, cut at every byte.
/// Source: `transports.json`, `frames`.
#[test]
fn server_reads_every_frame_of_the_vectors() {
    for case in list(&vectors("transports.json")["frames"]) {
        let framing = framing(&case["transport"]);
        let mut wire = bytes(&case["wire"]);
        if case["first"].as_bool() == Some(true) {
            wire.drain(..tag(framing).len());
        }
        let quick_ack_wanted = case["name"].as_str().unwrap().ends_with("quickack-request");
        let content = [bytes(&case["payload"]), bytes(&case["padding"])].concat();
        let expected = Frame::Packet { bytes: content[..].into(), quick_ack_wanted };
        check(|| server_due(framing, &case["seq"]), &wire, &Ok(vec![expected]));
    }
}

/// Rules:  TRN-01, TRN-03, TRN-11: what a client writes, the tag before its first frame.
/// Source: `transports.json`, `frames`.
#[test]
fn client_writes_every_frame_of_the_vectors() {
    for case in list(&vectors("transports.json")["frames"]) {
        let framing = framing(&case["transport"]);
        let mut codec = client(Transport::plain(framing));
        if case["first"].as_bool() != Some(true) {
            for _ in 0..case["seq"].as_u64().unwrap_or(1) {
                put(&mut codec, &[0; 24]);
            }
        }
        let mut out = BytesMut::new();
        let frame = codec.begin(&mut out);
        out.put_slice(&bytes(&case["payload"]));
        let asks = case["name"].as_str().unwrap().ends_with("quickack-request");
        let frame = if asks { frame.with_quick_ack() } else { frame };
        codec.finish(frame, &mut out, &mut rng(3)).unwrap();

        let wire = bytes(&case["wire"]);
        if framing == Framing::Padded {
            // Padding is random: the tag, then a packet that starts as it should.
            assert_eq!(out[..4], wire[..4]);
            assert_eq!(out[8..48], wire[8..48]);
            assert_eq!(out.len(), 8 + out[4] as usize);
        } else {
            assert_eq!(hex::encode(&out), hex::encode(wire), "{}", case["name"]);
        }
    }
}

/// Rules: TRN-01, TRN-02: a client sends its tag once and first, a server never.
#[test]
fn tag_is_sent_once_and_by_the_client_only() {
    for framing in FRAMINGS {
        let mut codec = client(Transport::plain(framing));
        let (first, second) = (put(&mut codec, &[7; 24]), put(&mut codec, &[7; 24]));
        assert!(first.starts_with(tag(framing)));
        let mut stream = first[tag(framing).len()..].to_vec();
        stream.extend(second);
        let got = frames(&mut server(framing), &stream).unwrap();
        assert_eq!(got.len(), 2, "{framing}");

        let answer = put(&mut server(framing), &[7; 24]);
        assert_eq!(frames(&mut client(Transport::plain(framing)), &answer).unwrap().len(), 1);
    }
}

/// Rule: TRN-03: the long abridged form begins at 127 words, in both directions.
#[test]
fn overlong_abridged_length_is_dropped() {
    for (words, expected) in [(1, 1), (126, 126)] {
        let error = FrameError::Overlong { words: expected };
        check(|| server(Framing::Abridged), &[0x7f, words, 0, 0], &Err(error.clone()));
        check(|| client(ABRIDGED), &[0x7f, words, 0, 0], &Err(error));
    }
    let mut wire = vec![0x7f, 127, 0, 0];
    wire.extend([5; 508]);
    check(|| client(ABRIDGED), &wire, &Ok(vec![packet(&[5; 508])]));

    assert_eq!(put(&mut server(Framing::Abridged), &[1; 504])[..2], [126, 1]);
    assert_eq!(put(&mut server(Framing::Abridged), &[1; 508])[..5], [0x7f, 127, 0, 0, 1]);
}

/// Rule: TRN-04: an abridged frame of no words is dropped, whatever its form and flag.
#[test]
fn empty_abridged_frame_is_dropped() {
    let empty = || Err(FrameError::TooShort { min: 4, got: 0 });
    check(|| server(Framing::Abridged), &[0], &empty());
    check(|| server(Framing::Abridged), &[0x80], &empty());
    check(|| client(ABRIDGED), &[0], &empty());
    check(|| server(Framing::Abridged), &[0x7f, 0, 0, 0], &Err(FrameError::Overlong { words: 0 }));
}

/// Rule: TRN-05: the question for a quick acknowledgement is about one frame, and its bit is no
///       part of the length.
#[test]
fn quick_ack_is_wanted_for_one_frame_only() {
    for framing in [Framing::Abridged, Framing::Intermediate, Framing::Padded] {
        for len in [24, 504, 508, 1024] {
            let mut codec = client(Transport::plain(framing));
            put(&mut codec, &[0; 24]);
            let mut out = BytesMut::new();
            for asks in [true, false] {
                let frame = codec.begin(&mut out);
                out.put_bytes(9, len);
                let frame = if asks { frame.with_quick_ack() } else { frame };
                codec.finish(frame, &mut out, &mut rng(4)).unwrap();
            }
            let got = frames(&mut server(framing), &out).unwrap();
            let flags: Vec<_> = got.iter().map(wants_quick_ack).collect();
            assert_eq!(flags, [true, false], "{framing} {len}");
        }
    }
}

/// Rule: TRN-07: an intermediate length is not zero and in whole words.
#[test]
fn intermediate_length_is_in_whole_words() {
    let check_both = |len: u32, expected: FrameError| {
        let expected = Err(expected);
        check(|| server(Framing::Intermediate), &len.to_le_bytes(), &expected);
        check(|| client(INTERMEDIATE), &len.to_le_bytes(), &expected);
    };
    check_both(0, FrameError::TooShort { min: 4, got: 0 });
    check_both(3, FrameError::TooShort { min: 4, got: 3 });
    for got in [5, 6, 7, 25] {
        check_both(got as u32, FrameError::Misaligned { got });
    }
    check(
        || server(Framing::Intermediate),
        &[4, 0, 0, 0, 1, 2, 3, 4],
        &Ok(vec![packet(&[1, 2, 3, 4])]),
    );
}

/// Rule: TRN-08: a padded length is at least one word, with any remainder.
#[test]
fn padded_length_has_any_remainder() {
    for got in 0..4 {
        let expected = Err(FrameError::TooShort { min: 4, got });
        check(|| server(Framing::Padded), &(got as u32).to_le_bytes(), &expected);
        check(|| client(PADDED), &(got as u32).to_le_bytes(), &expected);
    }
    for len in 4..=40_u8 {
        let content = vec![len; usize::from(len)];
        let wire = [&[len, 0, 0, 0], &content[..]].concat();
        check(|| server(Framing::Padded), &wire, &Ok(vec![packet(&content)]));
    }
}

/// Rules: TRN-09, QRK-05: each length of padding comes about equally often, up to 15 bytes from a
///        client and up to 3 from a server, whose clients cut no more off; 15 are accepted.
#[test]
fn padding_is_drawn_uniformly_and_short_from_a_server() {
    check_padding(client(PADDED), 16);
    check_padding(server(Framing::Padded), 4);

    let mut sender = server(Framing::Padded);
    let rng = &mut rng(7);
    let paddings: HashSet<Vec<u8>> = (0..100)
        .map(|_| {
            let mut out = BytesMut::new();
            sender.put(&[&[1; 40]], &mut out, rng).unwrap();
            out[44..].to_vec()
        })
        .collect();
    assert!(paddings.len() > 50, "{paddings:?}");

    let wire = [&[39, 0, 0, 0][..], &[1; 39]].concat();
    assert_eq!(frames(&mut client(PADDED), &wire).unwrap(), [packet(&[1; 39])]);
}

/// Rule: TRN-10: a full frame has at least one word of content and whole words, and a top bit that
///       is clear; a lone word of 4 is skipped and does not count.
#[test]
fn full_length_is_checked() {
    let check_server = |len: u32, expected: FrameError| {
        check(|| server(Framing::Full), &len.to_le_bytes(), &Err(expected));
    };
    for got in [0, 1, 3, 5, 8, 12, 15] {
        check_server(got, FrameError::TooShort { min: 16, got: got as usize });
    }
    check_server(17, FrameError::Misaligned { got: 17 });
    check_server(0x8000_0010, FrameError::TooLong { limit: HANDSHAKE_LIMIT, got: 0x8000_0010 });

    let mut codec = server(Framing::Full);
    codec.set_limit(usize::MAX);
    let expected = Err(FrameError::TooLong { limit: usize::MAX, got: 0x8000_0010 });
    assert_eq!(frames(&mut codec, &0x8000_0010_u32.to_le_bytes()), expected);

    let mut sender = client(FULL);
    let no_op = [4, 0, 0, 0];
    let wire =
        [&no_op[..], &put(&mut sender, &[1; 4]), &no_op, &no_op, &put(&mut sender, &[2; 24])]
            .concat();
    let expected = vec![Frame::Noop, packet(&[1; 4]), Frame::Noop, Frame::Noop, packet(&[2; 24])];
    check(|| server(Framing::Full), &wire, &Ok(expected));
}

/// Rule: TRN-11: full frames come in their order, without gap or repetition, in each direction by
///       its own count; a wrong number is seen before the content has come.
#[test]
fn full_frame_out_of_order_is_dropped() {
    let mut sender = client(FULL);
    let sent: Vec<_> = (0..3_u8).map(|n| put(&mut sender, &[n; 24])).collect();

    let wrong = |expected, got| Err(FrameError::Sequence { expected, got });
    let read = |order: &[usize]| {
        let wire: Vec<u8> = order.iter().flat_map(|&n| sent[n].clone()).collect();
        frames(&mut server(Framing::Full), &wire).map(|frames| frames.len())
    };
    assert_eq!(read(&[0, 1, 2]), Ok(3));
    assert_eq!(read(&[1]), wrong(0, 1));
    assert_eq!(read(&[0, 0]), wrong(1, 0));
    assert_eq!(read(&[0, 2]), wrong(1, 2));
    check(
        || server(Framing::Full),
        &sent[1][..8],
        &Err(FrameError::Sequence { expected: 0, got: 1 }),
    );

    let mut answering = server(Framing::Full);
    frames(&mut answering, &sent.concat()).unwrap();
    assert_eq!(put(&mut answering, &[0; 24])[4..8], [0; 4]);
}

/// Rule: TRN-12: any damaged byte of a full frame is noticed, and nothing of it is given out.
#[test]
fn damaged_full_frame_is_dropped() {
    let good = put(&mut client(FULL), &[3; 24]);
    for at in 8..good.len() {
        let mut wire = good.clone();
        wire[at] ^= 0x10;
        let error = frames(&mut server(Framing::Full), &wire).unwrap_err();
        assert!(matches!(error, FrameError::Crc { .. }), "{at}: {error}");
    }
}

/// Packets of impossible sizes are refused, and leave neither bytes nor a gap in the numbering.
#[test]
fn packet_of_impossible_size_is_not_sent() {
    let huge = vec![0; PACKET_MAX + 4];
    for framing in FRAMINGS {
        let mut codec = server(framing);
        let mut out = BytesMut::new();
        for packet in [&[][..], &[1; 3], &[1; 25], &huge] {
            let refused = codec.put(&[packet], &mut out, &mut rng(5));
            assert_eq!(refused, Err(PacketSize(packet.len())), "{framing}");
            assert!(out.is_empty());
        }
        codec.put(&[&huge[..PACKET_MAX]], &mut out, &mut rng(5)).unwrap();
        let mut reader = client(Transport::plain(framing));
        reader.set_limit(usize::MAX);
        let got = drain(&mut reader, &mut out).unwrap();
        assert!((PACKET_MAX..PACKET_MAX + 4).contains(&content(&got[0]).len()), "{framing}");
    }
}

#[test]
fn names_are_read_back() {
    for transport in Transport::ALL {
        assert_eq!(transport.to_string().parse(), Ok(transport));
    }
    for framing in FRAMINGS {
        assert_eq!(framing.to_string().parse(), Ok(framing));
    }
    assert_eq!(PADDED.to_string(), "padded");
    assert_eq!("obfuscated-padded".parse(), Ok(Transport::obfuscated(Framing::Padded).unwrap()));
    for wrong in ["", "Abridged", "obfuscated-", "obfuscated", "obfuscated-obfuscated-padded"] {
        assert!(wrong.parse::<Transport>().unwrap_err().to_string().contains(wrong));
    }
}

/// Holds each length of padding against its share of a thousand for each.
#[track_caller]
fn check_padding(mut codec: Codec, lengths: usize) {
    let mut seen = vec![0; lengths];
    let rng = &mut rng(6);
    codec.put(&[&[1; 40]], &mut BytesMut::new(), rng).unwrap();
    for _ in 0..1000 * lengths {
        let mut out = BytesMut::new();
        codec.put(&[&[1; 40]], &mut out, rng).unwrap();
        seen[usize::from(out[0]) - 40] += 1;
    }
    assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
}

/// A server whose next frame has the number the vector gives.
fn server_due(framing: Framing, seq: &serde_json::Value) -> Codec {
    let mut codec = server(framing);
    let mut sender = client(Transport::plain(framing));
    for _ in 0..seq.as_u64().unwrap_or(0) {
        frames(&mut codec, &put(&mut sender, &[0; 24])).unwrap();
    }
    codec
}

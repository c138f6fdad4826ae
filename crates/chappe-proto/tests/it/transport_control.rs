//! Control frames, quick acknowledgements, and where a packet ends.

use bytes::BytesMut;
use chappe_proto::transport::{
    CLIENT_LIMIT, Frame, FrameError, Framing, HANDSHAKE_LIMIT, PayloadError, Transport, payload_len,
};
use proptest::prelude::*;

use crate::transport_ends::{
    ABRIDGED, FULL, INTERMEDIATE, PADDED, bytes, check, client, frames, framing, list, packet, put,
    rng, server, vectors, wants_quick_ack,
};

/// Rule:   TRN-31: an error is a frame of the connection's framing; in padded it goes without
///         padding, since clients know it by its 4 bytes. A client takes it with padding, too.
/// Source: `transports.json`, `errors`.
#[test]
fn transport_error_is_framed() {
    for case in list(&vectors("transports.json")["errors"]) {
        let framing = framing(&case["transport"]);
        let code = -i32::try_from(case["code"].as_i64().unwrap()).unwrap();
        let wire = bytes(&case["wire"]);
        let plain = Transport::plain(framing);
        check(|| client(plain), &wire, &Ok(vec![Frame::Error(code)]));

        let mut out = BytesMut::new();
        server(framing).put_error(code, &mut out);
        match framing {
            Framing::Padded => assert_eq!(out[..], [&[4, 0, 0, 0], &wire[4..8]].concat()),
            _ => assert_eq!(out, wire),
        }
        assert_eq!(frames(&mut client(plain), &out), Ok(vec![Frame::Error(code)]));
    }
}

/// Rules:  TRN-06, TRN-28, TRN-29: a server acknowledges in the form of its framing, in padded with
///         a frame of 15 bytes at most; a client understands each form, bare or framed.
/// Source: `transports.json`, `quick_ack`.
#[test]
fn quick_ack_is_understood_in_every_form() {
    let case = &vectors("transports.json")["quick_ack"];
    let token = case["token_u32"].as_str().unwrap();
    let token = u32::from_str_radix(token.trim_start_matches("0x"), 16).unwrap();
    let read = |transport, reply: &str| {
        check(|| client(transport), &bytes(&case[reply]), &Ok(vec![Frame::QuickAck(token)]));
    };
    read(ABRIDGED, "reply_abridged");
    read(INTERMEDIATE, "reply_intermediate");
    read(PADDED, "reply_padded_framed");
    read(PADDED, "reply_padded_bare");

    let write = |framing, seed| {
        let mut out = BytesMut::new();
        server(framing).put_quick_ack(token, &mut out, &mut rng(seed));
        out.to_vec()
    };
    assert_eq!(write(Framing::Abridged, 1), bytes(&case["reply_abridged"]));
    assert_eq!(write(Framing::Intermediate, 1), bytes(&case["reply_intermediate"]));
    assert!(write(Framing::Full, 1).is_empty());
    for seed in 0..50 {
        let framed = write(Framing::Padded, seed);
        assert_eq!(framed[4..12], bytes(&case["reply_padded_framed"])[4..12]);
        assert!((8..=15).contains(&framed[0]) && framed.len() == 4 + usize::from(framed[0]));
    }
    check_request(Framing::Abridged, &bytes(&case["request_abridged"]));
    check_request(Framing::Intermediate, &bytes(&case["request_intermediate"]));
}

/// Rule: TRN-28: a short frame whose first word is 0 means nothing, with padding or without.
#[test]
fn framed_no_op_is_ignored() {
    for len in 4..20 {
        let wire = [&[len, 0, 0, 0, 0, 0, 0, 0][..], &vec![0xab; usize::from(len) - 4]].concat();
        check(|| client(PADDED), &wire, &Ok(vec![Frame::Noop]));
    }
    check(|| client(INTERMEDIATE), &[4, 0, 0, 0, 0, 0, 0, 0], &Ok(vec![Frame::Noop]));
    check(|| client(ABRIDGED), &[1, 0, 0, 0, 0], &Ok(vec![Frame::Noop]));
    check(|| client(FULL), &put(&mut server(Framing::Full), &[0; 4]), &Ok(vec![Frame::Noop]));
}

/// Rule: TRN-35: in full framing a client takes a negative length for an error code, once for each
///       time it comes; a server does not.
#[test]
fn bare_negative_word_is_an_error_in_full_framing() {
    let word = (-429_i32).to_le_bytes();
    let twice = [word, word].concat();
    check(|| client(FULL), &twice, &Ok(vec![Frame::Error(429), Frame::Error(429)]));
    check(|| client(FULL), &i32::MIN.to_le_bytes(), &Ok(vec![Frame::Error(i32::MAX)]));
    // The highest positive one is a length, which no frame has.
    let got = i32::MAX as usize;
    let too_long = FrameError::TooLong { limit: CLIENT_LIMIT, got };
    check(|| client(FULL), &i32::MAX.to_le_bytes(), &Err(too_long));
    assert!(matches!(
        frames(&mut server(Framing::Full), &word),
        Err(FrameError::TooLong { limit: HANDSHAKE_LIMIT, .. })
    ));
}

/// Rule: TRN-36: a short frame from a server that opens with a positive word is dropped; 20 bytes
///       are a message.
#[test]
fn short_frame_with_a_positive_word_is_dropped() {
    for len in 4..20_u8 {
        let wire = [&[len, 0, 0, 0, 7, 0, 0, 0][..], &vec![0; usize::from(len) - 4]].concat();
        check(|| client(PADDED), &wire, &Err(FrameError::Control { got: 7 }));
    }
    let message = [7; 20];
    let wire = [&[20, 0, 0, 0][..], &message].concat();
    check(|| client(INTERMEDIATE), &wire, &Ok(vec![packet(&message)]));
    // −1 without a token is a code like any other; so is the lowest number there is.
    check(|| client(ABRIDGED), &[1, 0xff, 0xff, 0xff, 0xff], &Ok(vec![Frame::Error(1)]));
    check(|| client(ABRIDGED), &[1, 0, 0, 0, 0x80], &Ok(vec![Frame::Error(i32::MAX)]));
    // A server gets no control frames: the packet is too short for whoever opens it.
    check(|| server(Framing::Abridged), &[1, 7, 0, 0, 0], &Ok(vec![packet(&[7, 0, 0, 0])]));
}

/// Rule: TRN-30: where the packet ends, on any transport: by its own length, or after its last
///       whole cipher block; what is cut to nothing is answered with 404.
#[test]
fn packet_ends_before_its_padding() {
    let plain = |content: u32, rest: usize| {
        let mut frame = vec![0; 16];
        frame.extend(content.to_le_bytes());
        frame.resize(20 + rest, 1);
        payload_len(&frame)
    };
    for padding in 0..16 {
        assert_eq!(plain(20, 20 + padding), Ok(40));
        let sealed = vec![1; 24 + 48 + padding];
        assert_eq!(payload_len(&sealed), Ok(72), "padding of {padding}");
    }
    assert_eq!(plain(4, 4), Ok(24));
    assert_eq!(plain(5, 4), Err(PayloadError::Truncated { need: 25, got: 24 }));
    let need = 20 + u64::from(u32::MAX);
    assert_eq!(plain(u32::MAX, 4), Err(PayloadError::Truncated { need, got: 24 }));
    assert_eq!(plain(0, 4), Err(PayloadError::Empty));
    for got in 0..20 {
        assert_eq!(payload_len(&vec![1; got]), Err(PayloadError::Truncated { need: 20, got }));
    }
    assert_eq!(payload_len(&[1; 23]), Err(PayloadError::Truncated { need: 24, got: 23 }));
    for len in 24..40 {
        assert_eq!(payload_len(&vec![1; len]), Err(PayloadError::Empty));
    }
    assert_eq!(payload_len(&[1; 40]), Ok(40));
    // Eight zero bytes make a packet unencrypted, seven do not.
    let mut sealed = [0; 40];
    sealed[7] = 1;
    assert_eq!(payload_len(&sealed), Ok(40));
    assert_eq!(PayloadError::Empty.transport_code(), 404);
}

proptest! {
    #[test]
    fn payload_never_exceeds_its_frame(frame in prop::collection::vec(0..2_u8, 0..100)) {
        if let Ok(len) = payload_len(&frame) {
            prop_assert!((20..=frame.len()).contains(&len));
        }
    }
}

#[track_caller]
fn check_request(framing: Framing, wire: &[u8]) {
    let got = frames(&mut server(framing), wire).unwrap();
    assert!(got.iter().all(wants_quick_ack) && got.len() == 1);
}

//! What is said on a link between proxies, word for word, and which packets may be passed on.

use bytes::BytesMut;
use chappe_proto::middle::messages::{
    AdTag, Answer, ConnId, Message, MessageError, Note, Origin, Request,
};
use chappe_proto::middle::packet::{Implausible, Kind, judge};
use chappe_proto::transport::Framing;
use proptest::prelude::*;

use crate::middle_ends::{middle_vectors, origin};
use crate::transport_ends::bytes;

/// Rules:  MPX-17, MPX-19: a request with an ad tag.
/// Source: `middle_proxy.json`, `proxy_req`.
#[test]
fn request_is_as_in_the_vectors() {
    let vector = &middle_vectors()["proxy_req"];
    let (wire, packet) = (bytes(&vector["bytes"]), bytes(&vector["payload"]));
    let origin = Origin {
        client: vector["client"].as_str().unwrap().parse().unwrap(),
        proxy: vector["our"].as_str().unwrap().parse().unwrap(),
        framing: Framing::Abridged,
        ad_tag: Some(AdTag(bytes(&vector["ad_tag"]).try_into().unwrap())),
    };
    let client = ConnId(1);
    let request =
        Request { client, origin, is_plain: true, quick_ack_wanted: false, follows_loss: false };
    let decoded = Message::decode(wire[..].into()).unwrap();
    assert_eq!(decoded, Message::Request(Box::new(request.clone()), packet[..].into()));
    assert_eq!([request.encode(), packet].concat(), wire);
}

/// Rules: MPX-17, MPX-18: the flags of a request say what the client speaks and wants; without an ad
///        tag nothing more is said of it.
#[test]
fn flags_say_what_the_client_speaks_and_wants() {
    let check = |framing, ad: bool, is_plain, quick_ack_wanted, flags: u32, len| {
        let ad_tag = ad.then_some(AdTag([6; 16]));
        let origin = Origin { ad_tag, ..origin(framing) };
        let client = ConnId(-2);
        let request = Request { client, origin, is_plain, quick_ack_wanted, follows_loss: false };
        let head = request.encode();
        assert_eq!((head.len(), &head[4..8]), (len, &flags.to_le_bytes()[..]), "{request:?}");
        let decoded = Message::decode([&head[..], &[1; 8]].concat()[..].into()).unwrap();
        assert_eq!(decoded, Message::Request(Box::new(request), [1; 8][..].into()));
    };
    check(Framing::Abridged, false, false, false, 0x4002_1000, 56);
    check(Framing::Intermediate, false, false, false, 0x2002_1000, 56);
    check(Framing::Padded, false, false, false, 0x2802_1000, 56);
    check(Framing::Padded, false, false, true, 0xa802_1000, 56);
    check(Framing::Intermediate, false, true, false, 0x2002_1002, 56);
    check(Framing::Abridged, true, true, false, 0x4002_100a, 84);
}

/// Rules:  MPX-11, MPX-12, MPX-13: each message, read and written.
/// Source: `middle_proxy.json`, `encrypted_frames`; 15-proxy.md, 8.1.
#[test]
fn messages_have_their_published_forms() {
    let (ping, pong) = (0x5730_a2df_u32, 0x8430_eaa7_u32);
    let id = [1, 2, 3, 4, 5, 6, 7, 8];
    let number = i64::from_le_bytes(id);
    let client = ConnId(number);
    let check = |kind: u32, rest: &[u8], note: Note| {
        let wire = [&kind.to_le_bytes()[..], rest].concat();
        assert_eq!(note.encode(), wire);
        assert_eq!(Message::decode(wire[..].into()), Ok(Message::Note(note)));
    };
    check(ping, &id, Note::Ping(number));
    check(pong, &id, Note::Pong(number));
    check(0x5eb6_34a2, &id, Note::Drop(client));
    check(0x1fcf_425d, &id, Note::Gone(client));
    check(0x3bac_409b, &[&id[..], &[9; 4]].concat(), Note::QuickAck(client, 0x0909_0909));
    let error = [&[0x18, 0, 0, 0], &id[..], &(-404_i32).to_le_bytes()].concat();
    check(0x4403_da0d, &error, Note::Error(client, 404));

    for (flush, flags) in [(false, 0_u32), (true, 8)] {
        let answer = Answer { client, flush };
        let head = [0x4403_da0d_u32.to_le_bytes(), flags.to_le_bytes()].concat();
        assert_eq!(answer.encode(), [head, id.to_vec()].concat());
        let wire = [answer.encode(), vec![7; 12]].concat();
        let expected = Message::Answer(answer, [7; 12][..].into());
        assert_eq!(Message::decode(wire[..].into()), Ok(expected));
    }
    // The flag of an error on what is none.
    let wire = [&0x4403_da0d_u32.to_le_bytes(), &[0x10, 0, 0, 0], &id[..], &[7; 8]].concat();
    let expected = Message::Answer(Answer { client, flush: false }, [7; 8][..].into());
    assert_eq!(Message::decode(wire[..].into()), Ok(expected));
    assert_eq!(Message::decode([1, 2, 3, 4, 5][..].into()), Ok(Message::Unknown(0x0403_0201)));
}

/// Rule: MPX-13: known messages of a wrong length are none.
#[test]
fn message_of_a_wrong_length_is_an_error() {
    let check = |kind: u32, right: usize| {
        for got in (4..=right + 4).step_by(4).filter(|got| *got != right) {
            let mut wire = kind.to_le_bytes().to_vec();
            wire.resize(got, 0);
            let error = Message::decode(wire[..].into()).unwrap_err();
            assert_eq!(error, MessageError::Length { kind, got });
        }
    };
    for kind in [0x5730_a2df, 0x8430_eaa7, 0x5eb6_34a2, 0x1fcf_425d] {
        check(kind, 12);
    }
    check(0x3bac_409b, 16);
    assert!(Message::decode(0x4403_da0d_u32.to_le_bytes()[..].into()).is_err());
    assert!(Message::decode([1, 2][..].into()).is_err());
}

/// Rule: MPX-19: what is said of a client has at most 16,384 bytes, in whole words and within the
///       message; parts that are not known are passed over.
#[test]
fn what_is_said_of_a_client_has_its_limits() {
    let tag = [&0xdb1e_26ae_u32.to_le_bytes()[..], &[16], &[6; 16], &[0; 3]].concat();
    let http =
        [&0xd45a_b381_u32.to_le_bytes()[..], b"\x01a\0\0", b"\x05bcdef\0\0", &[0; 4]].concat();
    let long = [&0xd45a_b381_u32.to_le_bytes()[..], &[254, 44, 1, 0], &[1; 300], &[0; 8]].concat();
    let decode = |len: usize, extra: &[u8]| {
        let head = Request {
            client: ConnId(5),
            origin: origin(Framing::Abridged),
            is_plain: false,
            quick_ack_wanted: false,
            follows_loss: false,
        };
        let mut wire = head.encode();
        wire[4] |= 0xc;
        wire.extend((len as u32).to_le_bytes());
        wire.extend(extra);
        wire.extend([2; 8]);
        match Message::decode(wire[..].into())? {
            Message::Request(request, packet) => {
                assert_eq!(packet, [2; 8][..]);
                Ok(request.origin.ad_tag)
            }
            other => panic!("{other:?}"),
        }
    };
    let check = |extra: &[u8], expected: Option<AdTag>| {
        assert_eq!(decode(extra.len(), extra), Ok(expected), "{extra:?}");
    };
    let found = Some(AdTag([6; 16]));
    check(&tag, found);
    check(&http, None);
    check(&[http.clone(), tag.clone()].concat(), found);
    check(&[tag.clone(), http].concat(), found);
    check(&[long, tag.clone()].concat(), found);
    check(&[], None);
    check(&[[1; 4].to_vec(), tag.clone()].concat(), None);
    // Tags that are none, and such as end too early.
    check(&[&0xdb1e_26ae_u32.to_le_bytes()[..], &[3, 1, 2, 3]].concat(), None);
    check(&tag[..20], None);
    check(&[0xae, 0x26, 0x1e, 0xdb, 254, 255, 255, 255], None);
    check(&vec![0; 16_384], None);

    assert_eq!(decode(16_388, &vec![0; 16_388]), Err(MessageError::Extra(16_388)));
    assert_eq!(decode(usize::MAX, &[]), Err(MessageError::Extra(u32::MAX as usize)));
    for (len, extra) in [(3, 3), (4096, 8), (tag.len() + 8, tag.len())] {
        let error = decode(len, &vec![0; extra]).unwrap_err();
        assert!(matches!(error, MessageError::Length { .. }), "{len}: {error}");
    }
}

/// Rule: MPX-10: what may be passed on is in whole words, 56 bytes to 1,044,480 under a key, and
///       otherwise one of four functions that fits its frame.
#[test]
fn only_plausible_packets_are_passed_on() {
    let check = |frame: &[u8], expected: Option<Kind>| {
        let expected = match expected {
            Some(kind) => Ok((frame, kind)),
            None => Err(Implausible(frame.len())),
        };
        assert_eq!(judge(frame, Framing::Intermediate), expected);
    };
    for len in [0, 4, 8, 24, 52, 57, 58, 59, 1_044_484] {
        check(&vec![1; len], None);
    }
    for len in [56, 60, 1_044_480] {
        check(&vec![1; len], Some(Kind::Encrypted));
    }
    for function in [0x6046_9778, 0xbe7e_8ef1, 0xd712_e4be, 0xf504_5f1f] {
        check(&plain(20, function, 20), Some(Kind::Plain));
        check(&plain(320, function, 320), Some(Kind::Plain));
        check(&plain(20, function, 32), Some(Kind::Plain));
        check(&plain(16, function, 16), None);
        check(&plain(16, function, 20), None);
        check(&plain(24, function, 20), None);
        check(&plain(u32::MAX, function, 40), None);
    }
    check(&plain(20, 0x7abe_77ec, 20), None);
    check(&[0; 40], None);
    check(&[0; 8], None);
}

/// Rule: MPX-09: of a padded frame whole words are passed on; who receives them finds out how many
///       are padding.
#[test]
fn padding_is_cut_to_whole_words() {
    for padding in 0..16 {
        let frame = vec![1; 72 + padding];
        let whole = &frame[..72 + padding / 4 * 4];
        assert_eq!(judge(&frame, Framing::Padded), Ok((whole, Kind::Encrypted)));
        let mut frame = plain(20, 0xbe7e_8ef1, 20);
        frame.resize(40 + padding, 3);
        let whole = &frame[..40 + padding / 4 * 4];
        assert_eq!(judge(&frame, Framing::Padded), Ok((whole, Kind::Plain)));
    }
    assert!(judge(&[1; 59], Framing::Padded).is_ok());
    assert!(judge(&[1; 55], Framing::Padded).is_err());
}

proptest! {
    /// Rule: MPX-19: nothing that a peer sends makes the reader panic, and what it reads it can write.
    #[test]
    fn reader_takes_anything(
        kind in prop::sample::select(vec![
            0x5730_a2df_u32, 0x8430_eaa7, 0x36ce_f1ee, 0x4403_da0d, 0x3bac_409b, 0x5eb6_34a2,
            0x1fcf_425d, 0,
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let wire = BytesMut::from(&[&kind.to_le_bytes()[..], &rest].concat()[..]);
        match Message::decode(wire.clone()) {
            Ok(Message::Note(note @ Note::Error(..))) => {
                // The sign of a code says nothing.
                prop_assert_eq!(Message::decode(note.encode()[..].into()), Ok(Message::Note(note)));
            }
            Ok(Message::Note(note)) => prop_assert_eq!(note.encode(), wire),
            Ok(Message::Request(request, packet)) => {
                let again = [&request.encode()[..], &packet].concat();
                let expected = Message::Request(request, packet);
                prop_assert_eq!(Message::decode(again[..].into()), Ok(expected));
            }
            Ok(Message::Answer(_, packet)) => prop_assert_eq!(&packet[..], &wire[16..]),
            Ok(Message::Unknown(got)) => prop_assert_eq!(got, kind),
            Err(_) => {}
        }
    }
}

fn plain(len: u32, function: u32, content: usize) -> Vec<u8> {
    let mut frame = [&[0; 8][..], &[9; 8], &len.to_le_bytes(), &function.to_le_bytes()].concat();
    frame.resize(20 + content, 4);
    frame
}

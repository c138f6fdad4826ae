//! Frames in pieces, limits, and peers that send anything.

use bytes::{BufMut, BytesMut};
use chappe_proto::transport::{
    CLIENT_LIMIT, Codec, Detected, Frame, FrameError, Framing, HANDSHAKE_LIMIT, SERVER_LIMIT,
    Transport,
};
use proptest::prelude::*;

use crate::transport_ends::{
    FRAMINGS, client, content, frames, in_pieces, length, listener, put, rng, server,
};

/// Rule: TRN-14: frames in one piece come out one by one, and a frame in many pieces comes out as
///       one.
#[test]
fn frames_and_pieces_are_independent() {
    for framing in FRAMINGS {
        let mut sender = server(framing);
        let wire: Vec<u8> = (1..=3_u8).flat_map(|n| put(&mut sender, &[n; 24])).collect();
        for size in 1..=wire.len() {
            let mut codec = client(Transport::plain(framing));
            let got = in_pieces(&mut codec, wire.chunks(size)).unwrap();
            let firsts: Vec<_> = got.iter().map(|frame| content(frame)[..24].to_vec()).collect();
            assert_eq!(firsts, [[1; 24], [2; 24], [3; 24]], "{framing} by {size}");
        }
    }
}

/// Rule: TRN-15: a frame that never ends is never given out.
#[test]
fn half_a_frame_is_nothing() {
    for framing in FRAMINGS {
        let wire = put(&mut server(framing), &[1; 600]);
        for len in 0..wire.len() {
            let mut codec = client(Transport::plain(framing));
            assert_eq!(frames(&mut codec, &wire[..len]), Ok(vec![]), "{framing} {len}");
        }
    }
}

/// Rules: TRN-16, TRN-37: a length above the limit is refused with the last byte of the length
///        field, and one at the limit is not, but nothing is reserved for it.
#[test]
fn length_is_judged_at_once_and_reserves_nothing() {
    for framing in FRAMINGS {
        for limit in [1024, SERVER_LIMIT] {
            let mut codec = server(framing);
            codec.set_limit(limit);
            let (at_limit, above) = (length(framing, limit), length(framing, limit + 4));

            let mut input = BytesMut::with_capacity(64);
            input.put_slice(&above[..above.len() - 1]);
            assert_eq!(codec.next(&mut input), Ok(None), "{framing}");
            input.put_slice(&above[above.len() - 1..]);
            let error = FrameError::TooLong { limit, got: limit + 4 };
            assert_eq!(error.transport_code(), Some(404));
            assert_eq!(codec.next(&mut input), Err(error.clone()), "{framing}");
            assert_eq!(codec.next(&mut input), Err(error), "{framing} goes on after an error");

            let mut codec = server(framing);
            codec.set_limit(limit);
            let mut input = BytesMut::with_capacity(64);
            input.put_slice(&at_limit);
            assert_eq!(codec.next(&mut input), Ok(None), "{framing}");
            assert_eq!(input.capacity(), 64);
        }
    }
}

/// Rules: TRN-37, TRN-38: before a key is shown a server takes 4096 bytes and no more; the caller
///        raises that, also for a frame that has begun to come. A client takes 4 MiB and 1 KiB.
#[test]
fn limit_starts_low_and_can_be_raised() {
    for framing in FRAMINGS {
        let mut codec = server(framing);
        assert_eq!(codec.limit(), 4096);
        let mut input = BytesMut::from(&length(framing, 4100)[..]);
        assert!(codec.next(&mut input).is_err());
        codec.set_limit(SERVER_LIMIT);
        assert_eq!(codec.next(&mut input), Ok(None));

        let mut codec = client(Transport::plain(framing));
        assert_eq!(codec.limit(), CLIENT_LIMIT);
        assert_eq!(frames(&mut codec, &length(framing, CLIENT_LIMIT)), Ok(vec![]));
        let mut codec = client(Transport::plain(framing));
        assert!(frames(&mut codec, &length(framing, CLIENT_LIMIT + 4)).is_err());
    }
    assert_eq!((SERVER_LIMIT, CLIENT_LIMIT), (1_044_480, 4_195_328));
}

/// Rule: TRN-38: a server sees which key a packet is for as soon as those bytes have come, also
///       when the packet is above the limit of the moment; what has not come it does not see.
#[test]
fn beginning_of_a_packet_is_seen_before_its_end() {
    let key_id = *b"key id 8";
    let sent = [&key_id[..], &[1; 8184]].concat();
    for transport in Transport::ALL {
        let mut wire = BytesMut::from(&put(&mut client(transport), &sent)[..]);
        let Detected::Codec(mut codec, None) = listener(&[]).handle(&mut wire) else {
            panic!("{transport} is not recognised");
        };
        let mut input = BytesMut::new();
        for (at, byte) in wire[..30].iter().enumerate() {
            input.put_u8(*byte);
            let judged = codec.next(&mut input);
            let header = at + 1 - codec.begun(&input).unwrap().len();
            assert!(matches!(judged, Ok(None) | Err(FrameError::TooLong { .. })));
            assert!(header == at + 1 || [4, 8].contains(&header), "{transport}");
            assert!(sent.starts_with(codec.begun(&input).unwrap()));
        }
        assert!(codec.begun(&input).unwrap().starts_with(&key_id), "{transport}");
        codec.set_limit(SERVER_LIMIT);
        assert_eq!(codec.next(&mut input), Ok(None));
        input.extend_from_slice(&wire[30..]);
        let frame = codec.next(&mut input).unwrap().unwrap();
        assert!(content(&frame).starts_with(&sent));

        // What no call has brought out of hiding is not shown.
        input.extend_from_slice(&[0xff; 40]);
        assert!(!transport.is_obfuscated() || codec.begun(&input).unwrap().is_empty());
    }
}

/// Rules: TRN-38, TRN-14: what is seen of a packet ends with it, whatever has come behind.
#[test]
fn beginning_of_a_packet_ends_with_it() {
    for (framing, header) in [(Framing::Abridged, &[2][..]), (Framing::Intermediate, &[8, 0, 0, 0])]
    {
        let input = [header, &[5; 8], header, &[6; 8]].concat();
        assert_eq!(server(framing).begun(&input), Ok(&[5; 8][..]), "{framing}");
    }
}

/// Rule: TRN-13: a tag in the middle of a stream does not change its framing.
#[test]
fn later_tag_is_an_ordinary_length() {
    for (framing, tag) in [(Framing::Intermediate, [0xdd; 4]), (Framing::Padded, [0xee; 4])] {
        let wire = [put(&mut server(framing), &[1; 24]), tag.to_vec()].concat();
        let mut codec = server(framing);
        let got = (u32::from_le_bytes(tag) & 0x7fff_ffff) as usize;
        let expected = Err(FrameError::TooLong { limit: HANDSHAKE_LIMIT, got });
        assert_eq!(frames(&mut codec, &wire), expected);
        assert_eq!(codec.transport(), Transport::plain(framing));
    }
}

/// A packet is given out in place: in the memory it was read into.
#[test]
fn packet_is_not_copied() {
    for framing in FRAMINGS {
        let mut input = BytesMut::from(&put(&mut server(framing), &[1; 640])[..]);
        let start = input.as_ptr() as usize;
        let end = start + input.len();
        let frame = client(Transport::plain(framing)).next(&mut input).unwrap().unwrap();
        assert!((start..end).contains(&(content(&frame).as_ptr() as usize)), "{framing}");
    }
}

proptest! {
    /// What a peer sends never panics and gives the same however it is cut.
    #[test]
    fn garbage_is_judged_alike_however_it_comes(
        wire in prop::collection::vec(any::<u8>(), 0..200),
        // Small numbers in front make lengths that can be.
        len in prop::option::of(0..60_u8),
        sizes in prop::collection::vec(1..20_usize, 1..50),
    ) {
        let wire = [len.map(|len| vec![len, 0, 0, 0]).unwrap_or_default(), wire].concat();
        for framing in FRAMINGS {
            for make in [|framing| client(Transport::plain(framing)), server] {
                let whole = up_to_error(&mut make(framing), [&wire[..]]);
                let mut rest = &wire[..];
                let pieces = sizes.iter().cycle().map_while(|size| {
                    let piece = rest.split_off(..(*size).min(rest.len()))?;
                    (!piece.is_empty()).then_some(piece)
                });
                let cut = up_to_error(&mut make(framing), pieces);
                prop_assert_eq!(whole, cut);
            }
        }
    }

    /// Any packets arrive over any transport, in both directions, however they are cut.
    #[test]
    fn packets_arrive(
        lens in prop::collection::vec(5..300_usize, 1..8),
        size in 1..700_usize,
        seed: u8,
    ) {
        let rng = &mut rng(seed);
        for transport in Transport::ALL {
            let packets: Vec<Vec<u8>> = lens.iter().map(|len| vec![*len as u8; len * 4]).collect();
            let mut sender = client(transport);
            let mut wire = BytesMut::new();
            for packet in &packets {
                let (front, back) = packet.split_at(packet.len() / 3);
                sender.put(&[front, back], &mut wire, rng).unwrap();
            }
            let mut receiver = match listener(&[]).handle(&mut wire) {
                Detected::Codec(codec, None) => codec,
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(receiver.transport(), transport);
            check_packets(&mut receiver, &wire, size, &packets);

            let mut wire = BytesMut::new();
            for packet in &packets {
                receiver.put(&[packet], &mut wire, rng).unwrap();
            }
            check_packets(&mut sender, &wire, size, &packets);
        }
    }
}

/// Holds what comes in pieces of `size` against the packets sent, which padding may follow.
fn check_packets(codec: &mut Codec, wire: &[u8], size: usize, packets: &[Vec<u8>]) {
    let got = in_pieces(codec, wire.chunks(size)).unwrap();
    assert_eq!(got.len(), packets.len());
    for (frame, packet) in got.iter().zip(packets) {
        assert_eq!(&content(frame)[..packet.len()], packet);
    }
}

/// The frames before the first error, and that error.
fn up_to_error<'a>(
    codec: &mut Codec,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Frame>, Option<FrameError>) {
    let mut input = BytesMut::new();
    let mut frames = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match codec.next(&mut input) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

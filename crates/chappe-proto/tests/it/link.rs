//! Links: one connection, seen by a server whose client a test writes by hand, or the other way
//! round.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::{AuthKey, AuthKeyId};
use chappe_proto::envelope::encrypted::{self, Header, Message, PacketError};
use chappe_proto::envelope::plain;
use chappe_proto::handshake::client::{self, DhGen, KeyRequest};
use chappe_proto::handshake::server::Origin;
use chappe_proto::link::{CloseReason, Link, LinkConfig, LinkEvent};
use chappe_proto::transport::{
    CLIENT_LIMIT, Carrier, ClientOptions, Codec, Detect, DetectConfig, Frame, FrameError, Framing,
    SERVER_LIMIT, Transport,
};
use chappe_proto::{LinkId, MsgId, Now, SessionId, Side};
use proptest::prelude::*;

use crate::handshake_ends::{Said, Server, at, identity};
use crate::transport_ends::{ABRIDGED, PADDED, drain, length, rng};

/// Rule: TRN-22: a client that has sent no complete packet is let go after ten seconds, however much
///       of one it has sent.
#[test]
fn first_packet_must_come_in_time() {
    let mut end = ServerEnd::new(ABRIDGED);
    assert_eq!(end.link.poll_timeout(), Some(at(10).mono));
    let wire = end.wire(&plain_packet(4, &[1; 20]));
    for (second, byte) in wire[..9].iter().enumerate() {
        end.now = at(second as u64 + 1);
        assert!(end.hear(&[*byte]).is_empty());
    }
    assert!(end.timeout(Now { mono: Duration::from_millis(9999), ..at(9) }).is_empty());
    assert_eq!(end.timeout(at(10)), [Seen::Closed(CloseReason::Silent)]);
    assert_eq!(end.link.poll_timeout(), None);
    assert!(end.said().is_empty());
}

/// Rules: TRN-17, TRN-22: what carries our transports is handed over at the byte that tells, with all
///        that was heard; nothing is said, and nothing is waited for any more.
#[test]
fn carriers_are_handed_over_with_what_was_heard() {
    for (opening, told, carrier) in [
        (&b"POST /api HTTP/1.1"[..], 4, Carrier::Http),
        (b"OPTIONS /apiw1", 4, Carrier::Http),
        (b"HEAD / HTTP/1.1", 4, Carrier::Http),
        (b"GET /apiws HTTP/1.1", 4, Carrier::Http),
        (&[0x16, 3, 1, 7, 0, 1, 0], 3, Carrier::Tls),
    ] {
        for cut in 0..=opening.len() {
            let mut end = ServerEnd::new(ABRIDGED);
            let mut config = DetectConfig::default();
            (config.http, config.websocket, config.tls) = (true, true, true);
            let detect = Arc::new(Detect::new(config));
            end.link = Link::server(at(0), LinkConfig::server(), detect, rng(1));
            let begun = end.hear(&opening[..cut]);
            assert_eq!(begun.is_empty(), cut < told, "{carrier} after {cut}");
            let seen = if begun.is_empty() { end.hear(&opening[cut..]) } else { begun };
            assert_eq!(seen, [Seen::Closed(CloseReason::HandOver(carrier))]);
            assert_eq!(end.input, opening[..if cut < told { opening.len() } else { cut }]);
            assert!(!end.link.wants_bytes() && end.link.poll_timeout().is_none());
            assert!(end.said().is_empty());
        }
    }
}

/// Rule: TRN-42: after each packet a client may be silent for ten minutes.
#[test]
fn silence_ends_a_link_after_ten_minutes() {
    let mut end = ServerEnd::new(ABRIDGED);
    for second in [9, 608, 1207] {
        assert!(end.timeout(at(second)).is_empty());
        let wire = end.wire(&plain_packet(4, &[1; 20]));
        assert_eq!(end.hear(&wire), [Seen::Plain(20)]);
        assert_eq!(end.link.poll_timeout(), Some(at(second + 600).mono));
    }
    assert!(end.timeout(at(1806)).is_empty());
    assert_eq!(end.timeout(at(1807)), [Seen::Closed(CloseReason::Silent)]);
}

/// Rules: TRN-21, TRN-22: a stranger is heard and never answered, nothing of what it says is kept,
///        and its time is as short as everybody's.
#[test]
fn stranger_is_heard_until_the_deadline() {
    let mut end = ServerEnd::new(ABRIDGED);
    for second in 0..9 {
        end.now = at(second);
        assert!(end.hear(b"GET / HTTP/1.1\r\n\r\n").is_empty());
        assert!(end.input.is_empty() && end.link.wants_bytes());
    }
    end.link.fail(end.now, 404);
    assert!(end.said().is_empty());
    assert_eq!(end.timeout(at(10)), [Seen::Closed(CloseReason::Silent)]);
}

/// Rule: SVC-34: a client that asked to be let go unless it pings is let go, at the last time it
///       set.
#[test]
fn link_ends_when_the_client_stops_to_ping() {
    let mut end = ServerEnd::known(ABRIDGED);
    end.link.disconnect_after(at(0), Duration::from_secs(75));
    end.link.disconnect_after(at(50), Duration::from_secs(75));
    assert_eq!(end.link.poll_timeout(), Some(at(125).mono));
    assert!(end.timeout(at(124)).is_empty());
    assert_eq!(end.timeout(at(125)), [Seen::Closed(CloseReason::NoPing)]);
}

/// Rules: TRN-32, KEY-34: after 404 a link goes on; any other transport error is sent, then the
///        link is over. A code means the same with either sign.
#[test]
fn only_not_found_leaves_a_link_open() {
    for code in [404, -404] {
        let mut end = ServerEnd::known(PADDED);
        end.link.fail(end.now, code);
        assert_eq!(end.said(), [Frame::Error(404)]);
        let wire = end.seal(&key(1), 4);
        assert_eq!(end.hear(&wire), [Seen::Message(key(1).id(), 4)]);
    }
    for code in [429, 444, 403, 500, -429, -444] {
        let mut end = ServerEnd::known(PADDED);
        end.link.fail(end.now, code);
        assert_eq!(end.events(), [Seen::Closed(CloseReason::Error(code.abs()))]);
        assert_eq!(end.said(), [Frame::Error(code.abs())]);
        assert!(!end.link.wants_bytes());
        end.link.fail(end.now, 404);
        end.link.send_plain(end.now.unix, &[1; 20]);
        end.link.send(Arc::new(key(1)), message(4));
        assert!(end.said().is_empty(), "nothing is said on a link that is over");
        let wire = end.seal(&key(1), 8);
        assert!(end.hear(&wire).is_empty());
    }
}

/// Rule: TRN-33: at most ten errors in any second, then the link is over without another word.
#[test]
fn errors_are_sent_ten_times_a_second() {
    let mut end = ServerEnd::known(ABRIDGED);
    let millis = |millis| Now { mono: Duration::from_millis(millis), ..at(0) };
    for moment in [0, 500, 950, 950, 950, 950, 950, 950, 950, 999, 1000, 1500] {
        end.link.fail(millis(moment), 404);
        assert_eq!(end.said(), [Frame::Error(404)], "at {moment} ms");
    }
    // Since 0.95 s, ten have gone.
    end.link.fail(millis(1949), 404);
    assert_eq!(end.said(), []);
    assert_eq!(end.events(), [Seen::Closed(CloseReason::Error(404))]);
}

/// Rules: TRN-33, KEY-34: every packet under an unknown key gets one error, until there are too many
///        of them.
#[test]
fn unknown_keys_are_answered_one_by_one() {
    let mut end = ServerEnd::known(ABRIDGED);
    for count in 0..11 {
        let wire = end.seal(&key(9), 4);
        assert_eq!(end.hear(&wire), [Seen::Wanted(key(9).id())]);
        end.link.provide_key(end.now, key(9).id(), None);
        let closed = end.events();
        assert_eq!(end.said().len(), usize::from(count < 10));
        assert_eq!(!closed.is_empty(), count == 10);
    }
}

/// Rules: TRN-38, TRN-37: a peer that has proved nothing may send frames of 4096 bytes and no more;
///        an unencrypted one above that ends the link at its header.
#[test]
fn stranger_may_send_little() {
    let mut end = ServerEnd::new(ABRIDGED);
    let wire = end.wire(&plain_packet(4, &[1; 4076]));
    assert_eq!(end.hear(&wire), [Seen::Plain(4076)]);
    let wire = end.wire(&plain_packet(8, &[1; 4080]));
    assert!(end.hear(&wire[..4 + 7]).is_empty());
    let error = FrameError::TooLong { limit: 4096, got: 4100 };
    assert_eq!(end.hear(&wire[4 + 7..4 + 8]), [Seen::Closed(CloseReason::Frame(error))]);
    assert!(end.input.is_empty() && end.said().is_empty());
}

/// Rule: TRN-38: a larger frame that names a key waits for that key: with it, the frame is taken
///       whole; without it, the answer is 404 and the end, before the frame has come.
#[test]
fn large_frame_is_taken_under_a_known_key_only() {
    for framing in [Framing::Abridged, Framing::Intermediate, Framing::Padded, Framing::Full] {
        let mut end = ServerEnd::new(Transport::plain(framing));
        let wire = end.seal_body(&key(1), 4, 8192);
        let head = wire.len() - 8192;
        assert_eq!(end.hear(&wire[..head]), [Seen::Wanted(key(1).id())], "{framing}");
        assert!(!end.link.wants_bytes());
        end.link.provide_key(end.now, key(2).id(), Some(Arc::new(key(2))));
        assert!(!end.link.wants_bytes(), "that is not the key asked for");
        end.link.provide_key(end.now, key(1).id(), Some(Arc::new(key(1))));
        assert!(end.link.wants_bytes() && end.events().is_empty());
        assert_eq!(end.hear(&wire[head..]), [Seen::Message(key(1).id(), 4)]);

        let mut end = ServerEnd::new(Transport::plain(framing));
        let wire = end.seal_body(&key(1), 4, 8192);
        assert_eq!(end.hear(&wire[..head]), [Seen::Wanted(key(1).id())]);
        end.link.provide_key(end.now, key(1).id(), None);
        assert_eq!(end.events(), [Seen::Closed(CloseReason::Error(404))]);
        assert_eq!(end.said(), [Frame::Error(404)]);
        assert!(end.hear(&wire[head..]).is_empty() && end.input.is_empty());
    }
}

/// Rules: TRN-38, SEC-47: a large frame that is wrong in another way as well ends the link at its
///        header: nothing of it is gathered in the hope of a key.
#[test]
fn large_frame_that_is_wrong_besides_ends_the_link() {
    for (framing, header, error) in [
        (
            Framing::Intermediate,
            &[0x5d, 0xd2, 6, 0x52][..],
            FrameError::Misaligned { got: 0x5206_d25d },
        ),
        (Framing::Full, &[0, 0x20, 0, 0, 9, 0, 0, 0], FrameError::Sequence { expected: 1, got: 9 }),
        (
            Framing::Full,
            &[0, 0, 0, 0x80],
            FrameError::TooLong { limit: usize::MAX, got: 0x8000_0000 },
        ),
    ] {
        let mut end = ServerEnd::new(Transport::plain(framing));
        let wire = end.wire(&plain_packet(4, &[1; 20]));
        assert_eq!(end.hear(&wire), [Seen::Plain(20)]);
        assert_eq!(end.hear(header), [Seen::Closed(CloseReason::Frame(error))], "{framing}");
        assert!(end.input.is_empty() && end.said().is_empty());
    }
}

/// Rules: TRN-37, TRN-38, MSG-04, MSG-05: whoever has shown a key, or finished an exchange, may send
///        up to the full limit; a frame above it ends the link, on both sides.
#[test]
fn proved_peer_may_send_up_to_the_limit() {
    let too_long =
        |limit, got| Seen::Closed(CloseReason::Frame(FrameError::TooLong { limit, got }));
    let mut by_packet = ServerEnd::known(ABRIDGED);
    let wire = by_packet.seal(&key(1), 4);
    by_packet.hear(&wire);
    let mut by_exchange = ServerEnd::new(ABRIDGED);
    let wire = by_exchange.wire(&plain_packet(4, &[1; 20]));
    by_exchange.hear(&wire);
    by_exchange.link.lift_limits();
    for mut end in [by_packet, by_exchange] {
        assert!(end.hear(&length(Framing::Abridged, SERVER_LIMIT)).is_empty());
        end.input.clear();
    }
    let mut end = ServerEnd::known(ABRIDGED);
    let wire = end.seal(&key(1), 4);
    end.hear(&wire);
    let seen = end.hear(&length(Framing::Abridged, SERVER_LIMIT + 4));
    assert_eq!(seen, [too_long(SERVER_LIMIT, SERVER_LIMIT + 4)]);
    // A large first frame that names a known key is no way around the limit.
    let mut end = ServerEnd::new(ABRIDGED);
    let mut wire = end.wire(&[3; 24])[..1].to_vec();
    wire.extend(length(Framing::Abridged, SERVER_LIMIT + 4));
    wire.extend(key(1).id().to_le_bytes());
    assert_eq!(end.hear(&wire), [Seen::Wanted(key(1).id())]);
    end.link.provide_key(end.now, key(1).id(), Some(Arc::new(key(1))));
    assert_eq!(end.hear(&[]), [too_long(SERVER_LIMIT, SERVER_LIMIT + 4)]);

    let mut end = ClientEnd::new(ABRIDGED);
    assert!(end.hear(&length(Framing::Abridged, CLIENT_LIMIT)).is_empty());
    let mut end = ClientEnd::new(ABRIDGED);
    let seen = end.hear(&length(Framing::Abridged, CLIENT_LIMIT + 4));
    assert_eq!(seen, [too_long(CLIENT_LIMIT, CLIENT_LIMIT + 4)]);
}

/// Rules: TRN-38, TRN-14: a small packet and a large one that come together are both taken, since
///        the first proves the key.
#[test]
fn small_packet_makes_room_for_the_large_one_behind_it() {
    let mut end = ServerEnd::known(ABRIDGED);
    let wire = [end.seal(&key(1), 4), end.seal_body(&key(1), 8, 8192)].concat();
    let id = key(1).id();
    assert_eq!(end.hear(&wire), [Seen::Message(id, 4), Seen::Message(id, 8)]);
}

/// Rules: TRN-41, MSG-R02: packets under another key rebind the link; while that key is looked up
///        nothing else is read, and the order is kept.
#[test]
fn link_moves_from_key_to_key_in_order() {
    let mut end = ServerEnd::known(PADDED);
    let wire: Vec<u8> = [(1, 4), (1, 8), (2, 12), (2, 16), (1, 20), (3, 24), (1, 28), (2, 32)]
        .map(|(number, msg_id)| end.seal(&key(number), msg_id))
        .concat();
    let [one, two, three] = [1, 2, 3].map(|number| key(number).id());
    let seen = end.hear(&wire);
    assert_eq!(seen, [Seen::Message(one, 4), Seen::Message(one, 8), Seen::Wanted(two)]);
    assert!(!end.link.wants_bytes() && end.hear(&[]).is_empty());
    end.link.provide_key(end.now, two, Some(Arc::new(key(2))));
    let seen = end.hear(&[]);
    let [m12, m16] = [12, 16].map(|msg_id| Seen::Message(two, msg_id));
    assert_eq!(seen, [m12, m16, Seen::Message(one, 20), Seen::Wanted(three)]);
    // The third is unknown; the others go on, and the one used last but one is asked for again
    // only when it has been forgotten.
    end.link.provide_key(end.now, three, None);
    assert_eq!(end.hear(&[]), [Seen::Message(one, 28), Seen::Message(two, 32)]);
    assert_eq!(end.said(), [Frame::Error(404)]);
    end.link.forget_key(one);
    let wire = end.seal(&key(1), 36);
    assert_eq!(end.hear(&wire), [Seen::Wanted(one)]);
}

/// Rules: KEY-34, TRN-41: exchange messages and packets under known and unknown keys may alternate
///        on one link.
#[test]
fn exchange_goes_on_beside_encrypted_packets() {
    let mut end = ServerEnd::known(ABRIDGED);
    let wire = [
        end.wire(&plain_packet(4, &[1; 20])),
        end.seal(&key(1), 4),
        end.wire(&plain_packet(8, &[1; 24])),
        end.seal(&key(5), 4),
        end.wire(&plain_packet(12, &[1; 28])),
    ]
    .concat();
    let seen = end.hear(&wire);
    let (one, five) = (key(1).id(), key(5).id());
    assert_eq!(seen, [Seen::Plain(20), Seen::Message(one, 4), Seen::Plain(24), Seen::Wanted(five)]);
    end.link.provide_key(end.now, five, None);
    assert_eq!(end.said(), [Frame::Error(404)]);
    assert_eq!(end.hear(&[]), [Seen::Plain(28)]);
}

/// Rules: SEC-48, SEC-22, SEC-30, MSG-R05, MSG-R06: a packet that fails its check ends the link in
///        silence; what came before it counts, and nothing that comes after it in any form.
#[test]
fn failed_check_ends_the_link_in_silence() {
    let bad_key = |end: &mut ServerEnd| {
        let mut packet = seal(&key(1), 8, 4, Side::Client);
        packet[40] ^= 1;
        end.wire(&packet)
    };
    let bad_length = |end: &mut ServerEnd| {
        let mut packet = vec![0; 24 + 64];
        packet[52] = 2;
        let direction = encrypted::direction_from(Side::Client);
        chappe_crypto::packet::seal(&key(1), direction, &mut packet);
        end.wire(&packet)
    };
    let too_short = |end: &mut ServerEnd| {
        let packet = [&key(1).id().to_le_bytes()[..], &[7; 16 + 32]].concat();
        end.wire(&packet)
    };
    type Bad<'a> = &'a dyn Fn(&mut ServerEnd) -> Vec<u8>;
    let bads: [(Bad<'_>, PacketError); 3] = [
        (&bad_key, PacketError::MsgKeyMismatch),
        (&bad_length, PacketError::Length { stated: 2, room: 32 }),
        (&too_short, PacketError::Size(56)),
    ];
    for (bad, error) in &bads {
        for after in 0..4 {
            let mut end = ServerEnd::known(ABRIDGED);
            let mut wire = end.seal(&key(1), 4);
            wire.extend(bad(&mut end));
            wire.extend(match after {
                0 => end.seal(&key(1), 12),
                1 => end.wire(&plain_packet(4, &[1; 20])),
                2 => end.seal(&key(2), 12),
                _ => vec![0],
            });
            let closed = Seen::Closed(CloseReason::Packet(error.clone()));
            assert_eq!(end.hear(&wire), [Seen::Message(key(1).id(), 4), closed], "{after}");
            assert!(end.said().is_empty() && end.input.is_empty());
            assert!(end.hear(&wire).is_empty());
            assert_eq!(end.link.poll_timeout(), None);
        }
    }
    // The same for a packet that had to wait for its key.
    let mut end = ServerEnd::new(ABRIDGED);
    let mut wire = bad_key(&mut end);
    wire.extend(end.seal(&key(1), 12));
    assert_eq!(end.hear(&wire), [Seen::Wanted(key(1).id())]);
    end.link.provide_key(end.now, key(1).id(), Some(Arc::new(key(1))));
    let seen = end.hear(&[]);
    assert_eq!(seen, [Seen::Closed(CloseReason::Packet(PacketError::MsgKeyMismatch))]);
    assert!(end.said().is_empty());
}

/// Rules: MSG-R01, MSG-R03, TRN-30: a packet without room for a key id ends the link in silence; one
///        that is cut to nothing is answered with 404, and under a key it ends the link, too.
#[test]
fn packet_without_content_is_refused() {
    for (packet, said, closed) in [
        (vec![0; 4], vec![], true),
        (vec![7; 4], vec![], true),
        (vec![0; 16], vec![Frame::Error(404)], false),
        (plain_packet(4, &[]), vec![Frame::Error(404)], false),
        (plain_packet(4, &[1; 20])[..36].to_vec(), vec![Frame::Error(404)], false),
        (vec![7; 8], vec![Frame::Error(404)], true),
        (vec![7; 24], vec![Frame::Error(404)], true),
        (vec![7; 36], vec![Frame::Error(404)], true),
    ] {
        let mut end = ServerEnd::new(ABRIDGED);
        let wire = end.wire(&packet);
        let seen = end.hear(&wire);
        assert_eq!(!seen.is_empty(), closed, "{packet:?}: {seen:?}");
        assert_eq!(end.said(), said, "{packet:?}");
        // A client drops whatever it is.
        if packet.len() >= 20 {
            let mut end = ClientEnd::new(ABRIDGED);
            let wire = end.wire(&packet);
            assert!(matches!(end.hear(&wire)[..], [Seen::Closed(CloseReason::Packet(_))]));
        }
    }
}

/// Rules: KEY-03, KEY-04: an unencrypted message whose length is wrong ends the link, and so does,
///        for a client, one whose id is.
#[test]
fn malformed_exchange_message_ends_the_link() {
    let mut end = ServerEnd::new(ABRIDGED);
    let wire = end.wire(&plain_packet(4, &[1; 16]));
    assert!(matches!(end.hear(&wire)[..], [Seen::Closed(CloseReason::Plain(_))]));
    assert!(end.said().is_empty());
    let mut end = ClientEnd::new(ABRIDGED);
    let wire = end.wire(&plain_packet(4, &[1; 20]));
    assert!(matches!(end.hear(&wire)[..], [Seen::Closed(CloseReason::Plain(_))]));
}

/// Rules: KEY-02, KEY-03, MSG-07, MSG-08, MSG-09: ids of unencrypted messages follow the clock, rise
///        on each link, and have the low bits of their side.
#[test]
fn exchange_messages_have_the_ids_of_their_side() {
    let mut server = ServerEnd::new(ABRIDGED);
    let wire = server.wire(&plain_packet(4, &[1; 20]));
    server.hear(&wire);
    let mut client = ClientEnd::new(ABRIDGED);
    for (side, link) in [(Side::Server, &mut server.link), (Side::Client, &mut client.link)] {
        for _ in 0..20 {
            link.send_plain(at(0).unix, &[1; 20]);
        }
        let mut out = BytesMut::new();
        link.poll_transmit(&mut out).unwrap();
        let mut last = 0;
        let skip = usize::from(side == Side::Client);
        for frame in out[skip..].chunks_exact(41) {
            let id = plain::open(Bytes::copy_from_slice(&frame[1..]), side).unwrap().msg_id;
            assert!(id.0 > last && id.time().abs_diff(at(0).unix) < Duration::from_micros(2));
            assert_eq!(id.0 & 3, i64::from(side == Side::Server));
            last = id.0;
        }
        assert!(last != 0);
    }
}

/// Rules: SEC-45, KEY-01: once a key is in use a client takes nothing unencrypted; before, it does.
#[test]
fn client_takes_nothing_unencrypted_once_it_has_a_key() {
    let mut end = ClientEnd::new(ABRIDGED);
    let wire = end.wire(&plain_packet(1, &[1; 20]));
    assert_eq!(end.hear(&wire), [Seen::Plain(20)]);
    end.link.use_key(Arc::new(key(1)));
    let wire = [end.seal(&key(1), 5), end.wire(&plain_packet(5, &[1; 20])), end.seal(&key(1), 9)];
    let closed = Seen::Closed(CloseReason::Unencrypted);
    assert_eq!(end.hear(&wire.concat()), [Seen::Message(key(1).id(), 5), closed]);
}

/// Rules: MSG-R02, MSG-R05, SEC-30: a client takes packets under the key in use and the one before,
///        and drops a link that brings any other or a damaged one.
#[test]
fn client_takes_its_current_and_previous_key() {
    let mut end = ClientEnd::new(ABRIDGED);
    for number in [1, 2] {
        end.link.use_key(Arc::new(key(number)));
    }
    let wire = [end.seal(&key(1), 5), end.seal(&key(2), 9)].concat();
    assert_eq!(end.hear(&wire), [1, 2].map(|n| Seen::Message(key(n).id(), [5, 9][n as usize - 1])));
    end.link.use_key(Arc::new(key(3)));
    let wire = end.seal(&key(1), 13);
    assert_eq!(end.hear(&wire), [Seen::Closed(CloseReason::ForeignKey(key(1).id()))]);

    let mut end = ClientEnd::new(ABRIDGED);
    end.link.use_key(Arc::new(key(1)));
    let mut packet = seal(&key(1), 5, 4, Side::Server);
    packet[60] ^= 1;
    let wire = [end.wire(&packet), end.seal(&key(1), 9)].concat();
    let closed = Seen::Closed(CloseReason::Packet(PacketError::MsgKeyMismatch));
    assert_eq!(end.hear(&wire), [closed]);
}

/// Rules: SEC-50, SEC-49, TRN-34: transport errors and quick acknowledgements, which anybody can
///        forge, are told to the owner in their order and change nothing.
#[test]
fn unauthenticated_frames_change_nothing() {
    let mut end = ClientEnd::new(PADDED);
    end.link.use_key(Arc::new(key(1)));
    let mut wire = BytesMut::new();
    wire.extend(end.seal(&key(1), 5));
    for code in [404, 429, 444] {
        end.codec.put_error(code, &mut wire);
    }
    end.codec.put_quick_ack(7, &mut wire, &mut rng(1));
    wire.extend(end.seal(&key(1), 9));
    let [first, second] = [5, 9].map(|msg_id| Seen::Message(key(1).id(), msg_id));
    let [a, b, c] = [404, 429, 444].map(Seen::Error);
    assert_eq!(end.hear(&wire), [first, a, b, c, Seen::QuickAck(7 | 1 << 31), second]);
    assert!(end.link.wants_bytes());
    end.link.send(Arc::new(key(1)), message(4));
    assert_eq!(end.said().len(), 1);
}

/// Rules: MSG-06, SEC-35, TRN-14, TRN-43: messages of several sessions share a link, each under its
///        own session and key, in whole frames and in their order, among unencrypted ones and
///        errors.
#[test]
fn messages_leave_in_order_under_their_own_session() {
    let mut end = ServerEnd::known(ABRIDGED);
    let mut expected = Vec::new();
    for count in 0..10_i64 {
        let mut message = message(count * 4 + 1);
        message.header.session_id = SessionId(count % 3);
        let key = key(1 + (count % 2) as u8);
        expected.push((key.id(), message.clone()));
        end.link.send(Arc::new(key), message);
    }
    end.link.send_plain(end.now.unix, &[1; 20]);
    end.link.fail(end.now, 404);
    let said = end.said();
    assert_eq!(said.len(), 12);
    for (frame, (id, message)) in said.iter().zip(&expected) {
        let Frame::Packet { bytes, .. } = frame else { panic!("{frame:?}") };
        let key = [key(1), key(2)].into_iter().find(|key| key.id() == *id).unwrap();
        let opened = encrypted::open(&key, vec![bytes.clone()], Side::Server).remove(0);
        assert_eq!(opened.unwrap().message, *message);
    }
    assert_eq!(said[11], Frame::Error(404));
    assert!(end.said().is_empty(), "nothing is sent twice");
}

/// Rules: KEY-22, KEY-27, KEY-34, CRY-07, TRN-13: over every transport two links make a key, with a
///        404 for a key nobody knows in between, and talk under it at once, on the same connection.
#[test]
fn links_make_a_key_and_use_it() {
    for transport in Transport::ALL {
        let mut exchanges = Server::new(|_| ());
        let mut server = Link::server(at(0), LinkConfig::server(), Arc::default(), rng(1));
        let mut client = ClientEnd::over(transport, rng(2));
        let mut inbox = BytesMut::new();
        let mut ask = |client: &mut Link, body: &[u8]| -> Bytes {
            client.send_plain(at(0).unix, body);
            client.poll_transmit(&mut inbox).unwrap();
            server.handle_bytes(at(0), &mut inbox);
            let Some(LinkEvent::Plain(message)) = server.poll_event() else { panic!() };
            let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
            exchanges.tell(Origin { link: LinkId(1), address }, &message.body);
            for (_, said) in exchanges.run() {
                let Said::Body(body) = said else { panic!("{said:?}") };
                server.send_plain(at(0).unix, &body);
            }
            let mut wire = BytesMut::new();
            server.poll_transmit(&mut wire).unwrap();
            client.handle_bytes(at(0), &mut wire);
            let Some(LinkEvent::Plain(message)) = client.poll_event() else { panic!() };
            message.body
        };
        let link = &mut client;
        let mut random = rng(3);
        let server_keys = Arc::new([identity().public().clone()]);
        let request = KeyRequest { dc: 2, expires_in: None, server_keys };
        let (state, body) = client::start(request, &mut random);
        let (state, body) = state.handle(&ask(link, &body), &mut random).unwrap();
        let (state, body) = state.handle(at(0), &ask(link, &body), &mut random).unwrap();
        let outcome = state.handle(&ask(link, &body), &mut random);
        let Ok(DhGen::Finished(finished)) = outcome else { panic!("{outcome:?}") };
        server.lift_limits();

        let (id, key) = (finished.key.id(), Arc::new(finished.key));
        link.use_key(key.clone());
        let mut large = message(4);
        large.body = vec![5; 100_000].into();
        link.send(key, large);
        link.poll_transmit(&mut inbox).unwrap();
        server.handle_bytes(at(0), &mut inbox);
        assert!(matches!(server.poll_event(), Some(LinkEvent::KeyWanted(wanted)) if wanted == id));
        let (kept, _) = exchanges.kept.remove(0);
        let kept =
            Arc::new(AuthKey::from_stored(kept.key.id(), kept.key.aux_hash(), kept.key.stored()));
        server.provide_key(at(0), id, Some(kept.clone()));
        let Some(LinkEvent::Message(of, opened)) = server.poll_event() else { panic!() };
        assert_eq!((of, opened.message.body.len()), (id, 100_000));
        server.send(kept, message(1));
        let mut wire = BytesMut::new();
        server.poll_transmit(&mut wire).unwrap();
        link.handle_bytes(at(0), &mut wire);
        assert!(matches!(link.poll_event(), Some(LinkEvent::Message(of, _)) if of == id));
        assert_eq!((server.transport(), link.transport()), (Some(transport), Some(transport)));
    }
}

proptest! {
    /// Rules: SEC-24, SEC-48, TRN-16, TRN-38: a server takes any bytes, in any pieces, behind any
    ///        opening and obfuscation, without a panic; it holds little, says little, and says
    ///        nothing once it has closed.
    #[test]
    fn server_takes_any_bytes(
        transport in prop::sample::select(Transport::ALL.to_vec()),
        pieces in prop::collection::vec(piece(Side::Client), 0..12),
        cuts in prop::collection::vec(1..200_usize, 1..30),
        raw in any::<bool>(),
        known in any::<bool>(),
    ) {
        let mut end = ServerEnd::new(transport);
        let mut wire = Vec::new();
        for piece in &pieces {
            // As a frame of the transport, or as it is, which no frame can be trusted after.
            match raw {
                false if piece.len() % 4 == 0 && !piece.is_empty() => wire.extend(end.wire(piece)),
                _ => wire.extend(piece),
            }
        }
        let mut rest = &wire[..];
        let mut cuts = cuts.iter().cycle();
        let mut closed = false;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            rest = later;
            let mut seen = VecDeque::from(end.hear(now));
            while let Some(next) = seen.pop_front() {
                prop_assert!(!closed, "{next:?} after the end");
                closed = matches!(next, Seen::Closed(_));
                if let Seen::Wanted(id) = next {
                    end.link.provide_key(end.now, id, known.then(|| Arc::new(key(1))));
                    seen.extend(end.hear(&[]));
                }
            }
            prop_assert!(end.input.len() <= 4096 + 200 || known);
        }
        let mut out = BytesMut::new();
        end.link.poll_transmit(&mut out).unwrap();
        prop_assert!(out.len() <= 10 * 20);
    }

    /// Rules: SEC-24, SEC-45, TRN-16: a client takes any bytes in any pieces, too.
    #[test]
    fn client_takes_any_bytes(
        transport in prop::sample::select(Transport::ALL.to_vec()),
        pieces in prop::collection::vec(piece(Side::Server), 0..12),
        cut in 1..200_usize,
        has_key in any::<bool>(),
    ) {
        let mut link = ClientEnd::over(transport, rng(5));
        if has_key {
            link.use_key(Arc::new(key(1)));
        }
        let mut input = BytesMut::new();
        let wire = pieces.concat();
        let mut closed = false;
        for piece in wire.chunks(cut) {
            input.extend_from_slice(piece);
            link.handle_bytes(at(0), &mut input);
            while let Some(event) = link.poll_event() {
                prop_assert!(!closed, "{event:?} after the end");
                prop_assert!(!(has_key && matches!(event, LinkEvent::Plain(_))));
                closed = matches!(event, LinkEvent::Closed(_));
            }
        }
    }
}

/// Garbage, or something that nearly is a packet of `from`.
fn piece(from: Side) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        prop::collection::vec(0..2_u8, 0..60),
        (0..30_usize, any::<i64>()).prop_map(|(words, id)| plain_packet(id, &vec![1; words * 4])),
        (0..200_usize, any::<u8>()).prop_map(move |(at, flip)| {
            let mut packet = seal(&key(1), 4, 40, from);
            let at = at % packet.len();
            packet[at] ^= flip;
            packet.to_vec()
        }),
        Just(vec![0xff; 8]),
        Just([&[0x7f, 0xff, 0xff, 0x3f][..], &key(1).id().to_le_bytes()].concat()),
    ]
}

/// What a link told its owner.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    Plain(usize),
    Wanted(AuthKeyId),
    Message(AuthKeyId, i64),
    Error(i32),
    QuickAck(u32),
    Dc(i16),
    Closed(CloseReason),
}

pub(crate) fn seen(link: &mut Link) -> Vec<Seen> {
    std::iter::from_fn(|| link.poll_event())
        .map(|event| match event {
            LinkEvent::Plain(message) => Seen::Plain(message.body.len()),
            LinkEvent::KeyWanted(id) => Seen::Wanted(id),
            LinkEvent::Message(id, opened) => Seen::Message(id, opened.message.header.msg_id.0),
            LinkEvent::TransportError(code) => Seen::Error(code),
            LinkEvent::QuickAck(token) => Seen::QuickAck(token),
            LinkEvent::Dc(dc) => Seen::Dc(dc),
            LinkEvent::Closed(reason) => Seen::Closed(reason),
        })
        .collect()
}

/// A server's link with the codec of its client.
struct ServerEnd {
    link: Link,
    codec: Codec,
    input: BytesMut,
    now: Now,
}

impl ServerEnd {
    fn new(transport: Transport) -> Self {
        let link = Link::server(at(0), LinkConfig::server(), Arc::new(Detect::default()), rng(1));
        let options = ClientOptions::default();
        let codec = Codec::client(transport, &options, CLIENT_LIMIT, &mut rng(2));
        Self { link, codec, input: BytesMut::new(), now: at(0) }
    }

    /// The client has named key 1, which the server has found, and has said nothing under it.
    fn known(transport: Transport) -> Self {
        let mut end = Self::new(transport);
        end.link.use_key(Arc::new(key(1)));
        // Who speaks first tells the transport.
        let wire = end.wire(&plain_packet(4, &[1; 20]));
        assert_eq!(end.hear(&wire), [Seen::Plain(20)]);
        end
    }

    fn wire(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut wire = BytesMut::new();
        self.codec.put(&[packet], &mut wire, &mut rng(3)).unwrap();
        wire.to_vec()
    }

    fn seal(&mut self, key: &AuthKey, msg_id: i64) -> Vec<u8> {
        self.seal_body(key, msg_id, 4)
    }

    fn seal_body(&mut self, key: &AuthKey, msg_id: i64, len: usize) -> Vec<u8> {
        self.wire(&seal(key, msg_id, len, Side::Client))
    }

    fn hear(&mut self, wire: &[u8]) -> Vec<Seen> {
        self.input.extend_from_slice(wire);
        self.link.handle_bytes(self.now, &mut self.input);
        self.events()
    }

    fn events(&mut self) -> Vec<Seen> {
        seen(&mut self.link)
    }

    fn timeout(&mut self, now: Now) -> Vec<Seen> {
        self.now = now;
        self.link.handle_timeout(now);
        self.events()
    }

    fn said(&mut self) -> Vec<Frame> {
        let mut out = BytesMut::new();
        self.link.poll_transmit(&mut out).unwrap();
        drain(&mut self.codec, &mut out).unwrap()
    }
}

/// A client's link with the codec of its server.
struct ClientEnd {
    link: Link,
    codec: Codec,
    input: BytesMut,
}

impl ClientEnd {
    fn new(transport: Transport) -> Self {
        let link = Self::over(transport, rng(1));
        let codec = crate::transport_ends::server(transport.framing());
        Self { link, codec, input: BytesMut::new() }
    }

    fn over(transport: Transport, rng: chappe_crypto::Rng) -> Link {
        Link::client(LinkConfig::client(), transport, &ClientOptions::default(), rng)
    }

    fn wire(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut wire = BytesMut::new();
        self.codec.put(&[packet], &mut wire, &mut rng(3)).unwrap();
        wire.to_vec()
    }

    fn seal(&mut self, key: &AuthKey, msg_id: i64) -> Vec<u8> {
        self.wire(&seal(key, msg_id, 4, Side::Server))
    }

    fn hear(&mut self, wire: &[u8]) -> Vec<Seen> {
        self.input.extend_from_slice(wire);
        self.link.handle_bytes(at(0), &mut self.input);
        seen(&mut self.link)
    }

    /// What it sends, without the opening of its transport.
    fn said(&mut self) -> Vec<Frame> {
        let mut out = BytesMut::new();
        self.link.poll_transmit(&mut out).unwrap();
        let _ = out.split_to(crate::transport_ends::tag(self.codec.transport().framing()).len());
        drain(&mut self.codec, &mut out).unwrap()
    }
}

fn key(number: u8) -> AuthKey {
    AuthKey::new([number; 256])
}

fn message(msg_id: i64) -> Message {
    let header = Header { salt: 1, session_id: SessionId(2), msg_id: MsgId(msg_id), seq_no: 1 };
    Message { header, body: Bytes::from_static(&[7; 4]) }
}

fn seal(key: &AuthKey, msg_id: i64, len: usize, from: Side) -> BytesMut {
    let message = Message { body: vec![7; len].into(), ..message(msg_id) };
    encrypted::seal(&[(key, &message)], from, &mut rng(4)).remove(0)
}

pub(crate) fn plain_packet(msg_id: i64, body: &[u8]) -> Vec<u8> {
    let mut packet = BytesMut::new();
    plain::seal(MsgId(msg_id), body, &mut packet);
    packet.to_vec()
}

//! Links between proxies and middle servers: whose packets are whose, and when it is over.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::BytesMut;
use chappe_proto::middle::link::{LinkConfig, LinkEnd, MiddleEvent, NotSent, ProxyEvent};
use chappe_proto::middle::messages::{AdTag, Answer, ConnId, Message, Note, Origin, Request};
use chappe_proto::middle::packet::Implausible;
use chappe_proto::transport::{Framing, SERVER_LIMIT};

use crate::middle_ends::{Pair, Peer, Raw, START, later, middle_link, origin, proxy_link, sealed};

/// Rules: MPX-08, MPX-09, MPX-16: packets of several clients share one link, each with the number of
///        its client, and the middle server learns who they are.
#[test]
fn clients_share_a_link_and_keep_apart() {
    let mut pair = Pair::ready();
    let framings = [Framing::Abridged, Framing::Intermediate, Framing::Padded];
    let clients = framings.map(|framing| (pair.proxy.open(origin(framing)).unwrap(), framing));
    for (at, (client, _)) in clients.into_iter().enumerate() {
        pair.proxy.send(client, &sealed(56 + 4 * at), false).unwrap();
    }
    pair.proxy.send(clients[0].0, &sealed(100), true).unwrap();
    pair.exchange(START);
    let mut expected = Vec::new();
    for (at, (client, framing)) in clients.into_iter().enumerate() {
        expected.push(MiddleEvent::Opened(client, origin(framing)));
        let packet = sealed(56 + 4 * at)[..].into();
        expected.push(MiddleEvent::Packet { client, quick_ack_wanted: false, packet });
    }
    let packet = sealed(100)[..].into();
    expected.push(MiddleEvent::Packet { client: clients[0].0, quick_ack_wanted: true, packet });
    assert_eq!(pair.middle_events(), expected);

    for (at, (client, _)) in clients.into_iter().enumerate().rev() {
        assert!(pair.middle.send(client, &vec![9; 24 + 4 * at]));
    }
    pair.exchange(START);
    let expected = clients.into_iter().enumerate().rev().map(|(at, (client, _))| {
        let packet = vec![9; 24 + 4 * at][..].into();
        ProxyEvent::Packet { client, flush: false, packet }
    });
    assert_eq!(pair.proxy_events(), expected.collect::<Vec<_>>());
    assert_eq!((pair.proxy.clients(), pair.middle.clients()), (3, 3));
}

/// Rule: MPX-08: a number is not 0 and belongs to one client of the link, ever.
#[test]
fn numbers_of_clients_are_never_used_again() {
    let mut pair = Pair::ready();
    let mut seen = BTreeSet::new();
    for _ in 0..2000 {
        let client = pair.proxy.open(origin(Framing::Padded)).unwrap();
        assert!(client.0 != 0 && seen.insert(client));
        pair.proxy.close(client);
    }
}

/// Rule: MPX-08: a link has room for as many clients as it is set to, and for none before it is
///       ready or after it is over.
#[test]
fn link_has_room_for_some_clients() {
    let mut config = LinkConfig::default();
    config.clients_max = 2;
    let mut pair = Pair::new(config.clone(), LinkConfig::default(), 100);
    assert_eq!(pair.proxy.open(origin(Framing::Padded)), None);
    assert!(!pair.proxy.takes_clients(START));
    pair.exchange(START);
    let first = pair.proxy.open(origin(Framing::Padded)).unwrap();
    pair.proxy.open(origin(Framing::Padded)).unwrap();
    assert_eq!(pair.proxy.open(origin(Framing::Padded)), None);
    assert!(!pair.proxy.takes_clients(START));
    pair.proxy.close(first);
    assert!(pair.proxy.takes_clients(START));
    pair.proxy.open(origin(Framing::Padded)).unwrap();
    pair.proxy.shut();
    assert_eq!(pair.proxy.open(origin(Framing::Padded)), None);

    // The middle server has its own bound, and drops whoever is too many.
    let mut pair = Pair::new(LinkConfig::default(), config, 100);
    pair.exchange(START);
    let clients = [(); 3].map(|()| pair.proxy.open(origin(Framing::Abridged)).unwrap());
    for client in clients {
        pair.proxy.send(client, &sealed(64), false).unwrap();
    }
    pair.exchange(START);
    assert_eq!(pair.middle.clients(), 2);
    assert_eq!(pair.proxy_events(), [ProxyEvent::Ready, ProxyEvent::Closed(clients[2])]);
}

/// Rule: MPX-10: what is not plausible is left out, and nobody but its sender misses it; the largest
///       packet passes.
#[test]
fn implausible_packets_are_left_out() {
    let mut pair = Pair::ready();
    let client = pair.proxy.open(origin(Framing::Intermediate)).unwrap();
    for len in [4, 52, SERVER_LIMIT + 4] {
        let error = pair.proxy.send(client, &sealed(len), false);
        assert_eq!(error, Err(NotSent::Implausible(Implausible(len))));
    }
    assert_eq!(pair.proxy.send(ConnId(1), &sealed(64), false), Err(NotSent::NoClient));
    assert_eq!(pair.proxy.waiting(), 0);
    pair.proxy.send(client, &sealed(SERVER_LIMIT), false).unwrap();
    pair.exchange(START);
    let events = pair.middle_events();
    let [_, MiddleEvent::Packet { packet, .. }] = &events[..] else { panic!("{}", events.len()) };
    assert_eq!(packet.len(), SERVER_LIMIT);
}

/// Rule: MPX-11: a packet goes to its client unchanged, with the wish that it does not wait; four
///       bytes with the flag of errors are a transport error.
#[test]
fn answers_reach_their_client() {
    let mut proxy = proxy_link(LinkConfig::default());
    let mut raw = Raw::middle(&mut proxy);
    let client = proxy.open(origin(Framing::Padded)).unwrap();
    for flush in [false, true] {
        let answer = Answer { client, flush };
        raw.say(&mut proxy, &[answer.encode(), vec![3; 40]].concat());
        let packet = [3; 40][..].into();
        assert_eq!(proxy.poll_event(), Some(ProxyEvent::Packet { client, flush, packet }));
    }
    raw.say(&mut proxy, &Note::Error(client, 429).encode());
    assert_eq!(proxy.poll_event(), Some(ProxyEvent::Error(client, 429)));
    // No frame of a client can carry nothing.
    raw.say(&mut proxy, &Answer { client, flush: true }.encode());
    assert_eq!(proxy.poll_event(), None);

    let mut pair = Pair::ready();
    let client = pair.proxy.open(origin(Framing::Abridged)).unwrap();
    pair.proxy.send(client, &sealed(56), false).unwrap();
    pair.exchange(START);
    pair.middle.fail(client, 404);
    assert!(!pair.middle.send(client, &[0; 5]));
    pair.exchange(START);
    assert_eq!(pair.proxy_events(), [ProxyEvent::Error(client, 404)]);
}

/// Rule: MPX-12: quick acknowledgements reach the client that asked.
#[test]
fn quick_acknowledgements_reach_their_client() {
    let mut pair = Pair::ready();
    let client = pair.proxy.open(origin(Framing::Abridged)).unwrap();
    pair.proxy.send(client, &sealed(56), true).unwrap();
    pair.exchange(START);
    let events = pair.middle_events();
    let wanted =
        |event: &MiddleEvent| matches!(event, MiddleEvent::Packet { quick_ack_wanted: true, .. });
    assert!(events.iter().any(wanted), "{events:?}");
    pair.middle.acknowledge(client, 0x8765_4321);
    pair.exchange(START);
    assert_eq!(pair.proxy_events(), [ProxyEvent::QuickAck(client, 0x8765_4321)]);
}

/// Rule: MPX-13: each end learns that a client is gone, once, and what is on its way then is nothing.
#[test]
fn closes_cross_the_link() {
    // By the client.
    let mut pair = Pair::ready();
    let client = open(&mut pair);
    pair.proxy.close(client);
    pair.proxy.close(client);
    assert!(pair.middle.send(client, &[1; 24]));
    pair.exchange(START);
    assert_eq!(pair.middle_events(), [MiddleEvent::Closed(client)]);
    assert_eq!(pair.proxy_events(), []);
    assert!(!pair.middle.send(client, &[1; 24]));
    assert_eq!((pair.proxy.clients(), pair.middle.clients()), (0, 0));

    // By the server, while a packet is on its way that may not open a client anew.
    let client = open(&mut pair);
    assert!(pair.middle.send(client, &[1; 24]));
    pair.middle.close(client);
    pair.proxy.send(client, &sealed(64), false).unwrap();
    pair.exchange(START);
    let packet = [1; 24][..].into();
    let flush = false;
    assert_eq!(
        pair.proxy_events(),
        [ProxyEvent::Packet { client, flush, packet }, ProxyEvent::Closed(client)]
    );
    assert_eq!(pair.middle_events(), []);
    assert_eq!(pair.proxy.send(client, &sealed(64), false), Err(NotSent::NoClient));
    assert_eq!((pair.proxy.clients(), pair.middle.clients()), (0, 0));
}

/// Rule: MPX-13: an answer for a client that is not there is told so, once for each; a client may be
///       closed by either word; what is not known is passed over.
#[test]
fn proxy_tells_once_that_a_client_is_gone() {
    let mut proxy = proxy_link(LinkConfig::default());
    let mut raw = Raw::middle(&mut proxy);
    let (stranger, other) = (ConnId(77), ConnId(78));
    let answer = |client| [Answer { client, flush: false }.encode(), vec![3; 40]].concat();
    raw.say(&mut proxy, &answer(stranger));
    raw.say(&mut proxy, &answer(stranger));
    raw.say(&mut proxy, &Note::QuickAck(stranger, 5).encode());
    raw.say(&mut proxy, &Note::Error(other, 404).encode());
    assert_eq!(raw.hear(&mut proxy), Some(Note::Gone(stranger).encode()));
    assert_eq!(raw.hear(&mut proxy), Some(Note::Gone(other).encode()));
    assert_eq!(raw.hear(&mut proxy), None);
    assert_eq!(proxy.poll_event(), None);

    for note in [Note::Drop as fn(ConnId) -> Note, Note::Gone] {
        let client = proxy.open(origin(Framing::Padded)).unwrap();
        raw.say(&mut proxy, &note(client).encode());
        raw.say(&mut proxy, &note(client).encode());
        raw.say(&mut proxy, &answer(client));
        assert_eq!(proxy.poll_event(), Some(ProxyEvent::Closed(client)));
        assert_eq!((proxy.poll_event(), raw.hear(&mut proxy)), (None, None));
    }
    // A client that left by itself was told of as well.
    let client = proxy.open(origin(Framing::Padded)).unwrap();
    proxy.close(client);
    assert_eq!(raw.hear(&mut proxy), Some(Note::Gone(client).encode()));
    raw.say(&mut proxy, &answer(client));
    assert_eq!(raw.hear(&mut proxy), None);

    raw.say(&mut proxy, &[1; 4]);
    raw.say(&mut proxy, &[0xfe; 400]);
    raw.say(&mut proxy, &Note::Pong(3).encode());
    assert_eq!((proxy.poll_event(), raw.hear(&mut proxy)), (None, None));
    assert!(proxy.takes_clients(START));
}

/// Rule: MPX-13: how many of those that are gone are remembered has a bound.
#[test]
fn memory_of_gone_clients_has_a_bound() {
    let mut proxy = proxy_link(LinkConfig::default());
    let mut raw = Raw::middle(&mut proxy);
    let mut told = |id| {
        raw.say(&mut proxy, &Note::QuickAck(ConnId(id), 5).encode());
        raw.hear(&mut proxy).is_some()
    };
    for id in 1..=4097 {
        assert!(told(id));
    }
    // All but the oldest are still known.
    assert!(!told(4097) && !told(2));
    assert!(told(1) && told(2));
}

/// Rule: MPX-14: a middle server does not go on with a client that lost a packet on its way.
#[test]
fn client_that_lost_a_packet_is_dropped() {
    for is_known in [false, true] {
        let mut middle = middle_link(LinkConfig::default());
        let mut raw = Raw::proxy(&mut middle);
        let client = ConnId(44);
        let mut request = Request {
            client,
            origin: origin(Framing::Padded),
            is_plain: false,
            quick_ack_wanted: false,
            follows_loss: false,
        };
        if is_known {
            raw.say(&mut middle, &[request.encode(), sealed(64)].concat());
            middle.poll_event().unwrap();
            middle.poll_event().unwrap();
        }
        request.follows_loss = true;
        raw.say(&mut middle, &[request.encode(), sealed(64)].concat());
        assert_eq!(middle.poll_event(), is_known.then_some(MiddleEvent::Closed(client)));
        assert_eq!(raw.hear(&mut middle), Some(Note::Drop(client).encode()));
        assert_eq!(middle.clients(), 0);
    }
}

/// Rules: MPX-16, MPX-20: the middle server learns for whom the proxy advertises, and makes of it
///        what it likes; the proxy only says it.
#[test]
fn ad_tag_reaches_the_middle_server() {
    let mut pair = Pair::ready();
    let origin = Origin { ad_tag: Some(AdTag([4; 16])), ..origin(Framing::Padded) };
    let client = pair.proxy.open(origin).unwrap();
    pair.proxy.send(client, &sealed(64), false).unwrap();
    pair.exchange(START);
    assert_eq!(pair.middle_events()[0], MiddleEvent::Opened(client, origin));
}

/// Rule: MPX-07: a ping is answered at once, with its own number, by either end.
#[test]
fn ping_is_answered() {
    let mut proxy = proxy_link(LinkConfig::default());
    let mut raw = Raw::middle(&mut proxy);
    raw.say(&mut proxy, &Note::Ping(-9).encode());
    assert_eq!(raw.hear(&mut proxy), Some(Note::Pong(-9).encode()));
    let mut middle = middle_link(LinkConfig::default());
    let mut raw = Raw::proxy(&mut middle);
    raw.say(&mut middle, &Note::Ping(i64::MAX).encode());
    assert_eq!(raw.hear(&mut middle), Some(Note::Pong(i64::MAX).encode()));
}

/// Rule: MPX-07: after 5 s of silence the peer is pinged, and every 5 s; 10 s of silence make a link
///       unfit for new clients, 100 s end it; whatever comes makes it good again.
#[test]
fn silent_link_is_asked_suspected_and_given_up() {
    let mut pair = Pair::ready();
    assert_eq!(pair.proxy.poll_timeout(), Some(later(5).mono));
    pair.proxy.handle_timeout(later(4));
    pair.exchange(later(4));
    assert_eq!(pair.proxy.poll_timeout(), Some(later(5).mono));
    pair.proxy.handle_timeout(later(5));
    pair.exchange(later(6));
    // The answer came at 6.
    assert_eq!(pair.proxy.poll_timeout(), Some(later(11).mono));

    let client = pair.proxy.open(origin(Framing::Padded)).unwrap();
    let mut lost = BytesMut::new();
    for (second, takes) in [(11, true), (15, true), (16, false), (21, false), (99, false)] {
        let now = later(second);
        pair.proxy.handle_timeout(now);
        pair.proxy.give(&mut lost);
        assert_eq!(pair.proxy.takes_clients(now), takes, "{second}");
    }
    assert_eq!(pair.proxy_events(), []);
    pair.proxy.handle_timeout(later(105));
    assert_eq!(pair.proxy_events(), []);
    pair.proxy.handle_timeout(later(106));
    assert_eq!(pair.proxy_events(), [ProxyEvent::Over(LinkEnd::Silent)]);
    assert_eq!(pair.proxy.poll_timeout(), None);
    assert_eq!(pair.proxy.send(client, &sealed(64), false), Err(NotSent::NoClient));

    let mut proxy = proxy_link(LinkConfig::default());
    let mut raw = Raw::middle(&mut proxy);
    for second in [5, 10] {
        proxy.handle_timeout(later(second));
        let asked = raw.hear(&mut proxy).unwrap();
        let asked = Message::decode(asked[..].into()).unwrap();
        assert!(matches!(asked, Message::Note(Note::Ping(_))), "{asked:?}");
    }
    assert!(!proxy.takes_clients(later(10)));
    // Heard again, if not by an answer.
    let mut wire = BytesMut::new();
    raw.outbound.put(&[&[1; 8]]).unwrap();
    raw.outbound.poll_transmit(&mut wire);
    proxy.handle_bytes(later(10), &mut wire);
    assert!(proxy.takes_clients(later(10)));
}

/// Rule: MPX-07: a proxy that is silent for 100 s is given up by its middle server, who asks as well.
#[test]
fn silent_proxy_is_given_up() {
    let mut middle = middle_link(LinkConfig::default());
    let mut raw = Raw::proxy(&mut middle);
    middle.handle_timeout(later(5));
    assert!(raw.hear(&mut middle).is_some());
    let mut elapsed = Duration::ZERO;
    while let Some(due) = middle.poll_timeout() {
        assert!(due > START.mono + elapsed, "the timer runs again");
        elapsed = due - START.mono;
        middle.handle_timeout(later(elapsed.as_secs()));
    }
    assert_eq!(elapsed, Duration::from_secs(100));
    assert_eq!(middle.poll_event(), Some(MiddleEvent::Over(LinkEnd::Silent)));
}

/// Rules: MPX-05, MPX-14: a frame that cannot be, or a message that nobody can have meant, ends the
///        link with all its clients, at either end; nothing is said or heard after it.
#[test]
fn link_ends_with_all_its_clients() {
    let mut pair = Pair::ready();
    let client = open(&mut pair);
    pair.middle.handle_bytes(START, &mut [0xa5; 16][..].into());
    let events = pair.middle_events();
    assert!(matches!(events[..], [MiddleEvent::Over(LinkEnd::Frame(_))]), "{events:?}");
    assert_eq!(pair.middle.clients(), 0);
    assert!(!pair.middle.send(client, &[1; 8]));
    pair.middle.handle_bytes(START, &mut [0xa5; 64][..].into());
    pair.middle.handle_timeout(later(1000));
    assert_eq!(pair.middle.poll_event(), None);
    let mut out = BytesMut::new();
    pair.middle.poll_transmit(&mut out);
    assert!(out.is_empty());

    let mut middle = middle_link(LinkConfig::default());
    let mut raw = Raw::proxy(&mut middle);
    // A request without a packet.
    let request = Request {
        client,
        origin: origin(Framing::Padded),
        is_plain: false,
        quick_ack_wanted: false,
        follows_loss: false,
    };
    raw.say(&mut middle, &request.encode());
    assert!(matches!(middle.poll_event(), Some(MiddleEvent::Over(LinkEnd::Message(_)))));

    let mut proxy = proxy_link(LinkConfig::default());
    let mut raw = Raw::middle(&mut proxy);
    proxy.open(origin(Framing::Padded)).unwrap();
    raw.say(&mut proxy, &[Note::Ping(1).encode(), vec![0; 4]].concat());
    assert!(matches!(proxy.poll_event(), Some(ProxyEvent::Over(LinkEnd::Message(_)))));
    assert_eq!(proxy.clients(), 0);
    proxy.shut();
    assert_eq!(proxy.poll_event(), None);
}

/// Rule: MPX-05: a frame that came once is not believed a second time, nor one of another place.
#[test]
fn repeated_frames_end_the_link() {
    let mut pair = Pair::ready();
    let client = open(&mut pair);
    pair.proxy.send(client, &sealed(64), false).unwrap();
    let mut wire = BytesMut::new();
    pair.proxy.poll_transmit(&mut wire);
    pair.middle.handle_bytes(START, &mut wire.clone());
    assert_eq!(pair.middle_events().len(), 1);
    pair.middle.handle_bytes(START, &mut wire);
    let events = pair.middle_events();
    assert!(matches!(events[..], [MiddleEvent::Over(LinkEnd::Frame(_))]), "{events:?}");
}

/// A client that both ends know.
fn open(pair: &mut Pair) -> ConnId {
    let client = pair.proxy.open(origin(Framing::Abridged)).unwrap();
    pair.proxy.send(client, &sealed(56), false).unwrap();
    pair.exchange(START);
    assert_eq!(pair.middle_events().len(), 2);
    client
}

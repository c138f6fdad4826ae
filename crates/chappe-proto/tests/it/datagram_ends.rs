//! The two ends of a UDP socket: whom they believe, and whom they answer.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chappe_crypto::AuthKey;
use chappe_proto::datagram::{
    ClientConfig, ClientEndpoint, ClientEvent, Heard, ServerConfig, ServerEndpoint, ServerEvent,
};
use chappe_proto::envelope::encrypted::{self, Header, Message};
use chappe_proto::schema::functions::{Ping, PingDelayDisconnect};
use chappe_proto::session::container;
use chappe_proto::{LinkId, MsgId, SessionId, Side};

use crate::handshake_ends::at;
use crate::link::plain_packet;
use crate::raw::{boxed, words};
use crate::transport_ends::rng;

/// Rule: UDP-03: what cannot be understood, opened or believed draws nothing, not even a log of it.
#[test]
fn unbelievable_datagrams_draw_nothing() {
    let mut end = Server::known();
    let good = sealed(4, Side::Client);
    for at in [8, 24, 60, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(end.hear(HOME, &bad), 0, "byte {at}");
    }
    for bad in [&good[..71], &good[..good.len() - 1], &[0; 1199], &[0; 4], &[]] {
        assert_eq!(end.hear(HOME, bad), 0);
    }
    // Of the wrong direction: an echo of what the server said.
    assert_eq!(end.hear(HOME, &sealed(5, Side::Server)), 0);
    assert!(end.said().is_empty());
    assert_eq!(end.hear(HOME, &good), 1);
}

/// Rule: UDP-03: an unknown key is told by four bytes, to each address once in ten seconds and to so
///       many addresses at once.
#[test]
fn unknown_key_is_told_seldom() {
    let mut config = ServerConfig::default();
    config.refusals_max = 2;
    let mut end = Server::with(config);
    let mut ask = |second, from| {
        end.end.handle_datagram(at(second), from, sealed(4, Side::Client));
        let Some(ServerEvent::KeyWanted(id)) = end.end.poll_event() else { panic!() };
        end.end.provide_key(at(second), id, None);
        end.said()
    };
    let refusal = |to| vec![(to, Bytes::from_static(&[0x6c, 0xfe, 0xff, 0xff]))];
    assert_eq!(ask(0, HOME), refusal(HOME));
    assert_eq!(ask(9, HOME), []);
    // The port does not make it another address.
    assert_eq!(ask(9, SocketAddr::new(HOME.ip(), 99)), []);
    assert_eq!(ask(9, AWAY), refusal(AWAY));
    assert_eq!(ask(9, OTHER), []);
    assert_eq!(ask(10, HOME), refusal(HOME));
    assert_eq!(ask(19, AWAY), refusal(AWAY));
    // Datagrams wait for their key in bounded number, and each key is asked for once.
    for id in 0..200 {
        end.end.handle_datagram(at(30), HOME, sealed(4 * id, Side::Client));
    }
    let wanted = std::iter::from_fn(|| end.end.poll_event()).count();
    assert_eq!(wanted, 1);
    end.end.provide_key(at(30), key().id(), Some(key()));
    assert_eq!(std::iter::from_fn(|| end.end.poll_event()).count(), 64);
}

/// Rules: UDP-04, UDP-06: an address gets no more bytes than came from it until the session has taken
///        something from there; then it does.
#[test]
fn unproved_address_gets_no_more_than_it_sent() {
    let mut end = Server::known();
    let datagram = sealed(4, Side::Client);
    let heard = end.take(HOME, &datagram);
    for id in 0..20 {
        end.end.send(LINK, &message(5 + 4 * id, 40));
    }
    let said = end.said();
    let bytes: usize = said.iter().map(|(_, datagram)| datagram.len()).sum();
    assert!(bytes <= datagram.len(), "{bytes} bytes for {}", datagram.len());
    // More of it comes from elsewhere: that address begins with what it sent itself.
    let other = sealed(8, Side::Client);
    end.take(AWAY, &other);
    end.end.send(LINK, &message(201, 400));
    end.end.send(LINK, &message(205, 4));
    for (to, datagram) in end.said() {
        assert!(to == AWAY && datagram.len() <= other.len());
    }
    end.end.accept(LINK, heard.token);
    for id in 0..20 {
        end.end.send(LINK, &message(301 + 4 * id, 1000));
    }
    let said = end.said();
    assert!(said.len() == 20 && said.iter().all(|(to, _)| *to == HOME));
    // What fits no datagram is never sent (UDP-02).
    end.end.send(LINK, &message(401, 1200));
    assert!(end.said().is_empty());
}

/// Rule: UDP-06: a session is where the highest message came from that it took. Older ones, recordings
///       and what it did not take change nothing.
#[test]
fn session_is_where_its_latest_message_came_from() {
    let mut end = Server::known();
    let (first, second, third) =
        (sealed(8, Side::Client), sealed(16, Side::Client), sealed(4, Side::Client));
    let heard = end.take(HOME, &first);
    end.end.accept(LINK, heard.token);
    assert_eq!(end.place(), Some(HOME));
    // A recording from elsewhere, which the session will not take.
    end.take(OTHER, &first);
    assert_eq!(end.place(), Some(HOME));
    let moved = end.take(AWAY, &second);
    assert_eq!(end.place(), Some(HOME));
    end.end.accept(LINK, moved.token);
    assert_eq!(end.place(), Some(AWAY));
    // One that was overtaken is taken all the same.
    let late = end.take(HOME, &third);
    end.end.accept(LINK, late.token);
    assert_eq!(end.place(), Some(AWAY));
    // A judgement is heard once, and of nothing that did not come.
    end.end.accept(LINK, heard.token);
    end.end.accept(LINK, 77);
    assert_eq!(end.place(), Some(AWAY));
}

/// Rules: UDP-04, SEC-47: paths, keys and judgements that are awaited have bounds; a silent path is
///        forgotten, as those of a key are with it.
#[test]
fn paths_are_bounded_and_forgotten() {
    let mut config = ServerConfig::default();
    config.paths_max = 1;
    let mut end = Server::with(config);
    end.end.handle_datagram(at(0), HOME, sealed(4, Side::Client));
    end.end.provide_key(at(0), key().id(), Some(key()));
    assert!(end.end.open(at(0), LINK, key().id(), SESSION));
    assert!(!end.end.open(at(0), LinkId(8), key().id(), SessionId(9)));
    assert_eq!(end.end.link_of(key().id(), SESSION), Some(LINK));
    for id in 0..1000 {
        end.take(HOME, &sealed(4 + 4 * id, Side::Client));
    }
    end.end.handle_timeout(at(119));
    assert_eq!(end.end.link_of(key().id(), SESSION), Some(LINK));
    end.end.handle_timeout(at(120));
    assert_eq!(end.end.link_of(key().id(), SESSION), None);
    let last = |end: &mut Server| std::iter::from_fn(|| end.end.poll_event()).last();
    assert!(matches!(last(&mut end), Some(ServerEvent::Silent(LINK))));
    assert!(end.end.open(at(130), LINK, key().id(), SESSION));
    end.end.forget_key(key().id());
    assert!(matches!(last(&mut end), Some(ServerEvent::Closed(LINK))));
    assert!(!end.end.open(at(130), LINK, key().id(), SESSION));
}

/// Rule: UDP-04: before a session has taken a message from an address, as much is sent there as came
///       from there, to the last datagram that fits, and nothing for what came from elsewhere.
#[test]
fn address_that_proved_nothing_is_sent_what_came_from_it() {
    let mut end = Server::known();
    let large = |id| {
        let large = message(id, 700);
        encrypted::seal(&[(&key(), &large)], Side::Client, &mut rng(5)).remove(0).packet
    };
    let sent = |end: &mut Server, place| {
        for id in 0..100 {
            end.end.send(LINK, &message(5 + 4 * id, 4));
        }
        let said = end.said();
        assert!(said.iter().all(|(to, _)| *to == place));
        said.iter().map(|(_, datagram)| datagram.len()).sum::<usize>()
    };
    // The smallest datagram has 72 bytes.
    let check = |sent: usize, room: usize| assert!(sent <= room && sent + 72 > room, "{sent}");
    let (first, second, third) = (large(4), large(8), large(12));
    end.take(HOME, &first);
    end.take(HOME, &second);
    check(sent(&mut end, HOME), first.len() + second.len());
    assert_eq!(sent(&mut end, HOME), 0);
    end.take(AWAY, &third);
    check(sent(&mut end, AWAY), third.len());
    // What came from one place and was not used is of no use to another.
    end.take(HOME, &first);
    end.take(AWAY, &third);
    check(sent(&mut end, AWAY), third.len());
    // It is back where it was, and begins anew.
    end.take(HOME, &first);
    check(sent(&mut end, HOME), first.len());
}

/// Rule: UDP-06: what was taken from one place moves the session nowhere when it comes, and is taken,
///       again from another.
#[test]
fn repeated_message_moves_nothing() {
    let mut end = Server::known();
    let datagram = sealed(4, Side::Client);
    for place in [HOME, AWAY] {
        let heard = end.take(place, &datagram);
        end.end.accept(LINK, heard.token);
        assert_eq!(end.place(), Some(HOME));
    }
}

/// What waits for a key that cannot be looked up is forgotten, and what waits for others is not.
#[test]
fn datagrams_whose_key_cannot_be_looked_up_are_forgotten() {
    let mut end = Server::with(ServerConfig::default());
    let stranger = Arc::new(AuthKey::new([9; 256]));
    let strange = encrypted::seal(&[(&stranger, &message(8, 40))], Side::Client, &mut rng(4));
    let strange = strange[0].packet.clone();
    assert_eq!(end.hear(HOME, &sealed(4, Side::Client)) + end.hear(HOME, &strange), 2);
    end.end.drop_held(key().id());
    end.end.provide_key(at(0), key().id(), Some(key()));
    end.end.provide_key(at(0), stranger.id(), Some(Arc::clone(&stranger)));
    let id = |event| match event {
        ServerEvent::Message(id, ..) => Some(id),
        _ => None,
    };
    let ids: Vec<_> = std::iter::from_fn(|| end.end.poll_event()).filter_map(id).collect();
    assert_eq!(ids, [stranger.id()]);
}

/// Idle paths are looked for four times in the time after which they are forgotten, and only where
/// there are any.
#[test]
fn timer_runs_while_there_are_paths() {
    assert_eq!(Server::with(ServerConfig::default()).end.poll_timeout(), None);
    let mut end = Server::known();
    assert!(end.end.poll_timeout().is_some_and(|at| at <= self::at(0).mono));
    end.end.handle_timeout(at(0));
    assert_eq!(end.end.poll_timeout(), Some(at(30).mono));
}

/// Keys that no path needs are forgotten when there are more than 64 of them, and no sooner.
#[test]
fn spare_keys_are_bounded() {
    let mut end = Server::known();
    let spare = |number: u8| Arc::new(AuthKey::new([number; 256]));
    // A datagram under a key that is known asks for none; this one cannot be opened.
    let is_known = |end: &mut Server, key: &AuthKey| {
        end.hear(HOME, &[&key.id().to_le_bytes()[..], &[0; 64]].concat()) == 0
    };
    for number in 1..=64 {
        end.end.provide_key(at(0), spare(number).id(), Some(spare(number)));
    }
    assert!(is_known(&mut end, &spare(1)) && is_known(&mut end, &spare(64)));
    end.end.provide_key(at(0), spare(65).id(), Some(spare(65)));
    assert!(is_known(&mut end, &key()) && is_known(&mut end, &spare(65)));
    assert!(!is_known(&mut end, &spare(1)) && !is_known(&mut end, &spare(64)));
}

/// Rule: UDP-05: unless it is told to, a server makes no keys over UDP.
#[test]
fn exchanges_are_not_served_unless_wanted() {
    let mut end = Server::known();
    assert_eq!(end.hear(HOME, &hello(1, 1)), 0);
    assert!(end.said().is_empty());
}

/// Rules: UDP-05, UDP-04: a request of 1200 bytes is answered, and again when it is repeated as it was;
///        for 30 s, and in bounded number.
#[test]
fn exchange_is_answered_again_when_it_asks_again() {
    let mut config = ServerConfig::default();
    config.hellos_max = 4;
    let mut end = Server::with(config);
    let asked = |end: &mut Server, second, from, datagram: &[u8]| {
        end.end.handle_datagram(at(second), from, BytesMut::from(datagram));
        match end.end.poll_event() {
            Some(ServerEvent::Plain(from, nonce, body)) => Some((from, nonce, body)),
            None => None,
            event => panic!("{event:?}"),
        }
    };
    let (from, nonce, body) = asked(&mut end, 0, HOME, &hello(1, 1)).unwrap();
    assert_eq!((from, nonce, body.len()), (HOME, [1; 16], 24));
    // While it is being answered nobody is asked again.
    assert_eq!(asked(&mut end, 0, HOME, &hello(1, 1)), None);
    assert!(end.said().is_empty());
    end.end.reply(at(0), from, nonce, &[5; 100]);
    let reply = end.said();
    assert!(reply.len() == 1 && reply[0].0 == HOME && reply[0].1.len() <= 1200);
    assert_eq!(asked(&mut end, 1, HOME, &hello(1, 1)), None);
    assert_eq!(end.said(), reply);
    // The same from elsewhere is another; the next step of an exchange takes the place of the last.
    assert!(asked(&mut end, 1, AWAY, &hello(1, 1)).is_some());
    assert!(asked(&mut end, 2, HOME, &hello(1, 2)).is_some());
    end.end.reply(at(2), HOME, [1; 16], &[6; 100]);
    let second = end.said();
    assert_ne!(second, reply);
    assert_eq!(asked(&mut end, 29, HOME, &hello(1, 2)), None);
    assert_eq!(end.said(), second);
    assert!(asked(&mut end, 30, HOME, &hello(1, 2)).is_some());
    // What nobody has time for is new when it comes again.
    assert_eq!(asked(&mut end, 30, HOME, &hello(1, 2)), None);
    end.end.put_off(HOME, [1; 16]);
    assert!(asked(&mut end, 30, HOME, &hello(1, 2)).is_some());
    // Whoever fills the table makes others ask anew, at random.
    for nonce in 10..100 {
        assert!(asked(&mut end, 31, OTHER, &hello(nonce, 1)).is_some());
    }
    let known = (10..100).filter(|n| asked(&mut end, 31, OTHER, &hello(*n, 1)).is_none()).count();
    assert!(known <= 4, "{known} of four places");
    // A reply that fits no datagram is not sent.
    end.said();
    end.end.reply(at(31), OTHER, [99; 16], &[6; 1200]);
    assert!(end.said().is_empty());
}

/// Rules: UDP-07, UDP-12: an encrypted datagram counts from every announced address; an error only from
///        the one that was asked, and it is a hint, after which streams carry everything.
#[test]
fn client_believes_what_is_sealed_and_hardly_anything_else() {
    let mut end = Client::open();
    let sealed = |id| sealed(id, Side::Server);
    end.end.handle_datagram(at(1), OTHER, sealed(9));
    assert_eq!(end.events(), []);
    // The announced address, at any port.
    end.end.handle_datagram(at(1), SocketAddr::new(AWAY.ip(), 1), sealed(13));
    assert_eq!(end.events().len(), 1);
    let mut bad = sealed(17);
    bad[40] ^= 1;
    end.end.handle_datagram(at(1), HOME, bad);
    end.end.handle_datagram(at(1), HOME, BytesMut::from(&plain_packet(5, &[1; 40])[..]));
    end.end.handle_datagram(at(1), AWAY, error());
    assert_eq!(end.events(), []);
    assert!(end.end.is_open());
    let call = message(4, 40);
    end.end.send(at(1), call.clone(), true);
    end.end.handle_datagram(at(1), HOME, error());
    assert_eq!(end.events(), [ClientEvent::Hint(404), ClientEvent::Undelivered(call)]);
    assert!(!end.end.is_open());
}

/// Rule: UDP-11: what is too large for a datagram goes over a stream, and everything as long as nothing
///       shows that datagrams arrive.
#[test]
fn client_takes_what_fits() {
    let mut end = Client::new();
    let ping = with_body(4, &boxed(&Ping { ping_id: 1 }));
    assert!(!end.end.takes(&message(4, 40), true) && end.end.takes(&ping, false));
    end.open_up();
    for (len, fits) in [(4, true), (1124, true), (1128, false), (40_000, false)] {
        assert_eq!(end.end.takes(&message(4, len), true), fits, "{len} bytes");
    }
    // A container cannot come twice, and a link is not let go for what is lost elsewhere.
    let kept = with_body(4, &boxed(&PingDelayDisconnect { ping_id: 1, disconnect_delay: 75 }));
    let packed = with_body(4, &words(&[container::ID, 0]));
    assert!(!end.end.takes(&kept, false) && !end.end.takes(&packed, false));
}

/// Rules: UDP-08, UDP-09: what is not acknowledged leaves again as it was, under its old id; of what is
///        owed ten are under way at most, and what was sent too often goes to a stream.
#[test]
fn client_sends_again_what_is_owed() {
    let mut end = Client::open();
    for id in 1..=10 {
        assert!(end.end.takes(&message(4 * id, 40), true));
        end.end.send(at(1), message(4 * id, 40), true);
    }
    assert!(!end.end.takes(&message(44, 40), true) && end.end.takes(&message(44, 40), false));
    assert_eq!(end.said().len(), 10);
    end.end.settle(at(1), |id| id.0 > 36);
    end.end.handle_timeout(at(2));
    assert_eq!(end.said(), [40]);
    for second in 3..300 {
        end.end.handle_datagram(at(second), HOME, sealed(5 + 4 * second as i64, Side::Server));
        end.end.handle_timeout(at(second));
    }
    assert_eq!(end.said(), [40; 9]);
    let back = |event| match event {
        ClientEvent::Undelivered(message) => Some(message.header.msg_id.0),
        _ => None,
    };
    assert_eq!(end.events().into_iter().filter_map(back).collect::<Vec<_>>(), [40]);
}

/// Rule: UDP-13: a ping every 25 s keeps the way open; after three without any answer streams carry
///       everything for five minutes, then it is tried again.
#[test]
fn three_lost_pings_end_datagrams_for_a_while() {
    let mut end = Client::open();
    let pings = |end: &mut Client| {
        end.events().into_iter().filter(|event| *event == ClientEvent::Ping).count()
    };
    for round in 1..5 {
        end.end.handle_timeout(at(25 * round - 1));
        assert_eq!(pings(&mut end), 0);
        end.end.handle_timeout(at(25 * round));
        assert_eq!(pings(&mut end), 1);
        end.end.handle_datagram(
            at(25 * round),
            HOME,
            sealed(100 + 4 * round as i64 + 1, Side::Server),
        );
        end.events();
    }
    for (second, is_open) in [(125, true), (150, true), (175, true), (200, false)] {
        let call = message(4 * second as i64, 40);
        if end.end.is_open() {
            end.end.send(at(second), call, true);
        }
        end.end.handle_timeout(at(second));
        assert_eq!(end.end.is_open(), is_open, "after {second} s");
    }
    let events = end.events();
    assert_eq!(events.iter().filter(|event| **event == ClientEvent::Ping).count(), 3);
    assert_eq!(
        events.iter().filter(|event| matches!(event, ClientEvent::Undelivered(_))).count(),
        4
    );
    end.end.handle_timeout(at(499));
    assert_eq!(pings(&mut end), 0);
    assert!(!end.end.takes(&with_body(4, &boxed(&Ping { ping_id: 1 })), false));
    end.end.handle_timeout(at(500));
    assert_eq!(pings(&mut end), 1);
    end.end.handle_datagram(at(501), HOME, sealed(201, Side::Server));
    assert!(end.end.is_open());
}

/// Rule: UDP-13: a way of which nothing is known is tried at once, then twice as long after each try,
///       at most as long as an open one; then not for five minutes.
#[test]
fn client_tries_a_new_way_less_and_less_often() {
    let mut config = ClientConfig::new(HOME);
    config.losses_max = 7;
    let mut end = Client { end: ClientEndpoint::new(at(0), config, key(), rng(2)) };
    let mut now = at(0);
    let mut waits = Vec::new();
    for _ in 0..9 {
        let wait = end.end.poll_timeout() - now.mono;
        waits.push(wait.as_millis());
        (now.mono, now.unix) = (now.mono + wait, now.unix + wait);
        end.end.handle_timeout(now);
        assert!(!end.end.is_open());
    }
    assert_eq!(waits, [0, 1000, 2000, 4000, 8000, 16_000, 25_000, 25_000, 300_000]);
    // A ping that is waited for is no try.
    let ping = with_body(4, &boxed(&Ping { ping_id: 1 }));
    assert!(end.end.takes(&ping, false) && !end.end.takes(&ping, true));
    // What is under way may be due sooner than the next ping.
    let mut open = Client::open();
    assert_eq!(open.end.poll_timeout(), at(25).mono);
    open.end.send(at(1), message(4, 40), true);
    assert_eq!(open.end.poll_timeout(), at(2).mono);
}

const HOME: SocketAddr = address([192, 0, 2, 1], 1000);
const AWAY: SocketAddr = address([192, 0, 2, 2], 2000);
const OTHER: SocketAddr = address([192, 0, 2, 3], 3000);
const LINK: LinkId = LinkId(7);
const SESSION: SessionId = SessionId(2);

const fn address(octets: [u8; 4], port: u16) -> SocketAddr {
    let [a, b, c, d] = octets;
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(a, b, c, d)), port)
}

/// A server's end.
struct Server {
    end: ServerEndpoint,
}

impl Server {
    fn with(config: ServerConfig) -> Self {
        Self { end: ServerEndpoint::new(config, rng(1)) }
    }

    /// One that knows the key and has a path to its session.
    fn known() -> Self {
        let mut end = Self::with(ServerConfig::default());
        end.end.provide_key(at(0), key().id(), Some(key()));
        assert!(end.end.open(at(0), LINK, key().id(), SESSION));
        end
    }

    /// How many messages came out of a datagram.
    fn hear(&mut self, from: SocketAddr, datagram: &[u8]) -> usize {
        self.end.handle_datagram(at(0), from, BytesMut::from(datagram));
        std::iter::from_fn(|| self.end.poll_event()).count()
    }

    /// Takes a datagram as far as its session.
    fn take(&mut self, from: SocketAddr, datagram: &BytesMut) -> Heard {
        self.end.handle_datagram(at(0), from, datagram.clone());
        let heard = std::iter::from_fn(|| self.end.poll_event()).find_map(|event| match event {
            ServerEvent::Message(_, heard, _) => Some(heard),
            _ => None,
        });
        self.end.hear(at(0), LINK, heard.unwrap());
        heard.unwrap()
    }

    fn said(&mut self) -> Vec<(SocketAddr, Bytes)> {
        std::iter::from_fn(|| self.end.poll_transmit()).collect()
    }

    /// Where the session is sent to.
    fn place(&mut self) -> Option<SocketAddr> {
        self.end.send(LINK, &message(5, 4));
        self.said().pop().map(|(to, _)| to)
    }
}

/// A client's end.
struct Client {
    end: ClientEndpoint,
}

impl Client {
    fn new() -> Self {
        let mut config = ClientConfig::new(HOME);
        config.announced.insert(AWAY.ip());
        Self { end: ClientEndpoint::new(at(0), config, key(), rng(2)) }
    }

    /// One that has heard an answer to its first ping.
    fn open() -> Self {
        let mut end = Self::new();
        end.end.handle_timeout(at(0));
        assert_eq!(end.events(), [ClientEvent::Ping]);
        end.open_up();
        end
    }

    fn open_up(&mut self) {
        self.end.handle_datagram(at(0), HOME, sealed(1, Side::Server));
        assert!(self.end.is_open() && self.events().len() == 1);
    }

    fn events(&mut self) -> Vec<ClientEvent> {
        std::iter::from_fn(|| self.end.poll_event()).collect()
    }

    /// The ids of the messages that left.
    fn said(&mut self) -> Vec<i64> {
        let open = |(to, datagram): (SocketAddr, Bytes)| {
            assert_eq!(to, HOME);
            let packets = vec![BytesMut::from(&datagram[..])];
            encrypted::open(&key(), packets, Side::Client)
                .remove(0)
                .unwrap()
                .message
                .header
                .msg_id
                .0
        };
        std::iter::from_fn(|| self.end.poll_transmit()).map(open).collect()
    }
}

fn key() -> Arc<AuthKey> {
    // Of which no two parts are the same, so that each direction has its own.
    Arc::new(AuthKey::new(std::array::from_fn(|at| at as u8)))
}

fn message(msg_id: i64, len: usize) -> Message {
    with_body(msg_id, &vec![7; len].into())
}

fn with_body(msg_id: i64, body: &Bytes) -> Message {
    let header = Header { salt: 1, session_id: SESSION, msg_id: MsgId(msg_id), seq_no: 1 };
    Message { header, body: body.clone() }
}

fn sealed(msg_id: i64, from: Side) -> BytesMut {
    encrypted::seal(&[(&key(), &message(msg_id, 40))], from, &mut rng(4)).remove(0).packet
}

fn error() -> BytesMut {
    BytesMut::from(&(-404_i32).to_le_bytes()[..])
}

/// A request of 1200 bytes: a constructor, a nonce and what the step of the exchange says.
fn hello(nonce: u8, step: u8) -> Vec<u8> {
    let mut body = vec![step; 4];
    body.extend([nonce; 16]);
    body.extend([step; 4]);
    let mut datagram = plain_packet(4, &body);
    datagram.resize(1200, 0);
    datagram
}

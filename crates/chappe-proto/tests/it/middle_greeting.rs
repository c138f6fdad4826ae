//! How proxies and middle servers recognise each other, and whom they turn away.

use std::sync::Arc;

use chappe_proto::middle::frames::Checksum;
use chappe_proto::middle::greeting::{GreetingError, ProcessId};
use chappe_proto::middle::keys::{Path, ProxySecret};
use chappe_proto::middle::link::{
    LinkConfig, LinkEnd, MiddleEvent, MiddleLink, ProxyEvent, ProxyLink,
};
use chappe_proto::middle::messages::Message;
use chappe_proto::transport::Framing;

use crate::middle_ends::{
    Pair, Raw, START, handshake, middle_link, middle_vectors, nonce, nonce_of, origin, own, path,
    proxy_link, proxy_process, sealed, secret,
};
use crate::transport_ends::{bytes, rng};

const NOW: u32 = 1_700_000_000;

/// Rules: MPX-02, MPX-03: the two ends greet each other, however the bytes are cut, and each nonce
///        frame has the form of the vectors.
#[test]
fn ends_that_know_the_secret_greet_each_other() {
    for piece in [1, 15, 16, 17, 44, 1000] {
        let mut pair = Pair::new(LinkConfig::default(), LinkConfig::default(), piece);
        pair.exchange(START);
        assert_eq!(pair.proxy_events(), [ProxyEvent::Ready], "{piece}");
        assert_eq!(pair.middle_events(), [MiddleEvent::Ready], "{piece}");
        assert!(pair.proxy.takes_clients(START));
    }
    let asked = Raw::default().hear(&mut proxy_link(LinkConfig::default())).unwrap();
    let vector = bytes(&middle_vectors()["nonce_frame_client"]);
    assert_eq!(asked[..16], vector[8..24]);
    assert_eq!(asked.len(), 32);
}

/// Rule: MPX-02: a proxy leaves a middle server that answers with another secret, another schema, a
///       clock of another time, or something else altogether.
#[test]
fn proxy_leaves_who_answers_its_nonce_wrongly() {
    let check = |answer: &[u8], expected: Option<GreetingError>| {
        let mut proxy = proxy_link(LinkConfig::default());
        let mut raw = Raw::default();
        raw.hear(&mut proxy).unwrap();
        raw.say(&mut proxy, answer);
        let end = expected.map(|error| ProxyEvent::Over(LinkEnd::Greeting(error)));
        assert_eq!(proxy.poll_event(), end, "{answer:?}");
        let stays = end.is_none();
        assert_eq!(proxy.poll_timeout().is_some(), stays);
        // Whoever is not known is told nothing.
        let mut out = bytes::BytesMut::new();
        proxy.poll_transmit(&mut out);
        assert_eq!(!out.is_empty(), stays);
    };
    let selector = secret().selector();
    for time in [NOW - 30, NOW, NOW + 30] {
        check(&nonce(time), None);
    }
    check(&nonce(NOW + 31), Some(GreetingError::Clock(31)));
    check(&nonce(NOW - 31), Some(GreetingError::Clock(-31)));
    check(&nonce_of(selector ^ 1, 1, NOW), Some(GreetingError::UnknownSecret(selector ^ 1)));
    for schema in [0, 2, 3, 4] {
        check(&nonce_of(selector, schema, NOW), Some(GreetingError::Schema(schema)));
    }
    check(&nonce(NOW)[..28], Some(GreetingError::Length(28)));
    check(&nonce(NOW)[..4], Some(GreetingError::Length(4)));
    check(&[nonce(NOW), vec![0; 4]].concat(), Some(GreetingError::Length(36)));
    let expected = GreetingError::Type { expected: 0x7acb_87aa, got: 0x7682_eef5 };
    check(&handshake(0, &[0; 12], &[0; 12]), Some(expected));
}

/// Rule: MPX-02: the middle server's handshake is for this proxy and sets no flag that is not known;
///       whatever else comes ends the link, and the middle server learns why.
#[test]
fn proxy_leaves_who_answers_its_handshake_wrongly() {
    let check = |answer: &dyn Fn(&[u8]) -> Vec<u8>,
                 expected: Option<(GreetingError, Option<i32>)>| {
        let mut proxy = proxy_link(LinkConfig::default());
        let mut raw = Raw::default();
        raw.answer_nonce(&mut proxy, &nonce(NOW));
        let asked = raw.hear(&mut proxy).unwrap();
        raw.say(&mut proxy, &answer(&asked));
        let event = proxy.poll_event().unwrap();
        match expected {
            None => assert_eq!(event, ProxyEvent::Ready),
            Some((error, code)) => {
                assert_eq!(event, ProxyEvent::Over(error.into()));
                let told = raw.hear(&mut proxy);
                assert_eq!(told.map(|told| refused(&told)), code);
            }
        }
    };
    let sender = |asked: &[u8]| asked[8..20].to_vec();
    check(&|asked| handshake(0, &[1; 12], &sender(asked)), None);
    check(
        &|asked| handshake(0x800, &[1; 12], &sender(asked)),
        Some((GreetingError::Checksum, Some(-8))),
    );
    check(
        &|asked| handshake(0x1, &[1; 12], &sender(asked)),
        Some((GreetingError::Flags(1), Some(-7))),
    );
    let other = |asked: &[u8]| {
        let mut other = sender(asked);
        other[11] ^= 1;
        handshake(0, &[1; 12], &other)
    };
    check(&other, Some((GreetingError::Process, Some(-4))));
    check(&|_| handshake(0, &[1; 12], &[1; 8]), Some((GreetingError::Length(28), Some(-3))));
    let refusal =
        |_: &[u8]| [&0x6a27_beda_u32.to_le_bytes(), &(-6_i32).to_le_bytes(), &[0; 12][..]].concat();
    check(&refusal, Some((GreetingError::Refused(-6), None)));
    let expected = GreetingError::Type { expected: 0x7682_eef5, got: 0x7acb_87aa };
    check(&|_| nonce(NOW), Some((expected, None)));
}

/// Rule: MPX-03: a middle server closes without a word on who means another secret or schema, or
///       whose clock is wrong.
#[test]
fn middle_server_turns_strangers_away() {
    let check = |asked: &[u8], expected: Option<GreetingError>| {
        let mut middle = middle_link(LinkConfig::default());
        let mut raw = Raw::default();
        raw.say(&mut middle, asked);
        let answered = raw.hear(&mut middle);
        assert_eq!(answered.is_some(), expected.is_none(), "{asked:?}");
        let end = expected.map(|error| MiddleEvent::Over(LinkEnd::Greeting(error)));
        assert_eq!(middle.poll_event(), end);
    };
    let selector = secret().selector();
    for time in [NOW - 30, NOW + 30] {
        check(&nonce(time), None);
    }
    check(&nonce(NOW - 31), Some(GreetingError::Clock(-31)));
    check(&nonce(NOW + 31), Some(GreetingError::Clock(31)));
    check(&nonce_of(selector ^ 8, 1, NOW), Some(GreetingError::UnknownSecret(selector ^ 8)));
    for schema in [0, 2, 3] {
        check(&nonce_of(selector, schema, NOW), Some(GreetingError::Schema(schema)));
        // The longer frames of those schemas, with more keys and an exchange of them.
        let long = [nonce_of(selector, schema, NOW), vec![0; 300]].concat();
        check(&long, Some(GreetingError::Schema(schema)));
    }
    check(&nonce(NOW)[..16], Some(GreetingError::Length(16)));
}

/// Rule: MPX-03: one of several secrets may be meant; the wrong one under the right name makes
///       nothing of what follows.
#[test]
fn secret_is_chosen_by_its_name_and_proved_by_its_bytes() {
    let mut content = bytes(&middle_vectors()["proxy_secret"]);
    let right = ProxySecret::parse(&content).unwrap();
    let other = ProxySecret::parse(&[8; 64]).unwrap();
    content[100] ^= 1;
    let forged = ProxySecret::parse(&content).unwrap();
    for (known, is_greeted) in [(vec![other.clone(), right], true), (vec![other, forged], false)] {
        let mut pair = Pair::ready();
        let config = LinkConfig::default();
        pair.proxy = proxy_link(config.clone());
        pair.middle = MiddleLink::new(START, config, known.into(), path(), own(), rng(2));
        pair.exchange(START);
        assert_eq!(pair.middle_events() == [MiddleEvent::Ready], is_greeted);
        assert_eq!(pair.proxy_events() == [ProxyEvent::Ready], is_greeted);
    }
}

/// Rule: MPX-01: where addresses are translated on the way, keys agree only if the proxy gives the
///       address that the middle server sees.
#[test]
fn translated_address_has_to_be_given() {
    for (inside, is_greeted) in [("203.0.113.7:40123", true), ("10.0.0.2:40123", false)] {
        let mut pair = Pair::ready();
        let seen = path();
        let path = Path::new(inside.parse().unwrap(), seen.middle()).unwrap();
        let config = LinkConfig::default();
        let secret = Arc::new(secret());
        pair.proxy = ProxyLink::new(START, config.clone(), secret, path, proxy_process(), rng(1));
        pair.middle = middle_link(config);
        pair.exchange(START);
        let events = pair.middle_events();
        assert_eq!(events == [MiddleEvent::Ready], is_greeted, "{events:?}");
        if !is_greeted {
            assert!(matches!(events[..], [MiddleEvent::Over(LinkEnd::Frame(_))]), "{events:?}");
        }
    }
}

/// Rules: MPX-03, QRK-60: a handshake for another process is refused with -4 where that is looked at, a
///        wrong length with -3, flags that nobody knows with -7; then the link ends. Unless it is set
///        so, any process may be meant.
#[test]
fn middle_server_says_why_it_refuses_a_handshake() {
    let check = |config: LinkConfig, frame: &[u8], code: Option<i32>| {
        let mut middle = middle_link(config);
        let mut raw = Raw::ask(&mut middle, &nonce(NOW));
        raw.say(&mut middle, frame);
        let event = middle.poll_event().unwrap();
        let told = raw.hear(&mut middle).unwrap();
        match code {
            None => {
                assert_eq!(event, MiddleEvent::Ready);
                // What the proxy calls itself is what it is called.
                assert_eq!(told[20..32], frame[8..20]);
            }
            Some(code) => {
                assert!(matches!(event, MiddleEvent::Over(LinkEnd::Greeting(_))), "{event:?}");
                assert_eq!(refused(&told), code);
                assert_eq!(told.len(), 20);
                assert_eq!(middle.poll_timeout(), None);
            }
        }
    };
    let default = LinkConfig::default;
    let process = |id: ProcessId| {
        let numbers = [id.ip.to_le_bytes().to_vec(), id.port.to_le_bytes().to_vec()];
        let rest = [id.pid.to_le_bytes().to_vec(), id.start.to_le_bytes().to_vec()];
        [numbers.concat(), rest.concat()].concat()
    };
    let mut strict = default();
    strict.any_process = false;
    check(strict.clone(), &handshake(0, &[3; 12], &process(own())), None);
    // Nothing is 0 of itself: each may be left out.
    for blank in [
        ProcessId { ip: 0, ..own() },
        ProcessId { port: 0, ..own() },
        ProcessId { pid: 0, start: 0, ..own() },
        ProcessId::default(),
    ] {
        check(strict.clone(), &handshake(0, &[3; 12], &process(blank)), None);
    }
    for other in [
        ProcessId { ip: 1, ..own() },
        ProcessId { port: 1, ..own() },
        ProcessId { pid: 1, ..own() },
        ProcessId { start: 1, ..own() },
    ] {
        let frame = handshake(0, &[3; 12], &process(other));
        check(strict.clone(), &frame, Some(-4));
        check(default(), &frame, None);
    }
    check(default(), &handshake(0, b"IPIPPRPDTIME", b"IPIPPRPDTIME"), None);
    check(default(), &handshake(0, &[3; 12], &[0; 16]), Some(-3));
    check(default(), &handshake(0, &[3; 12], &[0; 8]), Some(-3));
    check(default(), &handshake(0x80, &[3; 12], &[0; 12]), Some(-7));
}

/// Rule: a process on this machine alone is named without its address, which no two processes there
///       share with anybody else.
#[test]
fn process_of_this_machine_has_no_address() {
    let at = |address: &str| ProcessId::at(address.parse().unwrap());
    assert_eq!(at("149.154.175.50:8888").ip, 0x959a_af32);
    for address in ["127.0.0.1:8888", "[::1]:8888", "[2001:db8::1]:8888"] {
        assert_eq!(at(address), ProcessId { port: 8888, ..ProcessId::default() });
    }
}

/// Rule: MPX-04: CRC-32C is used if both ends offer it, and only then, and never for the handshakes
///       themselves.
#[test]
fn better_checksum_is_used_if_both_offer_it() {
    for (proxy, middle) in [(true, true), (true, false), (false, true), (false, false)] {
        let config = |offers: bool| {
            let mut config = LinkConfig::default();
            config.checksum = if offers { Checksum::Crc32c } else { Checksum::Crc32 };
            config
        };
        let mut pair = Pair::new(config(proxy), config(middle), 16);
        pair.exchange(START);
        assert_eq!(pair.proxy_events(), [ProxyEvent::Ready]);
        // Were they not agreed, this would end the link.
        let client = pair.proxy.open(origin(Framing::Intermediate)).unwrap();
        pair.proxy.send(client, &sealed(56), false).unwrap();
        pair.exchange(START);
        assert!(pair.middle.send(client, &[1; 8]));
        pair.exchange(START);
        assert_eq!(pair.middle_events().len(), 3);
        assert_eq!(pair.proxy_events().len(), 1);

        let mut link = middle_link(config(middle));
        let mut raw = Raw::ask(&mut link, &nonce(NOW));
        raw.say(&mut link, &handshake(if proxy { 0x800 } else { 0 }, &[3; 12], &[0; 12]));
        let chosen = raw.hear(&mut link).unwrap();
        let both = proxy && middle;
        assert_eq!(chosen[4..8], (if both { 0x800_u32 } else { 0 }).to_le_bytes());
        let checksum = if both { Checksum::Crc32c } else { Checksum::Crc32 };
        raw.inbound.agree(checksum, 1024);
        raw.outbound.agree(checksum);
        raw.say(&mut link, &[0x5730_a2df_u32.to_le_bytes(), [1; 4], [2; 4]].concat());
        let pong = raw.hear(&mut link).unwrap();
        let pong = Message::decode(pong[..].into()).unwrap();
        assert!(matches!(pong, Message::Note(_)), "{pong:?}");
    }
}

/// Rule: MPX-07: who has not been greeted within ten seconds is given up, at either end.
#[test]
fn greeting_has_its_time() {
    use crate::middle_ends::later;
    let mut proxy = proxy_link(LinkConfig::default());
    let mut middle = middle_link(LinkConfig::default());
    let due = later(10);
    assert_eq!((proxy.poll_timeout(), middle.poll_timeout()), (Some(due.mono), Some(due.mono)));
    proxy.handle_timeout(later(9));
    middle.handle_timeout(later(9));
    assert_eq!((proxy.poll_event(), middle.poll_event()), (None, None));
    proxy.handle_timeout(due);
    middle.handle_timeout(due);
    assert_eq!(proxy.poll_event(), Some(ProxyEvent::Over(LinkEnd::Silent)));
    assert_eq!(middle.poll_event(), Some(MiddleEvent::Over(LinkEnd::Silent)));
    assert_eq!((proxy.poll_timeout(), middle.poll_timeout()), (None, None));
}

fn refused(frame: &[u8]) -> i32 {
    assert_eq!(frame[..4], 0x6a27_beda_u32.to_le_bytes());
    i32::from_le_bytes(frame[4..8].try_into().unwrap())
}

//! The server's side of the key exchange, against clients that break its rules one at a time.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use chappe_crypto::dh::Group;
use chappe_crypto::rsa::Scheme;
use chappe_crypto::{exchange, pq};
use chappe_proto::LinkId;
use chappe_proto::handshake::server::{DcPolicy, Origin, Output, Stored};
use chappe_proto::schema::{ctors, functions, types};
use proptest::prelude::*;

use crate::handshake_ends::{
    Inner, Said, Server, UNIX_START, Visitor, at, encode, identity, origin,
};
use crate::transport_ends::{bytes, list, rng, vectors};

const GONE: Said = Said::Error(-404);
const FLOOD: Said = Said::Error(-429);
const WRONG_DC: Said = Said::Error(-444);

/// Rules: KEY-08, CRY-22: a new exchange gets a fresh server_nonce, a fresh product of two primes
///        and the fingerprints of all identities; the obsolete `req_pq` gets the same answer.
#[test]
fn offer_is_fresh_for_each_exchange() {
    let mut server = Server::new(|_| ());
    let mut seen = Vec::new();
    for seed in 1..5 {
        let visitor = Visitor::new(seed);
        let offer: types::ResPq = server.ask(1, &visitor.req_pq()).is();
        let number = pq::parse(&offer.pq).unwrap();
        let (p, q) = pq::factor(number, &mut rng(1)).unwrap();
        assert!(p < q && number < 1 << 63, "{p} · {q}");
        assert_eq!(offer.server_public_key_fingerprints, [identity().public().fingerprint()]);
        let obsolete = encode(&functions::ReqPq { nonce: visitor.inner.nonce });
        assert_eq!(server.ask(1, &obsolete).is::<types::ResPq>(), offer);
        seen.push((offer.server_nonce, offer.pq));
    }
    for (i, one) in seen.iter().enumerate() {
        assert!(seen[..i].iter().all(|other| other.0 != one.0 && other.1 != one.1));
    }
}

/// Rules: KEY-12, KEY-13, SEC-08, SEC-14, SEC-16, CRY-11, CRY-12: every field of `req_DH_params` and
///        of its inner data is checked; each failure has the same answer, and afterwards the
///        exchange is dead even for a correct request.
#[test]
fn altered_dh_request_is_refused_and_ends_the_exchange() {
    type Alter = fn(&mut functions::ReqDhParams);
    let outer: [(&str, Alter); 10] = [
        ("p", |request| request.p = Bytes::from_static(&[0, 0, 0, 3])),
        ("q", |request| request.q = Bytes::from_static(&[0, 0, 0, 3])),
        ("p and q swapped", |request| std::mem::swap(&mut request.p, &mut request.q)),
        ("empty p", |request| request.p = Bytes::new()),
        ("long q", |request| request.q = vec![1; 300].into()),
        ("fingerprint", |request| request.public_key_fingerprint ^= 1),
        ("encrypted data", |request| {
            let mut data = request.encrypted_data.to_vec();
            data[255] ^= 1;
            request.encrypted_data = data.into();
        }),
        ("encrypted data above the modulus", |request| {
            request.encrypted_data = vec![0xff; 256].into();
        }),
        ("short encrypted data", |request| {
            request.encrypted_data = request.encrypted_data.slice(..255);
        }),
        ("no encrypted data", |request| request.encrypted_data = Bytes::new()),
    ];
    for (name, alter) in outer {
        check_refusal(name, GONE, |visitor| {
            let mut request = visitor.req_dh();
            alter(&mut request);
            encode(&request)
        });
    }
    type AlterInner = fn(&mut Inner);
    let inner: [(&str, AlterInner); 7] = [
        ("inner pq", |inner| inner.pq = Bytes::from_static(&[15])),
        ("inner p", |inner| inner.p = Bytes::from_static(&[3])),
        ("inner q", |inner| inner.q = Bytes::from_static(&[5])),
        ("inner p and q swapped", |inner| std::mem::swap(&mut inner.p, &mut inner.q)),
        ("inner nonce", |inner| inner.nonce[15] ^= 1),
        ("inner server_nonce", |inner| inner.server_nonce[15] ^= 1),
        ("expires_in of 0", |inner| inner.expires_in = Some(0)),
    ];
    for (name, alter) in inner {
        check_refusal(name, GONE, |visitor| {
            let mut inner = visitor.inner.clone();
            alter(&mut inner);
            encode(&visitor.req_dh_as(Scheme::Padded, &inner))
        });
    }
    check_refusal("inner data of no kind", GONE, |visitor| {
        let data = identity().public().encrypt_padded(&[7; 100], &mut rng(9)).unwrap();
        let mut request = visitor.req_dh();
        request.encrypted_data = data.to_vec().into();
        encode(&request)
    });
}

/// Rules: KEY-12, KEY-13: a request that names another server_nonce, or comes for no exchange, is
///        refused; an exchange of the same nonce is none of its business.
#[test]
fn request_for_an_unknown_exchange_is_refused() {
    let mut server = Server::new(|_| ());
    let mut visitor = Visitor::offered(&mut server, 1, 1);
    let good = visitor.req_dh();
    let mut foreign = good.clone();
    foreign.server_nonce[0] ^= 1;
    assert_eq!(server.ask(1, &encode(&foreign)), GONE);
    let mut foreign = good.clone();
    foreign.nonce[0] ^= 1;
    assert_eq!(server.ask(1, &encode(&foreign)), GONE);
    assert_eq!(server.ask(1, &visitor.set_dh_sealed(vec![1; 336])), GONE);
    // That one did name the exchange, in which it was not its turn.
    assert_eq!(server.ask(1, &encode(&good)), GONE);
}

/// Rule: KEY-01: what is no step of an exchange is refused, whatever it is.
#[test]
fn anything_else_is_refused() {
    let mut server = Server::new(|_| ());
    assert_eq!(server.ask(1, &encode(&functions::Ping { ping_id: 1 })), GONE);
    assert_eq!(server.ask(1, &[]), GONE);
    assert_eq!(server.ask(1, &[0xf1, 0x8e, 0x7e, 0xbe, 1, 2, 3, 4]), GONE);
    assert!(server.exchanges.is_empty());
}

/// Rules: KEY-14, SEC-60, QRK-03: only a served data centre may be named, with its test and media
///        forms as configured; by default every one is served, so that TDLib can begin with 1.
#[test]
fn wrong_data_centre_is_told_apart() {
    let only = |dc, test, media| DcPolicy::Only { dc, test, media };
    for (policy, good, bad) in [
        (only(2, false, false), vec![2], vec![-2, 1, 0, 10_002, -10_002, 20_002, 12, i32::MIN]),
        (only(2, false, true), vec![2, -2], vec![-1, 10_002, -10_002, i32::MAX]),
        (only(2, true, false), vec![10_002], vec![2, -2, -10_002, 10_001]),
        (only(2, true, true), vec![10_002, -10_002], vec![2, -2]),
        (DcPolicy::Any, vec![1, 2, 5, -2, 10_002, -10_003], vec![]),
    ] {
        for (dcs, expected) in [(good, true), (bad, false)] {
            for dc in dcs {
                assert_eq!(policy.admits(dc), expected, "{policy:?} of {dc}");
            }
        }
    }

    let mut server =
        Server::new(|config| config.dc = DcPolicy::Only { dc: 2, test: false, media: false });
    let mut visitor = Visitor::offered(&mut server, 1, 1);
    visitor.inner.dc = Some(-2);
    let wrong = encode(&visitor.req_dh());
    assert_eq!(server.ask(1, &wrong), WRONG_DC);
    visitor.inner.dc = Some(2);
    let right = encode(&visitor.req_dh());
    assert_eq!(server.ask(1, &right), GONE, "the exchange is over");
    let mut visitor = Visitor::agreed(&mut server, 1, 2);
    let (inner, key) = visitor.draw();
    let request = visitor.set_dh(&inner);
    assert!(visitor.finishes(&server.ask(1, &request), &key));
    assert_eq!(server.kept[0].1, 2);
}

/// Rule: KEY-12: the data centre is judged last: another fault beside it decides.
#[test]
fn data_centre_is_the_last_check() {
    let mut server =
        Server::new(|config| config.dc = DcPolicy::Only { dc: 2, test: false, media: false });
    let mut visitor = Visitor::offered(&mut server, 1, 1);
    visitor.inner.dc = Some(3);
    let mut inner = visitor.inner.clone();
    inner.nonce[0] ^= 1;
    let request = visitor.req_dh_as(Scheme::Padded, &inner);
    assert_eq!(server.ask(1, &encode(&request)), GONE);
}

/// Rule: KEY-15: a temporary key lives as long as was asked for, at most as long as configured;
///       a life that is over is refused.
#[test]
fn temporary_key_life_is_bounded() {
    for (asked, kept) in [(1, 1), (600, 600), (601, 600), (i32::MAX, 600)] {
        let mut server = Server::new(|config| config.temporary_key_life_max = 600);
        let mut visitor = Visitor::new(1);
        visitor.inner.expires_in = Some(asked);
        finish(&mut server, &mut visitor, Scheme::Padded);
        assert_eq!(server.kept[0].0.expires_in, Some(kept));
    }
    for expires_in in [0, -1, i32::MIN] {
        check_refusal("life", GONE, |visitor| {
            visitor.inner.expires_in = Some(expires_in);
            encode(&visitor.req_dh())
        });
    }
}

/// Rules: QRK-01, CRY-13, KEY-14, KEY-22, KEY-26: every kind of inner data in either RSA form makes
///        a key, with the salt that both ends compute.
#[test]
fn every_combination_of_old_and_new_makes_a_key() {
    for scheme in [Scheme::Padded, Scheme::Older] {
        for dc in [None, Some(2)] {
            for expires_in in [None, Some(86_400)] {
                let mut server = Server::new(|_| ());
                let mut visitor = Visitor::new(1);
                visitor.inner.dc = dc;
                visitor.inner.expires_in = expires_in;
                let key = finish(&mut server, &mut visitor, scheme);
                let (kept, at) = &server.kept[0];
                assert_eq!((kept.key.id(), kept.expires_in), (key.id(), expires_in));
                assert_eq!(kept.key.stored(), key.stored());
                assert_eq!(*at, dc.unwrap_or(0));
                let Inner { new_nonce, server_nonce, .. } = visitor.inner;
                let xor: Vec<u8> = (0..8).map(|i| new_nonce[i] ^ server_nonce[i]).collect();
                assert_eq!(kept.first_salt.to_le_bytes()[..], xor);
            }
        }
    }
}

/// Rules: CRY-13, KEY-14: where old clients are not served, neither their RSA form nor inner data
///        without a data centre passes; current ones do.
#[test]
fn old_clients_can_be_refused() {
    for (scheme, dc) in [(Scheme::Older, Some(2)), (Scheme::Older, None), (Scheme::Padded, None)] {
        let mut server = Server::new(|config| config.old_clients = false);
        let mut visitor = Visitor::offered(&mut server, 1, 1);
        visitor.inner.dc = dc;
        let request = visitor.req_dh_as(scheme, &visitor.inner.clone());
        assert_eq!(server.ask(1, &encode(&request)), GONE, "{scheme:?} {dc:?}");
    }
    let mut server = Server::new(|config| config.old_clients = false);
    finish(&mut server, &mut Visitor::new(1), Scheme::Padded);
}

/// Rules: KEY-16, QRK-02: the group is the published one with generator 3, g_a is in range and
///        fresh, and the time is the server's.
#[test]
fn parameters_are_known_good_and_fresh() {
    let mut server = Server::new(|_| ());
    server.pass(5);
    let dh = vectors("dh.json");
    let mut seen = Vec::new();
    for seed in 1..4 {
        let params = Visitor::agreed(&mut server, 1, seed).dh.unwrap();
        assert_eq!((params.g, params.dh_prime.to_vec()), (3, bytes(&dh["p"])));
        assert_eq!(params.server_time as u64, UNIX_START + 5);
        assert_eq!(params.g_a.len(), 256);
        Group::known().check_public(&params.g_a).unwrap();
        assert!(!seen.contains(&params.g_a));
        seen.push(params.g_a);
    }
}

/// Rules: KEY-20, SEC-06, SEC-08, SEC-16: every field of the client's sealed object is checked, its
///        hash covers exactly the object, and up to 15 bytes follow; a failure ends the exchange.
#[test]
fn altered_client_parameters_are_refused() {
    type Alter = fn(&mut types::ClientDhInnerData);
    let fields: [(&str, Alter); 4] = [
        ("nonce", |inner| inner.nonce[0] ^= 1),
        ("server_nonce", |inner| inner.server_nonce[0] ^= 1),
        ("retry_id", |inner| inner.retry_id = 1),
        ("g_b", |inner| inner.g_b = vec![0xff; 257].into()),
    ];
    for (name, alter) in fields {
        check_conclusion(name, |visitor, mut inner| {
            alter(&mut inner);
            visitor.set_dh(&inner)
        });
    }
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 4] = [
        ("hash", |plain| plain[0] ^= 1),
        ("object", |plain| plain[20 + 300] ^= 1),
        ("16 extra bytes", |plain| plain.extend([0; 16])),
        ("constructor", |plain| plain[20] ^= 1),
    ];
    for (name, damage) in damages {
        check_conclusion(name, |visitor, inner| {
            let mut plain = sealed_plain(&encode(&inner));
            damage(&mut plain);
            visitor.set_dh_sealed(encrypt(visitor, plain))
        });
    }
    for len in [0, 16, 335, 337] {
        check_conclusion("length", |visitor, _| visitor.set_dh_sealed(vec![5; len]));
    }
}

/// Rules: SEC-03, SEC-04, CRY-17, KEY-20: g_b from 2^1984 to p − 2^1984 and no other is taken.
#[test]
fn public_value_out_of_range_is_refused() {
    for case in list(&vectors("dh.json")["g_a_range"]) {
        let mut server = Server::new(|_| ());
        let mut visitor = Visitor::agreed(&mut server, 1, 1);
        let (mut inner, _) = visitor.draw();
        inner.g_b = bytes(&case["value"]).into();
        let request = visitor.set_dh(&inner);
        let said = server.ask(1, &request);
        assert_eq!(said != GONE, case["recommended_ok"] == true, "{}", case["name"]);
    }
}

/// Rules: KEY-29, SEC-17, KEY-05: each step repeated gets the same answer byte for byte, on another
///        link and with other trailing bytes, too, and no work is done again.
#[test]
fn repetition_gets_the_same_answer() {
    let mut server = Server::new(|_| ());
    let mut visitor = Visitor::new(1);
    let check = |server: &mut Server, request: &Bytes, first: &Said| {
        for (link, tail) in [(1, 0), (2, 0), (1, 4), (3, 255)] {
            let mut body = request.to_vec();
            body.resize(body.len() + tail, link as u8);
            server.tell(origin(link), &body);
            match server.exchanges.poll_output() {
                Some(Output::Reply(on, again)) if on == LinkId(link) => {
                    assert_eq!(Said::Body(again), *first);
                }
                other => panic!("{other:?} for a repetition"),
            }
        }
    };
    let request = visitor.req_pq();
    let said = server.ask(1, &request);
    check(&mut server, &request, &said);
    visitor.take_offer(&said);
    let request = encode(&visitor.req_dh());
    let said = server.ask(1, &request);
    check(&mut server, &request, &said);
    visitor.take_params(&said);
    let (inner, key) = visitor.draw();
    let request = visitor.set_dh(&inner);
    let said = server.ask(1, &request);
    assert!(visitor.finishes(&said, &key));
    check(&mut server, &request, &said);
    assert_eq!(server.kept.len(), 1);
}

/// Rules: KEY-28, KEY-29, KEY-32: who repeats a step while it is being worked on or stored gets the
///        one answer on the link of the repetition.
#[test]
fn repetition_during_the_work_moves_the_answer() {
    let mut server = Server::new(|_| ());
    let mut visitor = Visitor::offered(&mut server, 1, 1);
    let request = encode(&visitor.req_dh());
    server.tell(origin(1), &request);
    let work = server.work();
    server.tell(origin(2), &request);
    assert!(server.run().is_empty());
    let done = work.run(server.now.unix_seconds());
    server.exchanges.handle_done(server.now, done);
    let said = server.run();
    assert!(matches!(said[..], [(2, Said::Body(_))]), "{said:?}");
    visitor.take_params(&said[0].1);

    let (inner, key) = visitor.draw();
    let request = visitor.set_dh(&inner);
    server.tell(origin(2), &request);
    let work = server.work();
    server.tell(origin(3), &request);
    assert!(server.run().is_empty());
    let done = work.run(0);
    server.exchanges.handle_done(server.now, done);
    let (ticket, _) = server.store();
    server.tell(origin(4), &request);
    assert!(server.run().is_empty());
    server.exchanges.handle_stored(server.now, ticket, Stored::Kept);
    let said = server.run();
    assert!(said.len() == 1 && said[0].0 == 4 && visitor.finishes(&said[0].1, &key), "{said:?}");
}

/// Rules: KEY-30, SEC-17: the same step with other parameters is refused at any time, and ends the
///        exchange: the first parameters get nothing any more.
#[test]
fn other_parameters_end_the_exchange() {
    // For `req_DH_params`: answered, or still being worked on.
    for waits in [false, true] {
        let mut server = Server::new(|_| ());
        let mut visitor = Visitor::offered(&mut server, 1, 1);
        let [one, other] = [(); 2].map(|()| encode(&visitor.req_dh()));
        server.tell(origin(1), &one);
        let work = server.work();
        let done = work.run(0);
        if !waits {
            server.exchanges.handle_done(server.now, done);
            assert!(matches!(server.run()[..], [(1, Said::Body(_))]));
            assert_eq!(server.ask(1, &other), GONE);
        } else {
            assert_eq!(server.ask(1, &other), GONE);
            server.exchanges.handle_done(server.now, done);
            assert!(server.run().is_empty(), "nothing is said twice");
        }
        assert_eq!(server.ask(1, &one), GONE);
    }
    // For `set_client_DH_params`: being worked on, being stored, or answered.
    for stage in 0..3 {
        let mut server = Server::new(|_| ());
        let mut visitor = Visitor::agreed(&mut server, 1, 1);
        let [one, other] = [(); 2].map(|()| {
            let (inner, _) = visitor.draw();
            visitor.set_dh(&inner)
        });
        server.tell(origin(1), &one);
        let done = server.work().run(0);
        match stage {
            0 => {
                assert_eq!(server.ask(1, &other), GONE);
                server.exchanges.handle_done(server.now, done);
            }
            1 => {
                server.exchanges.handle_done(server.now, done);
                let (ticket, _) = server.store();
                assert_eq!(server.ask(1, &other), GONE);
                server.exchanges.handle_stored(server.now, ticket, Stored::Kept);
            }
            _ => {
                server.exchanges.handle_done(server.now, done);
                assert!(matches!(server.run()[..], [(1, Said::Body(_))]));
                assert_eq!(server.ask(1, &other), GONE);
            }
        }
        assert!(server.run().is_empty());
        assert_eq!(server.ask(1, &one), GONE);
    }
}

/// Rules: KEY-13, KEY-29: an owner who reports a key twice, or one nobody asked to store, changes
///        nothing.
#[test]
fn verdict_nobody_waits_for_changes_nothing() {
    let mut server = Server::new(|_| ());
    let mut visitor = Visitor::agreed(&mut server, 1, 1);
    let (inner, key) = visitor.draw();
    let request = visitor.set_dh(&inner);
    server.tell(origin(1), &request);
    let done = server.work().run(0);
    server.exchanges.handle_done(server.now, done);
    let (ticket, _) = server.store();
    server.exchanges.handle_stored(server.now, ticket, Stored::Kept);
    let first = server.run();
    for verdict in [Stored::Kept, Stored::Failed, Stored::Collision] {
        server.exchanges.handle_stored(server.now, ticket, verdict);
        assert!(server.run().is_empty());
    }
    assert_eq!(server.ask(1, &request), first[0].1);
    assert!(visitor.finishes(&first[0].1, &key));
}

/// Rules: KEY-31, SEC-16: an exchange lives ten minutes from its first message, whatever happens in
///        them; afterwards every step is refused.
#[test]
fn exchange_ends_after_ten_minutes() {
    for (seconds, alive) in [(599, true), (600, false)] {
        let mut server = Server::new(|_| ());
        let mut visitor = Visitor::offered(&mut server, 1, 1);
        server.pass(seconds);
        let request = encode(&visitor.req_dh());
        assert_eq!(server.ask(1, &request) != GONE, alive, "after {seconds} s");

        let mut server = Server::new(|_| ());
        let mut visitor = Visitor::offered(&mut server, 1, 1);
        server.pass(300);
        let request = encode(&visitor.req_dh());
        let said = server.ask(1, &request);
        visitor.take_params(&said);
        server.pass(seconds - 300);
        let (inner, _) = visitor.draw();
        let request = visitor.set_dh(&inner);
        assert_eq!(server.ask(1, &request) != GONE, alive, "after {seconds} s");
    }
    let mut server = Server::new(|_| ());
    assert!(server.exchanges.is_empty());
    let visitor = Visitor::offered(&mut server, 1, 1);
    assert!(!server.exchanges.is_empty());
    server.pass(600);
    let again: types::ResPq = server.ask(1, &visitor.req_pq()).is();
    assert_ne!(again.server_nonce, visitor.inner.server_nonce, "the nonce begins anew");
    assert_eq!(server.exchanges.len(), 1);
}

/// Rule: KEY-31: work that ends after the exchange has, or a key stored then, is told to nobody.
#[test]
fn late_results_are_dropped() {
    let mut server = Server::new(|_| ());
    let mut visitor = Visitor::offered(&mut server, 1, 1);
    server.tell(origin(1), &encode(&visitor.req_dh()));
    let done = server.work().run(0);
    server.pass(600);
    server.exchanges.handle_done(server.now, done);
    assert!(server.run().is_empty());
    assert!(server.exchanges.is_empty());
}

/// Rules: KEY-32, SEC-47: at most 16 exchanges of one link; the next is told to slow down, those
///        under way and their repetitions go on, and the end of one makes room.
#[test]
fn exchanges_of_one_link_are_bounded() {
    let mut server = Server::new(|_| ());
    let mut first = Visitor::offered(&mut server, 1, 0);
    for seed in 1..16 {
        Visitor::offered(&mut server, 1, seed);
    }
    assert_eq!(server.ask(1, &Visitor::new(16).req_pq()), FLOOD);
    assert!(matches!(server.ask(1, &first.req_pq()), Said::Body(_)));
    assert!(matches!(server.ask(1, &encode(&first.req_dh())), Said::Body(_)));
    Visitor::offered(&mut server, 2, 16);
    server.pass(600);
    Visitor::offered(&mut server, 1, 17);
}

/// Rules: KEY-32, SEC-47: at most 1000 exchanges of one address, over all its links.
#[test]
fn exchanges_of_one_address_are_bounded() {
    let mut server = Server::new(|_| ());
    let mut random = rng(5);
    let mut ask = |origin| {
        server.tell(origin, &encode(&functions::ReqPqMulti { nonce: random.bytes() }));
        server.run().remove(0).1
    };
    for link in 0..1000 {
        assert!(matches!(ask(origin(link)), Said::Body(_)), "exchange {link}");
    }
    assert_eq!(ask(origin(1000)), FLOOD);
    let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    assert!(matches!(ask(Origin { link: LinkId(1001), address: elsewhere }), Said::Body(_)));
}

/// Rules: KEY-32, SEC-47: when there is no room at all, the exchange unused for longest gives way.
#[test]
fn least_recently_used_exchange_gives_way() {
    let mut server = Server::new(|config| config.exchanges_max = 3);
    let [mut a, mut b, mut c] = [1, 2, 3].map(|seed| Visitor::offered(&mut server, 1, seed));
    assert!(matches!(server.ask(1, &a.req_pq()), Said::Body(_)));
    let mut d = Visitor::offered(&mut server, 1, 4);
    assert_eq!(server.exchanges.len(), 3);
    for (visitor, lives) in [(&mut a, true), (&mut b, false), (&mut c, true), (&mut d, true)] {
        let request = encode(&visitor.req_dh());
        assert_eq!(server.ask(1, &request) != GONE, lives);
    }
}

/// Rules: KEY-32, SEC-47: what is used stays, one after the other gives way in the order of use.
#[test]
fn exchanges_give_way_in_the_order_of_use() {
    let mut server = Server::new(|config| config.exchanges_max = 3);
    let [mut a, mut b, mut c] = [1, 2, 3].map(|seed| Visitor::offered(&mut server, 1, seed));
    assert!(matches!(server.ask(1, &a.req_pq()), Said::Body(_)));
    let mut newer = [4, 5].map(|seed| Visitor::offered(&mut server, 1, seed));
    assert_eq!(server.exchanges.len(), 3);
    for (visitor, lives) in [(&mut a, true), (&mut b, false), (&mut c, false)] {
        let request = encode(&visitor.req_dh());
        assert_eq!(server.ask(1, &request) != GONE, lives);
    }
    for visitor in &mut newer {
        assert!(matches!(server.ask(1, &encode(&visitor.req_dh())), Said::Body(_)));
    }
}

/// Rules: KEY-32, SEC-47: what still runs of a link counts after others of it have ended.
#[test]
fn exchanges_that_ended_make_room_for_as_many() {
    let mut server = Server::new(|_| ());
    for seed in 0..8 {
        Visitor::offered(&mut server, 1, seed);
    }
    server.pass(300);
    for seed in 8..16 {
        Visitor::offered(&mut server, 1, seed);
    }
    server.pass(300);
    for seed in 16..24 {
        Visitor::offered(&mut server, 1, seed);
    }
    assert_eq!(server.ask(1, &Visitor::new(24).req_pq()), FLOOD);
}

/// The owner can tell how long an exchange has taken, until it has ended.
#[test]
fn exchange_tells_when_it_began() {
    let mut server = Server::new(|_| ());
    server.pass(5);
    let mut visitor = Visitor::offered(&mut server, 1, 1);
    server.pass(7);
    let said = server.ask(1, &encode(&visitor.req_dh()));
    visitor.take_params(&said);
    let (inner, _) = visitor.draw();
    server.tell(origin(1), &visitor.set_dh(&inner));
    let done = server.work().run(server.now.unix_seconds());
    server.exchanges.handle_done(server.now, done);
    let (ticket, _) = server.store();
    assert_eq!(server.exchanges.begun(ticket), Some(at(5).mono));
    server.pass(600);
    Visitor::offered(&mut server, 1, 2);
    assert_eq!(server.exchanges.begun(ticket), None);
}

/// Rules: KEY-06, KEY-32, QRK-04: exchanges on one link run side by side, and the steps of one may
///        each come on a link of their own.
#[test]
fn exchanges_run_side_by_side_on_any_links() {
    let mut server = Server::new(|_| ());
    let mut visitors = [1, 2, 3, 4].map(|seed| Visitor::offered(&mut server, 1, seed));
    for (link, visitor) in visitors.iter_mut().enumerate() {
        let request = encode(&visitor.req_dh());
        let said = server.ask(link as u64, &request);
        visitor.take_params(&said);
    }
    for (link, visitor) in visitors.iter_mut().enumerate().rev() {
        let (inner, key) = visitor.draw();
        let request = visitor.set_dh(&inner);
        assert!(visitor.finishes(&server.ask(50 + link as u64, &request), &key));
    }
    assert_eq!(server.kept.len(), 4);
    // A link that has made a key may make more.
    finish(&mut server, &mut Visitor::new(5), Scheme::Padded);
}

/// Rules: KEY-21, KEY-20, SEC-18: a key whose id is taken is not stored; the client is asked for
///        another exponent under the aux hash of that key, a stays the same, and repeats hold.
#[test]
fn taken_id_asks_for_another_exponent() {
    let mut server = Server::new(|_| ());
    let mut visitor = Visitor::agreed(&mut server, 1, 1);
    server.verdicts.push_back(Stored::Collision);
    let (inner, key) = visitor.draw();
    let request = visitor.set_dh(&inner);
    let said = server.ask(1, &request);
    let retry: ctors::DhGenRetry = said.is();
    let hash = exchange::new_nonce_hash2(&visitor.inner.new_nonce, &key.aux_hash());
    assert_eq!(retry.new_nonce_hash2, hash);
    assert_eq!(
        (retry.nonce, retry.server_nonce),
        (visitor.inner.nonce, visitor.inner.server_nonce)
    );
    assert_eq!(server.ask(1, &request), said, "a repetition is no second attempt");
    assert!(server.kept.is_empty());

    let (mut inner, second) = visitor.draw();
    inner.retry_id = i64::from_le_bytes(key.aux_hash());
    let request = visitor.set_dh(&inner);
    assert!(visitor.finishes(&server.ask(1, &request), &second));
    assert_eq!(server.kept[0].0.key.id(), second.id());
}

/// Rules: KEY-20, KEY-21: after a retry the client must name the rejected key.
#[test]
fn second_attempt_must_name_the_first() {
    for retry_id in [0, 1] {
        let mut server = Server::new(|_| ());
        let mut visitor = Visitor::agreed(&mut server, 1, 1);
        server.verdicts.push_back(Stored::Collision);
        let (inner, _) = visitor.draw();
        let request = visitor.set_dh(&inner);
        server.ask(1, &request).is::<ctors::DhGenRetry>();
        let (mut inner, _) = visitor.draw();
        inner.retry_id = retry_id;
        let request = visitor.set_dh(&inner);
        assert_eq!(server.ask(1, &request), GONE);
    }
}

/// Rule: KEY-21: the sixth collision fails the exchange, with the proof that belongs to failure;
///       it is over then, but still repeats itself.
#[test]
fn sixth_collision_fails_the_exchange() {
    let mut server = Server::new(|_| ());
    let mut visitor = Visitor::agreed(&mut server, 1, 1);
    server.verdicts.extend([Stored::Collision; 6]);
    let mut retry_id = 0;
    for attempt in 1..=6 {
        let (mut inner, key) = visitor.draw();
        inner.retry_id = retry_id;
        retry_id = i64::from_le_bytes(key.aux_hash());
        let request = visitor.set_dh(&inner);
        let said = server.ask(1, &request);
        if attempt < 6 {
            said.is::<ctors::DhGenRetry>();
            continue;
        }
        let hash = exchange::new_nonce_hash3(&visitor.inner.new_nonce, &key.aux_hash());
        assert_eq!(said.is::<ctors::DhGenFail>().new_nonce_hash3, hash);
        assert_eq!(server.ask(1, &request), said);
        let (mut inner, _) = visitor.draw();
        inner.retry_id = retry_id;
        let request = visitor.set_dh(&inner);
        assert_eq!(server.ask(1, &request), GONE);
    }
    assert!(server.kept.is_empty());
}

/// Rule: KEY-22: nothing is said of a key before it is stored; if that fails, it never was.
#[test]
fn key_is_stored_before_it_is_confirmed() {
    for (verdict, confirmed) in [(Stored::Kept, true), (Stored::Failed, false)] {
        let mut server = Server::new(|_| ());
        let mut visitor = Visitor::agreed(&mut server, 1, 1);
        let (inner, key) = visitor.draw();
        let request = visitor.set_dh(&inner);
        server.tell(origin(1), &request);
        let done = server.work().run(0);
        server.exchanges.handle_done(server.now, done);
        let (ticket, new_key) = server.store();
        assert!(server.exchanges.poll_output().is_none());
        assert_eq!(new_key.key.id(), key.id());
        server.exchanges.handle_stored(server.now, ticket, verdict);
        let said = server.run().remove(0).1;
        assert_eq!(visitor.finishes(&said, &key), confirmed);
        assert_eq!(said == GONE, !confirmed);
        assert_eq!(server.ask(1, &request), said, "the verdict stands");
    }
}

/// Rule: SEC-53: no secret of an exchange shows in `Debug` output.
#[test]
fn debug_output_tells_no_secret() {
    let mut server = Server::new(|_| ());
    let mut visitor = Visitor::agreed(&mut server, 1, 1);
    let (inner, key) = visitor.draw();
    server.tell(origin(1), &visitor.set_dh(&inner));
    let work = server.work();
    let mut text = format!("{work:?} {:?}", server.exchanges);
    let done = work.run(0);
    text += &format!("{done:?}");
    server.exchanges.handle_done(server.now, done);
    text += &format!("{:?}", server.exchanges);
    text += &format!("{:?}", server.store());
    let list = |secret: &[u8]| format!("{:?}", &secret[..8]).trim_matches(['[', ']']).to_owned();
    for secret in [&visitor.inner.new_nonce[..], &key.stored()[..], &visitor.temporary().key[..]] {
        assert!(!text.contains(&list(secret)) && !text.contains(&hex::encode(&secret[..8])));
    }
}

proptest! {
    /// Rules: KEY-05, SEC-47: whatever comes, there is at most one answer, and no panic.
    #[test]
    fn any_body_gets_at_most_one_answer(
        id in prop::sample::select(vec![0xbe7e8ef1_u32, 0x60469778, 0xd712e4be, 0xf5045f1f, 1]),
        rest in prop::collection::vec(any::<u8>(), 0..700),
    ) {
        let mut server = Server::new(|_| ());
        let body = [&id.to_le_bytes()[..], &rest].concat();
        server.tell(origin(1), &body);
        prop_assert_eq!(server.run().len(), 1);
    }
}

/// Runs a whole exchange on link 1; the key it made.
#[track_caller]
fn finish(server: &mut Server, visitor: &mut Visitor, scheme: Scheme) -> chappe_crypto::AuthKey {
    let said = server.ask(1, &visitor.req_pq());
    visitor.take_offer(&said);
    let request = visitor.req_dh_as(scheme, &visitor.inner.clone());
    let said = server.ask(1, &encode(&request));
    visitor.take_params(&said);
    let (inner, key) = visitor.draw();
    let request = visitor.set_dh(&inner);
    assert!(visitor.finishes(&server.ask(1, &request), &key));
    key
}

/// The bad `req_DH_params` gets `expected`, a good one afterwards -404.
#[track_caller]
fn check_refusal(name: &str, expected: Said, bad: impl FnOnce(&mut Visitor) -> Bytes) {
    let mut server = Server::new(|_| ());
    let mut visitor = Visitor::offered(&mut server, 1, 1);
    let untouched = visitor.inner.clone();
    let request = bad(&mut visitor);
    assert_eq!(server.ask(1, &request), expected, "{name}");
    let good = visitor.req_dh_as(Scheme::Padded, &untouched);
    assert_eq!(server.ask(1, &encode(&good)), GONE, "{name}, then a good one");
}

/// The bad `set_client_DH_params` gets -404, and so does a good one afterwards.
#[track_caller]
fn check_conclusion(name: &str, bad: impl FnOnce(&mut Visitor, types::ClientDhInnerData) -> Bytes) {
    let mut server = Server::new(|_| ());
    let mut visitor = Visitor::agreed(&mut server, 1, 1);
    let (inner, _) = visitor.draw();
    let good = visitor.set_dh(&inner);
    let request = bad(&mut visitor, inner);
    assert_eq!(server.ask(1, &request), GONE, "{name}");
    assert_eq!(server.ask(1, &good), GONE, "{name}, then a good one");
    assert!(server.kept.is_empty());
}

/// `SHA1(object) ‖ object`, filled up to whole blocks.
fn sealed_plain(object: &[u8]) -> Vec<u8> {
    let mut plain = chappe_crypto::sha1(&[object]).to_vec();
    plain.extend(object);
    plain.resize(plain.len().next_multiple_of(16), 0);
    plain
}

fn encrypt(visitor: &Visitor, mut plain: Vec<u8>) -> Vec<u8> {
    let keys = visitor.temporary();
    chappe_crypto::ige::encrypt(&mut plain, &keys.key, &keys.iv).unwrap();
    plain
}

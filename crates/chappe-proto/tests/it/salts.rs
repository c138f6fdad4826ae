//! Salts: which a server takes and names, which a client uses and when it asks for more.

use std::time::Duration;

use chappe_proto::schema::{ctors, functions, types};
use chappe_proto::session::client::ClientEvent;
use chappe_proto::session::salts::{ClientSalts, FirstSalt, Salt, ServerSalts};

use crate::pair::EPOCH;
use crate::raw::{RawClient, RawServer, boxed, query, salts};

/// Rule:   a salt is accepted from 60 s before its time until 1800 s after it.
/// Source: SES-20, SES-21, SEC-32.
#[test]
fn salt_is_accepted_within_its_span() {
    let salts = salts();
    let salt = salts.current(EPOCH);
    assert_eq!(salt.valid_until - salt.valid_since, 1800);
    let check = |at: i64, accepted: bool| {
        assert_eq!(salts.accepts(salt.value, at), accepted, "{}", at - salt.valid_until);
    };
    check(salt.valid_since - 61, false);
    check(salt.valid_since - 60, true);
    check(salt.valid_since, true);
    check(salt.valid_until + 1799, true);
    check(salt.valid_until + 1801, false);
    assert!(!salts.accepts(salt.value + 1, EPOCH));
}

/// Rule:   the salt of the key exchange counts as current from the key's creation: 1800 s, and
///         1800 s of grace.
/// Source: SES-21.
#[test]
fn first_salt_is_accepted_for_its_whole_grace() {
    let first = FirstSalt { value: 42, created: EPOCH + 7 };
    let key = chappe_crypto::AuthKeyId::from_le_bytes([1; 8]);
    let salts = ServerSalts::new(&[0; 32], key, first);
    for (age, accepted) in [(0, true), (1800, true), (3599, true), (3600, false), (3601, false)] {
        assert_eq!(salts.accepts(42, first.created + age), accepted, "{age} s");
    }
}

/// Rule:   salts follow each other without a gap, and those of two keys are different.
/// Source: SES-20, SES-26.
#[test]
fn salts_stand_back_to_back() {
    let salts = salts();
    let row = salts.future(EPOCH, 64);
    assert_eq!(row.len(), 64);
    assert!(row.windows(2).all(|pair| pair[0].valid_until == pair[1].valid_since));
    let mut values: Vec<i64> = row.iter().map(|salt| salt.value).collect();
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), 64);
    let first = FirstSalt { value: 0, created: 0 };
    let other = ServerSalts::new(&[9; 32], chappe_crypto::AuthKeyId::from_le_bytes([6; 8]), first);
    assert_ne!(other.current(EPOCH).value, row[0].value);
}

/// Rule:   outgoing messages of the server carry the current salt.
/// Source: SES-22, MSG-29.
#[test]
fn server_writes_with_its_current_salt() {
    let mut raw = RawServer::greeted();
    for _ in 0..3 {
        raw.session.push(raw.now, query(1));
        let salt = salts().current(raw.now.unix_seconds()).value;
        assert_eq!(raw.packets()[0].1.header.salt, salt);
        raw.wait(Duration::from_secs(1800));
    }
}

/// Rule:   the client changes to the next salt when its time has come, without asking.
/// Source: SES-24.
#[test]
fn client_changes_salts_by_itself() {
    let mut salts = ClientSalts::new(1);
    assert!(salts.are_low(0));
    let salt =
        |since: i64, value: i64| Salt { valid_since: since, valid_until: since + 100, value };
    salts.store(vec![salt(200, 30), salt(100, 20)]);
    for (now, value) in [(99, 1), (100, 20), (199, 20), (200, 30), (299, 30), (300, 30)] {
        assert_eq!(salts.current(now), value, "at {now}");
    }
    salts.store(vec![salt(100, 20)]);
    assert!(!salts.are_low(139));
    assert!(salts.are_low(140));
}

/// Rule:   the salt of a new session is used at once, unless it is one whose time is known.
/// Source: SES-23.
#[test]
fn announced_salt_that_is_known_waits_for_its_time() {
    let mut salts = ClientSalts::new(1);
    salts.store(vec![Salt { valid_since: 100, valid_until: 200, value: 20 }]);
    salts.announce(20);
    assert_eq!(salts.current(50), 1);
    salts.announce(40);
    assert_eq!(salts.current(50), 40);
    assert_eq!(salts.current(100), 20);
}

/// Rule:   bad_server_salt is trusted most: it discards the salts stored.
/// Source: SES-23.
#[test]
fn corrected_salt_discards_the_stored_ones() {
    let mut salts = ClientSalts::new(1);
    salts.store(vec![Salt { valid_since: 0, valid_until: 100, value: 20 }]);
    salts.announce(40);
    assert_eq!(salts.current(50), 20);
    salts.correct(30);
    assert_eq!(salts.current(50), 30);
}

fn salt_of(raw: &mut RawClient) -> i64 {
    raw.session.call(query(9));
    raw.packets()[0].header.salt
}

/// Rule:   the salt of a message tells the client nothing.
/// Source: SES-22, SES-23, SEC-33.
#[test]
fn salt_of_an_update_is_ignored() {
    let mut raw = RawClient::settled();
    raw.salt = 77;
    raw.push(query(1));
    assert_eq!(salt_of(&mut raw), 1);
}

/// Rule:   future_salts is taken only for an own request, and once.
/// Source: SVC-32, SES-23, SEC-34.
#[test]
fn foreign_future_salts_are_ignored() {
    let mut raw = RawClient::new();
    raw.session.call(query(1));
    let mut sent = raw.sent();
    sent.extend(raw.sent());
    let is_request =
        |body| crate::raw::read::<functions::GetFutureSalts>(body).is_some_and(|ask| ask.num == 64);
    let request = sent.iter().find(|inner| is_request(&inner.body)).unwrap().msg_id;
    let since = raw.now.unix_seconds() as i32;
    let answer = |req_msg_id: i64, salt: i64| {
        boxed(&types::FutureSalts {
            req_msg_id,
            now: since,
            salts: vec![types::FutureSalt { valid_since: since, valid_until: since + 1800, salt }],
        })
    };
    raw.reply(answer(request.0 + 4, 50));
    assert_eq!(salt_of(&mut raw), 1);
    raw.reply(answer(request.0, 60));
    assert_eq!(salt_of(&mut raw), 60);
    raw.reply(answer(request.0, 70));
    assert_eq!(salt_of(&mut raw), 60);
}

/// Rule:   more salts are asked for when the last one is within 60 s of its end, at most once a
///         minute.
/// Source: SES-24.
#[test]
fn salts_are_asked_for_once_a_minute() {
    let mut raw = RawClient::new();
    let asks = |raw: &mut RawClient| {
        raw.session.call(query(1));
        raw.sent_as::<functions::GetFutureSalts>().len()
    };
    assert_eq!(asks(&mut raw), 1);
    assert_eq!(asks(&mut raw), 0);
    raw.now.mono += Duration::from_secs(59);
    assert_eq!(asks(&mut raw), 0);
    raw.now.mono += Duration::from_secs(1);
    assert_eq!(asks(&mut raw), 1);
}

/// Rule:   a corrected salt is used for the same call under a new id; the correction is told.
/// Source: SVC-07, SVC-10, SES-23, SES-25; code 48.
#[test]
fn call_with_a_wrong_salt_is_sent_again() {
    let mut raw = RawClient::settled();
    raw.session.call(query(1));
    let call = raw.sent_calls().remove(0);
    raw.correct_salt(call.msg_id, 500);
    assert!(raw.events().contains(&ClientEvent::Salt(500)));
    let packet = raw.packets().remove(0);
    assert_eq!(packet.header.salt, 500);
    let again = crate::raw::flatten(packet).into_iter().find(crate::raw::is_query).unwrap();
    assert!(again.msg_id > call.msg_id && again.seq_no > call.seq_no);
    assert_eq!(again.body, call.body);
}

/// Rule:   acknowledgements refused for their salt wait for the next message, or a second: two ends
///         that disagree for that long do not talk as fast as they can.
/// Source: SVC-08, SES-27; code 48.
#[test]
fn refused_acknowledgements_are_not_sent_at_once() {
    let mut raw = RawClient::settled();
    for _ in 0..16 {
        raw.push(query(50));
    }
    // Sixteen do not wait for company, nor now for long.
    let refused = raw.packets().remove(0);
    raw.correct_salt(refused.header.msg_id, 500);
    assert!(raw.packets().is_empty());
    raw.wait(Duration::from_secs(1));
    assert_eq!(raw.sent_as::<types::MsgsAck>()[0].msg_ids.len(), 16);
}

/// Rule:   a salt refused for a container, an acknowledgement or a service call brings all of it
///         again.
/// Source: MSG-31, SVC-10; code 48.
#[test]
fn everything_in_a_refused_container_is_sent_again() {
    let mut raw = RawClient::settled();
    let push = raw.push(query(50));
    raw.session.call(query(1));
    raw.session.call(query(2));
    let packet = raw.packets().remove(0);
    let container = packet.header.msg_id;
    assert_eq!(crate::raw::flatten(packet).len(), 3);
    raw.correct_salt(container, 600);
    let again = raw.sent();
    assert_eq!(again.len(), 3);
    let ack: types::MsgsAck = crate::raw::read(&again[0].body).unwrap();
    assert_eq!(ack.msg_ids, [push.0]);
    // A service message that was refused goes again as well.
    let info = ctors::MsgNewDetailedInfo { answer_msg_id: push.0 + 4, bytes: 5000, status: 0 };
    raw.reply(boxed(&info));
    let request = raw.sent().remove(0);
    raw.wait(Duration::from_secs(2));
    raw.correct_salt(request.msg_id, 601);
    assert_eq!(raw.sent_as::<ctors::MsgResendReq>().len(), 1);
}

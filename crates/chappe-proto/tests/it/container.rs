//! Containers and copies: all or nothing.

use bytes::Bytes;
use chappe_proto::MsgId;
use chappe_proto::schema::types;
use chappe_proto::session::container::{self, ContainerError, Inner};
use chappe_proto::session::server::ServerEvent;

use crate::raw::{LINK, RawServer, ack, boxed, id_at, ping, query, words};

/// Rule:   what is packed comes out unchanged; an empty container is legal.
/// Source: MSG-24, MSG-20.
#[test]
fn container_round_trips() {
    let inners = [
        Inner { msg_id: MsgId(4), seq_no: 1, body: query(1) },
        Inner { msg_id: MsgId(8), seq_no: 2, body: ping(2) },
    ];
    assert_eq!(container::unpack(MsgId(12), &container::pack(&inners)), Ok(inners.to_vec()));
    assert_eq!(container::unpack(MsgId(12), &container::pack(&[])), Ok(Vec::new()));
}

/// Rule:   a container that contradicts itself is refused as a whole, nothing in it is run.
/// Source: MSG-13, MSG-18, MSG-23, MSG-24, SEC-57; code 64.
#[test]
fn malformed_container_is_refused_whole() {
    let good = |raw: &mut RawServer| raw.inner(true, query(1));
    let check = |why: &str, spoil: &dyn Fn(&mut RawServer) -> Bytes| {
        let mut raw = RawServer::greeted();
        let body = spoil(&mut raw);
        let id = raw.service(body);
        let refusals = raw.refusals();
        assert_eq!(refusals.len(), 1, "{why}");
        assert_eq!((refusals[0].0, refusals[0].2), (id, 64), "{why}");
        assert_eq!(raw.ran(), [], "{why}");
    };
    check("negative count", &|_| words(&[container::ID, u32::MAX]));
    check("no count", &|_| words(&[container::ID]));
    check("count too large", &|raw| {
        let mut body = container::pack(&[good(raw)]).to_vec();
        body[4] = 2;
        body.into()
    });
    check("left-over bytes", &|raw| {
        let mut body = container::pack(&[good(raw), good(raw)]).to_vec();
        body[4] = 1;
        body.into()
    });
    check("last length too large", &|raw| {
        let mut body = container::pack(&[good(raw), good(raw)]).to_vec();
        let at = body.len() - 12;
        body[at] += 4;
        body.into()
    });
    check("last length negative", &|raw| {
        let mut body = container::pack(&[good(raw), good(raw)]).to_vec();
        let at = body.len() - 9;
        body[at] = 0xff;
        body.into()
    });
    check("container inside", &|raw| {
        let inner = good(raw);
        let nested = raw.inner(false, container::pack(&[]));
        container::pack(&[inner, nested])
    });
    check("inner id above its own", &|raw| {
        let inner = good(raw);
        container::pack(&[inner, Inner { msg_id: id_at(5, 1), seq_no: 3, body: query(2) }])
    });
    check("inner seq_no above its own", &|raw| {
        let inner = good(raw);
        let msg_id = raw.id();
        container::pack(&[inner, Inner { msg_id, seq_no: 99, body: query(2) }])
    });
}

/// Rule:   1024 messages are taken, 1025 end the link with -429.
/// Source: MSG-20, MSG-22, SEC-47.
#[test]
fn container_of_too_many_messages_ends_the_link() {
    for (count, is_taken) in [(1024, true), (1025, false)] {
        let mut raw = RawServer::greeted();
        let inners: Vec<Inner> = (0..count).map(|n| raw.inner(false, ping(n))).collect();
        raw.container(&inners);
        let pongs = raw.replied::<types::Pong>().len();
        assert_eq!(pongs, if is_taken { 1024 } else { 0 });
        let events = raw.events();
        assert_eq!(matches!(events[..], [ServerEvent::CloseLink(LINK, -429)]), !is_taken);
    }
    let error = container::unpack(MsgId(8), &words(&[container::ID, 1025]));
    assert_eq!(error, Err(ContainerError::TooMany(1025)));
}

/// Rule:   an inner message that fails its own check is refused by its own id, the rest goes on.
/// Source: MSG-25, MSG-26.
#[test]
fn bad_inner_message_does_not_spoil_the_others() {
    let mut raw = RawServer::greeted();
    let odd = Inner { msg_id: MsgId(raw.id().0 | 1), seq_no: 1, body: query(1) };
    let wrong = Inner { msg_id: raw.id(), seq_no: 0, body: query(2) };
    let good = raw.inner(true, query(3));
    raw.container(&[odd.clone(), wrong.clone(), good.clone()]);
    assert_eq!(raw.refusals(), [(odd.msg_id, 1, 18), (wrong.msg_id, 0, 35)]);
    assert_eq!(raw.ran(), [good.msg_id]);
}

/// Rule:   an inner message has no time window of its own.
/// Source: MSG-25, MSG-12, SES-11.
#[test]
fn old_message_in_a_fresh_container_is_taken() {
    let mut raw = RawServer::greeted();
    let old = Inner { msg_id: id_at(-900, 1), seq_no: 0, body: ping(5) };
    raw.container(&[old]);
    assert_eq!(raw.replied::<types::Pong>().len(), 1);
}

/// Rule:   a container's id is used once; code 19.
/// Source: MSG-36.
#[test]
fn container_id_used_twice_is_refused() {
    let mut raw = RawServer::greeted();
    let inner = raw.inner(true, query(1));
    let id = raw.container(std::slice::from_ref(&inner));
    raw.send(id, 2, container::pack(std::slice::from_ref(&inner)));
    assert_eq!(raw.refusals(), [(id, 2, 19)]);
    let ping_id = raw.service(ping(1));
    raw.send(ping_id, 2, container::pack(&[]));
    assert_eq!(raw.refusals(), [(ping_id, 2, 19)]);
    assert_eq!(raw.ran(), [inner.msg_id]);
}

fn copy(original: &Inner) -> Bytes {
    let mut body = words(&[0xe060_46b2, 0x5bb8_e511]).to_vec();
    body.extend_from_slice(&original.msg_id.0.to_le_bytes());
    body.extend_from_slice(&original.seq_no.to_le_bytes());
    body.extend_from_slice(&(original.body.len() as u32).to_le_bytes());
    body.extend_from_slice(&original.body);
    body.into()
}

/// Rule:   a copied message is handled as if alone; if it came before, both ids are acknowledged
///         and nothing else happens.
/// Source: MSG-27.
#[test]
fn copied_message_runs_once() {
    let mut raw = RawServer::greeted();
    let original = raw.inner(true, query(1));
    raw.service(copy(&original));
    assert_eq!(raw.ran(), [original.msg_id]);
    raw.answer(original.msg_id, query(2));
    raw.replies();
    let outer = raw.service(copy(&original));
    let acks: Vec<types::MsgsAck> = raw.replied();
    assert_eq!(acks[0].msg_ids, [outer.0, original.msg_id.0]);
    assert_eq!(raw.ran(), []);
}

/// Rule:   a copy that is no message, of a container, of a later or foreign id is refused.
/// Source: MSG-23, MSG-27, MSG-R08, SVC-07; codes 64 and 18.
#[test]
fn bad_copy_is_refused() {
    let check = |original: Inner, code: i32, names_inner: bool| {
        let mut raw = RawServer::greeted();
        let seq_no = 0;
        let id = raw.service(copy(&original));
        let bad = if names_inner { (original.msg_id, original.seq_no) } else { (id, seq_no) };
        assert_eq!(raw.refusals(), [(bad.0, bad.1, code)]);
        assert_eq!(raw.ran(), []);
    };
    let id = id_at(0, 1);
    check(Inner { msg_id: id, seq_no: 0, body: container::pack(&[]) }, 64, false);
    let nested = copy(&Inner { msg_id: id, seq_no: 0, body: ping(1) });
    check(Inner { msg_id: id, seq_no: 0, body: nested }, 64, false);
    check(Inner { msg_id: id_at(9, 1), seq_no: 1, body: query(1) }, 64, false);
    check(Inner { msg_id: MsgId(id.0 | 1), seq_no: 1, body: query(1) }, 18, true);
    let mut raw = RawServer::greeted();
    let id = raw.service(words(&[0xe060_46b2, 1, 2, 3]));
    assert_eq!(raw.refusals(), [(id, 0, 64)]);
    let mut cut = copy(&Inner { msg_id: id_at(0, 1), seq_no: 0, body: ping(1) }).to_vec();
    cut.truncate(cut.len() - 4);
    let id = raw.service(cut.into());
    assert_eq!(raw.refusals(), [(id, 0, 64)]);
}

/// Rule:   8192 ids are taken, one more ends the link with -429.
/// Source: MSG-21, MSG-22, SVC-04, SVC-11, SVC-22, SEC-47.
#[test]
fn lists_of_too_many_ids_end_the_link() {
    use chappe_proto::schema::ctors;
    let bodies = |count: i64| {
        let ids = || (0..count).map(|n| id_at(0, n).0).collect::<Vec<i64>>();
        [
            ack(&ids().into_iter().map(MsgId).collect::<Vec<_>>()),
            boxed(&types::MsgsStateReq { msg_ids: ids() }),
            boxed(&ctors::MsgResendReq { msg_ids: ids() }),
            boxed(&ctors::MsgResendAnsReq { msg_ids: ids() }),
            boxed(&types::MsgsAllInfo { msg_ids: ids(), info: vec![1; ids().len()].into() }),
        ]
    };
    for (count, is_closed) in [(8192, false), (8193, true)] {
        for body in bodies(count) {
            let mut raw = RawServer::greeted();
            raw.service(body);
            let events = raw.events();
            assert_eq!(matches!(events[..], [ServerEvent::CloseLink(LINK, -429)]), is_closed);
            assert_eq!(events.is_empty(), !is_closed);
        }
    }
}

/// Rule:   a copy is not content-related; one numbered as if it were is refused.
/// Source: MSG-18, MSG-27; code 34.
#[test]
fn copy_with_an_odd_number_is_refused() {
    let mut raw = RawServer::greeted();
    let inner = raw.inner(true, query(1));
    let outer = raw.id();
    let number = raw.seq_no(true);
    raw.send(outer, number, copy_of(&inner));
    assert_eq!(raw.refusals(), [(outer, number, 34)]);
    assert_eq!(raw.ran(), []);
}

/// Rule:   a copy of what came already is counted as repeated, once each.
/// Source: MSG-27, MSG-29.
#[test]
fn copies_of_what_came_are_counted() {
    let mut raw = RawServer::greeted();
    let inner = raw.inner(true, query(1));
    raw.send(inner.msg_id, inner.seq_no, inner.body.clone());
    raw.session.take_tally();
    raw.service(copy_of(&inner));
    raw.service(copy_of(&inner));
    assert_eq!(raw.session.take_tally().unwrap().repeated, 2);
    assert_eq!(raw.ran(), [inner.msg_id]);
}

/// Rule:   a copy's length is that of its body: of whole words, one at least, and no other.
/// Source: MSG-27, SEC-57.
#[test]
fn copy_of_an_impossible_length_is_malformed() {
    let id = MsgId(4);
    let inner = |body: Vec<u8>| Inner { msg_id: id, seq_no: 1, body: body.into() };
    for len in [0, 2, 3, 5, 6, 10] {
        let copy = copy_of(&inner(vec![7; len]));
        assert!(container::unpack_copy(MsgId(8), &copy).is_err(), "{len} bytes");
    }
    for len in [4, 8] {
        let copy = copy_of(&inner(vec![7; len]));
        assert_eq!(container::unpack_copy(MsgId(8), &copy), Ok(inner(vec![7; len])));
    }
    let mut longer = copy_of(&inner(vec![7; 8])).to_vec();
    longer.extend([0; 4]);
    assert!(container::unpack_copy(MsgId(8), &longer.into()).is_err());
}

/// Rule:   a message in a container has a body of whole words, one at least.
/// Source: MSG-24, SEC-57.
#[test]
fn inner_message_without_a_body_is_malformed() {
    let inner = Inner { msg_id: MsgId(4), seq_no: 1, body: Bytes::new() };
    assert!(container::unpack(MsgId(8), &container::pack(std::slice::from_ref(&inner))).is_err());
    let halves = [inner.clone(), inner].map(|inner| Inner { body: vec![7; 6].into(), ..inner });
    assert!(container::unpack(MsgId(8), &container::pack(&halves)).is_err());
}

/// `msg_copy` of a message, boxed as the schema has it.
fn copy_of(inner: &Inner) -> Bytes {
    let mut body = words(&[0xe060_46b2, 0x5bb8_e511]).to_vec();
    body.extend(inner.msg_id.0.to_le_bytes());
    body.extend(inner.seq_no.to_le_bytes());
    body.extend((inner.body.len() as i32).to_le_bytes());
    body.extend(&inner.body);
    body.into()
}

//! Calls, sessions, keys and links, which begin and end.

use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::Rng;
use chappe_proto::schema::{ctors, functions, types};
use chappe_proto::session::container::{self, Inner};
use chappe_proto::{MsgId, SessionId};

use super::{CALLS_MAX, Hand, OWED_MAX};
use crate::exam::{Verdict, expect, require};
use crate::wire;
use crate::words::{self, Token, boxed, read};

/// MSG-39: what ran before a session was forgotten does not run after it.
pub(super) fn forgotten(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (id, _) = hand.call();
    let body = hand.question();
    let calls: Vec<i64> = (0..rng.below(3)).map(|_| hand.call().0).collect();
    for _ in 0..1 + rng.below(3) {
        hand.wait(Duration::from_millis(u64::from(rng.below(90_000))));
        if rng.below(3) == 0 {
            hand.ping();
        }
        hand.forget();
    }
    let heard = hand.say(id, 1, body.clone());
    require("runs again", heard.ran.is_empty())?;
    for id in calls {
        require("another runs again", hand.say(id, 3, body.clone()).ran.is_empty())?;
    }
    // Inside a container it may be of any age, and its id is not remembered for ever.
    hand.wait(Duration::from_secs(331));
    hand.forget();
    hand.forget_ids();
    let inner = Inner { msg_id: MsgId(id), seq_no: 1, body };
    hand.content = 8;
    let greeted = hand.ping().1.has::<types::NewSession>();
    require("is known", greeted)?;
    let (_, heard) = hand.send(false, container::pack(&[inner]));
    require("runs after all was forgotten", heard.ran.is_empty())?;
    expect("refusals", heard.refusals(), vec![(id, 20)])
}

/// SVC-29, SVC-30: the three answers to `rpc_drop_answer`.
pub(super) fn dropped(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (call, _) = hand.call();
    let kind = rng.below(3);
    let answer = match kind {
        0 => hand.answer(call, Ok(Bytes::from_static(&[1; 8]))).messages.pop(),
        _ => None,
    };
    let wanted = if kind == 2 { call - 4 } else { call };
    let (request, heard) = hand.send(true, boxed(&functions::RpcDropAnswer { req_msg_id: wanted }));
    let results = heard.results();
    expect("answers", results.iter().map(|(id, _)| *id).collect::<Vec<_>>(), vec![request])?;
    let result = results[0].1.clone();
    match (kind, answer) {
        (0, Some(answer)) => {
            let told: Option<ctors::RpcAnswerDropped> = read(&result);
            expect("dropped", told.map(|told| told.msg_id), Some(answer.msg_id.0))?;
            hand.connect();
            require("comes again", hand.ping().1.results().iter().all(|(id, _)| *id != call))
        }
        (0, None) => Err("no answer".into()),
        (1, _) => {
            expect("told", words::id_of(&result), 0xcd78_e586)?;
            let late = hand.answer(call, Ok(Bytes::from_static(&[1; 8]))).results();
            expect("result", late, vec![(call, 0xcd78_e586_u32.to_le_bytes().to_vec().into())])
        }
        _ => expect("told", words::id_of(&result), 0x5e2a_d36e),
    }
}

/// SVC-01, SVC-03: a call without an answer is acknowledged after half a second, once.
pub(super) fn slow(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (call, heard) = hand.call();
    require("acknowledged at once", heard.acks().is_empty())?;
    let early = hand.wait(Duration::from_millis(u64::from(rng.below(500))));
    require("acknowledged early", early.acks().is_empty())?;
    let is_quick = rng.below(3) == 0;
    if is_quick {
        expect("results", hand.answer(call, Ok(Bytes::from_static(&[1; 8]))).results().len(), 1)?;
    }
    let late = hand.wait(Duration::from_secs(1));
    expect("acknowledged", late.acks(), if is_quick { vec![] } else { vec![call] })?;
    let later = hand.wait(Duration::from_secs(5));
    require("acknowledged again", later.acks().is_empty())
}

/// SES-09, SVC-04: what was not acknowledged comes again on a new link, and then no more.
pub(super) fn second_link(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (_, heard) = hand.ping();
    hand.acknowledge(heard.messages.iter().map(|inner| inner.msg_id.0).collect());
    let (call, _) = hand.call();
    let is_large = rng.below(2) == 0;
    let result = Bytes::from(vec![7; if is_large { 2000 } else { 8 }]);
    let first = hand.answer(call, Ok(result)).messages;
    expect("answers", first.len(), 1)?;
    let old = hand.link;
    hand.connect();
    hand.act(|node, env| node.handle_end(env, old));
    let heard = hand.ping().1;
    let is_first = |inner: &&Inner| inner.msg_id == first[0].msg_id;
    if is_large {
        let told = heard.all::<ctors::MsgDetailedInfo>();
        let told: Vec<_> = told.iter().map(|told| (told.msg_id, told.answer_msg_id)).collect();
        expect("told", told, vec![(call, first[0].msg_id.0)])?;
    } else {
        let again: Vec<&Inner> = heard.messages.iter().filter(is_first).collect();
        expect("again", again, vec![&first[0]])?;
    }
    // The id of a container stands for what is in it.
    let id = match (is_large, heard.containers.last()) {
        (false, Some(container)) if rng.below(2) == 0 => *container,
        _ => first[0].msg_id.0,
    };
    hand.acknowledge(vec![id]);
    let old = hand.link;
    hand.connect();
    hand.act(|node, env| node.handle_end(env, old));
    let heard = hand.ping().1;
    let comes_again = heard.messages.iter().any(|inner| is_first(&inner));
    require("comes a third time", !comes_again && !heard.has::<ctors::MsgDetailedInfo>())
}

/// SES-07: so many calls at once, so many messages kept; no more.
pub(super) fn bounds(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    if rng.below(2) == 0 {
        for number in 0..CALLS_MAX + 2 {
            let (_, heard) = hand.call();
            expect("runs", heard.ran.len(), usize::from(number < CALLS_MAX))?;
            expect("refused", heard.results().len(), usize::from(number >= CALLS_MAX))?;
        }
        return Ok(());
    }
    hand.ping();
    let session = (wire::key_id(&hand.secret), SessionId(hand.session));
    for number in 0..2 * OWED_MAX as u64 {
        let body = words::push(Token(number << 6 | 0b11_1000));
        hand.act(|node, env| node.push(env, session, body));
    }
    let owed = hand.node.sessions().map(|(_, _, session)| session.load().owed).sum::<usize>();
    expect("messages kept", owed, OWED_MAX)
}

/// SVC-37: a key that was destroyed opens nothing any more.
pub(super) fn destroyed(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    for _ in 0..rng.below(3) {
        hand.call();
    }
    let (_, heard) = hand.send(true, boxed(&functions::DestroyAuthKey {}));
    let ok = heard.messages.iter().any(|inner| words::id_of(&inner.body) == 0xf660_e1d4);
    require("not told", ok)?;
    if rng.below(2) == 0 {
        hand.connect();
    }
    let (_, heard) = hand.call();
    require("runs", heard.ran.is_empty())?;
    expect("errors", heard.errors, vec![-404])
}

/// SES-03, TRN-41: an answer waits until its own session speaks on the link again.
pub(super) fn two_sessions(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (call, _) = hand.call();
    let (mine, content) = (hand.session, hand.content);
    hand.session = hand.rng.u64() as i64 | 1;
    hand.content = 0;
    let ids: Vec<MsgId> = hand.ping().1.messages.iter().map(|inner| inner.msg_id).collect();
    require("not served", !ids.is_empty())?;
    let other = hand.session;
    hand.session = mine;
    let heard = hand.answer(call, Ok(Bytes::from_static(&[1; 8])));
    require("answered in another session", heard.messages.is_empty())?;
    if rng.below(2) == 0 {
        hand.session = other;
        require("answered to another session", hand.ping().1.results().is_empty())?;
        hand.session = mine;
    }
    hand.content = content;
    let results = hand.ping().1.results();
    expect("results", results.iter().map(|(id, _)| *id).collect::<Vec<_>>(), vec![call])
}

/// SVC-34: a link is closed so long after the last ping that asked for it.
pub(super) fn disconnect(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let disconnect_delay = 1 + rng.below(100) as i32;
    let ping = boxed(&functions::PingDelayDisconnect { ping_id: 1, disconnect_delay });
    hand.send(false, ping.clone());
    let delay = Duration::from_secs(disconnect_delay.unsigned_abs().into());
    if rng.below(2) == 0 {
        require("closed early", !hand.wait(delay / 2).is_closed)?;
        hand.send(false, ping);
    }
    require("closed early", !hand.wait(delay - Duration::from_millis(10)).is_closed)?;
    require("not closed", hand.wait(Duration::from_millis(20)).is_closed)
}

/// SVC-39: a session is announced with its lowest message, and again when a lower one turns up.
pub(super) fn new_sessions(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let early = hand.id();
    hand.id();
    hand.content = 1;
    let (first, heard) = hand.call();
    let new = heard.all::<types::NewSession>();
    let told: Vec<i64> = new.iter().map(|new| new.first_msg_id).collect();
    expect("first", told, vec![first])?;
    expect("salt", new[0].server_salt, hand.salts.current(hand.second()).value)?;
    for _ in 0..rng.below(3) {
        require("announced again", !hand.call().1.has::<types::NewSession>())?;
    }
    let body = hand.question();
    let again = hand.say(early, 1, body).all::<types::NewSession>();
    let told: Vec<_> = again.iter().map(|new| (new.first_msg_id, new.unique_id)).collect();
    expect("earlier", told, vec![(early, new[0].unique_id)])
}

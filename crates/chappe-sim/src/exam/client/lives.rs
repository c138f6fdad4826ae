//! Calls, sessions and links, which begin and end.

use std::time::Duration;

use chappe_crypto::Rng;
use chappe_proto::rpc;
use chappe_proto::schema::{functions, types};

use super::Hand;
use crate::exam::{Verdict, expect, require};
use crate::words::{self, boxed, read};

/// SES-17, SES-12: a refusal that ends the session sends what it refuses again, and nothing that
/// may be running: of that the old session may still tell, and after 10 s nobody knows.
pub(super) fn session_given_up(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (open, call) = hand.call()?;
    let (refused, bad) = hand.call()?;
    let old = hand.session;
    hand.refuse(bad.msg_id, [17, 32, 33, 34, 35][rng.below(5) as usize]);
    let said = hand.said();
    let again =
        |token| said.iter().filter(|inner| words::asked(&inner.body) == Some(token)).count();
    expect("refused call again", again(refused), 1)?;
    expect("open call again", again(open), 0)?;
    require("session stays", hand.session != old)?;
    if rng.below(2) == 0 {
        let result = words::answer(open).map_err(|error| error.to_string())?;
        let (id, seq_no) = (hand.id(1), hand.seq_no(true));
        hand.say_in(old, id, seq_no, rpc::result_body(call.msg_id, &result));
    } else {
        hand.stay(Duration::from_secs(11));
    }
    expect("calls again", hand.calls_said(open), vec![])?;
    require("no outcome", hand.is_answered(open))
}

/// SES-10, SES-11: on a new link the fate of calls is asked for, and lost ones go out again under
/// their old ids in a container.
pub(super) fn new_link(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (token, call) = hand.call()?;
    let is_acknowledged = rng.below(3) == 0;
    if is_acknowledged {
        hand.tell(false, boxed(&types::MsgsAck { msg_ids: vec![call.msg_id.0] }));
    }
    hand.reconnect();
    let said = hand.said();
    let ask = said.iter().find_map(|inner| {
        let asked = read::<types::MsgsStateReq>(&inner.body)?;
        Some((inner.msg_id.0, asked.msg_ids))
    });
    expect("asks", ask.is_some(), !is_acknowledged)?;
    require("calls again unasked", said.iter().all(|inner| inner.msg_id != call.msg_id))?;
    let Some((req_msg_id, asked)) = ask else { return Ok(()) };
    let state = [1, 2, 3, 4][rng.below(4) as usize];
    // What it knows to be here shows that the session is the same.
    let of = |id: &i64| if *id == call.msg_id.0 { state } else { 4 };
    let info = asked.iter().map(of).collect::<Vec<u8>>().into();
    hand.tell(false, boxed(&types::MsgsStateInfo { req_msg_id, info }));
    let letters = hand.letters();
    let is_alone = letters.iter().any(|letter| letter.id == call.msg_id.0);
    require("goes out alone", !is_alone)?;
    hand.heard = letters;
    let again: Vec<_> = hand.calls_said(token).iter().map(|inner| inner.msg_id).collect();
    expect("calls again", again, if state == 4 { vec![] } else { vec![call.msg_id] })
}

/// SES-14: a link without a pong is given up.
pub(super) fn silence(hand: &mut Hand, _: &mut Rng) -> Verdict {
    hand.wait(Duration::from_secs(60));
    require("does not ping", !hand.said_as::<functions::PingDelayDisconnect>().is_empty())?;
    hand.wait(Duration::from_secs(80));
    require("link goes on", hand.is_over())
}

/// SVC-29: a call that nobody waits for is dropped at the server, too.
pub(super) fn dropped(hand: &mut Hand, _: &mut Rng) -> Verdict {
    let (token, call) = hand.call()?;
    hand.act(|peer, env| peer.drop_call(env, token));
    let told: Vec<_> =
        hand.said_as::<functions::RpcDropAnswer>().iter().map(|drop| drop.req_msg_id).collect();
    expect("told", told, vec![call.msg_id.0])?;
    hand.answer(call.msg_id, token);
    Ok(())
}

/// SVC-40, SES-10: a server that begins the session anew is asked what it still knows, even of
/// what it had acknowledged, and of what lies above the first id that it names.
pub(super) fn forgetful_server(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    hand.repeats = true;
    let (token, call) = hand.call()?;
    if rng.below(2) == 0 {
        hand.tell(false, boxed(&types::MsgsAck { msg_ids: vec![call.msg_id.0] }));
    }
    let is_below = rng.below(2) == 0;
    let first_msg_id = call.msg_id.0 + if is_below { 4 } else { -400 };
    let new = types::NewSession { first_msg_id, unique_id: 2, server_salt: 1 };
    hand.tell(true, boxed(&new));
    let said = hand.said();
    let asks = said.iter().any(|inner| {
        read::<types::MsgsStateReq>(&inner.body)
            .is_some_and(|asked| asked.msg_ids.contains(&call.msg_id.0))
    });
    let anew = said.iter().filter(|inner| words::asked(&inner.body) == Some(token)).count();
    expect("calls again", anew, usize::from(is_below))?;
    expect("asks", asks, !is_below)
}

/// SES-10: after three questions without a reply the calls that they were about go out anew, and
/// no others.
pub(super) fn unanswered_questions(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    hand.repeats = true;
    let (old, _) = hand.call()?;
    hand.reconnect();
    hand.said();
    // Before the server has spoken on the new link nothing is called there.
    hand.tell(false, boxed(&types::MsgsAck { msg_ids: vec![] }));
    let spent = Duration::from_millis(u64::from(1 + rng.below(20_000)));
    hand.stay(spent);
    let (young, _) = hand.call()?;
    hand.stay(Duration::from_secs(31) - spent);
    let said = hand.said();
    let anew = |token| said.iter().filter(|inner| words::asked(&inner.body) == Some(token)).count();
    expect("old call again", anew(old), 1)?;
    expect("young call again", anew(young), 0)
}

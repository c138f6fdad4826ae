//! Ids, numbers, salts and bytes of a single message.

use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::Rng;
use chappe_proto::schema::{ctors, functions, types};
use chappe_proto::session::container::{self, Inner};
use chappe_proto::{MsgId, Side, rpc};
use chappe_tl::Raw;

use super::{EPOCH, Hand};
use crate::exam::{Verdict, expect, require};
use crate::wire::{self, Letter};
use crate::words::boxed;

/// MSG-11: an id may be 300 s old and 30 s ahead.
pub(super) fn age(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let edge = [-300_000, 30_000][rng.below(2) as usize];
    let off = 100 + i64::from(rng.below(900)) + 200_000 * i64::from(rng.below(4) / 3);
    let inside = rng.below(2) == 0;
    let millis = if (edge < 0) == inside { edge + off.min(29_000) } else { edge - off };
    let id = hand.id_at(millis);
    let body = hand.question();
    let heard = hand.say(id, 1, body);
    if inside {
        expect("runs", heard.ran.len(), 1)
    } else {
        require("runs", heard.ran.is_empty())?;
        expect("refusals", heard.refusals(), vec![(id, if edge < 0 { 16 } else { 17 })])
    }
}

/// SES-20, SES-21: a salt is accepted from 60 s before its time to 1800 s after it.
pub(super) fn salts(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    // Near where the answer changes, on either side.
    let edge = [-60, 0, 1800, 3600][rng.below(4) as usize];
    let epoch = EPOCH as i64 + 1800 * i64::from(rng.below(3));
    let salt = hand.salts.current(epoch).value;
    let second = epoch + edge - 2 + i64::from(rng.below(4));
    hand.node.clock.step((second - hand.second()) * 1000 + i64::from(rng.below(1000)));
    let is_valid = (epoch - 60..epoch + 3600).contains(&hand.second());
    let id = hand.id();
    let body = hand.question();
    let letter = Letter { salt, ..hand.letter(id, 1, body) };
    let heard = hand.post(&letter);
    expect("runs", heard.ran.len(), usize::from(is_valid))?;
    expect("is corrected", heard.has::<ctors::BadServerSalt>(), !is_valid)?;
    for bad in heard.all::<ctors::BadServerSalt>() {
        expect("new salt", bad.new_server_salt, hand.salts.current(hand.second()).value)?;
        expect("bad message", bad.bad_msg_id, id)?;
    }
    Ok(())
}

/// MSG-07, MSG-10: a client's ids are divisible by four; they need no fraction.
pub(super) fn parity(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let low = i64::from(rng.below(4));
    let id = match low {
        0 => hand.second() << 32,
        low => hand.id_at(0) & !3 | low,
    };
    let body = hand.question();
    let heard = hand.say(id, 1, body);
    expect("runs", heard.ran.len(), usize::from(low == 0))?;
    let refusals = if low == 0 { vec![] } else { vec![(id, 18)] };
    expect("refusals", heard.refusals(), refusals)
}

/// 04-messages §7: a message that came before is acknowledged or answered again, and not run.
pub(super) fn again(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let body = hand.question();
    let Inner { msg_id, seq_no, body } = hand.number(true, body);
    let first = hand.say(msg_id.0, seq_no, body.clone());
    expect("runs", first.ran.len(), 1)?;
    let is_answered = rng.below(2) == 0;
    let result = if is_answered {
        hand.answer(msg_id.0, Ok(Bytes::from_static(&[1; 8]))).results()
    } else {
        Vec::new()
    };
    for _ in 0..1 + rng.below(4) {
        hand.call();
    }
    let second = if rng.below(2) == 0 {
        hand.say(msg_id.0, seq_no, body)
    } else {
        let inner = Inner { msg_id, seq_no, body };
        hand.send(false, container::pack(&[inner])).1
    };
    require("runs again", second.ran.is_empty())?;
    if is_answered {
        expect("answer", second.results(), result)
    } else {
        expect("acknowledged", second.acks(), vec![msg_id.0])
    }
}

/// 04-messages §8: codes 32 to 35.
pub(super) fn sequence(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let lowest = hand.id();
    hand.call();
    hand.call();
    hand.id();
    let between = hand.id();
    hand.call();
    let (id, seq_no, code) = match rng.below(4) {
        // Not above the message before it.
        0 => (hand.id(), 5, 32),
        // Not below the message after it.
        1 => (between, 5 + 2 * rng.below(3) as i32, 33),
        // A call has to be acknowledged.
        2 => (hand.id(), 6, 35),
        // As the one before all others.
        _ => (lowest, 1, 33),
    };
    let body = hand.question();
    let heard = hand.say(id, seq_no, body);
    require("runs", heard.ran.is_empty())?;
    expect("refusals", heard.refusals(), vec![(id, code)])
}

/// MSG-R03 to MSG-R06, SEC-48: a damaged packet ends its link without a word.
pub(super) fn damage(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    hand.ping();
    let id = hand.id();
    let body = hand.question();
    let letter = hand.letter(id, 1, body);
    let room = |least: usize| least + (16 - (32 + letter.body.len() + least) % 16) % 16;
    let kind = rng.below(4);
    let padding = match kind {
        0 => room(0),
        1 => room(1025),
        _ => room(12),
    };
    let mut packet = wire::seal(&hand.secret, Side::Client, &letter, &vec![3; padding]);
    if padding >= 12 && kind == 0 {
        return Ok(());
    }
    match kind {
        2 => {
            let bit = 64 + rng.below(8 * (packet.len() as u32 - 8));
            packet[bit as usize / 8] ^= 1 << (bit % 8);
        }
        3 => packet = wire::seal(&hand.secret, Side::Server, &letter, &vec![3; padding]),
        _ => {}
    }
    let heard = hand.throw(&packet);
    require("runs", heard.ran.is_empty())?;
    require("is answered", heard.messages.is_empty() && heard.errors.is_empty())?;
    require("goes on", heard.is_closed)
}

/// SVC-44: a call waits for the one it names, half a second at most.
pub(super) fn order(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (first, _) = hand.call();
    let query = Raw(hand.question());
    let body = boxed(&functions::InvokeAfterMsg { msg_id: first, query });
    let (second, heard) = hand.send(true, body);
    require("runs early", heard.ran.is_empty())?;
    match rng.below(3) {
        0 => {
            let heard = hand.answer(first, Ok(Bytes::from_static(&[1; 8])));
            expect("runs", heard.ran, vec![MsgId(second)])
        }
        1 => {
            let error = rpc::RpcError::bad_request("SIM");
            let heard = hand.answer(first, Err(error));
            require("runs after a failure", heard.ran.is_empty())?;
            expect("results", heard.results().len(), 2)
        }
        _ => {
            let heard = hand.wait(Duration::from_millis(600));
            let results = heard.results();
            expect("results", results.iter().map(|(id, _)| *id).collect::<Vec<_>>(), vec![second])?;
            let heard = hand.answer(first, Ok(Bytes::from_static(&[1; 8])));
            require("runs late", heard.ran.is_empty())
        }
    }
}

/// SVC-31: the present salt and those after it, 1 to 64 of them.
pub(super) fn future_salts(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let num = rng.below(140) as i32 - 40;
    let second = hand.second();
    let (_, heard) = hand.send(true, boxed(&functions::GetFutureSalts { num }));
    let answers = heard.all::<types::FutureSalts>();
    expect("answers", answers.len(), 1)?;
    let right: Vec<i64> = (0..num.clamp(1, 64))
        .map(|number| hand.salts.current(second + 1800 * i64::from(number)).value)
        .collect();
    expect("salts", answers[0].salts.iter().map(|salt| salt.salt).collect(), right)?;
    let is_row = answers[0].salts.windows(2).all(|two| two[0].valid_until == two[1].valid_since);
    require("gaps between salts", is_row)
}

/// MSG-37, MSG-38: an id below all that is remembered is refused; nobody knows whether it ran.
pub(super) fn window(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (id, heard) = hand.call();
    expect("runs", heard.ran.len(), 1)?;
    for _ in 0..12 + rng.below(6) {
        hand.ping();
    }
    let body = hand.question();
    let heard = hand.say(id, 1, body);
    require("runs again", heard.ran.is_empty())?;
    expect("refusals", heard.refusals(), vec![(id, 20)])
}

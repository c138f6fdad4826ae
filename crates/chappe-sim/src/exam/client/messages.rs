//! Ids, salts and the other end of a single message.

use std::time::Duration;

use chappe_crypto::Rng;
use chappe_proto::schema::{ctors, types};
use chappe_proto::session::container::{self, Inner};
use chappe_proto::{MsgId, Side, rpc};

use super::Hand;
use crate::exam::{Verdict, expect, require};
use crate::peer::Peer;
use crate::wire::{self, Letter};
use crate::words::{self, Token, boxed};

/// SEC-25, SEC-26: a message of another session, or of a client, ends the link.
pub(super) fn foreign(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (token, call) = hand.call()?;
    let result = words::answer(token).map_err(|error| error.to_string())?;
    let body = rpc::result_body(call.msg_id, &result);
    let (id, seq_no) = (hand.id(1), hand.seq_no(true));
    match rng.below(4) {
        0 => hand.say_in(hand.session ^ 2, id, seq_no, body),
        1 => hand.say(id & !1, seq_no, body),
        2 => {
            let inner = Inner { msg_id: MsgId(id & !3), seq_no, body };
            let id = hand.id(1);
            hand.say(id, seq_no + 1, container::pack(&[inner]));
        }
        _ => {
            let letter = Letter { salt: 1, session: hand.session, id, seq_no, body };
            let room = 32 + letter.body.len() + 12;
            let padding = vec![9; 12 + (16 - room % 16) % 16];
            let packet = wire::seal(&hand.secret, Side::Server, &letter, &padding);
            let mut packet = packet;
            let bit = 64 + rng.below(8 * (packet.len() as u32 - 8));
            packet[bit as usize / 8] ^= 1 << (bit % 8);
            hand.throw(&packet);
        }
    }
    require("is believed", !hand.is_answered(token))?;
    require("link goes on", hand.is_over())
}

/// MSG-R09: what is more than 300 s old or 30 s ahead is not heeded.
pub(super) fn age(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (token, call) = hand.call()?;
    let result = words::answer(token).map_err(|error| error.to_string())?;
    let body = rpc::result_body(call.msg_id, &result);
    let now = hand.id(1);
    let off = ((i64::from(rng.below(1000)) + 100) << 32) / 1000;
    let (age, is_timely) = match rng.below(4) {
        0 => ((300 << 32) + off, false),
        1 => ((300 << 32) - off, true),
        2 => (-(30 << 32) - off, false),
        _ => (-(30 << 32) + off, true),
    };
    hand.say((now - age) & !3 | 1, 9, body);
    expect("is believed", hand.is_answered(token), is_timely)?;
    // It comes again on another link alone.
    expect("link ends", hand.is_over(), !is_timely)
}

/// SES-15: what comes twice is told once and acknowledged twice.
pub(super) fn pushes_twice(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let body = hand.push();
    let (id, seq_no) = (hand.id(3), hand.seq_no(true));
    hand.say(id, seq_no, body.clone());
    hand.wait(Duration::from_secs(31));
    let acks: Vec<_> =
        hand.said_as::<types::MsgsAck>().into_iter().map(|ack| ack.msg_ids).collect();
    expect("acknowledged", acks, vec![vec![id]])?;
    if rng.below(2) == 0 {
        let inner = Inner { msg_id: MsgId(id), seq_no, body };
        hand.tell(false, container::pack(&[inner]));
    } else {
        hand.say(id, seq_no, body);
    }
    hand.wait(Duration::from_secs(31));
    let acks: Vec<_> =
        hand.said_as::<types::MsgsAck>().into_iter().map(|ack| ack.msg_ids).collect();
    expect("acknowledged again", acks, vec![vec![id]])
}

/// SVC-08, SES-23: the call goes out again under a new id, with the new salt, however soon one
/// correction follows another.
pub(super) fn wrong_salts(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (token, mut call) = hand.call()?;
    for _ in 0..=rng.below(3) {
        let new_server_salt = rng.u64() as i64;
        let bad = ctors::BadServerSalt {
            bad_msg_id: call.msg_id.0,
            bad_msg_seqno: call.seq_no,
            error_code: 48,
            new_server_salt,
        };
        hand.tell(false, boxed(&bad));
        let letters = hand.letters();
        require("says nothing", !letters.is_empty())?;
        expect("salts", letters.iter().all(|letter| letter.salt == new_server_salt), true)?;
        hand.heard = letters;
        let again = hand.calls_said(token);
        expect("calls again", again.len(), 1)?;
        require("under its old id", again[0].msg_id > call.msg_id)?;
        call = again[0].clone();
    }
    hand.answer(call.msg_id, token);
    require("no outcome", hand.is_answered(token))
}

/// 05-service-messages §3: what follows from a refusal.
pub(super) fn wrong_ids(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    hand.repeats = true;
    let (token, call) = hand.call()?;
    let session = hand.session;
    let code = [16, 17, 18, 19, 20, 32, 33, 34, 35, 64][rng.below(10) as usize];
    hand.refuse(call.msg_id, code);
    let again = hand.calls_said(token);
    expect("calls again", again.len(), 1)?;
    let is_same = matches!(code, 16 | 20);
    expect("session stays", hand.session == session, is_same)?;
    if is_same {
        require("under its old id", again[0].msg_id > call.msg_id)?;
    }
    hand.answer(again[0].msg_id, token);
    require("no outcome", hand.is_answered(token))
}

/// MSG-31: a refusal of what nobody sent changes nothing.
pub(super) fn refusals_of_nothing(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (token, call) = hand.call()?;
    let session = hand.session;
    let code = [16, 17, 18, 20, 32, 48, 64][rng.below(7) as usize];
    hand.refuse(MsgId(call.msg_id.0 + 4 * (1 + i64::from(rng.below(50)))), code);
    expect("calls again", hand.calls_said(token), vec![])?;
    expect("session", hand.session, session)
}

/// SES-28: an old message does not set the clock back; the model sees to it.
pub(super) fn old_messages(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let body = hand.push();
    let early = hand.id(3) - (i64::from(rng.below(290)) << 32);
    hand.say(early, 1, body);
    let (_, call) = hand.call()?;
    let now = hand.id(1);
    require("its ids run behind", call.msg_id.0 + (1 << 31) > now)
}

/// CRY-03: what the client itself has said does not come from a server.
pub(super) fn own_words(hand: &mut Hand, _: &mut Rng) -> Verdict {
    let token = Token(hand.token << 7 | 0b111_0011);
    hand.make_call(token);
    let frame = hand.unread.split();
    hand.act(|peer, env| peer.handle_bytes(env, &frame));
    require("link goes on", hand.is_over())
}

/// SES-24: the next salt is used from its time on, unasked.
pub(super) fn future_salts(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let hours = 1 + i64::from(rng.below(2));
    // Sleeps through it, so that nothing is said meanwhile.
    hand.act(Peer::handle_end);
    hand.unread.clear();
    hand.at += Duration::from_secs(1800 * hours as u64 + 1) - Duration::from_secs(31);
    hand.at -= Duration::from_secs(2);
    hand.connect();
    let salts: Vec<_> = hand.letters().iter().map(|letter| letter.salt).collect();
    require("uses a later salt", salts.iter().all(|salt| *salt == hours))?;
    hand.act(Peer::handle_end);
    hand.unread.clear();
    hand.at += Duration::from_secs(3);
    hand.connect();
    let salts: Vec<_> = hand.letters().iter().map(|letter| letter.salt).collect();
    require("uses an earlier salt", salts.iter().all(|salt| *salt == hours + 1))
}

/// SES-23: a session announced long ago brings no salt; the one just corrected is newer.
pub(super) fn old_announcements(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (_, call) = hand.call()?;
    let early = hand.id(1);
    hand.stay(Duration::from_secs(u64::from(1 + rng.below(40))));
    let is_old = rng.below(2) == 0;
    let id = if is_old { early - (100 << 32) } else { hand.id(1) };
    let bad = ctors::BadServerSalt {
        bad_msg_id: call.msg_id.0,
        bad_msg_seqno: call.seq_no,
        error_code: 48,
        new_server_salt: 77,
    };
    hand.tell(false, boxed(&bad));
    hand.said();
    let new = types::NewSession { first_msg_id: call.msg_id.0, unique_id: 2, server_salt: 88 };
    hand.say(id, 1, boxed(&new));
    hand.letters();
    let token = Token(hand.token << 7 | 0b111_1011);
    hand.make_call(token);
    let salts: Vec<i64> = hand.letters().iter().map(|letter| letter.salt).collect();
    expect("salts", salts, vec![if is_old { 77 } else { 88 }])
}

//! What a message holds, and what it says of others.

use std::time::Duration;

use chappe_crypto::Rng;
use chappe_proto::schema::{ctors, types};
use chappe_proto::session::container::{self, Inner};
use chappe_proto::{MsgId, rpc};
use chappe_tl::gzip;

use super::{Hand, INFLATED_MAX};
use crate::exam::{Verdict, expect, require};
use crate::words::{self, Token, boxed, read};

/// MSG-24: nothing of a container that contradicts itself is believed, and the link ends.
pub(super) fn broken_containers(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (token, call) = hand.call()?;
    let result = words::answer(token).map_err(|error| error.to_string())?;
    let (id, seq_no) = (hand.id(1), hand.seq_no(true));
    let body = rpc::result_body(call.msg_id, &result);
    let mut inner = Inner { msg_id: MsgId(id), seq_no, body };
    let top = hand.id(1);
    let kind = rng.below(4);
    if kind == 0 {
        inner.msg_id = MsgId(top);
    }
    let mut body = container::pack(&[inner]).to_vec();
    match kind {
        1 => body.extend_from_slice(&[0; 4]),
        2 => body.truncate(body.len() - 4),
        3 => body[4] = 2,
        _ => {}
    }
    hand.say(top, seq_no + 1, body.into());
    require("is believed", !hand.is_answered(token))?;
    require("link goes on", hand.is_over())
}

/// TL-30, TL-38: an answer may unpack to so many bytes; one word more, and its call fails.
pub(super) fn packed_answers(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (token, call) = hand.call()?;
    let too_much = rng.below(2) == 1;
    let body = vec![1; INFLATED_MAX + if too_much { 4 } else { 0 }];
    let packed = gzip::deflate(&body).ok_or("does not pack")?;
    // The answer is not the right one, so the model has to be asked before it complains.
    let mut model = std::mem::take(&mut hand.model);
    hand.tell(true, rpc::result_body(call.msg_id, &rpc::gzip_packed(&packed)));
    std::mem::swap(&mut hand.model, &mut model);
    let (is_unreadable, is_read) = (model.saw_unreadable(), model.saw_result());
    require("two outcomes or none", is_unreadable != is_read)?;
    let _ = token;
    expect("is read", is_read, !too_much)
}

/// SVC-25: an answer to nobody's message is acknowledged, and no more.
pub(super) fn answers_to_others(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (token, call) = hand.call()?;
    let (other, other_call) = hand.call()?;
    hand.answer(MsgId(call.msg_id.0 - 4 * i64::from(1 + rng.below(9))), token);
    require("is believed", !hand.is_answered(token) && !hand.is_answered(other))?;
    hand.answer(other_call.msg_id, other);
    require("is believed", !hand.is_answered(token) && hand.is_answered(other))?;
    hand.answer(call.msg_id, token);
    require("no outcome", hand.is_answered(token))?;
    hand.answer(call.msg_id, token);
    Ok(())
}

/// SVC-02: sixteen acknowledgements do not wait, and all ride with whatever leaves.
pub(super) fn acknowledgements(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let count = 1 + rng.below(16);
    let mut ids = Vec::new();
    for _ in 0..count {
        let body = hand.push();
        ids.push(hand.tell(true, body));
    }
    let acks = |hand: &mut Hand| -> Vec<i64> {
        hand.said_as::<types::MsgsAck>().into_iter().flat_map(|ack| ack.msg_ids).collect()
    };
    if count < 16 {
        expect("acknowledged early", acks(hand), vec![])?;
        hand.token += 8;
        let token = Token(hand.token << 7 | 0b111_0011);
        hand.make_call(token);
    }
    expect("acknowledged", acks(hand), ids)
}

/// SVC-11, SVC-16: the client tells what it knows.
pub(super) fn states(hand: &mut Hand, _: &mut Rng) -> Verdict {
    let missing = hand.id(3);
    let body = hand.push();
    let id = hand.tell(true, body);
    let above = hand.id(3) + (100 << 32);
    let msg_ids = vec![missing, id, above];
    hand.tell(false, boxed(&types::MsgsStateReq { msg_ids }));
    let told: Vec<_> =
        hand.said_as::<types::MsgsStateInfo>().iter().map(|told| told.info.to_vec()).collect();
    expect("states", told, vec![vec![2, 4, 3]])
}

/// SVC-21: an announced answer is fetched; one that came is acknowledged.
pub(super) fn announced(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (token, call) = hand.call()?;
    let is_known = rng.below(2) == 0;
    let answer_msg_id = if is_known {
        let body = hand.push();
        hand.tell(true, body)
    } else {
        hand.id(1)
    };
    hand.said();
    let info =
        ctors::MsgDetailedInfo { msg_id: call.msg_id.0, answer_msg_id, bytes: 9999, status: 0 };
    hand.tell(false, boxed(&info));
    hand.wait(Duration::from_secs(31));
    let said = hand.said();
    let asked: Vec<_> =
        said.iter().filter_map(|inner| read::<ctors::MsgResendReq>(&inner.body)).collect();
    let asked: Vec<_> = asked.into_iter().map(|asked| asked.msg_ids).collect();
    expect("asks", asked, if is_known { vec![] } else { vec![vec![answer_msg_id]] })?;
    require("believes", !hand.is_answered(token))
}

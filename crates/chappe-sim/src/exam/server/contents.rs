//! What a message holds, and what it asks about others.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use chappe_crypto::Rng;
use chappe_proto::schema::{ctors, types};
use chappe_proto::session::container::{self, Inner};
use chappe_proto::{MsgId, rpc};
use chappe_tl::gzip;

use super::{CALLS_MAX, Hand, INFLATED_MAX};
use crate::exam::{Verdict, expect, require};
use crate::words::boxed;

/// MSG-20, MSG-25: all that is in a container counts as if it had come alone.
pub(super) fn containers(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let count = 1 + rng.below(CALLS_MAX as u32);
    let inners: Vec<Inner> = (0..count)
        .map(|_| {
            let body = hand.question();
            hand.number(true, body)
        })
        .collect();
    let ids: Vec<MsgId> = inners.iter().map(|inner| inner.msg_id).collect();
    let (_, heard) = hand.send(false, container::pack(&inners));
    expect("runs", &heard.ran, &ids)?;
    let new: Vec<i64> =
        heard.all::<types::NewSession>().iter().map(|new| new.first_msg_id).collect();
    expect("first message", new, vec![ids[0].0])
}

/// MSG-24: a container that contradicts itself is refused whole.
pub(super) fn broken_containers(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let mut inners: Vec<Inner> = (0..1 + rng.below(4))
        .map(|_| {
            let body = hand.question();
            hand.number(true, body)
        })
        .collect();
    let last = inners.len() - 1;
    let kind = rng.below(7);
    let mut seq_no = 2 * hand.content;
    let id = hand.id();
    match kind {
        0 => inners[last].msg_id = MsgId(id),
        1 => inners[last].seq_no = seq_no + 1,
        2 => inners[last].body = container::pack(&[]),
        5 => seq_no += 1,
        _ => {}
    }
    let mut body = container::pack(&inners).to_vec();
    match kind {
        3 => body.extend_from_slice(&[0; 4]),
        4 => body.truncate(body.len() - 4),
        6 => body[4..8].copy_from_slice(&1025i32.to_le_bytes()),
        _ => {}
    }
    let heard = hand.say(id, seq_no, body.into());
    require("something in it runs", heard.ran.is_empty())?;
    match kind {
        5 => expect("refusals", heard.refusals(), vec![(id, 34)]),
        6 => expect("errors", heard.errors, vec![-429]),
        _ => expect("refusals", heard.refusals(), vec![(id, 64)]),
    }
}

/// 05-service-messages §4: what is known of each message.
pub(super) fn states(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (answered, _) = hand.call();
    hand.answer(answered, Ok(Bytes::from_static(&[1; 8])));
    let missing = hand.id();
    let (ping, _) = hand.ping();
    let (running, _) = hand.call();
    let waits = rng.below(2) == 0;
    if waits {
        hand.wait(Duration::from_secs(1));
    }
    let above = hand.id() + (100 << 32);
    let msg_ids = vec![answered, missing, ping, running, above];
    let (_, heard) = hand.send(false, boxed(&types::MsgsStateReq { msg_ids }));
    let acknowledged = if waits { 8 } else { 0 };
    let right = vec![4 | 8 | 32 | 64, 2, 4 | 8 | 16, 4 | 32 | acknowledged, 3];
    let told: Vec<Vec<u8>> =
        heard.all::<types::MsgsStateInfo>().iter().map(|info| info.info.to_vec()).collect();
    expect("states", told, vec![right])
}

/// TL-30: a packed call may unpack to so many bytes, and not to one word more.
pub(super) fn packed(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let too_much = 4 * rng.below(2) as usize;
    let mut body = hand.question().to_vec();
    body.resize(INFLATED_MAX + too_much, 0);
    let packed = gzip::deflate(&body).ok_or("does not pack")?;
    let (id, heard) = hand.send(true, rpc::gzip_packed(&packed));
    expect("runs", heard.ran.len(), usize::from(too_much == 0))?;
    let failed: Vec<i64> = heard.results().iter().map(|(id, _)| *id).collect();
    expect("fails", failed, if too_much == 0 { vec![] } else { vec![id] })
}

/// SVC-22, SVC-23: what is known is sent again, of the rest the state is told.
pub(super) fn resend(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (call, _) = hand.call();
    let answer = hand.answer(call, Ok(Bytes::from_static(&[1; 8]))).messages;
    expect("answers", answer.len(), 1)?;
    let id = answer[0].msg_id.0;
    match rng.below(3) {
        0 => {
            let body = boxed(&ctors::MsgResendReq { msg_ids: vec![id] });
            expect("again", hand.send(false, body).1.messages, answer)
        }
        1 => {
            let body = boxed(&ctors::MsgResendReq { msg_ids: vec![id, id + 4] });
            let heard = hand.send(false, body).1;
            let told: Vec<_> =
                heard.all::<types::MsgsStateInfo>().iter().map(|told| told.info.to_vec()).collect();
            expect("states", told, vec![vec![4 | 16, 1]])
        }
        _ => {
            let body = boxed(&ctors::MsgResendAnsReq { msg_ids: vec![call] });
            let heard = hand.send(false, body).1;
            expect("again", heard.results(), vec![(call, Bytes::from_static(&[1; 8]))])?;
            require("states", heard.has::<types::MsgsStateInfo>())
        }
    }
}

/// MSG-27: a copy counts as the message in it.
pub(super) fn copies(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let body = hand.question();
    let Inner { msg_id, seq_no, body } = hand.number(true, body);
    let mut copy = BytesMut::new();
    copy.put_u32_le(0xe060_46b2);
    copy.put_u32_le(0x5bb8_e511);
    copy.put_i64_le(msg_id.0);
    copy.put_i32_le(seq_no);
    copy.put_u32_le(body.len() as u32);
    copy.extend_from_slice(&body);
    let is_known = rng.below(2) == 0;
    if is_known {
        expect("runs", hand.say(msg_id.0, seq_no, body).ran.len(), 1)?;
    }
    let (_, heard) = hand.send(false, copy.freeze());
    expect("acknowledged", heard.acks().contains(&msg_id.0), is_known)?;
    expect("runs", heard.ran, if is_known { vec![] } else { vec![msg_id] })
}

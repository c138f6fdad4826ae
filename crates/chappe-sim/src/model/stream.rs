//! One side of a session as it appears on the wire: ids, numbers, contents.

use std::collections::BTreeMap;

use bytes::Bytes;
use chappe_proto::envelope::encrypted::Message;
use chappe_proto::rpc;
use chappe_proto::schema::types;
use chappe_proto::session::container::Inner;
use chappe_proto::{MsgId, Side};
use chappe_tl::Constructor;

use super::Rule;
use crate::words;

/// A session as it appears on the wire, from one side.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Numbers and contents of everything sent.
    pub(super) sent: BTreeMap<MsgId, (i32, u64)>,
    /// Messages sent so far that have to be acknowledged.
    pub(super) content: i32,
    /// Numbers begin anew above this id: its sender forgot the session there.
    pub(super) floor: Option<MsgId>,
}

impl Stream {
    /// Takes down one envelope; what is wrong with it.
    pub(super) fn judge(
        &mut self,
        side: Side,
        message: &Message,
        inners: &[Inner],
    ) -> Option<(Rule, String)> {
        let top = message.header.msg_id;
        let is_container = words::is_container(message);
        if !is_container && self.sent.contains_key(&top) {
            return Some((Rule::OldIdsInContainers, format!("message {top} goes out alone again")));
        }
        for inner in inners {
            if is_container && inner.msg_id >= top {
                return Some((Rule::MessageIds, format!("{} is in {top}", inner.msg_id)));
            }
            if let Some(fault) = self.judge_one(side, inner.msg_id, inner.seq_no, &inner.body) {
                return Some(fault);
            }
        }
        if is_container {
            return self.judge_one(side, top, message.header.seq_no, &message.body);
        }
        None
    }

    fn judge_one(
        &mut self,
        side: Side,
        id: MsgId,
        seq_no: i32,
        body: &Bytes,
    ) -> Option<(Rule, String)> {
        let mut print = 0u64;
        for chunk in body.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            print = (print.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9);
        }
        if let Some(known) = self.sent.get(&id) {
            // Sent again: the same numbers, the same words.
            return (*known != (seq_no, print))
                .then(|| (Rule::MessageIds, format!("id {id} means two messages")));
        }
        let low = if side == Side::Client { id.0 & 3 == 0 } else { id.0 & 1 == 1 };
        if !low || !id.has_fraction() {
            return Some((Rule::MessageIds, format!("id {id} cannot come from a {side:?}")));
        }
        let fault = match side {
            Side::Client => {
                let highest = self.sent.last_key_value().map(|(id, _)| *id);
                if highest.is_some_and(|highest| highest >= id) {
                    return Some((Rule::MessageIds, format!("{id} follows {highest:?}")));
                }
                let is_content = words::is_question(body);
                let right = 2 * self.content + i32::from(is_content);
                self.content += i32::from(is_content);
                (seq_no != right).then(|| format!("message {id} is number {seq_no}, not {right}"))
            }
            Side::Server => {
                let is_content = matches!(words::id_of(body), rpc::RESULT | types::NewSession::ID)
                    || words::is_push(body);
                let below = self.sent.range(..id).next_back();
                let below = below.filter(|(id, _)| Some(**id) > self.floor);
                let below = below.map(|(_, (seq, _))| *seq);
                let above = self.sent.range(id..).next().map(|(_, (seq, _))| *seq);
                let rises = |a: i32, b: i32| a < b || (a == b && a & 1 == 0);
                let fits = below.is_none_or(|below| rises(below, seq_no))
                    && above.is_none_or(|above| rises(seq_no, above))
                    && (seq_no & 1 == 1) == is_content;
                (!fits).then(|| {
                    format!("message {id} is number {seq_no} between {below:?} and {above:?}")
                })
            }
        };
        self.sent.insert(id, (seq_no, print));
        fault.map(|details| (Rule::SequenceNumbers, details))
    }
}

//! Calls whose receipt the server is to acknowledge quickly (10-transports §4).

use std::slice;

use super::{CallId, ClientEvent, ClientSession, Sent};
use crate::ids::MsgId;

impl ClientSession {
    /// Whether the packet of a message, which [`poll_transmit`](Self::poll_transmit) gave, carries
    /// a call whose receipt is to be acknowledged quickly.
    pub fn wants_quick_ack(&self, id: MsgId) -> bool {
        !self.quick_acks.is_empty() && !self.quick_acks_in(id).is_empty()
    }

    /// Takes a quick acknowledgement of the packet of a message. It is told of, and changes
    /// nothing: whether a call may be sent again never depends on it, for it proves nothing.
    pub fn handle_quick_ack(&mut self, id: MsgId) {
        for call in self.quick_acks_in(id) {
            self.quick_acks.remove(&call);
            self.events.push_back(ClientEvent::QuickAck(call));
        }
    }

    /// Calls that a packet carries and whose quick acknowledgement is awaited.
    fn quick_acks_in(&self, id: MsgId) -> Vec<CallId> {
        let ids = match self.sent.get(&id) {
            Some(Sent::Container(contents)) => contents,
            _ => slice::from_ref(&id),
        };
        let call = |id: &MsgId| match self.sent.get(id) {
            Some(Sent::Call(call)) if self.quick_acks.contains(call) => Some(*call),
            _ => None,
        };
        ids.iter().filter_map(call).collect()
    }
}

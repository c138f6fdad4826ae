//! What a session has to know where some of its messages leave as datagrams (14-udp).

use std::time::Duration;

use super::call::Flight;
use super::receive::is_timely;
use super::{ClientSession, Sent};
use crate::envelope::encrypted::{Header, Message};
use crate::ids::MsgId;
use crate::now::Now;
use crate::rpc;
use crate::schema::functions;
use crate::session::inbox::Admission;

/// Longest wait of an acknowledgement where messages leave as datagrams.
const ACK_DELAY: Duration = Duration::from_millis(100);

impl ClientSession {
    /// Whether every message leaves in a packet of its own, so that small ones fit datagrams.
    pub fn split_packets(&mut self, is_split: bool) {
        self.is_split = is_split;
    }

    /// How long an acknowledgement may wait for company: not until the server takes a datagram for
    /// lost.
    pub(super) fn ack_delay(&self) -> Duration {
        if self.is_split {
            ACK_DELAY.min(self.config.ack_delay_max)
        } else {
            self.config.ack_delay_max
        }
    }

    /// Whether the packet of this message is one call whose receipt the server has to acknowledge,
    /// and has not: it may be sent again as it is.
    pub fn is_owed(&self, id: MsgId) -> bool {
        let Some(Sent::Call(call)) = self.sent.get(&id) else { return false };
        self.calls.get(call).is_some_and(|call| {
            matches!(call.flight, Flight::Sent { msg_id, acknowledged: false, .. } if msg_id == id)
        })
    }

    /// Takes one opened message that came as a datagram; whether it was of use. Unlike on a stream
    /// anybody can bring a recorded one, so what is old, or of another session, means nothing.
    pub fn handle_datagram(&mut self, now: Now, message: Message) -> bool {
        let Header { session_id, msg_id, .. } = message.header;
        let is_timely = !self.clock.is_certain() || is_timely(msg_id, self.clock.at(now));
        session_id == self.id
            && is_timely
            && self.inbox.judge(msg_id) != Admission::TooOld
            && self.handle_message(now, message).is_ok()
    }

    /// Writes a `ping` that means nothing to the session: it keeps a way open, and whoever has it
    /// sent that way listens there for what comes back.
    pub fn keep_alive(&mut self) {
        let ping_id = self.rng.u64() as i64;
        self.send_service(rpc::boxed(&functions::Ping { ping_id }));
    }
}

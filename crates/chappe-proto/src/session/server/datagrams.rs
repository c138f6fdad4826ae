//! The link of a session that carries datagrams: small messages, one each, which may be lost
//! (14-udp).

use std::time::Duration;

use super::ServerSession;
use super::send::{Outlet, Ready};
use crate::datagram::{BODY_MAX, Flight, Late};
use crate::ids::{LinkId, MsgId};
use crate::now::Now;
use crate::session::container::{self, Inner};
use crate::session::outbox::Place;

/// The one link of a session that is no stream, and what is under way on it.
#[derive(Debug)]
pub(super) struct Datagrams {
    pub(super) link: LinkId,
    flight: Flight,
}

impl ServerSession {
    /// This link carries datagrams, and is the only one that does: what fits none is announced
    /// there, and the client fetches it by a stream (UDP-10). To be told before the first message
    /// that comes on it.
    pub fn use_datagrams(&mut self, link: LinkId) {
        self.datagrams = Some(Box::new(Datagrams { link, flight: Flight::default() }));
    }

    pub(super) fn is_datagrams(&self, link: LinkId) -> bool {
        self.datagrams.as_ref().is_some_and(|datagrams| datagrams.link == link)
    }

    /// The next message for the datagrams of this link; what fits none takes another way.
    pub(super) fn next_datagram(&mut self, now: Now, link: LinkId) -> Option<Inner> {
        loop {
            let flight = &self.datagrams.as_ref().filter(|it| it.link == link)?.flight;
            let has_room = flight.has_room();
            let queue = self.work.ready.get_mut(&link)?;
            // What is under way already takes no more room for being sent again.
            let at = queue.iter().position(|ready| match ready {
                Ready::Service(_) => true,
                Ready::Owed(id) | Ready::OwedAgain(id) => has_room || flight.carries(*id),
            })?;
            let ready = queue.remove(at)?;
            if queue.is_empty() {
                self.work.ready.remove(&link);
            }
            let (inner, is_kept) = match &ready {
                Ready::Service(inner) => (inner.clone(), false),
                Ready::Owed(id) | Ready::OwedAgain(id) => match self.work.outbox.get(*id) {
                    Some(owed) if owed.place == Place::Ready(link) => {
                        let (seq_no, body) = (owed.seq_no, owed.body.clone());
                        (Inner { msg_id: *id, seq_no, body }, true)
                    }
                    _ => continue,
                },
            };
            let is_again = matches!(ready, Ready::OwedAgain(_));
            let room =
                if is_again { container::room(inner.body.len()) + 8 } else { inner.body.len() };
            if room > BODY_MAX {
                self.reroute(now, link, ready);
                continue;
            }
            if is_kept {
                self.work.outbox.put(inner.msg_id, Place::Sent(link));
                if let Some(datagrams) = &mut self.datagrams {
                    datagrams.flight.sent(now.mono, inner.msg_id);
                }
            }
            return Some(if is_again { self.pack(now, vec![inner]) } else { inner });
        }
    }

    /// A message that fits no datagram: announced the first time, and carried by a stream once it
    /// was asked for. What is not kept is lost without one.
    fn reroute(&mut self, now: Now, link: LinkId, ready: Ready) {
        if let Ready::Owed(id) = ready {
            self.announce(now, Outlet::Link(link), id);
            if let Some(datagrams) = &mut self.datagrams {
                datagrams.flight.sent(now.mono, id);
            }
            return;
        }
        let stream = self.stream();
        match (&ready, stream) {
            (_, Some(stream)) => self.enqueue(now, Outlet::Link(stream), ready),
            (Ready::OwedAgain(id), None) => self.work.outbox.put(*id, Place::Sent(link)),
            _ => {}
        }
    }

    /// The stream heard from last.
    fn stream(&self) -> Option<LinkId> {
        self.links.iter().rev().find(|link| !self.is_datagrams(**link)).copied()
    }

    /// What the client has acknowledged is not under way any more.
    pub(super) fn settle_datagrams(&mut self, now: Now) {
        if let Some(datagrams) = &mut self.datagrams {
            let (link, outbox) = (datagrams.link, &self.work.outbox);
            datagrams.flight.settle(now.mono, |id| {
                outbox.get(id).is_some_and(|owed| {
                    owed.place == Place::Sent(link) || owed.place == Place::Ready(link)
                })
            });
        }
    }

    /// Sends again what is not acknowledged in time; what was sent too often, by a stream
    /// (UDP-08).
    pub(super) fn resend_datagrams(&mut self, now: Now) {
        let mut late: Vec<Late> = Vec::new();
        let Some(datagrams) = &mut self.datagrams else { return };
        while let Some(next) = datagrams.flight.take_late(now.mono) {
            late.push(next);
        }
        let link = datagrams.link;
        for next in late {
            match next {
                Late::Again(id) => self.hasten(now, link, id),
                Late::GivenUp(id) => {
                    if let Some(stream) = self.stream() {
                        self.send_again(now, Outlet::Link(stream), id);
                    }
                }
            }
        }
    }

    /// Sends a message that is under way, or word of it, once more and before others.
    fn hasten(&mut self, now: Now, link: LinkId, id: MsgId) {
        let Some(owed) = self.work.outbox.get(id).filter(|owed| owed.place == Place::Sent(link))
        else {
            // It waits to be sent again, or another way.
            return;
        };
        if owed.body.len() > BODY_MAX {
            self.announce(now, Outlet::Link(link), id);
        } else {
            let inner = Inner { msg_id: id, seq_no: owed.seq_no, body: owed.body.clone() };
            self.work.ready.entry(link).or_default().push_front(Ready::Service(inner));
        }
        if let Some(datagrams) = &mut self.datagrams {
            datagrams.flight.sent(now.mono, id);
        }
    }

    pub(super) fn datagrams_due(&self) -> Option<Duration> {
        self.datagrams.as_ref().and_then(|datagrams| datagrams.flight.due())
    }
}

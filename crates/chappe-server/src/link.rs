//! The owner of a link: keys in, messages to their session, answers back.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use chappe_crypto::AuthKeyId;
use chappe_net::limits::block;
use chappe_net::listen::Ends;
use chappe_net::shutdown::Stage;
use chappe_net::{End, Owner, Wire, drive};
use chappe_proto::handshake::server::Origin;
use chappe_proto::link::{CloseReason, Link, LinkEvent, Received};
use chappe_proto::transport::Transport;
use chappe_proto::{LinkId, Now, SessionId};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tracing::{Instrument, Span, debug, info_span, warn};

use crate::connection::Connection;
use crate::directory::Refusal;
use crate::exchange;
use crate::keys::KeyRecord;
use crate::lookup::find_key;
use crate::metrics::{self, Gauged, code_name};
use crate::registry::{LinkCommand, LinkQueue, LinkSender, link_queue};
use crate::session::{self, AttachedLink, Input, SessionHandle};

/// Drives what comes over a wire as a link, to its end; gives the reason for the counter, too.
pub(crate) async fn serve(connection: &Connection, wire: &mut impl Wire) -> (End, &'static str) {
    let shared = &connection.shared;
    let now = shared.clock.now();
    let detect = shared.detect.inside(connection.carrier);
    let mut link = Link::server(now, Arc::clone(&shared.link_config), detect, shared.rng());
    link.expect_packet(connection.deadline);
    if connection.carrier.is_websocket() {
        link.end_with_errors();
    }
    let mut owner = ServerLink::new(connection);
    let span = owner.span();
    let serving = async {
        debug!("link opened");
        let end = drive(wire, &mut link, &mut owner, &shared.clock, &shared.config.drive).await;
        let reason = owner.cause(&end);
        match &end {
            End::HandOver(carrier, _) => debug!(%carrier, "link handed over"),
            end => debug!(reason, %end, "link closed"),
        }
        (end, reason)
    };
    serving.instrument(span).await
}

/// What a connection does for its peer, whatever its packets travel in.
pub(crate) struct ServerLink<'a> {
    pub(crate) connection: &'a Connection,
    id: LinkId,
    /// Who speaks: the peer of the connection, or whom that speaks for.
    ends: Arc<Ends>,
    sender: LinkSender,
    queue: LinkQueue,
    /// The keys that the link holds, newest first; as many as [`Link`] does.
    records: [Option<Arc<KeyRecord>>; 2],
    /// The session whose messages may be sent here (TRN-41).
    bound: Option<Bound>,
    is_draining: bool,
    /// What the peer speaks, once that is known and counted.
    transport: Option<Transport>,
    counted: Gauged,
}

struct Bound {
    record: Arc<KeyRecord>,
    handle: Arc<SessionHandle>,
}

/// Transport errors.
const NOT_FOUND: i32 = 404;
const FLOOD: i32 = 429;
const WRONG_DC: i32 = 444;

impl Owner for ServerLink<'_> {
    type Command = LinkCommand;

    fn handle_event<'b>(
        &'b mut self,
        now: Now,
        link: &'b mut Link,
        event: LinkEvent,
    ) -> Option<BoxFuture<'b, ()>> {
        match event {
            _ if self.is_draining => {}
            LinkEvent::Dc(dc) if !self.serves(dc) => self.fail(now, link, WRONG_DC),
            LinkEvent::Plain(message) => {
                self.connection.shared.metrics.packets_received.add(metrics::PLAIN, 1);
                let origin = Origin { link: self.id, address: block(self.ends.peer.ip()) };
                exchange::handle_plain(&self.connection.shared, origin, &message.body);
            }
            LinkEvent::KeyWanted(id) => return Some(self.provide_key(now, link, id).boxed()),
            LinkEvent::Message(key, received) => {
                self.connection.shared.metrics.packets_received.add(metrics::MESSAGE, 1);
                let (handle, received) = self.handle_message(now, link, key, Box::new(received))?;
                return Some(self.handle_in_turn(link, key, handle, received).boxed());
            }
            // The rest comes to clients, or is the end and for the driver.
            _ => {}
        }
        None
    }

    async fn next_command(&mut self) -> Option<LinkCommand> {
        self.queue.next().await
    }

    fn handle_command(&mut self, now: Now, link: &mut Link, command: LinkCommand) {
        match command {
            LinkCommand::Message(sealing) => {
                // What a session sent before the link was bound elsewhere must not leave here,
                // nor anything under a key whose time is over.
                if self.is_bound_to(sealing.session()) && self.has_time(now) {
                    self.connection.shared.metrics.packets_sent.add(metrics::MESSAGE, 1);
                    link.send(sealing.key, sealing.message);
                }
            }
            LinkCommand::QuickAck(token) => link.acknowledge_quickly(token),
            LinkCommand::Reply(body) => self.reply(now, link, &body),
            LinkCommand::LastReply(body) => {
                link.lift_limits();
                self.reply(now, link, &body);
            }
            LinkCommand::Fail(code) => self.fail(now, link, code),
            LinkCommand::DisconnectAfter(delay) => link.disconnect_after(now, delay),
            LinkCommand::ForgetKey(id) => {
                // Who waits for the answer to a request gets none any more.
                if self.connection.carrier.is_http() && self.is_bound_by(id) {
                    self.fail(now, link, NOT_FOUND);
                }
                self.forget_key(link, id);
            }
            LinkCommand::Drain => {
                self.is_draining = true;
                if self.bound.is_none() {
                    link.close(CloseReason::Owner);
                }
            }
            LinkCommand::Close => link.close(CloseReason::Owner),
        }
    }

    fn handle_traffic(&mut self, read: usize, written: usize) {
        self.connection.shared.metrics.received_bytes.increment(read as u64);
        self.connection.shared.metrics.sent_bytes.increment(written as u64);
    }

    fn poll_transmit(&mut self, _: Now, link: &mut Link) {
        if self.transport.is_none()
            && let Some(transport) = link.transport()
        {
            debug!(%transport, "transport recognised");
            self.transport = Some(transport);
            let Connection { shared, carrier, .. } = self.connection;
            self.counted = shared.metrics.open_link(*carrier, Some(transport));
        }
    }
}

impl<'a> ServerLink<'a> {
    /// Of a connection on which nothing was said yet.
    pub(crate) fn new(connection: &'a Connection) -> Self {
        let Connection { shared, carrier, ends, .. } = connection;
        let (sender, queue) = link_queue(&shared.config.drive);
        Self {
            connection,
            id: shared.registry.insert(sender.clone()),
            ends: Arc::clone(ends),
            sender,
            queue,
            records: [None, None],
            bound: None,
            is_draining: false,
            transport: None,
            counted: shared.metrics.open_link(*carrier, None),
        }
    }

    pub(crate) fn span(&self) -> Span {
        let carrier = self.connection.carrier.name();
        info_span!("link", link = self.id.0, peer = %self.ends.peer, carrier)
    }

    /// Why it came to this end, for the counter.
    pub(crate) fn cause(&self, end: &End) -> &'static str {
        if self.queue.has_overrun() { metrics::OVERRUN } else { end.cause() }
    }

    /// Who speaks at present.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.ends.peer
    }

    /// What comes from here on comes from `peer`.
    pub(crate) fn speak_for(&mut self, now: Now, peer: SocketAddr) {
        if self.ends.peer != peer {
            debug!(%peer, "the connection speaks for somebody else");
            self.ends = Arc::new(Ends { peer, ..*self.ends });
            // Its session learns of it when it is bound again.
            self.unbind(now, true);
        }
    }

    fn reply(&self, now: Now, link: &mut Link, body: &Bytes) {
        self.connection.shared.metrics.packets_sent.add(metrics::PLAIN, 1);
        link.send_plain(now.unix, body);
    }

    fn fail(&self, now: Now, link: &mut Link, code: i32) {
        self.connection.shared.metrics.transport_errors.add(code_name(code), 1);
        debug!(code, "transport error sent");
        link.fail(now, code);
    }

    fn serves(&self, dc: i16) -> bool {
        self.connection.shared.config.handshake.dc.admits(dc.into())
    }

    async fn provide_key(&mut self, now: Now, link: &mut Link, id: AuthKeyId) {
        match find_key(&self.connection.shared, id, now).await {
            Ok(Some(record)) => {
                let key = Arc::clone(&record.key);
                self.forget_record(id);
                let [newest, older] = &mut self.records;
                self.records = [Some(record), newest.take().or_else(|| older.take())];
                link.provide_key(now, id, Some(key));
            }
            Ok(None) => {
                debug!(auth_key_id = %id, "no such key");
                self.connection.shared.metrics.transport_errors.add(code_name(NOT_FOUND), 1);
                link.provide_key(now, id, None);
            }
            // To say -404 would make the client throw its key away.
            Err(error) => {
                warn!(auth_key_id = %id, %error, "a key cannot be looked up");
                link.close(CloseReason::Owner);
            }
        }
    }

    /// Gives a message to its session. Where that has no room for it as yet, gives both back.
    fn handle_message(
        &mut self,
        now: Now,
        link: &mut Link,
        key: AuthKeyId,
        mut received: Box<Received>,
    ) -> Option<(Arc<SessionHandle>, Box<Received>)> {
        let record = self.records.iter().flatten().find(|record| record.id() == key).cloned();
        let Some(record) = record.filter(|record| record.is_alive(now.unix_seconds())) else {
            self.refuse(now, link, key);
            return None;
        };
        let session = received.message.header.session_id;
        if session.0 == 0 {
            link.close(CloseReason::Owner);
            return None;
        }
        loop {
            // Sessions end as soon as they are done then.
            if self.connection.watcher.stage() > Stage::Running {
                link.close(CloseReason::Owner);
                return None;
            }
            let handle = match self.bind(now, &record, session) {
                Ok(handle) => handle,
                Err(Refusal::NoKey) => {
                    self.refuse(now, link, key);
                    return None;
                }
                Err(Refusal::TooMany) => {
                    debug!(auth_key_id = %key, session_id = %session, "too many links or sessions");
                    self.connection.shared.metrics.sessions_refused.increment(1);
                    self.fail(now, link, FLOOD);
                    return None;
                }
            };
            received = match handle.try_tell(Input::Message(self.id, received)) {
                Ok(()) => return None,
                Err(Input::Message(_, received)) => received,
                Err(_) => return None,
            };
            if !handle.has_ended() {
                return Some((handle, received));
            }
            // A session that ended meanwhile gives the message back, and a new one is opened.
            self.unbind(now, true);
        }
    }

    /// Waits until a session has room for a message.
    async fn handle_in_turn(
        &mut self,
        link: &mut Link,
        key: AuthKeyId,
        mut handle: Arc<SessionHandle>,
        mut received: Box<Received>,
    ) {
        while let Err(Input::Message(_, returned)) =
            handle.tell_in_turn(Input::Message(self.id, received)).await
        {
            let now = self.connection.shared.clock.now();
            self.unbind(now, true);
            let Some(full) = self.handle_message(now, link, key, returned) else { return };
            (handle, received) = full;
        }
    }

    /// The session, with this link bound to it.
    fn bind(
        &mut self,
        now: Now,
        record: &Arc<KeyRecord>,
        session: SessionId,
    ) -> Result<Arc<SessionHandle>, Refusal> {
        if let Some(bound) = &self.bound {
            if self.is_bound_to((record.id(), session)) && bound.handle.is_alive() {
                return Ok(Arc::clone(&bound.handle));
            }
            let stays = bound.record.id() == record.id();
            self.unbind(now, stays);
        }
        let open = || {
            session::open(&self.connection.shared, record, session, self.connection.watcher.clone())
        };
        let Connection { shared, carrier, .. } = self.connection;
        let limits = &shared.config.sessions;
        let links_max = match carrier.is_http() {
            true => limits.http_links_per_key_max,
            false => limits.links_per_key_max,
        };
        let link = (self.id, &self.sender, links_max);
        let handle = shared.directory.attach(record, session, link, now.mono, open)?;
        handle.tell(Input::Attach(Box::new(AttachedLink {
            id: self.id,
            sender: self.sender.clone(),
            ends: Arc::clone(&self.ends),
            is_http: self.connection.carrier.is_http(),
            is_datagrams: false,
        })));
        debug!(auth_key_id = %record.id(), session_id = %handle.id(), "link bound");
        self.bound = Some(Bound { record: Arc::clone(record), handle: Arc::clone(&handle) });
        Ok(handle)
    }

    fn unbind(&mut self, now: Now, stays: bool) {
        let Some(Bound { record, handle }) = self.bound.take() else { return };
        handle.tell(Input::Detach(self.id));
        self.connection.shared.directory.detach(record.id(), &handle, self.id, stays, now.mono);
    }

    fn is_bound_to(&self, session: (AuthKeyId, SessionId)) -> bool {
        self.bound.as_ref().is_some_and(|bound| (bound.record.id(), bound.handle.id()) == session)
    }

    fn is_bound_by(&self, key: AuthKeyId) -> bool {
        self.bound.as_ref().is_some_and(|bound| bound.record.id() == key)
    }

    fn has_time(&self, now: Now) -> bool {
        self.bound.as_ref().is_some_and(|bound| bound.record.has_time(now.unix_seconds()))
    }

    /// A message under a key that is no more: as if it had never been (MSG-R02).
    fn refuse(&mut self, now: Now, link: &mut Link, key: AuthKeyId) {
        debug!(auth_key_id = %key, "message under a key that is no more");
        self.forget_key(link, key);
        self.fail(now, link, NOT_FOUND);
    }

    fn forget_key(&mut self, link: &mut Link, key: AuthKeyId) {
        link.forget_key(key);
        self.forget_record(key);
        if self.is_bound_by(key) {
            self.unbind(self.connection.shared.clock.now(), false);
        }
    }

    fn forget_record(&mut self, key: AuthKeyId) {
        for place in &mut self.records {
            place.take_if(|record| record.id() == key);
        }
    }
}

impl Drop for ServerLink<'_> {
    fn drop(&mut self) {
        self.unbind(self.connection.shared.clock.now(), false);
        self.connection.shared.registry.remove(self.id);
    }
}

//! A UDP socket that carries messages of sessions beside their streams: experimental, a definition
//! of this project, and off unless a server is told to (UDP-01).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chappe_backend::StoreError;
use chappe_crypto::AuthKeyId;
use chappe_net::limits::block;
use chappe_net::listen::Ends;
use chappe_net::shutdown::{Stage, Watcher};
use chappe_net::udp;
use chappe_proto::datagram::hello::Nonce;
use chappe_proto::datagram::{Heard, ServerEndpoint, ServerEvent};
use chappe_proto::envelope::encrypted::Message;
use chappe_proto::handshake::server::Origin;
use chappe_proto::link::Received;
use chappe_proto::{LinkId, Now};
use futures_util::FutureExt;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tracing::{debug, warn};

use crate::exchange;
use crate::keys::KeyRecord;
use crate::lookup::find_key;
use crate::metrics::{self, Gauged, code_name};
use crate::registry::{LinkCommand, LinkQueue, link_queue};
use crate::session::{self, AttachedLink, Input, SessionHandle};
use crate::shared::Shared;

/// Serves a socket until the server stops.
pub(crate) async fn serve(shared: Arc<Shared>, socket: UdpSocket, watcher: Watcher) {
    let Ok(local) = socket.local_addr() else { return };
    debug!(%local, "experimental datagrams of MTU1 are served");
    let endpoint = ServerEndpoint::new(shared.config.datagrams.clone(), shared.rng());
    let (tell, told) = mpsc::channel(COMMANDS_MAX);
    let lines = HashMap::new();
    let lookups = JoinSet::new();
    Port { shared, local, watcher, endpoint, lines, hellos: 0, lookups, tell }
        .run(socket, told)
        .await;
}

struct Port {
    shared: Arc<Shared>,
    local: SocketAddr,
    watcher: Watcher,
    endpoint: ServerEndpoint,
    lines: HashMap<LinkId, Line>,
    /// Those of them that are key exchanges.
    hellos: usize,
    lookups: JoinSet<(AuthKeyId, Found)>,
    /// For those who pass on what links are told.
    tell: mpsc::Sender<(LinkId, Option<LinkCommand>)>,
}

type Found = Result<Option<Arc<KeyRecord>>, StoreError>;

/// Something that has the number of a link, since it is told things as one.
struct Line {
    is: Is,
    passing_on: AbortHandle,
    /// Of a path.
    _counted: Option<Gauged>,
}

enum Is {
    /// The path of a session.
    Path { record: Arc<KeyRecord>, handle: Arc<SessionHandle> },
    /// One request of a key exchange.
    Hello { from: SocketAddr, nonce: Nonce },
}

/// What links are told and this task has not taken up; then it waits with them.
const COMMANDS_MAX: usize = 256;
/// Longest wait for the reply to one request of a key exchange.
const HELLO_LIFE: Duration = Duration::from_secs(30);
/// Transport error for an unknown key.
const NOT_FOUND: i32 = 404;

impl Port {
    async fn run(
        mut self,
        socket: UdpSocket,
        mut told: mpsc::Receiver<(LinkId, Option<LinkCommand>)>,
    ) {
        let mut stopping = self.watcher.clone();
        loop {
            while let Some(event) = self.endpoint.poll_event() {
                self.handle_event(event);
            }
            while let Some((to, datagram)) = self.endpoint.poll_transmit() {
                self.shared.metrics.sent_bytes.increment(datagram.len() as u64);
                udp::send(&socket, to, &datagram).await;
            }
            let is_stopping = self.watcher.stage() > Stage::Running;
            if is_stopping && self.lines.is_empty() {
                return;
            }
            let due = self.endpoint.poll_timeout();
            tokio::select! {
                (from, datagram) = udp::receive(&socket), if !is_stopping => {
                    self.shared.metrics.received_bytes.increment(datagram.len() as u64);
                    self.endpoint.handle_datagram(self.now(), from, datagram);
                }
                Some((link, command)) = told.recv() => self.handle_command(link, command),
                Some(Ok((id, found))) = self.lookups.join_next() => self.found(id, found),
                () = self.shared.clock.sleep_until(due), if due.is_some() => {
                    let now = self.now();
                    self.endpoint.handle_timeout(now);
                }
                () = stopping.reached(Stage::Draining), if !is_stopping => {}
            }
        }
    }

    fn now(&self) -> Now {
        self.shared.clock.now()
    }

    fn handle_event(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::KeyWanted(id) => {
                let (shared, now) = (Arc::clone(&self.shared), self.now());
                self.lookups.spawn(async move { (id, find_key(&shared, id, now).await) });
            }
            ServerEvent::Message(key, heard, message) => self.handle_message(key, heard, message),
            ServerEvent::Plain(from, nonce, body) => self.handle_plain(from, nonce, &body),
            ServerEvent::Closed(link) => self.remove(link, metrics::OWNER),
            ServerEvent::Silent(link) => self.remove(link, metrics::SILENT),
        }
    }

    fn found(&mut self, id: AuthKeyId, found: Found) {
        let now = self.now();
        match found {
            Ok(record) => {
                let key = record.map(|record| Arc::clone(&record.key));
                let told = self.endpoint.provide_key(now, id, key);
                self.shared.metrics.transport_errors.add(code_name(NOT_FOUND), told as u64);
            }
            Err(error) => {
                warn!(auth_key_id = %id, %error, "a key cannot be looked up");
                self.endpoint.drop_held(id);
            }
        }
    }

    fn handle_message(&mut self, key: AuthKeyId, heard: Heard, message: Message) {
        let now = self.now();
        self.shared.metrics.packets_received.add(metrics::MESSAGE, 1);
        let record = self.shared.directory.key(key);
        let Some(record) = record.filter(|record| record.is_alive(now.unix_seconds())) else {
            return self.endpoint.forget_key(key);
        };
        if message.header.session_id.0 == 0 {
            return;
        }
        let Some((link, handle)) = self.path(now, &record, &heard, &message) else { return };
        self.endpoint.hear(now, link, heard);
        // What would be a quick acknowledgement tells us that the session took the message.
        let received = Received { message, quick_ack: Some(heard.token) };
        let input = Input::Message(link, Box::new(received));
        match handle.tell_in_turn(input).now_or_never() {
            Some(Ok(())) => {}
            Some(Err(_)) => self.endpoint.close(link),
            // A session that has no room for it has lost it: it comes again.
            None => debug!(session_id = %handle.id(), "a datagram found no room"),
        }
    }

    /// The path of the session, opened if it has none, or one of a session that was forgotten.
    fn path(
        &mut self,
        now: Now,
        record: &Arc<KeyRecord>,
        heard: &Heard,
        message: &Message,
    ) -> Option<(LinkId, Arc<SessionHandle>)> {
        let (key, session) = (record.id(), message.header.session_id);
        if let Some(link) = self.endpoint.link_of(key, session) {
            if let Some(Line { is: Is::Path { handle, .. }, .. }) = self.lines.get(&link)
                && handle.is_alive()
            {
                return Some((link, Arc::clone(handle)));
            }
            self.endpoint.close(link);
            self.remove(link, metrics::OWNER);
        }
        if self.watcher.stage() > Stage::Running {
            return None;
        }
        let (sender, queue) = link_queue(&self.shared.config.drive);
        let link = self.shared.registry.insert(sender.clone());
        let open = || session::open(&self.shared, record, session, self.watcher.clone());
        let links_max = self.shared.config.sessions.links_per_key_max;
        let attached = self.endpoint.open(now, link, key, session).then(|| {
            let link = (link, &sender, links_max);
            self.shared.directory.attach(record, session, link, now.mono, open)
        });
        let Some(Ok(handle)) = attached else {
            debug!(auth_key_id = %key, "no path for datagrams");
            self.endpoint.close(link);
            self.shared.registry.remove(link);
            return None;
        };
        let ends = Arc::new(Ends::canonical(heard.from(), self.local));
        let attached = AttachedLink { id: link, sender, ends, is_http: false, is_datagrams: true };
        handle.tell(Input::Attach(Box::new(attached)));
        debug!(link = link.0, session_id = %session, peer = %heard.from(), "path opened");
        let is = Is::Path { record: Arc::clone(record), handle: Arc::clone(&handle) };
        let passing_on = tokio::spawn(pass_on(link, queue, self.tell.clone())).abort_handle();
        self.shared.metrics.links_opened.increment(1);
        let counted = Some(self.shared.metrics.open_path());
        self.lines.insert(link, Line { is, passing_on, _counted: counted });
        Some((link, handle))
    }

    fn handle_command(&mut self, link: LinkId, command: Option<LinkCommand>) {
        let Some(line) = self.lines.get(&link) else { return };
        let now = self.now();
        match (command, &line.is) {
            (Some(LinkCommand::Message(sealing)), Is::Path { record, .. }) => {
                if record.has_time(now.unix_seconds()) {
                    self.shared.metrics.packets_sent.add(metrics::MESSAGE, 1);
                    self.endpoint.send(link, &sealing.message);
                }
            }
            (Some(LinkCommand::QuickAck(token)), Is::Path { .. }) => {
                self.endpoint.accept(link, token);
            }
            (Some(LinkCommand::ForgetKey(id)), _) => self.endpoint.forget_key(id),
            (Some(LinkCommand::Reply(body) | LinkCommand::LastReply(body)), Is::Hello { .. }) => {
                self.reply(now, link, &body);
            }
            // A path has no timer of its own to be let go by, and to be drained is to be closed
            // by its session.
            (Some(LinkCommand::DisconnectAfter(_) | LinkCommand::Drain), Is::Path { .. }) => {}
            // Errors have no place here: whoever floods is not listened to.
            _ => {
                self.endpoint.close(link);
                self.remove(link, metrics::OWNER);
            }
        }
    }

    /// A request of a key exchange; it is told the reply as if it were a link (UDP-05).
    fn handle_plain(&mut self, from: SocketAddr, nonce: Nonce, body: &Bytes) {
        self.shared.metrics.packets_received.add(metrics::PLAIN, 1);
        if self.hellos >= self.shared.config.datagrams.hellos_max {
            return self.endpoint.put_off(from, nonce);
        }
        self.hellos += 1;
        let (sender, queue) = link_queue(&self.shared.config.drive);
        let link = self.shared.registry.insert(sender);
        let tell = self.tell.clone();
        let passing_on = tokio::spawn(async move {
            let passing_on = pass_on(link, queue, tell.clone());
            if tokio::time::timeout(HELLO_LIFE, passing_on).await.is_err() {
                let _ = tell.send((link, None)).await;
            }
        });
        let passing_on = passing_on.abort_handle();
        let is = Is::Hello { from, nonce };
        self.lines.insert(link, Line { is, passing_on, _counted: None });
        let origin = Origin { link, address: block(from.ip()) };
        exchange::handle_plain(&self.shared, origin, body);
    }

    fn reply(&mut self, now: Now, link: LinkId, body: &Bytes) {
        if let Some(Line { is: Is::Hello { from, nonce }, .. }) = self.lines.get(&link) {
            self.shared.metrics.packets_sent.add(metrics::PLAIN, 1);
            self.endpoint.reply(now, *from, *nonce, body);
        }
        self.remove(link, metrics::OWNER);
    }

    fn remove(&mut self, link: LinkId, reason: &'static str) {
        let Some(Line { is, passing_on, .. }) = self.lines.remove(&link) else { return };
        passing_on.abort();
        self.shared.registry.remove(link);
        let Is::Path { record, handle } = is else {
            self.hellos -= 1;
            return;
        };
        self.shared.metrics.links_closed.add(reason, 1);
        handle.tell(Input::Detach(link));
        self.shared.directory.detach(record.id(), &handle, link, false, self.now().mono);
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let links: Vec<LinkId> = self.lines.keys().copied().collect();
        for link in links {
            self.remove(link, metrics::OWNER);
        }
    }
}

/// Passes on what a link is told, and that nothing more will come.
async fn pass_on(
    link: LinkId,
    mut queue: LinkQueue,
    tell: mpsc::Sender<(LinkId, Option<LinkCommand>)>,
) {
    loop {
        let command = queue.next().await;
        let is_last = command.is_none();
        if tell.send((link, command)).await.is_err() || is_last {
            return;
        }
    }
}

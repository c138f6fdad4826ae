//! The task of one link: bytes to and from the proxy, packets to and from its clients.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use chappe_net::limits::Permit;
use chappe_net::listen::Ends;
use chappe_net::shutdown::{Stage, Watcher};
use chappe_proto::middle::link::{LinkEnd, MiddleEvent, MiddleLink};
use chappe_proto::middle::messages::{ConnId, Origin};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::mpsc;
use tracing::debug;

use super::client::{self, Said, Told};
use crate::connection::Connection;
use crate::queue::{Bounds, Sender, queue};
use crate::shared::Shared;

/// A link and its clients.
pub(super) struct Task {
    shared: Arc<Shared>,
    watcher: Watcher,
    link: MiddleLink,
    clients: HashMap<ConnId, Sender<Told>>,
    /// For the tasks of the clients.
    say: mpsc::Sender<(ConnId, Said)>,
    said: mpsc::Receiver<(ConnId, Said)>,
    /// Counts the connection while it lasts.
    _permit: Permit,
}

/// Room for what one read brings; there are few links.
const READ_MIN: usize = 64 << 10;
/// What clients said and this task has not taken up; then they wait.
const SAID_MAX: usize = 16;
/// Transport error for a client that is one too many.
const FLOOD: i32 = 429;

impl Task {
    pub(super) fn new(
        shared: Arc<Shared>,
        watcher: Watcher,
        link: MiddleLink,
        permit: Permit,
    ) -> Self {
        let (say, said) = mpsc::channel(SAID_MAX);
        Self { shared, watcher, link, clients: HashMap::new(), say, said, _permit: permit }
    }

    /// Serves the link to its end; its clients end with it.
    pub(super) async fn run(mut self, stream: impl AsyncRead + AsyncWrite) {
        debug!("link of a proxy opened");
        let end = self.serve(stream).await;
        debug!(clients = self.clients.len(), end, "link of a proxy closed");
    }

    /// Gives what ended it, in words.
    async fn serve(&mut self, stream: impl AsyncRead + AsyncWrite) -> String {
        let (mut reader, mut writer) = split(stream);
        let (mut inbound, mut outbound) = (BytesMut::new(), BytesMut::new());
        let mut stopping = self.watcher.clone();
        loop {
            let over = self.settle();
            self.link.poll_transmit(&mut outbound);
            if let Some(end) = over {
                let _ = last_words(&mut writer, &mut outbound, &self.shared).await;
                return end.to_string();
            }
            // What is sent is framed anew each time; an idle link keeps none of it.
            if outbound.is_empty() {
                outbound = BytesMut::new();
            }
            let is_stopping = self.watcher.stage() > Stage::Running;
            if is_stopping && self.clients.is_empty() {
                self.link.shut();
                continue;
            }
            inbound.reserve(READ_MIN);
            let has_room = outbound.len() <= self.shared.config.middle.outbound_max_bytes;
            let due = self.link.poll_timeout();
            tokio::select! {
                written = writer.write_buf(&mut outbound), if !outbound.is_empty() => {
                    if let Err(error) = written {
                        return error.to_string();
                    }
                }
                read = reader.read_buf(&mut inbound), if has_room => match read {
                    Ok(0) => return "the proxy closed the connection".to_owned(),
                    Ok(_) => self.link.handle_bytes(self.shared.clock.now(), &mut inbound),
                    Err(error) => return error.to_string(),
                },
                Some((client, said)) = self.said.recv(), if has_room => self.pass_on(client, said),
                () = self.shared.clock.sleep_until(due) => {
                    self.link.handle_timeout(self.shared.clock.now());
                }
                () = stopping.reached(if is_stopping { Stage::Ending } else { Stage::Draining }) => {
                    if is_stopping {
                        return "the server stops".to_owned();
                    }
                }
            }
        }
    }

    /// Takes what came over the link; how it ended, if it did.
    fn settle(&mut self) -> Option<LinkEnd> {
        while let Some(event) = self.link.poll_event() {
            match event {
                MiddleEvent::Ready => debug!("proxy greeted"),
                MiddleEvent::Opened(client, origin) => self.open(client, &origin),
                MiddleEvent::Packet { client, quick_ack_wanted, packet } => {
                    self.hear(client, Told { packet, quick_ack_wanted });
                }
                MiddleEvent::Closed(client) => drop(self.clients.remove(&client)),
                MiddleEvent::Over(end) => return Some(end),
            }
        }
        None
    }

    /// A new client is a new connection (MPX-16).
    fn open(&mut self, client: ConnId, origin: &Origin) {
        let Origin { client: peer, proxy: local, framing, .. } = *origin;
        let Some(permit) = self.shared.connections.admit(peer.ip()) else {
            self.shared.metrics.links_refused.increment(1);
            debug!(%peer, "too many connections");
            self.link.fail(client, FLOOD);
            return self.link.close(client);
        };
        let (shared, watcher) = (Arc::clone(&self.shared), self.watcher.clone());
        let ends = Ends::canonical(peer, local);
        let Some(connection) = Connection::of_proxy(shared, ends, permit, watcher) else {
            return self.link.close(client);
        };
        debug!(%peer, %framing, "client of a proxy");
        let bytes_max = self.shared.config.middle.client_max_bytes;
        let (sender, told) = queue(Bounds { items_max: PACKETS_MAX, bytes_max });
        self.clients.insert(client, sender);
        tokio::spawn(client::serve(connection, self.shared.rng(), client, told, self.say.clone()));
    }

    /// A packet waits for its client's session, which is dropped where too much does (MPX-15): the
    /// link waits for nobody.
    fn hear(&mut self, client: ConnId, told: Told) {
        let Some(sender) = self.clients.get(&client) else { return };
        if sender.send(told).is_err() {
            debug!(client = client.0, "a client sends more than is taken");
            self.clients.remove(&client);
            self.link.close(client);
        }
    }

    /// What the server says to a client goes to the proxy.
    fn pass_on(&mut self, client: ConnId, said: Said) {
        match said {
            Said::Packet(packet) => {
                self.link.send(client, &packet);
            }
            Said::QuickAck(token) => self.link.acknowledge(client, token),
            Said::Error(code) => self.link.fail(client, code),
            Said::End => {
                self.clients.remove(&client);
                self.link.close(client);
            }
        }
    }
}

/// Packets of one client that wait for its session.
const PACKETS_MAX: usize = 4096;

/// Lets the proxy hear why it is left.
async fn last_words(
    writer: &mut (impl AsyncWrite + Unpin),
    outbound: &mut BytesMut,
    shared: &Shared,
) -> io::Result<()> {
    let flushed = async {
        writer.write_all_buf(outbound).await?;
        writer.shutdown().await
    };
    let in_time = tokio::time::timeout(shared.config.drive.flush_max, flushed).await;
    in_time.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

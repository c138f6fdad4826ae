//! The task of one link: connected, and connected anew whenever it is lost, as long as anybody may
//! use it.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use chappe_crypto::Rng;
use chappe_net::Clock;
use chappe_net::connect::{self, Endpoint};
use chappe_proto::middle::greeting::ProcessId;
use chappe_proto::middle::keys::Path;
use chappe_proto::middle::link::{NotSent, ProxyEvent, ProxyLink};
use chappe_proto::middle::messages::{ConnId, Origin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::{debug, info, warn};

use super::counters::Counters;
use super::inbox::{Heard, Inbox};
use super::pool::{Line, Place, State};
use crate::config::MiddleConfig;
use crate::memory::Held;
use crate::metrics::Gauged;

/// What clients want of a link.
#[derive(Debug)]
pub(super) enum Command {
    /// To be one of its clients.
    Open { origin: Box<Origin>, inbox: Inbox, line: Line, opened: oneshot::Sender<Place> },
    /// One frame of theirs to be passed on.
    Frame { client: ConnId, frame: BytesMut, quick_ack_wanted: bool, held: Held },
}

pub(super) struct Task {
    pub(super) config: Arc<MiddleConfig>,
    pub(super) endpoint: Endpoint,
    pub(super) clock: Clock,
    pub(super) rng: Rng,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) gone: mpsc::UnboundedReceiver<ConnId>,
    pub(super) state: Arc<State>,
    pub(super) counters: Counters,
    /// Who waits for a link to that server.
    pub(super) ready: Arc<Notify>,
}

/// Waits before a link that was lost is made anew.
const AGAIN_MIN: Duration = Duration::from_millis(500);
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// A link that lasted so long was a good one: the next wait is short.
const GOOD_AFTER: Duration = Duration::from_secs(60);
/// Bytes that wait to be written beyond which clients wait.
const OUTBOUND_MAX: usize = 1 << 20;
/// Room for what one read brings; there are few links.
const READ_MIN: usize = 64 << 10;

impl Task {
    pub(super) async fn run(mut self) {
        let mut again = AGAIN_MIN;
        loop {
            let begun = self.clock.now().mono;
            let lost = match self.connect().await {
                Ok(Some(connected)) => self.serve(connected).await,
                Ok(None) => return,
                Err(error) => error,
            };
            self.state.takes_clients.store(false, Ordering::Relaxed);
            self.state.clients.store(0, Ordering::Relaxed);
            let Some(lost) = lost else { return };
            self.counters.lost.increment(1);
            warn!(server = %self.endpoint, reason = lost, "a link to a middle server is lost");
            if self.clock.now().mono.saturating_sub(begun) >= GOOD_AFTER {
                again = AGAIN_MIN;
            }
            // Half as much by chance, lest all links of a proxy come back at once.
            let chance = self.rng.below(1 + again.as_millis() as u32 / 2);
            let wait = tokio::time::sleep(again + Duration::from_millis(chance.into()));
            if self.refuse_until(wait).await.is_none() {
                return;
            }
            again = (again * 2).min(AGAIN_MAX);
        }
    }

    /// A connection, and where from and to; `None` if nobody wants one any more.
    async fn connect(&mut self) -> Result<Option<(TcpStream, Path)>, Option<String>> {
        let (endpoint, wait_max) = (self.endpoint.clone(), self.config.connect_wait_max);
        let connecting = async move { connect::connect(&[endpoint], None, wait_max).await };
        let Some(connected) = self.refuse_until(connecting).await else { return Ok(None) };
        let stream = connected.map_err(|error| Some(error.to_string()))?.stream;
        let path = path(&stream, &self.config).map_err(Some)?;
        Ok(Some((stream, path)))
    }

    /// Turns clients away until `future` is ready; `None` if there will be no more of them.
    async fn refuse_until<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                output = &mut future => return Some(output),
                // Whoever asked hears that what it waits for is dropped.
                command = self.commands.recv() => drop(command?),
                Some(_) = self.gone.recv() => {}
            }
        }
    }

    /// Serves a link to its end: how it was lost, or `None` if nobody may use it any more.
    async fn serve(&mut self, (mut stream, path): (TcpStream, Path)) -> Option<String> {
        let own = ProcessId { pid: self.rng.u32() as u16 | 1, ..ProcessId::at(path.proxy()) };
        let (now, secret) = (self.clock.now(), Arc::clone(&self.config.secret));
        let config = self.config.link.clone();
        let mut link = ProxyLink::new(now, config, secret, path, own, self.rng.fork());
        let mut clients = HashMap::new();
        let (mut reader, mut writer) = stream.split();
        let (mut inbound, mut outbound) = (BytesMut::new(), BytesMut::new());
        let (mut is_wanted, mut ready) = (true, None);
        let (mut handled, mut leaving) = (0_u64, VecDeque::new());
        loop {
            while let Some((_, client)) = leaving.pop_front_if(|(after, _)| *after <= handled) {
                clients.remove(&client);
                link.close(client);
            }
            if let Some(end) = self.settle(&mut link, &mut clients) {
                return is_wanted.then_some(end);
            }
            let takes = is_wanted && link.takes_clients(self.clock.now());
            if takes {
                ready.get_or_insert_with(|| Gauged::new(&self.counters.ready));
            }
            self.state.takes_clients.store(takes, Ordering::Relaxed);
            self.state.clients.store(link.clients(), Ordering::Relaxed);
            link.poll_transmit(&mut outbound);
            inbound.reserve(READ_MIN);
            if outbound.is_empty() {
                outbound = BytesMut::new();
            }
            let (due, has_room) = (link.poll_timeout(), outbound.len() <= OUTBOUND_MAX);
            tokio::select! {
                written = writer.write_buf(&mut outbound), if !outbound.is_empty() => {
                    if let Err(error) = written {
                        return Some(error.to_string());
                    }
                }
                read = reader.read_buf(&mut inbound) => match read {
                    Ok(0) => return Some("the middle server closed the connection".to_owned()),
                    Ok(_) => link.handle_bytes(self.clock.now(), &mut inbound),
                    Err(error) => return Some(error.to_string()),
                },
                command = self.commands.recv(), if has_room && is_wanted => match command {
                    Some(command) => {
                        handle(&mut link, &mut clients, command, &self.counters);
                        handled += 1;
                    }
                    // All clients are gone, and no new ones come.
                    None => {
                        is_wanted = false;
                        link.shut();
                    }
                },
                Some(client) = self.gone.recv() => {
                    // Its last words were said before it left: they are among these.
                    leaving.push_back((handled + self.commands.len() as u64, client));
                }
                () = self.clock.sleep_until(due) => link.handle_timeout(self.clock.now()),
            }
        }
    }

    /// Passes on what came; how the link ended, if it did.
    fn settle(
        &mut self,
        link: &mut ProxyLink,
        clients: &mut HashMap<ConnId, Inbox>,
    ) -> Option<String> {
        while let Some(event) = link.poll_event() {
            let (client, heard) = match event {
                ProxyEvent::Ready => {
                    info!(server = %self.endpoint, "a link to a middle server is ready");
                    self.state.takes_clients.store(true, Ordering::Relaxed);
                    self.ready.notify_waiters();
                    continue;
                }
                ProxyEvent::Packet { client, packet, .. } => (client, Heard::Packet(packet)),
                ProxyEvent::Error(client, code) => (client, Heard::Error(code)),
                ProxyEvent::QuickAck(client, token) => (client, Heard::QuickAck(token)),
                ProxyEvent::Closed(client) => {
                    // What it has not taken yet it may take still.
                    clients.remove(&client);
                    continue;
                }
                ProxyEvent::Over(end) => return Some(end.to_string()),
            };
            self.counters.answers.increment(1);
            let has_room = clients.get(&client).is_some_and(|inbox| inbox.put(heard));
            if !has_room {
                self.counters.slow.increment(1);
                debug!(client = client.0, "a client takes too little and is closed");
                clients.remove(&client);
                link.close(client);
            }
        }
        None
    }
}

fn handle(
    link: &mut ProxyLink,
    clients: &mut HashMap<ConnId, Inbox>,
    command: Command,
    counters: &Counters,
) {
    match command {
        Command::Open { origin, inbox, line, opened } => {
            // Otherwise it hears by what is dropped.
            if let Some(client) = link.open(*origin) {
                clients.insert(client, inbox);
                // Who does not wait any more leaves by the place being dropped.
                let _ = opened.send(line.place(client));
            }
        }
        Command::Frame { client, frame, quick_ack_wanted, held: _held } => {
            counters.packets.increment(1);
            if let Err(NotSent::Implausible(error)) = link.send(client, &frame, quick_ack_wanted) {
                counters.implausible.increment(1);
                debug!(client = client.0, %error, "a packet is left out");
            }
        }
    }
}

/// Makes a link to a middle server, to see whether one can be had, and gives it up again.
///
/// # Errors
///
/// What hindered it. Middle servers say nothing to proxies whose clock or address is wrong, and to
/// those that do not know their secret.
pub async fn try_link(
    config: &MiddleConfig,
    server: &Endpoint,
    rng: &mut Rng,
) -> Result<(), String> {
    let connecting = connect::connect(std::slice::from_ref(server), None, config.connect_wait_max);
    let mut stream = connecting.await.map_err(|error| error.to_string())?.stream;
    let (clock, path) = (Clock::system(), path(&stream, config)?);
    let own = ProcessId { pid: rng.u32() as u16 | 1, ..ProcessId::at(path.proxy()) };
    let (secret, timers) = (Arc::clone(&config.secret), config.link.clone());
    let mut link = ProxyLink::new(clock.now(), timers, secret, path, own, rng.fork());
    let (mut inbound, mut outbound) = (BytesMut::new(), BytesMut::new());
    loop {
        while let Some(event) = link.poll_event() {
            match event {
                ProxyEvent::Ready => return Ok(()),
                ProxyEvent::Over(end) => return Err(end.to_string()),
                _ => {}
            }
        }
        link.poll_transmit(&mut outbound);
        stream.write_all_buf(&mut outbound).await.map_err(|error| error.to_string())?;
        let due = link.poll_timeout();
        tokio::select! {
            read = stream.read_buf(&mut inbound) => match read {
                Ok(0) => return Err("the middle server closed the connection".to_owned()),
                Ok(_) => link.handle_bytes(clock.now(), &mut inbound),
                Err(error) => return Err(error.to_string()),
            },
            () = clock.sleep_until(due) => link.handle_timeout(clock.now()),
        }
    }
}

/// From where to where the middle server sees the connection run (MPX-01).
fn path(stream: &TcpStream, config: &MiddleConfig) -> Result<Path, String> {
    let ends = stream.local_addr().and_then(|local| Ok((local, connect::peer_of(stream)?)));
    let (local, peer) = ends.map_err(|error| error.to_string())?;
    let seen = config.seen_as.iter().find(|ip| ip.is_ipv4() == local.is_ipv4());
    let local = SocketAddr::new(seen.copied().unwrap_or(local.ip()), local.port());
    Path::new(local, peer).map_err(|error| error.to_string())
}

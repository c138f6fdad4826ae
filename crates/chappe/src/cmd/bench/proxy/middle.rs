//! A middle server for the bench alone: the data centre of clients that a proxy brings on links of its
//! own, packet by packet.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, io};

use anyhow::Result;
use bytes::BytesMut;
use chappe_crypto::Rng;
use chappe_net::Clock;
use chappe_proto::middle::greeting::ProcessId;
use chappe_proto::middle::keys::{Path, ProxySecret};
use chappe_proto::middle::link::{LinkConfig, MiddleEvent, MiddleLink};
use chappe_proto::middle::messages::ConnId;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::line::whole;
use super::wish::{BULK_PACKET, Bulk, LENGTH, PACKET, Wish, receipt};

/// A middle server that listens; gone when dropped.
pub(super) struct Middle {
    pub(super) files: Files,
    serving: JoinHandle<()>,
    _folder: TempDir,
}

/// The files by which proxies make links: what they have to know, and where the server is.
pub(super) struct Files {
    pub(super) secret: PathBuf,
    pub(super) servers: PathBuf,
}

/// A proxy's secret, as long as the real one.
const SECRET: usize = 128;
/// Room for what one read brings.
const READ_MIN: usize = 256 << 10;
/// Nothing more is read from a proxy that leaves so many bytes to be written.
const WAITING_MAX: usize = 8 << 20;

impl Middle {
    pub(super) fn start(rng: &mut Rng) -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let bytes: [u8; SECRET] = rng.bytes();
        let secret = ProxySecret::parse(&bytes)?;
        let folder = tempfile::Builder::new().prefix("chappe-bench-").tempdir()?;
        let files = Files {
            secret: folder.path().join("proxy-secret"),
            servers: folder.path().join("proxy-multi.conf"),
        };
        fs::write(&files.secret, bytes)?;
        let list = format!("default 2;\nproxy_for 2 {address};\nproxy_for -2 {address};\n");
        fs::write(&files.servers, list)?;
        let listener = TcpListener::from_std(listener)?;
        let serving = tokio::spawn(accept(listener, address, secret, rng.fork()));
        Ok(Self { files, _folder: folder, serving })
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn accept(listener: TcpListener, address: SocketAddr, secret: ProxySecret, mut rng: Rng) {
    let secrets: Arc<[ProxySecret]> = [secret].into();
    loop {
        // A proxy that is not let in comes again, or serves nobody, which its clients tell.
        if let Ok((stream, peer)) = listener.accept().await
            && let Ok(path) = Path::new(peer, address)
        {
            let (clock, secrets) = (Clock::system(), Arc::clone(&secrets));
            let own = ProcessId::at(path.middle());
            let config = LinkConfig::default();
            let link = MiddleLink::new(clock.now(), config, secrets, path, own, rng.fork());
            let link = Link { link, errands: HashMap::new() };
            tokio::spawn(async move {
                // Its clients find out as well.
                let _ = link.serve(stream, &clock).await;
            });
        }
    }
}

/// A link and its clients.
struct Link {
    link: MiddleLink,
    errands: HashMap<ConnId, Errand>,
}

/// What a client is here for, and how much of that is left.
#[derive(Clone, Copy)]
enum Errand {
    /// Everything comes back.
    Echo,
    /// Bytes that are still to come up; then a receipt is said.
    Sink(u64),
    /// More may be asked for.
    Pour,
}

impl Link {
    async fn serve(mut self, stream: TcpStream, clock: &Clock) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (mut reader, mut writer) = stream.into_split();
        let (mut inbound, mut outbound) = (BytesMut::new(), BytesMut::new());
        loop {
            while let Some(event) = self.link.poll_event() {
                match event {
                    MiddleEvent::Packet { client, packet, .. } => self.hear(client, &packet),
                    MiddleEvent::Closed(client) => drop(self.errands.remove(&client)),
                    MiddleEvent::Over(_) => return Ok(()),
                    MiddleEvent::Ready | MiddleEvent::Opened(..) => {}
                }
            }
            self.link.poll_transmit(&mut outbound);
            inbound.reserve(READ_MIN);
            tokio::select! {
                written = writer.write_buf(&mut outbound), if !outbound.is_empty() => {
                    written?;
                }
                read = reader.read_buf(&mut inbound), if outbound.len() < WAITING_MAX => match read? {
                    0 => return Ok(()),
                    _ => self.link.handle_bytes(clock.now(), &mut inbound),
                },
                () = clock.sleep_until(self.link.poll_timeout()) => {
                    self.link.handle_timeout(clock.now());
                }
            }
        }
    }

    /// Takes a packet of a client; the first one says what it is here for.
    fn hear(&mut self, client: ConnId, packet: &[u8]) {
        let packet = &packet[..whole(packet.len())];
        let errand = match self.errands.get(&client) {
            Some(Errand::Echo) => {
                self.link.send(client, packet);
                return;
            }
            Some(Errand::Sink(left)) => self.sink(client, *left, packet.len() + LENGTH),
            None | Some(Errand::Pour) => self.begin(client, packet),
        };
        match errand {
            Some(errand) => drop(self.errands.insert(client, errand)),
            None => {
                self.errands.remove(&client);
                self.link.close(client);
            }
        }
    }

    fn sink(&mut self, client: ConnId, left: u64, came: usize) -> Option<Errand> {
        let left = left.checked_sub(came as u64)?;
        if left == 0 {
            self.link.send(client, &receipt()[LENGTH..]);
        }
        Some(Errand::Sink(left))
    }

    fn begin(&mut self, client: ConnId, packet: &[u8]) -> Option<Errand> {
        let mut wish = receipt();
        wish[LENGTH..].copy_from_slice(packet.get(..PACKET - LENGTH)?);
        match Wish::read(&wish)? {
            Wish::Echo => Some(Errand::Echo),
            Wish::Sink(amount) => Some(Errand::Sink(amount)),
            Wish::Pour(amount) => {
                self.pour(client, amount);
                Some(Errand::Pour)
            }
            // The proxy has to keep what its client is slow to take; there is no end to be full.
            Wish::Exchange(amount) => {
                self.pour(client, amount);
                Some(Errand::Sink(amount))
            }
        }
    }

    fn pour(&mut self, client: ConnId, amount: u64) {
        let mut bulk = Bulk::new();
        for _ in 0..amount / BULK_PACKET as u64 {
            self.link.send(client, &bulk.next(BULK_PACKET)[LENGTH..]);
        }
    }
}

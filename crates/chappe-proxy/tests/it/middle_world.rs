//! A middle server for tests: it sends packets back, and does what some of them say.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use chappe_net::Clock;
use chappe_proto::middle::config::MiddleServers;
use chappe_proto::middle::greeting::ProcessId;
use chappe_proto::middle::keys::{Path, ProxySecret};
use chappe_proto::middle::link::{LinkConfig, LinkEnd, MiddleEvent, MiddleLink};
use chappe_proto::middle::messages::{ConnId, Origin};
use chappe_proxy::{MiddleConfig, ProxyConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::client::rng;
use crate::world::config;

/// What a packet asks for, by its ninth byte; any other comes back.
pub(crate) const FAIL: u8 = 1;
pub(crate) const CLOSE: u8 = 2;
/// A hundred packets of 64 KiB.
pub(crate) const FLOOD: u8 = 3;
pub(crate) const SILENCE: u8 = 4;
/// The token of every quick acknowledgement.
pub(crate) const TOKEN: u32 = 0x8123_4567;

pub(crate) struct Middle {
    pub(crate) address: SocketAddr,
    pub(crate) heard: Arc<Mutex<Heard>>,
    cut: Arc<Notify>,
}

#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Links that were greeted, and that are open.
    pub(crate) greeted: usize,
    pub(crate) open: usize,
    pub(crate) ends: Vec<LinkEnd>,
    /// Clients: who they are, by which link, and who of them has left.
    pub(crate) origins: Vec<(usize, ConnId, Origin)>,
    pub(crate) left: Vec<ConnId>,
    pub(crate) packets: Vec<BytesMut>,
    /// Whether nothing is read any more.
    pub(crate) stalls: bool,
}

impl Middle {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, cut): (Arc<Mutex<Heard>>, Arc<Notify>) = Default::default();
        let (told, notified) = (Arc::clone(&heard), Arc::clone(&cut));
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((stream, peer)) = listener.accept().await {
                number += 1;
                let path = Path::new(peer, address).unwrap();
                let (told, notified) = (Arc::clone(&told), Arc::clone(&notified));
                tokio::spawn(async move {
                    told.lock().unwrap().open += 1;
                    tokio::select! {
                        () = serve(stream, path, number, &told) => {}
                        () = notified.notified() => {}
                    }
                    told.lock().unwrap().open -= 1;
                });
            }
        });
        Self { address, heard, cut }
    }

    /// Cuts all links.
    pub(crate) fn cut(&self) {
        self.cut.notify_waiters();
    }

    /// What was heard.
    pub(crate) fn heard<T>(&self, look: impl Fn(&Heard) -> T) -> T {
        look(&self.heard.lock().unwrap())
    }

    /// Settings of a proxy that brings its clients here, two links at first.
    pub(crate) fn config(&self) -> ProxyConfig {
        self.config_with(|_| {})
    }

    pub(crate) fn config_with(&self, change: impl FnOnce(&mut MiddleConfig)) -> ProxyConfig {
        let nowhere = "127.0.0.1:1".parse().unwrap();
        let mut config = config(nowhere);
        config.middle = Some(Arc::new(self.middle_config(change)));
        config
    }

    pub(crate) fn middle_config(&self, change: impl FnOnce(&mut MiddleConfig)) -> MiddleConfig {
        let list = format!("default 2; proxy_for 2 {0}; proxy_for -2 {0};", self.address);
        let servers = MiddleServers::parse(&list).unwrap();
        let mut middle = MiddleConfig::new(secret(), &servers).unwrap();
        middle.links = 2..=2;
        middle.link_wait_max = Duration::from_secs(5);
        change(&mut middle);
        middle
    }
}

pub(crate) fn secret() -> ProxySecret {
    ProxySecret::parse(&[7; 128]).unwrap()
}

async fn serve(mut stream: TcpStream, path: Path, number: usize, heard: &Mutex<Heard>) {
    let clock = Clock::system();
    let secrets = [secret()].into();
    let own = ProcessId::at(path.middle());
    let mut link = MiddleLink::new(clock.now(), LinkConfig::default(), secrets, path, own, rng());
    let mut inbound = BytesMut::new();
    loop {
        while let Some(event) = link.poll_event() {
            let mut heard = heard.lock().unwrap();
            match event {
                MiddleEvent::Ready => heard.greeted += 1,
                MiddleEvent::Opened(client, origin) => heard.origins.push((number, client, origin)),
                MiddleEvent::Packet { client, quick_ack_wanted, packet } => {
                    if quick_ack_wanted {
                        link.acknowledge(client, TOKEN);
                    }
                    answer(&mut link, client, &packet);
                    heard.packets.push(packet);
                }
                MiddleEvent::Closed(client) => heard.left.push(client),
                MiddleEvent::Over(end) => {
                    heard.ends.push(end);
                    return;
                }
            }
        }
        let mut out = BytesMut::new();
        link.poll_transmit(&mut out);
        if stream.write_all(&out).await.is_err() {
            return;
        }
        inbound.reserve(1 << 16);
        while heard.lock().unwrap().stalls {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::select! {
            read = stream.read_buf(&mut inbound) => match read {
                Ok(1..) => link.handle_bytes(clock.now(), &mut inbound),
                _ => return,
            },
            () = clock.sleep_until(link.poll_timeout()) => link.handle_timeout(clock.now()),
        }
    }
}

fn answer(link: &mut MiddleLink, client: ConnId, packet: &[u8]) {
    match packet[8] {
        FAIL => link.fail(client, 404),
        CLOSE => {
            assert!(link.send(client, packet));
            link.close(client);
        }
        FLOOD => {
            for _ in 0..100 {
                assert!(link.send(client, &[9; 64 << 10]));
            }
        }
        SILENCE => {}
        _ => assert!(link.send(client, packet)),
    }
}

//! A proxy for tests: the other end of a link, and clients that speak to it over pipes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use chappe_net::Clock;
use chappe_proto::middle::greeting::ProcessId;
use chappe_proto::middle::keys::{Path, ProxySecret};
use chappe_proto::middle::link::{LinkConfig, LinkEnd, ProxyEvent, ProxyLink};
use chappe_proto::middle::messages::{ConnId, Origin};
use chappe_proto::transport::{Codec, Detect, Detected, Frame, Framing, SERVER_LIMIT, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::client::{Wire, rng};

pub(crate) fn secret(byte: u8) -> ProxySecret {
    ProxySecret::parse(&[byte; 128]).unwrap()
}

/// A proxy with one link. It ends, and its clients with it, when dropped.
pub(crate) struct Proxy {
    /// What clients say, who they are and where answers go.
    tell: mpsc::Sender<Told>,
    /// Why the link ended.
    pub(crate) ended: tokio::sync::oneshot::Receiver<Option<LinkEnd>>,
}

enum Told {
    Opened(Box<Origin>, mpsc::UnboundedSender<ProxyEvent>, tokio::sync::oneshot::Sender<ConnId>),
    Frames(ConnId, Vec<(BytesMut, bool)>),
    Gone(ConnId),
}

impl Proxy {
    pub(crate) async fn connect(address: SocketAddr, secret: ProxySecret) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let path = Path::new(stream.local_addr().unwrap(), address).unwrap();
        Self::over(stream, path, secret)
    }

    pub(crate) fn over(stream: TcpStream, path: Path, secret: ProxySecret) -> Self {
        let own = ProcessId { pid: 3, ..ProcessId::at(path.proxy()) };
        let (clock, secret, config) = (Clock::system(), Arc::new(secret), LinkConfig::default());
        let link = ProxyLink::new(clock.now(), config, secret, path, own, rng());
        let (tell, told) = mpsc::channel(64);
        let (end, ended) = tokio::sync::oneshot::channel();
        tokio::spawn(async move { end.send(run(link, stream, clock, told).await) });
        Self { tell, ended }
    }

    /// A client at `peer` that speaks `transport` to the proxy.
    pub(crate) async fn client(&self, peer: SocketAddr, transport: Transport) -> Wire {
        let (theirs, ours) = duplex(64 << 10);
        let (hear, heard) = mpsc::unbounded_channel();
        let framing = transport.framing();
        let proxy = "192.0.2.1:443".parse().unwrap();
        let origin = Box::new(Origin { client: peer, proxy, framing, ad_tag: None });
        let (opened, id) = tokio::sync::oneshot::channel();
        self.tell.send(Told::Opened(origin, hear, opened)).await.unwrap();
        let id = id.await.unwrap();
        tokio::spawn(serve(ours, id, heard, self.tell.clone()));
        Wire::over(theirs, transport)
    }
}

async fn run(
    mut link: ProxyLink,
    mut stream: TcpStream,
    clock: Clock,
    mut told: mpsc::Receiver<Told>,
) -> Option<LinkEnd> {
    let mut clients: HashMap<ConnId, mpsc::UnboundedSender<ProxyEvent>> = HashMap::new();
    let (mut inbound, mut outbound) = (BytesMut::new(), BytesMut::new());
    let mut is_ready = false;
    loop {
        while let Some(event) = link.poll_event() {
            let client = match &event {
                ProxyEvent::Packet { client, .. } => *client,
                ProxyEvent::Error(client, _) | ProxyEvent::QuickAck(client, _) => *client,
                ProxyEvent::Closed(client) => *client,
                ProxyEvent::Ready => {
                    is_ready = true;
                    continue;
                }
                ProxyEvent::Over(end) => return Some(end.clone()),
            };
            if matches!(event, ProxyEvent::Closed(_)) {
                clients.remove(&client);
            } else {
                let _ = clients[&client].send(event);
            }
        }
        link.poll_transmit(&mut outbound);
        stream.write_all_buf(&mut outbound).await.ok()?;
        inbound.reserve(1 << 16);
        tokio::select! {
            read = stream.read_buf(&mut inbound) => {
                if !matches!(read, Ok(1..)) {
                    return None;
                }
                link.handle_bytes(clock.now(), &mut inbound);
            }
            Some(told) = told.recv(), if is_ready => match told {
                Told::Opened(origin, hear, opened) => {
                    let client = link.open(*origin).unwrap();
                    clients.insert(client, hear);
                    opened.send(client).unwrap();
                }
                Told::Frames(client, frames) => {
                    for (frame, quick_ack_wanted) in frames {
                        // A client that was closed meanwhile may still speak.
                        let _ = link.send(client, &frame, quick_ack_wanted);
                    }
                }
                Told::Gone(client) => {
                    clients.remove(&client);
                    link.close(client);
                }
            },
        }
    }
}

/// One client: what it says goes to the link, packet by packet, and back.
async fn serve(
    mut pipe: DuplexStream,
    id: ConnId,
    mut heard: mpsc::UnboundedReceiver<ProxyEvent>,
    tell: mpsc::Sender<Told>,
) {
    let mut inbound = BytesMut::new();
    let mut codec = loop {
        if !matches!(pipe.read_buf(&mut inbound).await, Ok(1..)) {
            return;
        }
        match Detect::default().handle(&mut inbound) {
            Detected::Codec(codec, _) => break codec,
            Detected::NeedMore => {}
            other => panic!("{other:?}"),
        }
    };
    codec.set_limit(SERVER_LIMIT);
    let mut rng = rng();
    loop {
        let mut frames = Vec::new();
        while let Some(frame) = codec.next(&mut inbound).unwrap() {
            let Frame::Packet { bytes, quick_ack_wanted } = frame else { panic!("{frame:?}") };
            frames.push((bytes, quick_ack_wanted));
        }
        if !frames.is_empty() {
            let _ = tell.send(Told::Frames(id, frames)).await;
        }
        inbound.reserve(1 << 16);
        tokio::select! {
            read = pipe.read_buf(&mut inbound) => {
                if !matches!(read, Ok(1..)) {
                    let _ = tell.send(Told::Gone(id)).await;
                    return;
                }
            }
            event = heard.recv() => {
                let Some(event) = event else { return };
                let out = encode(&mut codec, event, &mut rng);
                let _ = pipe.write_all(&out).await;
            }
        }
    }
}

fn encode(codec: &mut Codec, event: ProxyEvent, rng: &mut chappe_crypto::Rng) -> BytesMut {
    let mut out = BytesMut::new();
    match event {
        ProxyEvent::Packet { packet, .. } => codec.put(&[&packet], &mut out, rng).unwrap(),
        ProxyEvent::Error(_, code) => codec.put_error(code, &mut out),
        ProxyEvent::QuickAck(_, token) => codec.put_quick_ack(token, &mut out, rng),
        other => panic!("{other:?}"),
    }
    out
}

/// What clients speak to proxies.
pub(crate) fn transports() -> [Transport; 3] {
    [Framing::Abridged, Framing::Intermediate, Framing::Padded]
        .map(|framing| Transport::obfuscated(framing).unwrap())
}

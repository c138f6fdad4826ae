//! A client of one session, on any way to the server, that counts the bytes on that way.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use chappe_crypto::{AuthKey, Rng};
use chappe_net::ws::WebSocketConfig;
use chappe_net::{BoxedIo, WebSocket, Wire};
use chappe_proto::envelope::encrypted::{self, Header, Message};
use chappe_proto::link::{Link, LinkConfig, LinkEvent};
use chappe_proto::schema::types::{HttpWait, MsgsAck};
use chappe_proto::session::container::{self, Inner};
use chappe_proto::session::kind;
use chappe_proto::session::msg_id::{MsgIds, Origin};
use chappe_proto::transport::{ClientOptions, Transport};
use chappe_proto::{MsgId, SessionId, Side, rpc};
use chappe_tl::{Constructor, Writer, to_bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::process::{NAME, Process};
use crate::server::{Double, SALT, key, now};

/// A way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Stream,
    Tls,
    WebSocket,
    /// WebSocket inside TLS.
    Wss,
    Http,
    Datagrams,
}

/// A client of one session.
pub(crate) struct Client {
    carrier: Carrier,
    link: Link,
    inbound: BytesMut,
    key: Arc<AuthKey>,
    session_id: SessionId,
    ids: MsgIds,
    rng: Rng,
    /// Messages written so far that want an acknowledgement.
    contents: i32,
    /// Messages heard that want one.
    unacknowledged: Vec<i64>,
    counts: Arc<Counts>,
}

/// Bytes written and read so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) written: AtomicUsize,
    pub(crate) read: AtomicUsize,
}

enum Carrier {
    Stream(BoxedIo),
    WebSocket(WebSocket<BoxedIo>),
    Http(BoxedIo),
    Datagrams(UdpSocket),
}

impl Client {
    /// Connects, with the key and the session of this number.
    pub(crate) async fn connect(
        process: &Process,
        way: Way,
        transport: Transport,
        index: usize,
    ) -> Self {
        let mut rng = Rng::from_seed([(index % 251) as u8; 32]);
        let counts = Arc::new(Counts::default());
        let stream = TcpStream::connect(process.address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a fresh socket");
        let stream = Counted { stream, counts: Arc::clone(&counts) };
        let stream: BoxedIo = match way {
            Way::Tls | Way::Wss => Box::new(shake_hands(process, stream).await),
            _ => Box::new(stream),
        };
        let config = LinkConfig::client();
        let mut link = match way {
            Way::Http => Link::by_requests(config, rng.fork()),
            _ => Link::client(config, transport, &ClientOptions::default(), rng.fork()),
        };
        let carrier = match way {
            Way::Stream | Way::Tls => Carrier::Stream(stream),
            Way::WebSocket | Way::Wss => {
                let stream = upgrade(stream).await;
                let socket = WebSocket::client(stream, WebSocketConfig::default(), rng.fork());
                Carrier::WebSocket(socket)
            }
            Way::Http => Carrier::Http(stream),
            Way::Datagrams => {
                let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
                socket.connect(process.datagrams).await.expect("this machine");
                Carrier::Datagrams(socket)
            }
        };
        let key = Arc::new(key(index));
        link.use_key(Arc::clone(&key));
        Self {
            carrier,
            link,
            inbound: BytesMut::new(),
            key,
            session_id: SessionId(index as i64 + 1),
            ids: MsgIds::default(),
            rng,
            contents: 0,
            unacknowledged: Vec::new(),
            counts,
        }
    }

    /// So many calls at once, and all their results. Over HTTP they travel in one container, by any
    /// other way as messages of their own.
    pub(crate) async fn call(&mut self, calls: usize) {
        let mut messages: Vec<Message> = (0..calls)
            .map(|_| self.message(true, to_bytes(&Double { number: 21 }).expect("a number")))
            .collect();
        if matches!(self.carrier, Carrier::Http(_)) && calls > 1 {
            messages = vec![self.contain(messages)];
        }
        self.send(messages).await;
        let mut results = 0;
        while results < calls {
            results += self.hear().await;
        }
    }

    /// Acknowledges all that was heard. A request of HTTP that does so waits for something to be
    /// said, and so does its connection.
    pub(crate) async fn acknowledge(&mut self) {
        let msg_ids = std::mem::take(&mut self.unacknowledged);
        let ack = self.message(false, boxed(&MsgsAck { msg_ids }));
        let message = if matches!(self.carrier, Carrier::Http(_)) {
            let wait = HttpWait { max_delay: 0, wait_after: 0, max_wait: 60_000 };
            let wait = self.message(false, boxed(&wait));
            self.contain(vec![ack, wait])
        } else {
            ack
        };
        self.send(vec![message]).await;
    }

    /// Bytes written and read on the way so far.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let Counts { written, read } = &*self.counts;
        (written.load(Ordering::Relaxed), read.load(Ordering::Relaxed))
    }

    fn message(&mut self, is_content: bool, body: Bytes) -> Message {
        let seq_no = 2 * self.contents + i32::from(is_content);
        self.contents += i32::from(is_content);
        let msg_id = self.ids.next(now().unix, Origin::Client, &mut self.rng);
        let header = Header { salt: SALT, session_id: self.session_id, msg_id, seq_no };
        Message { header, body }
    }

    fn contain(&mut self, messages: Vec<Message>) -> Message {
        let inner = |Message { header, body }| {
            let Header { msg_id, seq_no, .. } = header;
            Inner { msg_id, seq_no, body }
        };
        let inners: Vec<Inner> = messages.into_iter().map(inner).collect();
        self.message(false, container::pack(&inners))
    }

    async fn send(&mut self, messages: Vec<Message>) {
        let Self { carrier, link, key, counts, rng, .. } = self;
        if let Carrier::Datagrams(socket) = carrier {
            for message in &messages {
                let sealed = encrypted::seal_within(key, message, MTU, Side::Client, rng);
                let packet = sealed.expect("a small call").packet;
                counts.written.fetch_add(packet.len(), Ordering::Relaxed);
                socket.send(&packet).await.expect("this machine");
            }
            return;
        }
        for message in messages {
            link.send(Arc::clone(key), message);
        }
        let mut out = BytesMut::new();
        let stream = match carrier {
            Carrier::Stream(stream) => {
                link.poll_transmit(&mut out).expect("small packets");
                stream
            }
            Carrier::WebSocket(socket) => {
                let wrap = |out: &mut BytesMut, start| socket.wrap(out, start);
                link.poll_transmit_each(&mut out, wrap).expect("small packets");
                socket.stream()
            }
            Carrier::Http(stream) => {
                let packet = link.poll_request().expect("one was sent");
                let head = format!(
                    "POST /api HTTP/1.1\r\nHost: {NAME}\r\nConnection: keep-alive\r\n\
                     Content-Length: {}\r\n\r\n",
                    packet.len()
                );
                out.extend_from_slice(head.as_bytes());
                out.extend_from_slice(&packet);
                stream
            }
            Carrier::Datagrams(..) => unreachable!("sent above"),
        };
        stream.write_all(&out).await.expect("the server reads");
        stream.flush().await.expect("the server reads");
    }

    /// Waits for what comes next; how many results that were.
    async fn hear(&mut self) -> usize {
        let Self { carrier, link, inbound, .. } = self;
        match carrier {
            Carrier::Stream(stream) => {
                read(stream, inbound).await;
                link.handle_bytes(now(), inbound);
            }
            Carrier::WebSocket(socket) => {
                let mut bytes = BytesMut::new();
                read(socket.stream(), &mut bytes).await;
                socket.receive(&mut bytes, inbound).expect("sound frames");
                link.handle_bytes(now(), inbound);
            }
            Carrier::Http(stream) => {
                let packet = response(stream, inbound).await;
                link.handle_answer(now(), packet);
            }
            Carrier::Datagrams(socket) => {
                let mut datagram = vec![0; 2 * MTU];
                let len = socket.recv(&mut datagram).await.expect("the server answers");
                self.counts.read.fetch_add(len, Ordering::Relaxed);
                let packet = vec![BytesMut::from(&datagram[..len])];
                let opened = encrypted::open(&self.key, packet, Side::Server);
                let opened = opened.into_iter().next().expect("one for one").expect("our key");
                return self.take(opened.message);
            }
        }
        let mut results = 0;
        while let Some(event) = self.link.poll_event() {
            let LinkEvent::Message(_, received) = event else { panic!("{event:?}") };
            results += self.take(received.message);
        }
        results
    }

    /// Notes what is to be acknowledged; how many results there are.
    fn take(&mut self, Message { header, body }: Message) -> usize {
        let Header { msg_id, seq_no, .. } = header;
        let inners = if kind::id_of(&body) == container::ID {
            container::unpack(msg_id, &body).expect("a sound container")
        } else {
            vec![Inner { msg_id, seq_no, body }]
        };
        let wanting = inners.iter().filter(|inner| inner.seq_no % 2 == 1);
        self.unacknowledged.extend(wanting.map(|Inner { msg_id: MsgId(id), .. }| id));
        inners.iter().filter(|inner| kind::id_of(&inner.body) == rpc::RESULT).count()
    }
}

/// Largest datagram.
const MTU: usize = 1200;

fn boxed<T: Constructor>(object: &T) -> Bytes {
    let mut writer = Writer::new();
    writer.u32(T::ID);
    object.encode_bare(&mut writer);
    writer.finish().expect("it holds no strings")
}

async fn read(stream: &mut BoxedIo, inbound: &mut BytesMut) {
    let len = stream.read_buf(inbound).await.expect("the server answers");
    assert!(len > 0, "the server closed the connection");
}

/// The body of a response.
async fn response(stream: &mut BoxedIo, inbound: &mut BytesMut) -> BytesMut {
    let (head, len) = loop {
        if let Some(end) = inbound.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&inbound[..end]).into_owned();
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            let len = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            break (end + 4, len.and_then(|len| len.parse().ok()).expect("a length"));
        }
        read(stream, inbound).await;
    };
    inbound.advance(head);
    while inbound.len() < len {
        read(stream, inbound).await;
    }
    inbound.split_to(len)
}

/// Makes a connection a WebSocket.
async fn upgrade(mut stream: BoxedIo) -> BoxedIo {
    let request = format!(
        "GET /apiws HTTP/1.1\r\nHost: {NAME}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: binary\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    stream.flush().await.expect("the server reads");
    let mut head = BytesMut::new();
    while !head.ends_with(b"\r\n\r\n") {
        read(&mut stream, &mut head).await;
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{head:?}");
    stream
}

async fn shake_hands(
    process: &Process,
    stream: Counted,
) -> tokio_rustls::client::TlsStream<Counted> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(process.certificate.clone())).expect("it is whole");
    let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("there are such")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(NAME).expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("it is the server")
}

/// Counts what goes over a connection.
struct Counted {
    stream: TcpStream,
    counts: Arc<Counts>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.counts.read.fetch_add(buffer.filled().len() - before, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(len)) = &polled {
            self.counts.written.fetch_add(*len, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

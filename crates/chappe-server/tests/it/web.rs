//! A client of HTTP written by hand: requests and answers as bytes on a socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::{AuthKey, Rng};
use chappe_net::{BoxedIo, Io};
use chappe_proto::MsgId;
use chappe_proto::Side;
use chappe_proto::envelope::encrypted::Message;
use chappe_proto::envelope::plain;
use chappe_proto::envelope::version::Version;
use chappe_proto::handshake::client::{DhGen, KeyRequest, start};
use chappe_proto::rpc::{self, CallResult};
use chappe_proto::schema::types;
use chappe_proto::session::container::{self, Inner};
use chappe_tl::{Constructor, Decode, Encode, Reader, Str, Writer, to_bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{Account, PATIENCE, Scribe, rng};
use crate::world::World;

/// A connection on which requests go out and answers come in.
pub(crate) struct Web {
    pub(crate) stream: BoxedIo,
    inbound: BytesMut,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// As it came, from the status line to the blank line.
    pub(crate) head: String,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }
}

impl Web {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) fn over(stream: impl Io + 'static) -> Self {
        Self { stream: Box::new(stream), inbound: BytesMut::new() }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        // The other end may have gone.
        let _ = self.stream.write_all(bytes.as_ref()).await;
        let _ = self.stream.flush().await;
    }

    /// The next answer; `None` when the connection ends.
    pub(crate) async fn next(&mut self) -> Option<Answer> {
        timeout(PATIENCE, self.read()).await.expect("the server says nothing")
    }

    /// What comes within a moment in which nothing should.
    pub(crate) async fn hears_nothing(&mut self) {
        let heard = timeout(Duration::from_millis(150), self.read()).await;
        assert!(heard.is_err(), "heard {heard:?}");
    }

    pub(crate) async fn ends(&mut self) {
        let heard = self.next().await;
        assert!(heard.is_none(), "heard {heard:?}");
    }

    async fn read(&mut self) -> Option<Answer> {
        loop {
            if let Some(end) = self.inbound.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8(self.inbound[..end + 4].to_vec()).unwrap();
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                let mut answer = Answer { status, head, body: Bytes::new() };
                let length = answer.header("content-length").map_or(0, |len| len.parse().unwrap());
                if self.inbound.len() >= end + 4 + length {
                    let _ = self.inbound.split_to(end + 4);
                    answer.body = self.inbound.split_to(length).freeze();
                    return Some(answer);
                }
            }
            match self.stream.read_buf(&mut self.inbound).await {
                Ok(0) | Err(_) => {
                    assert!(self.inbound.is_empty(), "cut off: {:?}", self.inbound);
                    return None;
                }
                Ok(_) => {}
            }
        }
    }

    pub(crate) async fn post(&mut self, path: &str, body: &[u8]) -> Option<Answer> {
        self.write(post(path, body)).await;
        self.next().await
    }
}

/// The bytes of a request.
pub(crate) fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// Sends a request on a connection of its own.
pub(crate) async fn post_alone(world: &World, body: &[u8]) -> Answer {
    let mut web = Web::connect(world.address).await;
    web.post("/api", body).await.unwrap()
}

/// An unencrypted packet.
pub(crate) fn plain_packet(body: &[u8]) -> Vec<u8> {
    let mut packet = BytesMut::new();
    plain::seal(MsgId(4 << 32), body, &mut packet);
    packet.to_vec()
}

pub(crate) async fn ask_plain(world: &World, body: &[u8]) -> Bytes {
    let answer = post_alone(world, &plain_packet(body)).await;
    assert_eq!(answer.status, 200);
    plain::open(answer.body, Side::Server).unwrap().body
}

/// A whole key exchange, each step on a connection of its own.
pub(crate) async fn exchange(world: &World) -> Account {
    let request = KeyRequest { dc: 2, expires_in: None, server_keys: world.trusted() };
    let mut rng = rng();
    let (state, body) = start(request, &mut rng);
    let (state, body) = state.handle(&ask_plain(world, &body).await, &mut rng).unwrap();
    let answer = ask_plain(world, &body).await;
    let (state, body) = state.handle(world.clock.now(), &answer, &mut rng).unwrap();
    match state.handle(&ask_plain(world, &body).await, &mut rng).unwrap() {
        DhGen::Finished(finished) => {
            Account { key: Arc::new(finished.key), salt: finished.first_salt }
        }
        DhGen::Again(..) => panic!("retry"),
    }
}

/// A session whose messages a test writes, and that knows what answers them.
pub(crate) struct Pen {
    pub(crate) scribe: Scribe,
    version: Version,
    content: i32,
    rng: Rng,
}

impl Pen {
    pub(crate) async fn new(world: &World) -> Self {
        Self::of(&exchange(world).await)
    }

    pub(crate) fn of(account: &Account) -> Self {
        Self { scribe: Scribe::new(account), version: Version::V2, content: 0, rng: rng() }
    }

    /// From here on in MTProto 1.0.
    pub(crate) fn older(self) -> Self {
        Self { version: Version::V1, ..self }
    }

    /// Numbers begin somewhere else.
    pub(crate) fn counting_from(self, content: i32) -> Self {
        Self { content, ..self }
    }

    pub(crate) fn key(&self) -> &Arc<AuthKey> {
        &self.scribe.account.key
    }

    pub(crate) fn call(&mut self, function: &impl Encode) -> Inner {
        self.inner(true, to_bytes(function).unwrap())
    }

    pub(crate) fn service<T: Constructor>(&mut self, object: &T) -> Inner {
        let mut writer = Writer::new();
        writer.u32(T::ID);
        object.encode_bare(&mut writer);
        self.inner(false, writer.finish().unwrap())
    }

    pub(crate) fn wait(&mut self, max_delay: i32, wait_after: i32, max_wait: i32) -> Inner {
        self.service(&types::HttpWait { max_delay, wait_after, max_wait })
    }

    pub(crate) fn inner(&mut self, is_content: bool, body: Bytes) -> Inner {
        let seq_no = self.content * 2 + i32::from(is_content);
        self.content += i32::from(is_content);
        Inner { msg_id: self.scribe.id(), seq_no, body }
    }

    /// A packet with these messages in a container.
    pub(crate) fn packet(&mut self, inners: &[Inner]) -> BytesMut {
        let outer = self.inner(false, container::pack(inners));
        self.alone(outer)
    }

    /// A packet with one message as it is.
    pub(crate) fn alone(&mut self, inner: Inner) -> BytesMut {
        let mut message = self.scribe.write_with(inner.seq_no, inner.body);
        message.header.msg_id = inner.msg_id;
        self.seal(&message)
    }

    pub(crate) fn seal(&mut self, message: &Message) -> BytesMut {
        let key = Arc::clone(self.key());
        let sealed = self.version.seal(&[(&*key, message)], Side::Client, &mut self.rng);
        sealed.into_iter().next().unwrap()
    }

    /// What a packet of the server holds.
    pub(crate) fn open(&self, packet: &Bytes) -> Vec<Inner> {
        let packet = BytesMut::from(&packet[..]);
        let mut opened = self.version.open(self.key(), vec![packet], Side::Server);
        let Message { header, body } = opened.pop().unwrap().unwrap().message;
        assert_eq!(header.session_id, self.scribe.session_id);
        if body.starts_with(&container::ID.to_le_bytes()) {
            container::unpack(header.msg_id, &body).unwrap()
        } else {
            vec![Inner { msg_id: header.msg_id, seq_no: header.seq_no, body }]
        }
    }

    /// Sends a request and opens what answers it.
    pub(crate) async fn ask(&mut self, web: &mut Web, inners: &[Inner]) -> Vec<Inner> {
        let packet = self.packet(inners);
        let answer = web.post("/api", &packet).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.head);
        self.open(&answer.body)
    }

    /// Sends a request on a connection of its own.
    pub(crate) async fn ask_alone(&mut self, world: &World, inners: &[Inner]) -> Vec<Inner> {
        let mut web = Web::connect(world.address).await;
        self.ask(&mut web, inners).await
    }
}

/// Reads a body as one constructor, if it is that one.
pub(crate) fn read<T: Constructor>(inner: &Inner) -> Option<T> {
    let mut reader = Reader::new(inner.body.clone());
    (reader.u32() == Ok(T::ID)).then_some(())?;
    T::decode_bare(&mut reader).ok()
}

/// The calls answered among messages, each with the text that it gave.
pub(crate) fn texts(inners: &[Inner]) -> Vec<(MsgId, String)> {
    inners
        .iter()
        .filter(|inner| inner.body.starts_with(&rpc::RESULT.to_le_bytes()))
        .map(|inner| {
            let CallResult { call, result } = CallResult::read(&inner.body, 1 << 20).unwrap();
            let text = Str::decode(&mut Reader::new(result.unwrap().0)).unwrap();
            (call, text.to_string_lossy().into_owned())
        })
        .collect()
}

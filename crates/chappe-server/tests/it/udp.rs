//! Experimental datagrams of a whole server, with a client written by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::AuthKey;
use chappe_net::Clock;
use chappe_proto::envelope::encrypted::{self, Message};
use chappe_proto::envelope::plain;
use chappe_proto::handshake::client::{DhGen, KeyRequest, start};
use chappe_proto::schema::{ctors, types};
use chappe_proto::session::container::{self, Inner};
use chappe_proto::{MsgId, Side};
use chappe_tl::{Constructor, Reader};
use metrics_util::debugging::DebuggingRecorder;
use tokio::net::UdpSocket;

use crate::client::{Account, Heard, PATIENCE, Scribe, Wire, rng};
use crate::functions::Echo;
use crate::metrics::Counts;
use crate::world::{Setup, World};

/// Rules: UDP-04, UDP-06, UDP-10, UDP-14: a call is answered where it came from, at whatever address that
///        is; a quick acknowledgement never leaves; an answer that fits no datagram is announced,
///        and comes by the connection.
#[tokio::test]
async fn calls_are_answered_by_datagram() {
    let world = world(|_| {}).await;
    let mut wire = Wire::connect(world.address).await;
    let account = wire.exchange(&world).await.unwrap();
    let mut scribe = Scribe::new(&account);
    wire.send(&account.key, scribe.write(&Echo::from("by the connection"))).await;
    let Heard::Message(_) = wire.hear().await else { panic!("no answer") };
    for port in 0..3 {
        let socket = Socket::open(world.address).await;
        for number in 0..5 {
            let text = format!("{port} {number}");
            socket.send(&account.key, &scribe.write(&Echo::from(&*text))).await;
            let answer =
                socket.until(&account.key, |inner| contains(&inner.body, text.as_bytes())).await;
            let ack = types::MsgsAck { msg_ids: vec![answer.msg_id.0] };
            socket.send(&account.key, &scribe.write_even(boxed(&ack))).await;
        }
    }
    let socket = Socket::open(world.address).await;
    let long = "long".repeat(278);
    let call = scribe.write(&Echo::from(&*long));
    socket.send(&account.key, &call).await;
    let told =
        socket.until(&account.key, |inner| is(&inner.body, ctors::MsgDetailedInfo::ID)).await;
    let told = ctors::MsgDetailedInfo::decode_bare(&mut Reader::new(told.body.slice(4..))).unwrap();
    assert_eq!(told.msg_id, call.header.msg_id.0);
    let ask = ctors::MsgResendReq { msg_ids: vec![told.answer_msg_id] };
    socket.send(&account.key, &scribe.write_even(boxed(&ask))).await;
    loop {
        let Heard::Message(message) = wire.hear().await else { panic!("nothing by the stream") };
        if contains(&message.body, long.as_bytes()) {
            break;
        }
    }
}

/// Rule: UDP-05: with room for them a server makes keys over UDP, which serve there at once; without,
///       it says nothing.
#[tokio::test]
async fn key_is_made_by_datagrams_where_that_is_wanted() {
    let world = world(|config| config.datagrams.hellos_max = 4).await;
    let socket = Socket::open(world.address).await;
    let account = socket.exchange(&world).await;
    let mut scribe = Scribe::new(&account);
    socket.send(&account.key, &scribe.write(&Echo::from("a new key"))).await;
    socket.until(&account.key, |inner| contains(&inner.body, b"a new key")).await;

    let world = self::world(|_| {}).await;
    let socket = Socket::open(world.address).await;
    let (_, body) = start(request(&world), &mut rng());
    socket.hello(&body).await;
    assert!(socket.hear_within(Duration::from_millis(200)).await.is_none());
}

/// Rules: UDP-03, UDP-01: an unknown key draws four bytes once; garbage draws nothing; a server that is
///        not told to takes nothing.
#[tokio::test]
async fn strangers_hear_four_bytes_at_most() {
    let world = world(|_| {}).await;
    let mut wire = Wire::connect(world.address).await;
    let account = wire.exchange(&world).await.unwrap();
    let socket = Socket::open(world.address).await;
    let unknown = Arc::new(AuthKey::new([9; 256]));
    let mut scribe = Scribe::new(&account);
    for _ in 0..3 {
        socket.send(&unknown, &scribe.write(&Echo::from("x"))).await;
        socket.socket.send(&[7; 100]).await.unwrap();
    }
    assert_eq!(socket.hear().await[..], (-404_i32).to_le_bytes());
    assert!(socket.hear_within(Duration::from_millis(200)).await.is_none());
    // The socket still serves those it knows.
    socket.send(&account.key, &scribe.write(&Echo::from("known"))).await;
    socket.until(&account.key, |inner| contains(&inner.body, b"known")).await;

    let closed = World::new().await;
    let socket = Socket::open(closed.address).await;
    let sealed = seal(&account.key, &scribe.write(&Echo::from("x")));
    let _ = socket.socket.send(&sealed).await;
    assert!(socket.hear_within(Duration::from_millis(200)).await.is_none());
}

/// Rule:   paths of datagrams, and what travels on them, count as other connections do.
/// Source: docs/guide/observe.md.
#[tokio::test]
async fn datagrams_are_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshots = recorder.snapshotter();
    let guard = ::metrics::set_default_local_recorder(&recorder);
    let world = world(|config| {
        config.datagrams.hellos_max = 4;
        config.datagrams.idle_max = Duration::from_millis(300);
    })
    .await;
    let socket = Socket::open(world.address).await;
    let account = socket.exchange(&world).await;
    let mut scribe = Scribe::new(&account);
    socket.send(&account.key, &scribe.write(&Echo::from("x"))).await;
    socket.until(&account.key, |inner| contains(&inner.body, b"x")).await;
    let unknown = Arc::new(AuthKey::new([9; 256]));
    for _ in 0..2 {
        socket.send(&unknown, &scribe.write(&Echo::from("x"))).await;
    }
    assert_eq!(socket.hear().await[..], (-404_i32).to_le_bytes());
    let mut counts = Counts::default();
    counts.read(&snapshots);
    counts.check("chappe_server_links{carrier=udp,transport=mtu1}", 1);
    counts.check("chappe_server_links_opened_total", 1);
    counts.check("chappe_server_packets_received_total{kind=plain}", 3);
    counts.check("chappe_server_packets_sent_total{kind=plain}", 3);
    counts.check("chappe_server_packets_received_total{kind=message}", 1);
    assert!(counts.count("chappe_server_packets_sent_total{kind=message}") >= 1);
    counts.check("chappe_server_transport_errors_total{code=404}", 1);

    tokio::time::sleep(Duration::from_millis(600)).await;
    counts.read(&snapshots);
    counts.check("chappe_server_links{carrier=udp,transport=mtu1}", 0);
    counts.check("chappe_server_links_closed_total{reason=silent}", 1);
    drop(guard);
}

/// A server that stops lets its paths go.
#[tokio::test]
async fn server_stops_with_open_paths() {
    let mut world = world(|_| {}).await;
    let mut wire = Wire::connect(world.address).await;
    let account = wire.exchange(&world).await.unwrap();
    let socket = Socket::open(world.address).await;
    let mut scribe = Scribe::new(&account);
    socket.send(&account.key, &scribe.write(&Echo::from("x"))).await;
    socket.until(&account.key, |inner| contains(&inner.body, b"x")).await;
    world.stop();
    tokio::time::timeout(Duration::from_secs(5), world.ended()).await.expect("it does not stop");
}

async fn world(change: impl FnOnce(&mut chappe_server::ServerConfig)) -> World {
    let mut setup = Setup { datagrams: true, ..Setup::default() };
    change(&mut setup.config);
    World::start(setup).await
}

struct Socket {
    socket: UdpSocket,
}

impl Socket {
    async fn open(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(server).await.unwrap();
        Self { socket }
    }

    async fn send(&self, key: &Arc<AuthKey>, message: &Message) {
        self.socket.send(&seal(key, message)).await.unwrap();
    }

    /// A request of a key exchange, padded to its full length.
    async fn hello(&self, body: &[u8]) {
        let mut datagram = BytesMut::new();
        plain::seal(
            MsgId((Clock::system().now().unix.as_secs() as i64) << 32),
            body,
            &mut datagram,
        );
        datagram.resize(1200, 0);
        self.socket.send(&datagram).await.unwrap();
    }

    async fn exchange(&self, world: &World) -> Account {
        let mut rng = rng();
        let (state, body) = start(request(world), &mut rng);
        let (state, body) = state.handle(&self.ask(&body).await, &mut rng).unwrap();
        let answer = self.ask(&body).await;
        let (state, body) = state.handle(Clock::system().now(), &answer, &mut rng).unwrap();
        let outcome = state.handle(&self.ask(&body).await, &mut rng);
        let Ok(DhGen::Finished(finished)) = outcome else { panic!("{outcome:?}") };
        Account { key: Arc::new(finished.key), salt: finished.first_salt }
    }

    async fn ask(&self, body: &[u8]) -> Bytes {
        self.hello(body).await;
        plain::open(self.hear().await.freeze(), Side::Server).unwrap().body
    }

    async fn hear(&self) -> BytesMut {
        self.hear_within(PATIENCE).await.expect("nothing came")
    }

    async fn hear_within(&self, span: Duration) -> Option<BytesMut> {
        let mut buffer = [0; 2000];
        // Nobody may listen at the port.
        let len = tokio::time::timeout(span, self.socket.recv(&mut buffer)).await.ok()?.ok()?;
        assert!(len <= 1200);
        Some(BytesMut::from(&buffer[..len]))
    }

    /// The first message that is what is waited for; each is sealed, whatever it is.
    async fn until(&self, key: &AuthKey, is_it: impl Fn(&Inner) -> bool) -> Inner {
        loop {
            let opened = encrypted::open(key, vec![self.hear().await], Side::Server).remove(0);
            let message = opened.unwrap().message;
            let (msg_id, seq_no) = (message.header.msg_id, message.header.seq_no);
            let inners = match is(&message.body, container::ID) {
                true => container::unpack(msg_id, &message.body).unwrap(),
                false => vec![Inner { msg_id, seq_no, body: message.body }],
            };
            if let Some(found) = inners.into_iter().find(&is_it) {
                return found;
            }
        }
    }
}

fn request(world: &World) -> KeyRequest {
    KeyRequest { dc: 2, expires_in: None, server_keys: world.trusted() }
}

fn seal(key: &AuthKey, message: &Message) -> BytesMut {
    encrypted::seal_within(key, message, 1200, Side::Client, &mut rng()).unwrap().packet
}

fn boxed<T: Constructor>(object: &T) -> Bytes {
    let mut writer = chappe_tl::Writer::new();
    writer.u32(T::ID);
    object.encode_bare(&mut writer);
    writer.finish().unwrap()
}

fn is(body: &Bytes, id: u32) -> bool {
    body.starts_with(&id.to_le_bytes())
}

fn contains(body: &Bytes, text: &[u8]) -> bool {
    body.windows(text.len()).any(|at| at == text)
}

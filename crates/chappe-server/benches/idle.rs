//! Memory of connections that wait: 10,000 that have said half a word, and 10,000 with a session.
//!
//! The server is a process of its own, whose memory the system tells; every session has a key of
//! its own, has made one call and had it acknowledged. `cargo bench -p chappe-server --bench idle`

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use chappe_backend::{Backend, StoredKey};
use chappe_crypto::{AuthKey, Rng};
use chappe_proto::SessionId;
use chappe_proto::envelope::encrypted::{Header, Message};
use chappe_proto::link::{Link, LinkConfig};
use chappe_proto::schema::functions::Ping;
use chappe_proto::session::msg_id::{MsgIds, Origin};
use chappe_proto::transport::{ClientOptions, Transport};
use chappe_server::{Router, RsaIdentity, Server, ServerConfig};
use chappe_tl::to_bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Connections of each kind.
const LINKS: usize = 10_000;
/// Such that come first and warm up what all share.
const WARM: usize = 200;
const SALT: i64 = 7;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    if std::env::var_os(SERVER).is_some() {
        return runtime.block_on(serve());
    }
    for name in ["intermediate", "obfuscated-intermediate", "abridged"] {
        let process = Process::start();
        runtime.block_on(live(&process, name.parse().expect("a transport")));
    }
    for opening in [&[][..], &[0xee; 3], &[0x55; 63], b"POST /api HTTP/1.1\r\n"] {
        let process = Process::start();
        runtime.block_on(half_open(&process, opening));
    }
}

/// Says that this process is the server.
const SERVER: &str = "CHAPPE_IDLE_SERVER";

async fn serve() {
    let backend = Backend::memory();
    for index in 0..LINKS + WARM {
        let created = now().as_secs();
        let stored = StoredKey { key: key(index), created, first_salt: SALT, expires: None, dc: 2 };
        backend.store().insert_key(stored, created).await.expect("there is room");
    }
    let mut config = ServerConfig::default();
    config.connections.per_address_max = 2 * LINKS;
    config.link.first_packet_wait_max = Duration::from_secs(600);
    config.keys_unused_max = 0;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{}", listener.local_addr().expect("bound"));
    std::io::stdout().flush().expect("the parent reads");
    let server = Server::builder()
        .identity(RsaIdentity::generate(&mut Rng::from_seed([1; 32])))
        .backend(backend)
        .router(Router::new(()))
        .config(config)
        .build()
        .expect("all parts are there");
    server.serve(listener).await.expect("it serves until it is killed");
}

async fn half_open(process: &Process, opening: &[u8]) {
    let mut streams = Vec::new();
    let mut before = 0;
    for index in 0..LINKS + WARM {
        if index == WARM {
            before = process.settled().await;
        }
        let mut stream = TcpStream::connect(process.address).await.expect("the server listens");
        stream.write_all(opening).await.expect("the server reads");
        streams.push(stream);
    }
    let said = String::from_utf8_lossy(opening).escape_debug().take(20).collect::<String>();
    report(&format!("half open, said {:2} bytes ({said})", opening.len()), process, before).await;
}

async fn live(process: &Process, transport: Transport) {
    let mut streams = Vec::new();
    let mut before = 0;
    for index in 0..LINKS + WARM {
        if index == WARM {
            before = process.settled().await;
        }
        let mut stream = TcpStream::connect(process.address).await.expect("the server listens");
        stream.write_all(&ping(transport, index)).await.expect("the server reads");
        let mut answer = [0; 1024];
        let len = stream.read(&mut answer).await.expect("the server answers");
        assert!(len > 60, "no answer of a session");
        streams.push(stream);
    }
    report(&format!("live session, {transport}"), process, before).await;
}

async fn report(what: &str, process: &Process, before: usize) {
    let bytes = process.settled().await.saturating_sub(before);
    println!("{what}: {} bytes each, {LINKS} of them, peak {} KiB", bytes / LINKS, process.peak());
}

/// A connection's first bytes: one ping of a session of its own.
fn ping(transport: Transport, index: usize) -> BytesMut {
    let mut rng = Rng::from_seed([(index % 251) as u8; 32]);
    let options = ClientOptions::default();
    let mut link = Link::client(LinkConfig::client(), transport, &options, rng.fork());
    let header = Header {
        salt: SALT,
        session_id: SessionId(index as i64 + 1),
        msg_id: MsgIds::default().next(now(), Origin::Client, &mut rng),
        seq_no: 0,
    };
    let body = to_bytes(&Ping { ping_id: 1 }).expect("a number");
    link.send(key(index).into(), Message { header, body });
    let mut out = BytesMut::new();
    link.poll_transmit(&mut out).expect("a small packet");
    out
}

fn key(index: usize) -> AuthKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(index as u64).to_le_bytes());
    AuthKey::new(Rng::from_seed(seed).bytes())
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970")
}

/// The server's process; killed when dropped.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program has a file"))
            .env(SERVER, "1")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the server says where it is");
        let address = line.trim().parse().expect("an address");
        Self { child, address }
    }

    /// Resident bytes, once they stay the same.
    async fn settled(&self) -> usize {
        let mut last = self.status("VmRSS:");
        loop {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            let now = self.status("VmRSS:");
            if now.abs_diff(last) < 64 {
                return now << 10;
            }
            last = now;
        }
    }

    fn peak(&self) -> usize {
        self.status("VmHWM:")
    }

    /// A line of the system about the process, in KiB.
    fn status(&self, name: &str) -> usize {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path).expect("procfs");
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("procfs");
        line.trim().trim_end_matches(" kB").parse().expect("KiB")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

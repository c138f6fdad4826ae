//! Calls a second over loopback, beside a bare echo of the same frames.
//!
//! The server runs on one thread, whose CPU time is read from the system; the load, recorded
//! before, comes from another. `cargo bench -p chappe-server --bench calls`

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use chappe_crypto::{AuthKey, Rng};
use chappe_proto::SessionId;
use chappe_proto::envelope::encrypted::{Header, Message};
use chappe_proto::link::{Link, LinkConfig, LinkEvent, Received};
use chappe_proto::rpc::RESULT;
use chappe_proto::session::msg_id::{MsgIds, Origin};
use chappe_proto::session::{container, kind};
use chappe_proto::transport::{ClientOptions, Framing, Transport};
use chappe_server::{Server, ServerConfig};
use chappe_tl::to_bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use server::{Double, SALT, key, now, server};

#[path = "stage/server.rs"]
mod server;

const CALLS: usize = 40_000;

fn main() {
    println!(
        "{:>6} {:>6} {:>10} {:>14} {:>14}",
        "links", "depth", "server", "calls/s", "CPU us/call"
    );
    for (links, depth) in [(1, 1), (50, 1), (50, 16)] {
        for serve in [Kind::Echo, Kind::Chappe] {
            measure(serve, links, depth);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Echo,
    Chappe,
}

fn measure(kind: Kind, links: usize, depth: usize) {
    let key = key(0);
    let (address, thread) = start(kind);
    let per_link = CALLS / links;
    let load: Vec<Vec<Vec<u8>>> =
        (0..links).map(|link| record(&key, link as i64 + 1, per_link / depth, depth)).collect();
    let load_key = matches!(kind, Kind::Chappe).then_some(key);
    let (elapsed, cpu) = runtime().block_on(async move {
        let mut streams = Vec::new();
        for _ in 0..links {
            streams.push(connect(address).await);
        }
        let before = cpu_of(&thread);
        let begun = Instant::now();
        let clients: Vec<_> = streams
            .into_iter()
            .zip(load)
            .map(|(stream, batches)| tokio::spawn(play(stream, batches, depth, load_key.clone())))
            .collect();
        for client in clients {
            client.await.expect("the server answers");
        }
        (begun.elapsed(), cpu_of(&thread) - before)
    });
    let calls = (per_link / depth * depth * links) as f64;
    println!(
        "{links:>6} {depth:>6} {:>10} {:>14.0} {:>14.2}",
        format!("{kind:?}"),
        calls / elapsed.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / calls,
    );
}

/// Starts a server on a thread of its own; gives its address and its thread.
fn start(kind: Kind) -> (SocketAddr, std::path::PathBuf) {
    let (ready, address) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = runtime();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let thread = std::fs::read_link("/proc/thread-self").expect("procfs");
            let address = listener.local_addr().expect("bound");
            // What is recorded before the server is made would be too old for it.
            let tell = || ready.send((address, thread)).expect("main waits");
            match kind {
                Kind::Echo => {
                    tell();
                    echo(listener).await;
                }
                Kind::Chappe => {
                    let server = chappe().await;
                    tell();
                    server.serve(listener).await.expect("it serves");
                }
            }
        });
    });
    address.recv().expect("the server starts")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    stream.set_nodelay(true).expect("a fresh socket");
    stream
}

/// What a thread has computed so far.
fn cpu_of(thread: &std::path::Path) -> Duration {
    let path = std::path::Path::new("/proc").join(thread).join("schedstat");
    let text = std::fs::read_to_string(path).expect("schedstat");
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("ns"))
}

/// Frames of calls, ready to be sent: `batches` times `depth` of them, the tag before the first.
fn record(key: &AuthKey, session: i64, batches: usize, depth: usize) -> Vec<Vec<u8>> {
    let mut rng = Rng::from_seed([session as u8; 32]);
    let transport = Transport::plain(Framing::Intermediate);
    let options = ClientOptions::default();
    let mut link = Link::client(LinkConfig::client(), transport, &options, rng.fork());
    let key = Arc::new(key.clone());
    let mut ids = MsgIds::default();
    let mut seq_no = -1;
    (0..batches)
        .map(|_| {
            for _ in 0..depth {
                seq_no += 2;
                let header = Header {
                    salt: SALT,
                    session_id: SessionId(session),
                    msg_id: ids.next(now().unix, Origin::Client, &mut rng),
                    seq_no,
                };
                let body = to_bytes(&Double { number: 21 }).expect("a number");
                link.send(key.clone(), Message { header, body });
            }
            let mut out = bytes::BytesMut::new();
            link.poll_transmit(&mut out).expect("small packets");
            out.to_vec()
        })
        .collect()
}

/// Sends batch after batch, each when the one before is answered.
async fn play(mut stream: TcpStream, batches: Vec<Vec<u8>>, depth: usize, key: Option<AuthKey>) {
    let mut inbound = bytes::BytesMut::new();
    let mut link = key.map(listening_link);
    for batch in &batches {
        stream.write_all(batch).await.expect("the server reads");
        let mut expected = if link.is_some() { depth } else { batch.len() };
        while expected > 0 {
            let len = stream.read_buf(&mut inbound).await.expect("the server writes");
            assert!(len > 0, "the server closed");
            match &mut link {
                Some(link) => expected -= results(link, &mut inbound),
                None => {
                    expected -= len;
                    inbound.clear();
                }
            }
        }
    }
}

fn listening_link(key: AuthKey) -> Link {
    let transport = Transport::plain(Framing::Intermediate);
    let rng = Rng::from_seed([0; 32]);
    let mut link = Link::client(LinkConfig::client(), transport, &ClientOptions::default(), rng);
    link.use_key(Arc::new(key));
    link
}

/// Results that have come, alone or in containers.
fn results(link: &mut Link, inbound: &mut bytes::BytesMut) -> usize {
    link.handle_bytes(now(), inbound);
    let mut count = 0;
    while let Some(event) = link.poll_event() {
        let LinkEvent::Message(_, Received { message, .. }) = event else { panic!("{event:?}") };
        let Message { header, body } = message;
        if kind::id_of(&body) == container::ID {
            let inners = container::unpack(header.msg_id, &body).expect("a sound container");
            count += inners.iter().filter(|inner| kind::id_of(&inner.body) == RESULT).count();
        } else if kind::id_of(&body) == RESULT {
            count += 1;
        }
    }
    count
}

async fn echo(listener: TcpListener) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { return };
        stream.set_nodelay(true).expect("a fresh socket");
        tokio::spawn(async move {
            let mut buffer = vec![0; 16 << 10];
            while let Ok(len @ 1..) = stream.read(&mut buffer).await {
                if stream.write_all(&buffer[..len]).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn chappe() -> Server {
    let mut config = ServerConfig::default();
    config.sessions.links_per_key_max = 1000;
    config.sessions.per_key_max = 1000;
    server(1, config).await.build().expect("complete")
}

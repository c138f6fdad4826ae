//! What the core costs a server: one key exchange, one message in, one message out.
//!
//! `cargo bench -p chappe-proto`; the figures are in docs/performance.md.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use chappe_crypto::rsa::PrivateKey;
use chappe_crypto::{AuthKey, Rng};
use chappe_proto::envelope::encrypted::{self, Header, Message};
use chappe_proto::handshake::client::{self, DhGen, KeyRequest};
use chappe_proto::handshake::server::{Exchanges, HandshakeConfig, Origin, Output, Stored};
use chappe_proto::{LinkId, MsgId, Now, SessionId, Side};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const NOW: Now = Now { mono: Duration::from_secs(1), unix: Duration::from_secs(1_800_000_000) };
const ORIGIN: Origin = Origin { link: LinkId(1), address: IpAddr::V4(Ipv4Addr::LOCALHOST) };

/// A server of one key, and the time it has spent.
struct Server {
    exchanges: Exchanges,
    spent: Duration,
}

impl Server {
    /// Handles one message of a client and gives the reply; only this is timed.
    fn ask(&mut self, body: Vec<u8>) -> Bytes {
        let begun = Instant::now();
        self.exchanges.handle_plain(NOW, ORIGIN, &Bytes::from(body));
        let reply = loop {
            match self.exchanges.poll_output().expect("the server has something to say") {
                Output::Reply(_, reply) => break reply,
                Output::Work(work) => {
                    let done = work.run(NOW.unix_seconds());
                    self.exchanges.handle_done(NOW, done);
                }
                Output::Store(ticket, _, _) => {
                    self.exchanges.handle_stored(NOW, ticket, Stored::Kept);
                }
                Output::Error(_, code) => panic!("transport error {code}"),
            }
        };
        self.spent += begun.elapsed();
        reply
    }
}

/// Makes one key; gives the time that the server's side of it took.
fn exchange(identities: &Arc<[PrivateKey]>, rng: &mut Rng) -> Duration {
    let mut config = HandshakeConfig::default();
    config.exchanges_per_link_max = usize::MAX;
    let exchanges = Exchanges::new(config, Arc::clone(identities), rng.fork());
    let mut server = Server { exchanges, spent: Duration::ZERO };
    let server_keys = identities.iter().map(|identity| identity.public().clone()).collect();
    let request = KeyRequest { dc: 2, expires_in: None, server_keys };
    let (state, body) = client::start(request, rng);
    let (state, body) = state.handle(&server.ask(body), rng).expect("resPQ");
    let (state, body) = state.handle(NOW, &server.ask(body), rng).expect("server_DH_params_ok");
    match state.handle(&server.ask(body), rng).expect("dh_gen_ok") {
        DhGen::Finished(_) => server.spent,
        DhGen::Again(..) => panic!("a fresh id is free"),
    }
}

fn handshake(c: &mut Criterion) {
    let mut rng = Rng::from_seed([7; 32]);
    let identities = Arc::from([PrivateKey::generate(&mut rng)]);
    c.bench_function("handshake/server side", |bench| {
        bench.iter_custom(|runs| (0..runs).map(|_| exchange(&identities, &mut rng)).sum());
    });
}

fn envelope(c: &mut Criterion) {
    let mut rng = Rng::from_seed([8; 32]);
    let key = AuthKey::new(rng.bytes());
    let mut group = c.benchmark_group("envelope");
    for size in [128, 1024, 16 << 10, 512 << 10] {
        let header = Header {
            salt: 1,
            session_id: SessionId(2),
            msg_id: MsgId(1_800_000_000 << 32 | 4),
            seq_no: 1,
        };
        let message = Message { header, body: Bytes::from(vec![7; size]) };
        for batch in [1, 16] {
            group.throughput(Throughput::Bytes((size * batch) as u64));
            let messages = vec![(&key, &message); batch];
            let name = |what: &str| format!("{what} {batch}");
            group.bench_function(BenchmarkId::new(name("seal"), size), |bench| {
                bench.iter(|| encrypted::seal(black_box(&messages), Side::Server, &mut rng));
            });
            let packets = encrypted::seal(&messages, Side::Server, &mut rng);
            group.bench_function(BenchmarkId::new(name("open"), size), |bench| {
                bench.iter_batched(
                    || packets.iter().map(|sealed| BytesMut::from(&sealed.packet[..])).collect(),
                    |packets| encrypted::open(&key, packets, Side::Server),
                    criterion::BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, handshake, envelope);
criterion_main!(benches);

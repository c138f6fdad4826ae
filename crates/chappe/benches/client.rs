//! Calls a second of our client to our server over loopback, beside a bare echo of as many bytes.
//!
//! Client and server have a thread each. `cargo bench -p chappe --bench client`

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Instant;

use bytes::Bytes;
use chappe_backend::Backend;
use chappe_client::RawClient;
use chappe_crypto::{Rng, rsa};
use chappe_server::{Router, RsaIdentity, Server};
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const CALLS: usize = 20_000;
/// A call of 16 bytes, sealed and framed.
const FRAME: usize = 93;
/// The fastest is told: others work on the machine.
const ROUNDS: usize = 5;

fn main() {
    println!("{:>10} {:>12} {:>12} {:>6}", "in flight", "echo/s", "chappe/s", "ratio");
    for depth in [1, 16, 256] {
        let (mut echoes, mut calls) = (0.0_f64, 0.0_f64);
        for _ in 0..ROUNDS {
            echoes = echoes.max(echoes_per_second(depth));
            calls = calls.max(calls_per_second(depth));
        }
        println!("{depth:>10} {echoes:>12.0} {calls:>12.0} {:>6.2}", calls / echoes);
    }
}

fn echoes_per_second(depth: usize) -> f64 {
    let address = start(echo);
    runtime().block_on(async {
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a fresh socket");
        let mut buffer = vec![7; FRAME * depth];
        let begun = Instant::now();
        for _ in 0..CALLS / depth {
            stream.write_all(&buffer).await.expect("the server reads");
            stream.read_exact(&mut buffer).await.expect("the server writes");
        }
        (CALLS / depth * depth) as f64 / begun.elapsed().as_secs_f64()
    })
}

fn calls_per_second(depth: usize) -> f64 {
    let identity = RsaIdentity::generate(&mut Rng::from_seed([1; 32]));
    let key: rsa::PublicKey = identity.public().clone();
    let address = start(async |listener| {
        let router = Router::new(()).fallback(async |request| Ok(request.call));
        let builder = Server::builder().identity(identity).backend(Backend::memory());
        let server = builder.router(router).build().expect("complete");
        server.serve(listener).await.expect("it serves");
    });
    runtime().block_on(async {
        let builder = RawClient::builder(address, [key]).pfs(false);
        let client = builder.connect().await.expect("the server knows us");
        let call = Bytes::from_static(&[1, 0, 0, 0x10, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        client.invoke_raw(call.clone()).await.expect("an answer");
        let begun = Instant::now();
        join_all((0..depth).map(|_| async {
            for _ in 0..CALLS / depth {
                client.invoke_raw(call.clone()).await.expect("an answer");
            }
        }))
        .await;
        (CALLS / depth * depth) as f64 / begun.elapsed().as_secs_f64()
    })
}

/// Starts a server on a thread of its own, which ends with the program.
fn start<F: Future>(serve: impl FnOnce(TcpListener) -> F + Send + 'static) -> SocketAddr {
    let (ready, address) = mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            ready.send(listener.local_addr().expect("bound")).expect("main waits");
            serve(listener).await;
        });
    });
    address.recv().expect("the server starts")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn echo(listener: TcpListener) {
    let (mut stream, _) = listener.accept().await.expect("a peer");
    stream.set_nodelay(true).expect("a fresh socket");
    let mut buffer = vec![0; 32 << 10];
    while let Ok(len @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..len]).await.is_err() {
            return;
        }
    }
}

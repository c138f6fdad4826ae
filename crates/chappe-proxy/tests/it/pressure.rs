//! Many connections that all want to send at once, both ends slow.

use std::sync::Arc;
use std::time::Duration;

use chappe_crypto::{Ctr, Rng, sha256};
use chappe_proto::transport::fake_tls::{Records, record_header};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::client::{Client, header};
use crate::world::{ALICE, Running, SITE, config, from_client, tls_config, to_client};

const CONNECTIONS: u16 = 200;
const BYTES: usize = 80_000;
/// Buffers of both ends, which are full at once.
const BUFFER: u32 = 4 << 10;
/// Bytes of a segment. The system gives the proxy room for some twenty of them, and loopback's own
/// are so long that everything would find room.
const SEGMENT: u32 = 536;

/// Rules: PRX-16, PRX-18, PRX-33: 200 connections send both ways at once, over buffers that are
///        always full, and either end stops reading now and then: every byte arrives, the last ones
///        of each, too, though nothing follows that would push them.
#[tokio::test(flavor = "multi_thread")]
async fn no_byte_is_stranded() {
    for tls in [false, true] {
        for fast in [false, true] {
            all_arrive(tls, fast).await;
        }
    }
}

async fn all_arrive(tls: bool, fast: bool) {
    let socket = narrow();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let centre = socket.listen(1024).unwrap();
    let address = centre.local_addr().unwrap();
    let mut config = if tls { tls_config(address, address) } else { config(address) };
    config.direct.fast = fast;
    config.relay.buffer_bytes = 16 << 10;
    let proxy = Arc::new(Running::start(config).await);

    let mut ends = JoinSet::new();
    ends.spawn(serve(centre));
    for number in 0..CONNECTIONS {
        let proxy = Arc::clone(&proxy);
        ends.spawn(async move {
            let socket = narrow();
            let client = match tls {
                true => Client::tls_over(socket, proxy.address, SITE, ALICE, 2).await,
                false => {
                    let mut stream = socket.connect(proxy.address).await.unwrap();
                    let (header, outbound, inbound) = header(ALICE, crate::client::PADDED, 2);
                    stream.write_all(&header).await.unwrap();
                    Client { stream, outbound, inbound, records: None }
                }
            };
            let Client { stream, outbound, inbound, records } = client;
            let (read, write) = stream.into_split();
            exchange(number, read, write, inbound, outbound, records).await;
        });
    }
    let all = async { while ends.join_next().await.transpose().unwrap().is_some() {} };
    timeout(Duration::from_secs(120), all).await.expect("bytes are stranded");
}

/// A socket whose connections hold little at both ends.
fn narrow() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(BUFFER).unwrap();
    socket.set_send_buffer_size(BUFFER).unwrap();
    SockRef::from(&socket).set_tcp_mss(SEGMENT).unwrap();
    socket
}

/// The data centre: says and hears the same on each connection.
async fn serve(centre: TcpListener) {
    let mut ends = JoinSet::new();
    for number in 0..CONNECTIONS {
        let (mut stream, _) = centre.accept().await.unwrap();
        ends.spawn(async move {
            let mut header = [0; 64];
            stream.read_exact(&mut header).await.unwrap();
            let (mut inbound, outbound) = (from_client(&header), to_client(&header));
            inbound.apply(&mut header);
            let (read, write) = stream.into_split();
            exchange(number, read, write, inbound, outbound, None).await;
        });
    }
    while ends.join_next().await.transpose().unwrap().is_some() {}
}

/// Sends and reads at the same time, each at its own odd pace.
async fn exchange(
    seed: u16,
    mut read: impl AsyncRead + Unpin + Send + 'static,
    mut write: impl AsyncWrite + Unpin + Send + 'static,
    mut inbound: Ctr,
    mut outbound: Ctr,
    records: Option<Records>,
) {
    let is_tls = records.is_some();
    let sending = tokio::spawn(async move {
        let mut pace = rng(seed, 1);
        let mut left = BYTES;
        while left > 0 {
            let len = left.min(1 + pace.below(20_000) as usize);
            let mut bytes = vec![0x5a; len];
            outbound.apply(&mut bytes);
            for piece in bytes.chunks(if is_tls { 2878 } else { len }) {
                if is_tls {
                    write.write_all(&record_header(piece.len())).await.unwrap();
                }
                write.write_all(piece).await.unwrap();
            }
            left -= len;
            stall(&mut pace).await;
        }
        // Open until all was heard: no end pushes the last bytes.
        write
    });
    let mut pace = rng(seed, 2);
    let mut left = BYTES;
    let mut records = records;
    let mut bytes = vec![0; 8 << 10];
    while left > 0 {
        let room = 1 + pace.below(8 << 10) as usize;
        let mut len = read.read(&mut bytes[..room.min(8 << 10)]).await.unwrap();
        assert_ne!(len, 0, "the end with {left} bytes to come");
        if let Some(records) = &mut records {
            len = records.unwrap(&mut bytes[..len]).unwrap();
        }
        inbound.apply(&mut bytes[..len]);
        assert!(bytes[..len].iter().all(|byte| *byte == 0x5a), "a byte is wrong");
        left -= len;
        stall(&mut pace).await;
    }
    drop(sending.await.unwrap());
}

async fn stall(pace: &mut Rng) {
    if pace.below(16) == 0 {
        sleep(Duration::from_millis(pace.below(40).into())).await;
    }
}

fn rng(seed: u16, part: u8) -> Rng {
    Rng::from_seed(sha256(&[&seed.to_be_bytes(), &[part]]))
}

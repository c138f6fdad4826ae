//! Memory of connections that wait: 10,000 with a session, by each way, and 10,000 that have said
//! half a word.
//!
//! The server is a process of its own, whose memory the system tells; every session has a key of
//! its own, has made one call and has acknowledged what it heard.
//! `cargo bench -p chappe-server --bench idle [-- live|half]`

use std::time::Duration;

use chappe_proto::transport::{Framing, Transport};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use client::{Client, Way};
use process::Process;

#[expect(dead_code, reason = "other benches do more with a client")]
#[path = "stage/client.rs"]
mod client;
#[path = "stage/process.rs"]
mod process;
#[path = "stage/server.rs"]
mod server;

/// Connections of each kind, and such that come first and warm up what all share.
const LINKS: usize = 10_000;
const WARM: usize = 200;
/// Threads of the server.
const THREADS: usize = 2;

fn main() {
    process::serve();
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |part: &str| {
        wanted.iter().any(|name| name == part) || wanted.iter().all(|name| name.starts_with('-'))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    println!("{:<44} {:>10} {:>12}", "", "bytes each", "peak, KiB");
    if is_wanted("live") {
        let hidden = Transport::obfuscated(Framing::Padded).expect("it has a tag");
        for (name, way, transport) in [
            ("abridged", Way::Stream, Transport::plain(Framing::Abridged)),
            ("intermediate", Way::Stream, Transport::plain(Framing::Intermediate)),
            ("obfuscated padded", Way::Stream, hidden),
            ("obfuscated in WebSocket", Way::WebSocket, hidden),
            ("abridged in TLS", Way::Tls, Transport::plain(Framing::Abridged)),
            ("obfuscated in WebSocket in TLS", Way::Wss, hidden),
            ("HTTP, a request held", Way::Http, hidden),
        ] {
            runtime.block_on(live(name, way, transport));
        }
    }
    if is_wanted("half") {
        let tls = [[0x16, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb, 3, 3].as_slice(), &[7; 16_000]];
        let tls = tls.concat();
        let http = [b"POST /api HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 15_000]].concat();
        let packet = [&[0xee; 4], &4096_u32.to_le_bytes()[..], &[0; 4000]].concat();
        for (name, opening) in [
            ("nothing said", &[][..]),
            ("half a tag", &[0xee; 3]),
            ("an obfuscated header but for a byte", &[0x55; 63]),
            ("half a packet of a key exchange", &packet[..28]),
            ("4000 bytes of such a packet", &packet),
            ("half an HTTP head", &http[..20]),
            ("15,000 bytes of an HTTP head", &http),
            ("half a TLS hello", &tls[..200]),
            ("16,000 bytes of a TLS hello", &tls),
        ] {
            runtime.block_on(half_open(name, opening));
        }
    }
}

async fn live(name: &str, way: Way, transport: Transport) {
    let process = Process::start(LINKS + WARM, THREADS, &[]);
    let mut clients = Vec::new();
    let mut before = 0;
    for index in 0..LINKS + WARM {
        if index == WARM {
            before = settled(&process).await;
        }
        let mut client = Client::connect(&process, way, transport, index).await;
        client.call(1).await;
        client.acknowledge().await;
        clients.push(client);
    }
    report(name, &process, before).await;
}

async fn half_open(name: &str, opening: &[u8]) {
    let process = Process::start(0, THREADS, &[]);
    let mut streams = Vec::new();
    let mut before = 0;
    for index in 0..LINKS + WARM {
        if index == WARM {
            before = settled(&process).await;
        }
        let mut stream = TcpStream::connect(process.address).await.expect("the server listens");
        stream.write_all(opening).await.expect("the server reads");
        streams.push(stream);
    }
    report(name, &process, before).await;
}

async fn report(name: &str, process: &Process, before: usize) {
    let bytes = settled(process).await.saturating_sub(before);
    println!("{name:<44} {:>10} {:>12}", bytes / LINKS, status(process, "VmHWM:"));
}

/// Resident bytes, once they stay the same.
async fn settled(process: &Process) -> usize {
    let mut last = status(process, "VmRSS:");
    loop {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let now = status(process, "VmRSS:");
        if now.abs_diff(last) < 64 {
            return now << 10;
        }
        last = now;
    }
}

/// A line of the system about the server's process, in KiB.
fn status(process: &Process, name: &str) -> usize {
    let path = format!("/proc/{}/status", process.id());
    let text = std::fs::read_to_string(path).expect("procfs");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("procfs");
    line.trim().trim_end_matches(" kB").parse().expect("KiB")
}

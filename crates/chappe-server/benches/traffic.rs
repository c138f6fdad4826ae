//! Bytes on the wire and system calls of the server for one small call, by each way.
//!
//! The server is a process of its own with one thread, watched by `strace`, which has to be there.
//! `cargo bench -p chappe-server --bench traffic`

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chappe_proto::transport::{Framing, Transport};

use client::{Client, Way};
use process::Process;

#[expect(dead_code, reason = "other benches do more with a client")]
#[path = "stage/client.rs"]
mod client;
#[expect(dead_code, reason = "other benches ask the system about the process")]
#[path = "stage/process.rs"]
mod process;
#[path = "stage/server.rs"]
mod server;

/// Calls made, so many at once: a call, or a hundred before the first answer.
const DEPTHS: [(usize, usize); 2] = [(200, 1), (2000, 100)];

fn main() {
    process::serve();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let titles = ["up", "down", "reads", "writes", "waits", "others"];
    println!(
        "{:<34} {:>6} {}",
        "for each call",
        "depth",
        titles.map(|t| format!("{t:>8}")).concat()
    );
    let hidden = Transport::obfuscated(Framing::Intermediate).expect("it has a tag");
    for (name, way, transport) in [
        ("abridged", Way::Stream, Transport::plain(Framing::Abridged)),
        ("intermediate", Way::Stream, Transport::plain(Framing::Intermediate)),
        ("padded", Way::Stream, Transport::plain(Framing::Padded)),
        ("full", Way::Stream, Transport::plain(Framing::Full)),
        ("obfuscated intermediate", Way::Stream, hidden),
        ("obfuscated in WebSocket", Way::WebSocket, hidden),
        ("abridged in TLS", Way::Tls, Transport::plain(Framing::Abridged)),
        ("HTTP", Way::Http, hidden),
        ("datagrams", Way::Datagrams, hidden),
    ] {
        runtime.block_on(measure(name, way, transport));
    }
}

async fn measure(name: &str, way: Way, transport: Transport) {
    let file = std::env::temp_dir().join(format!("chappe-traffic-{}", std::process::id()));
    let path = file.to_string_lossy().into_owned();
    // Times, so that what belongs to which calls can be told.
    let tracer = ["strace", "-f", "-qq", "-ttt", "-e", "trace=network,desc,futex", "-o", &path];
    let mut spans = Vec::new();
    {
        let process = Process::start(2, 1, &tracer);
        let mut client = Client::connect(&process, way, transport, 0).await;
        client.call(1).await;
        for (calls, depth) in DEPTHS {
            // What is still to be done for the calls before is done here.
            tokio::time::sleep(Duration::from_millis(700)).await;
            let (begun, before) = (unix(), client.counts());
            for _ in 0..calls / depth {
                client.call(depth).await;
            }
            let (up, down) = client.counts();
            spans.push((begun..unix(), calls, depth, up - before.0, down - before.1));
        }
    }
    let trace = Trace::read(&file);
    std::fs::remove_file(&file).expect("it was there");
    for (span, calls, depth, up, down) in spans {
        let kinds = [&READS[..], &WRITES, &WAITS].map(|names| trace.count(&span, names));
        let others = trace.count(&span, &[]) - kinds.iter().sum::<usize>();
        let [reads, writes, waits] = kinds;
        let each = |total: usize| format!("{:>8.2}", total as f64 / calls as f64);
        let figures = [up, down, reads, writes, waits, others].map(each).concat();
        println!("{name:<34} {depth:>6} {figures}");
    }
}

const READS: [&str; 4] = ["read", "readv", "recvfrom", "recvmsg"];
const WRITES: [&str; 4] = ["write", "writev", "sendto", "sendmsg"];
const WAITS: [&str; 2] = ["epoll_wait", "epoll_pwait"];

/// System calls, each with the Unix time at which it began.
struct Trace(Vec<(Duration, String)>);

impl Trace {
    fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).expect("strace wrote it");
        Self(text.lines().filter_map(call).collect())
    }

    /// How many calls of these names, or of any, began within a span.
    fn count(&self, span: &std::ops::Range<Duration>, names: &[&str]) -> usize {
        let is_wanted = |name: &str| names.is_empty() || names.contains(&name);
        self.0.iter().filter(|(at, name)| span.contains(at) && is_wanted(name)).count()
    }
}

/// A line such as `12 1800000000.123456 recvfrom(9, …`; `None` for one that goes on with another.
fn call(line: &str) -> Option<(Duration, String)> {
    let mut words = line.split_whitespace().skip(1);
    let at = words.next()?.parse().ok().map(Duration::from_secs_f64)?;
    let (name, _) = words.next()?.split_once('(')?;
    Some((at, name.to_owned()))
}

fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970")
}

//! Framing and obfuscation of every transport, beside a bare copy of the same bytes.
//!
//! What a server hears is copied off the connection in pieces, as its driver does, and taken apart;
//! what it sends is put into a buffer that stays. Everything is timed in turns, and the fastest
//! round of each counts. `cargo bench -p chappe-net --bench framing`

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use chappe_crypto::Rng;
use chappe_net::ws::WebSocketConfig;
use chappe_net::{WebSocket, Wire};
use chappe_proto::transport::{
    ClientOptions, Codec, Detect, DetectConfig, Detected, Frame, PACKET_MAX, Transport,
};
use tokio::io::{DuplexStream, duplex};

const ROUNDS: usize = 60;
/// Bytes read off a connection at once.
const READ_MAX: usize = 16 << 10;

fn main() {
    println!("times a copy of the same bytes; GB/s of that copy");
    for (size, frames) in [(1 << 10, 256), (1 << 20, 4)] {
        println!("{:<40} {:>9} {:>9}", format!("packets of {size} bytes"), "heard", "sent");
        let plain = Transport::ALL.map(|transport| (transport, false));
        let hidden = Transport::ALL.into_iter().filter(|transport| transport.is_obfuscated());
        let in_websocket = hidden.map(|transport| (transport, true));
        for (transport, in_websocket) in plain.into_iter().chain(in_websocket) {
            let mut best = [Duration::MAX; 4];
            let mut ends = Ends::new(transport, in_websocket);
            for _ in 0..ROUNDS {
                let round = ends.round(&vec![7; size], frames);
                for (best, took) in best.iter_mut().zip(round) {
                    *best = took.min(*best);
                }
            }
            let [heard, heard_copy, sent, sent_copy] = best.map(|took| took.as_secs_f64());
            let name = format!("{transport}{}", if in_websocket { " in WebSocket" } else { "" });
            println!(
                "{name:<40} {:>9.2} {:>9.2}    ({:.1}, {:.1})",
                heard / heard_copy,
                sent / sent_copy,
                (size * frames) as f64 / heard_copy / 1e9,
                (size * frames) as f64 / sent_copy / 1e9,
            );
        }
    }
}

/// Both ends of a connection.
struct Ends {
    client: Codec,
    server: Codec,
    /// The frames of either end travel in messages of these.
    sockets: Option<(WebSocket<DuplexStream>, WebSocket<DuplexStream>)>,
    rng: Rng,
    /// What is heard and not taken apart yet.
    inbound: BytesMut,
    outbound: BytesMut,
}

impl Ends {
    fn new(transport: Transport, in_websocket: bool) -> Self {
        let mut rng = Rng::from_seed([7; 32]);
        let mut client = Codec::client(transport, &ClientOptions::default(), PACKET_MAX, &mut rng);
        let mut first = BytesMut::new();
        client.put(&[&[0; 40]], &mut first, &mut rng).expect("whole words");
        let detected = Detect::new(DetectConfig::default()).handle(&mut first);
        let Detected::Codec(mut server, _) = detected else { panic!("a transport of ours") };
        assert!(matches!(server.next(&mut first), Ok(Some(_))));
        server.set_limit(PACKET_MAX);
        let sockets = in_websocket.then(|| {
            let mut config = WebSocketConfig::default();
            config.message_max_bytes = PACKET_MAX;
            let (near, far) = duplex(1);
            let client = WebSocket::client(near, config.clone(), rng.fork());
            (client, WebSocket::server(far, config))
        });
        let (inbound, outbound) = (BytesMut::new(), BytesMut::new());
        Self { client, server, sockets, rng, inbound, outbound }
    }

    /// How long it took to hear so many packets, to copy their bytes, to send as many, and to copy
    /// those.
    fn round(&mut self, packet: &[u8], frames: usize) -> [Duration; 4] {
        let mut wire = BytesMut::new();
        for _ in 0..frames {
            let start = wire.len();
            self.client.put(&[packet], &mut wire, &mut self.rng).expect("whole words");
            if let Some((client, _)) = &mut self.sockets {
                client.wrap(&mut wire, start);
            }
        }
        let mut copy = vec![0; wire.len()];
        let heard_copy = timed(|| black_box(&mut copy[..]).copy_from_slice(black_box(&wire)));
        let heard = timed(|| assert_eq!(self.hear(&mut wire), frames));
        self.outbound.clear();
        let sent = timed(|| self.send(packet, frames));
        copy.resize(self.outbound.len(), 0);
        let sent_copy =
            timed(|| black_box(&mut copy[..]).copy_from_slice(black_box(&self.outbound)));
        [heard, heard_copy, sent, sent_copy]
    }

    /// How many packets came.
    fn hear(&mut self, wire: &mut [u8]) -> usize {
        let mut heard = 0;
        for piece in wire.chunks_mut(READ_MAX) {
            match &mut self.sockets {
                Some((_, server)) => server.receive(piece, &mut self.inbound).expect("sound"),
                None => self.inbound.extend_from_slice(piece),
            }
            while let Some(frame) = self.server.next(&mut self.inbound).expect("sound") {
                assert!(matches!(black_box(frame), Frame::Packet { .. }));
                heard += 1;
            }
        }
        heard
    }

    fn send(&mut self, packet: &[u8], frames: usize) {
        for _ in 0..frames {
            let start = self.outbound.len();
            let Self { server, outbound, rng, .. } = self;
            server.put(&[black_box(packet)], outbound, rng).expect("whole words");
            if let Some((_, server)) = &mut self.sockets {
                server.wrap(&mut self.outbound, start);
            }
        }
        black_box(&self.outbound);
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

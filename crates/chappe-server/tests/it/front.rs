//! The first bytes of connections, over real sockets: everything on one port, cut at every byte.

use std::time::Duration;

use bytes::BytesMut;
use chappe_proto::handshake::client::{KeyRequest, start};
use chappe_proto::handshake::server::DcPolicy;
use chappe_proto::link::{Link, LinkConfig, LinkEvent};
use chappe_proto::transport::{ClientOptions, Transport};
use chappe_server::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::client::{PATIENCE, rng};
use crate::world::World;

/// Rule:   each transport is recognised on the one port, wherever the network cuts its opening.
/// Source: TRN-17, TRN-14.
#[tokio::test]
async fn openings_are_recognised_however_they_are_cut() {
    let world = World::new().await;
    for transport in Transport::ALL {
        for cut in 1..80 {
            let (mut link, wire) = request(&world, transport, &ClientOptions::default());
            let cut = cut.min(wire.len() - 1);
            let mut stream = TcpStream::connect(world.address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            stream.write_all(&wire[..cut]).await.unwrap();
            tokio::task::yield_now().await;
            stream.write_all(&wire[cut..]).await.unwrap();
            let heard = hear(&mut stream, &mut link, &world).await;
            assert!(matches!(heard, Some(LinkEvent::Plain(_))), "{transport} at {cut}: {heard:?}");
        }
    }
    for cut in 1..=34 {
        let head = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(&head[..cut]).await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(&head[cut..]).await.unwrap();
        let mut answer = [0; 12];
        timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 404", "at {cut}");
    }
}

/// Rule:   whoever lets bytes trickle is closed at the deadline, whatever he pretends to speak, and
///         has heard nothing.
/// Source: TRN-21, TRN-22.
#[tokio::test]
async fn trickled_bytes_end_at_the_deadline() {
    let world = World::with(|config| config.link.first_packet_wait_max = WAIT).await;
    let mut trickles = JoinSet::new();
    let mut openings: Vec<Vec<u8>> = Transport::ALL
        .into_iter()
        .map(|transport| request(&world, transport, &ClientOptions::default()).1)
        .collect();
    openings.push(b"POST /api HTTP/1.1\r\nContent-Length: 100\r\n".to_vec());
    openings.push(b"GET /apiws HTTP/1.1\r\nUpgrade: websocket\r\n".to_vec());
    openings.push(vec![0x55; 200]);
    for opening in openings {
        let address = world.address;
        trickles.spawn(async move {
            // Before, for the server may have accepted when this task hears that it is connected.
            let begin = Instant::now();
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut heard = Vec::new();
            // The last byte never comes.
            for byte in &opening[..opening.len() - 1] {
                let reading = timeout(WAIT / 30, stream.read_to_end(&mut heard)).await;
                if reading.is_ok() || stream.write_all(&[*byte]).await.is_err() {
                    break;
                }
            }
            let _ = timeout(PATIENCE, stream.read_to_end(&mut heard)).await.unwrap();
            (opening, heard, begin.elapsed())
        });
    }
    while let Some(trickle) = trickles.join_next().await {
        let (opening, heard, took) = trickle.unwrap();
        assert!(heard.is_empty(), "{opening:x?}: {heard:x?}");
        assert!(took >= WAIT && took < WAIT * 3, "{opening:x?}: {took:?}");
    }
}

/// Rule:   lengths that no frame has end the connection in silence: nothing in abridged, an odd one
///         in intermediate, too few bytes in padded and full, and any above the limit.
/// Source: TRN-03, TRN-04, TRN-07, TRN-08, TRN-10, TRN-21, TRN-37.
#[tokio::test]
async fn wrong_lengths_end_in_silence() {
    let world = World::new().await;
    for said in [
        &[0xef, 0][..],
        &[0xef, 0x7f, 1, 0, 0],
        &[0xef, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0xee, 0xee, 0xee, 0xee, 0, 0, 0, 0],
        &[0xee, 0xee, 0xee, 0xee, 5, 0, 0, 0],
        &[0xee, 0xee, 0xee, 0xee, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0xdd, 0xdd, 0xdd, 0xdd, 3, 0, 0, 0],
        &[12, 0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 0, 0x80, 0, 0, 0, 0],
    ] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(said).await.unwrap();
        let mut heard = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut heard)).await.unwrap();
        assert!(heard.is_empty(), "{said:x?}: {heard:x?}");
    }
}

/// Rule:   where there is a secret, a header is good once: who sends it again is a stranger, as is
///         who knows no secret.
/// Source: OBF-17, PRX-24, TRN-21.
#[tokio::test]
async fn recorded_header_is_a_strangers() {
    let world = World::with(keep_secret).await;
    let (mut link, wire) = request(&world, HIDDEN, &knowing(2));
    let mut first = TcpStream::connect(world.address).await.unwrap();
    first.write_all(&wire).await.unwrap();
    assert!(matches!(hear(&mut first, &mut link, &world).await, Some(LinkEvent::Plain(_))));
    for wire in [wire, request(&world, HIDDEN, &ClientOptions::default()).1] {
        let begin = Instant::now();
        let mut again = TcpStream::connect(world.address).await.unwrap();
        again.write_all(&wire).await.unwrap();
        let mut heard = Vec::new();
        let _ = timeout(PATIENCE, again.read_to_end(&mut heard)).await.unwrap();
        assert!(heard.is_empty() && begin.elapsed() >= WAIT);
    }
}

/// Rule:   who knows the secret and names a data centre that is not here gets -444.
/// Source: OBF-14.
#[tokio::test]
async fn foreign_data_centre_is_refused_where_there_is_a_secret() {
    let world = World::with(|config| {
        keep_secret(config);
        config.handshake.dc = DcPolicy::Only { dc: 2, test: false, media: true };
    })
    .await;
    for (dc, is_served) in [(2, true), (-2, true), (3, false), (0, false), (i16::MIN, false)] {
        let (mut link, wire) = request(&world, HIDDEN, &knowing(dc));
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(&wire).await.unwrap();
        match hear(&mut stream, &mut link, &world).await {
            Some(LinkEvent::Plain(_)) => assert!(is_served, "{dc}"),
            Some(LinkEvent::TransportError(444)) => assert!(!is_served, "{dc}"),
            heard => panic!("{dc}: {heard:?}"),
        }
    }
}

const WAIT: Duration = Duration::from_millis(400);
const SECRET: [u8; 16] = [6; 16];
const HIDDEN: Transport = Transport::ALL[5];

fn keep_secret(config: &mut ServerConfig) {
    config.detect.secrets = vec![SECRET.into()];
    config.link.first_packet_wait_max = WAIT;
}

fn knowing(dc: i16) -> ClientOptions {
    ClientOptions { secret: Some(SECRET.into()), dc }
}

/// The beginning of a key exchange, and the end that understands its answer.
fn request(world: &World, transport: Transport, options: &ClientOptions) -> (Link, Vec<u8>) {
    let mut link = Link::client(LinkConfig::client(), transport, options, rng());
    let request = KeyRequest { dc: 2, expires_in: None, server_keys: world.trusted() };
    let (_, body) = start(request, &mut rng());
    link.send_plain(world.clock.now().unix, &body);
    let mut out = BytesMut::new();
    link.poll_transmit(&mut out).unwrap();
    (link, out.to_vec())
}

/// The next thing that comes; `None` at the end.
async fn hear(stream: &mut TcpStream, link: &mut Link, world: &World) -> Option<LinkEvent> {
    let mut inbound = BytesMut::new();
    loop {
        if let Some(event) = link.poll_event() {
            return Some(event);
        }
        let read = timeout(PATIENCE, stream.read_buf(&mut inbound)).await.expect("nothing comes");
        if read.unwrap_or(0) == 0 {
            return None;
        }
        link.handle_bytes(world.clock.now(), &mut inbound);
    }
}

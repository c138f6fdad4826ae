//! The PROXY protocol, both versions, however its header is cut.

use std::time::Duration;

use chappe_net::listen::Ends;
use chappe_net::proxy_protocol::{self, ProxyProtocolError};
use tokio::io::AsyncWriteExt;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Rule:   both versions name the two ends, however their header is cut; nothing behind it is lost.
/// Source: PRX-13.
#[tokio::test(start_paused = true)]
async fn header_names_both_ends_however_it_is_cut() {
    let four = Some(Ends { peer: at("192.0.2.7:51234"), local: at("198.51.100.1:443") });
    let six = Some(Ends { peer: at("[2001:db8::7]:51234"), local: at("[2001:db8::1]:443") });
    let v4 = [192, 0, 2, 7, 198, 51, 100, 1, 0xc8, 0x22, 1, 0xbb];
    let v6 = [
        &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7][..],
        &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        &[0xc8, 0x22, 1, 0xbb],
    ]
    .concat();
    let mapped = [
        &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7][..],
        &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 1],
        &[0xc8, 0x22, 1, 0xbb],
    ]
    .concat();
    for (header, ends) in [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n".to_vec(), four),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 443\r\n".to_vec(), six),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
        (version_2(0x21, 0x11, &v4), four),
        (version_2(0x21, 0x21, &v6), six),
        // IPv4 in the clothes of IPv6, or else limits by address would take all of it for one.
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:c633:6401 51234 443\r\n".to_vec(), four),
        (version_2(0x21, 0x21, &mapped), four),
        // With an addition of two bytes.
        (version_2(0x21, 0x11, &[&v4[..], &[0xea, 0, 2, 1, 2]].concat()), four),
        // The balancer's own connection, and one of which it knows nothing.
        (version_2(0x20, 0x11, &v4), None),
        (version_2(0x20, 0, &[]), None),
        (version_2(0x21, 0, &[]), None),
    ] {
        let wire = [&header[..], &[0xef, 1, 2, 3]].concat();
        for cut in 0..=wire.len() {
            let (mut client, mut server) = tokio::io::duplex(1024);
            let (first, second) = wire.split_at(cut);
            let reading = tokio::spawn(async move { proxy_protocol::read(&mut server).await });
            client.write_all(first).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(reading.is_finished(), cut >= header.len(), "{wire:x?} at {cut}");
            let _ = client.write_all(second).await;
            let (heard, rest) = reading.await.unwrap().unwrap();
            assert_eq!(heard, ends, "{wire:x?} at {cut}");
            assert!(wire[header.len()..].starts_with(&rest));
            assert!(rest.len() + header.len() >= cut);
        }
    }
}

/// Rule:   what is no header, or a malformed one, is refused as soon as that shows, and one that
///         does not end when it is longer than any.
/// Source: PRX-13.
#[tokio::test]
async fn anything_else_is_refused() {
    for wire in [
        &[0xef][..],
        b"GET /apiws HTTP/1.1\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 x\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
        // A field short, with and without the ends of lines that there have to be.
        b"PROXY TCP4 192.0.2.7 198.51.100.1 443\r\n",
        b"PROXY TCP4 192.0.2.7\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\n",
        b"PROXY UNKNOWN\n",
        b"PROXY \r\n",
        b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
        &[b"PROXY TCP4 192.0.2.7 ", &[b'1'; 100][..]].concat(),
        &version_2(0x31, 0x11, &[0; 12]),
        &version_2(0x22, 0x11, &[0; 12]),
        &version_2(0x21, 0x41, &[0; 12]),
        &[&SIGNATURE[..11], &[0xff; 8]].concat(),
    ] {
        let outcome = proxy_protocol::read(&mut &wire[..]).await;
        assert!(matches!(outcome, Err(ProxyProtocolError::Malformed(_))), "{wire:x?}: {outcome:?}");
    }
    let long = proxy_protocol::read(&mut &version_2(0x21, 0x11, &[0; 60_000])[..]).await;
    assert!(matches!(long, Err(ProxyProtocolError::TooLong)), "{long:?}");
    let cut = proxy_protocol::read(&mut &b"PROXY TCP4 192.0"[..]).await;
    assert!(matches!(cut, Err(ProxyProtocolError::Io(_))), "{cut:?}");
}

fn at(address: &str) -> std::net::SocketAddr {
    address.parse().unwrap()
}

fn version_2(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &len, content].concat()
}

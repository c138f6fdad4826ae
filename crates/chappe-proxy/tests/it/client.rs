//! A client of a proxy, as far as the proxy can tell: a header, and a stream of bytes behind it.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use chappe_crypto::{Ctr, Rng, sha256, x25519_public};
use chappe_proto::transport::fake_tls::{
    CHANGE_CIPHER_SPEC, Records, greeting, read_flight, record_header,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Tags of framings.
pub(crate) const ABRIDGED: [u8; 4] = [0xef; 4];
pub(crate) const INTERMEDIATE: [u8; 4] = [0xee; 4];
pub(crate) const PADDED: [u8; 4] = [0xdd; 4];

/// A connection to a proxy.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) outbound: Ctr,
    pub(crate) inbound: Ctr,
    /// Takes records apart, in fake TLS.
    pub(crate) records: Option<Records>,
}

/// A header by a secret, as it is sent, and the two streams that it begins.
pub(crate) fn header(secret: [u8; 16], tag: [u8; 4], dc: i16) -> ([u8; 64], Ctr, Ctr) {
    header_from(rng().bytes(), secret, tag, dc)
}

/// The same from 64 bytes that would else be drawn.
pub(crate) fn header_from(
    mut header: [u8; 64],
    secret: [u8; 16],
    tag: [u8; 4],
    dc: i16,
) -> ([u8; 64], Ctr, Ctr) {
    // None that begins as another protocol would.
    header[0] = 0x51;
    header[4] |= 1;
    header[56..60].copy_from_slice(&tag);
    header[60..62].copy_from_slice(&dc.to_le_bytes());
    let stream = |header: &[u8; 64]| {
        let key = sha256(&[&header[8..40], &secret]);
        Ctr::new(&key, header[40..56].try_into().unwrap())
    };
    let mut reversed = header;
    reversed.reverse();
    let (mut outbound, inbound) = (stream(&header), stream(&reversed));
    let mut hidden = header;
    outbound.apply(&mut hidden);
    header[56..].copy_from_slice(&hidden[56..]);
    (header, outbound, inbound)
}

/// A hello by a secret at a time that is so many seconds from now, and its random bytes.
pub(crate) fn hello(domain: &str, secret: [u8; 16], skew: i64) -> (Vec<u8>, [u8; 32]) {
    let mut rng = rng();
    let keys = [x25519_public(&mut rng), x25519_public(&mut rng)];
    let time = u32::try_from(unix() + skew).unwrap();
    greeting(domain, &secret.into(), time, &keys, &mut rng)
}

pub(crate) fn unix() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_secs().try_into().unwrap()
}

pub(crate) fn rng() -> Rng {
    chappe_net::entropy::rng().unwrap()
}

impl Client {
    /// Comes with a header as it is.
    pub(crate) async fn bare(at: SocketAddr, secret: [u8; 16], tag: [u8; 4], dc: i16) -> Self {
        let (header, outbound, inbound) = header(secret, tag, dc);
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(&header).await.unwrap();
        Self { stream, outbound, inbound, records: None }
    }

    /// Comes in fake TLS, and verifies the answer.
    pub(crate) async fn tls(at: SocketAddr, domain: &str, secret: [u8; 16], dc: i16) -> Self {
        Self::tls_over(TcpSocket::new_v4().unwrap(), at, domain, secret, dc).await
    }

    /// The same over a socket that is set up in some way.
    pub(crate) async fn tls_over(
        socket: TcpSocket,
        at: SocketAddr,
        domain: &str,
        secret: [u8; 16],
        dc: i16,
    ) -> Self {
        let mut stream = socket.connect(at).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (hello, random) = hello(domain, secret, 0);
        stream.write_all(&hello).await.unwrap();
        read_answer(&mut stream, secret, random).await;
        let (header, outbound, inbound) = header(secret, PADDED, dc);
        let first = [&CHANGE_CIPHER_SPEC[..], &record_header(64), &header].concat();
        stream.write_all(&first).await.unwrap();
        Self { stream, outbound, inbound, records: Some(Records::of_proxy()) }
    }

    /// Sends bytes, in one record where there are records.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        self.outbound.apply(&mut bytes);
        if self.records.is_some() {
            for piece in bytes.chunks(2878) {
                let record = [&record_header(piece.len())[..], piece].concat();
                self.stream.write_all(&record).await.unwrap();
            }
        } else {
            self.stream.write_all(&bytes).await.unwrap();
        }
    }

    /// Reads so many bytes of the stream inside.
    pub(crate) async fn receive(&mut self, len: usize) -> Vec<u8> {
        let mut found = Vec::new();
        while found.len() < len {
            let piece = self.read().await.unwrap();
            assert!(!piece.is_empty(), "the end after {} of {len} bytes", found.len());
            found.extend_from_slice(&piece);
        }
        found
    }

    /// Reads what is there; nothing at the end.
    pub(crate) async fn read(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let mut bytes = vec![0; 32 << 10];
            let read = timeout(Duration::from_secs(20), self.stream.read(&mut bytes));
            let len = read.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            if len == 0 {
                return Ok(Vec::new());
            }
            bytes.truncate(len);
            if let Some(records) = &mut self.records {
                let len = records.unwrap(&mut bytes).unwrap();
                bytes.truncate(len);
                if len == 0 {
                    continue;
                }
            }
            self.inbound.apply(&mut bytes);
            return Ok(bytes);
        }
    }

    /// Sends something and has it come back.
    pub(crate) async fn check(&mut self) {
        let bytes: [u8; 300] = rng().bytes();
        self.send(&bytes).await;
        assert_eq!(self.receive(300).await, bytes);
    }

    /// Whether the proxy has closed the connection, without a word.
    pub(crate) async fn is_closed(&mut self) -> bool {
        match self.read().await {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => error.kind() != io::ErrorKind::TimedOut,
        }
    }
}

/// Reads the answer to a hello and verifies it; its length.
pub(crate) async fn read_answer(
    stream: &mut TcpStream,
    secret: [u8; 16],
    random: [u8; 32],
) -> Vec<u8> {
    let mut answer = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "closed instead of answered");
        if read_flight(&answer, &secret.into(), &random).unwrap().is_some() {
            return answer;
        }
    }
}

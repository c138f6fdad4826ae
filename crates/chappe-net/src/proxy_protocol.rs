//! The PROXY protocol, by which a load balancer says on whose behalf it connects: versions 1 and 2.

use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::{Buf, BytesMut};
use proxy_header::{Error, ParseConfig, ProxiedAddress, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::listen::Ends;

/// Why a connection does not begin as the PROXY protocol wants it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyProtocolError {
    /// The connection broke, or ended too early.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Something else was said, or a header that is malformed.
    #[error("no header of the PROXY protocol: {0}")]
    Malformed(Error),
    /// The header says more of the connection than anybody wants to know.
    #[error("a header of the PROXY protocol of more than {HEADER_MAX} bytes")]
    TooLong,
}

/// Longest header accepted; addresses take 52 bytes of it at most, the rest are additions.
const HEADER_MAX: usize = 4 << 10;
/// How a header of version 1 begins, which is one line.
const LINE: &[u8] = b"PROXY ";

/// Reads the header that a connection has to begin with. The two ends that it names, unless the
/// connection is the balancer's own, and what was read behind it. It may take for ever: the
/// deadline is the caller's.
///
/// # Errors
///
/// Why the connection is to be closed.
pub async fn read(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<(Option<Ends>, BytesMut), ProxyProtocolError> {
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    let mut read = BytesMut::new();
    loop {
        match ProxyHeader::parse(&read, config) {
            Ok((header, len)) => {
                let named = header.proxied_address();
                let ends = named.map(|ends| Ends::canonical(ends.source, ends.destination));
                read.advance(len);
                return Ok((ends, read));
            }
            Err(Error::BufferTooShort) if read.len() >= HEADER_MAX => {
                return Err(ProxyProtocolError::TooLong);
            }
            // A whole line with a field missing, for which nobody need wait.
            Err(Error::BufferTooShort) if read.starts_with(LINE) && read.contains(&b'\n') => {
                return Err(ProxyProtocolError::Malformed(Error::Invalid));
            }
            Err(Error::BufferTooShort) => {}
            Err(error) => return Err(ProxyProtocolError::Malformed(error)),
        }
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

/// What is spoken to a server of ours that wants to know on whose behalf we connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Bytes.
    V2,
}

/// The header that says that a connection is on behalf of the one between `ends`.
pub fn header(version: Version, ends: Ends) -> Vec<u8> {
    // Both addresses have to be of one family.
    let (peer, local) = match (ends.peer, ends.local) {
        (SocketAddr::V4(_), SocketAddr::V4(_)) | (SocketAddr::V6(_), SocketAddr::V6(_)) => {
            (ends.peer, ends.local)
        }
        (peer, local) => (as_v6(peer), as_v6(local)),
    };
    let header = ProxyHeader::with_address(ProxiedAddress::stream(peer, local));
    let mut bytes = Vec::new();
    let encoded = match version {
        Version::V1 => header.encode_v1(&mut bytes),
        Version::V2 => header.encode_v2(&mut bytes),
    };
    encoded.expect("a vector takes any header of two addresses of one family");
    bytes
}

fn as_v6(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

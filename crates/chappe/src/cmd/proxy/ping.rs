//! The sign of life that clients ask of a proxy (PRX-06): two key exchanges are begun, and neither is
//! ended. A data centre can be asked in the same way.

use std::time::Duration;

use bytes::BytesMut;
use chappe_crypto::Rng;
use chappe_net::Wire;
use chappe_net::connect::ConnectError;
use chappe_net::driver::End;
use chappe_net::fake_tls::{FakeTls, FakeTlsError};
use chappe_proto::envelope::plain;
use chappe_proto::ids::MsgId;
use chappe_proto::transport::{
    ClientOptions, Codec, EndpointSecret, Frame, FrameError, Framing, HANDSHAKE_LIMIT, Transport,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Longest time for all of it.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(10);

/// Why there was no sign of life.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoSign {
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    FakeTls(#[from] FakeTlsError),
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("the connection was closed")]
    Closed,
    #[error("what came is none of the transport: {0}")]
    Frame(#[from] FrameError),
    #[error("what came is no record of TLS")]
    Record(End),
    #[error("the data centre answered with transport error {0}")]
    Refused(i32),
    #[error("what came is no answer to a key exchange")]
    Other,
    #[error("no answer within {WAIT_MAX:?}")]
    TimedOut,
}

/// The round trip of the second exchange with `dc`, over a connection to a proxy with `secret`, or to
/// the data centre itself.
pub(super) async fn ping(
    connecting: impl Future<Output = Result<TcpStream, NoSign>>,
    secret: Option<&EndpointSecret>,
    dc: i16,
    rng: &mut Rng,
) -> Result<Duration, NoSign> {
    let exchange = async {
        let stream = connecting.await?;
        let transport = match secret {
            Some(secret) => secret.transport,
            None => Transport::obfuscated(Framing::Intermediate).expect("the framing has a tag"),
        };
        let options = ClientOptions { secret: secret.map(|secret| secret.secret.clone()), dc };
        let codec = Codec::client(transport, &options, HANDSHAKE_LIMIT, rng);
        match secret.and_then(|secret| Some((secret, secret.domain.as_deref()?))) {
            Some((secret, domain)) => {
                let unix = chappe_net::Clock::system().now().unix.as_secs() as u32;
                let wire = FakeTls::begin(stream, domain, &secret.secret, unix, rng).await?;
                twice(wire, codec, rng).await
            }
            None => twice(stream, codec, rng).await,
        }
    };
    timeout(WAIT_MAX, exchange).await.unwrap_or(Err(NoSign::TimedOut))
}

async fn twice(mut wire: impl Wire, mut codec: Codec, rng: &mut Rng) -> Result<Duration, NoSign> {
    let (mut inbound, mut scratch) = (BytesMut::new(), vec![0; READ_MAX]);
    let mut round_trip = Duration::ZERO;
    for _ in 0..2 {
        let begun = Instant::now();
        let mut body = REQ_PQ_MULTI.to_le_bytes().to_vec();
        body.extend_from_slice(&rng.bytes::<16>());
        let (mut packet, mut outbound) = (BytesMut::new(), BytesMut::new());
        plain::seal(MsgId(1), &body, &mut packet);
        codec.put(&[&packet], &mut outbound, rng).expect("a frame has room for 40 bytes");
        wire.wrap(&mut outbound, 0);
        wire.stream().write_all(&outbound).await?;
        loop {
            match codec.next(&mut inbound)? {
                Some(Frame::Packet { bytes, .. }) if is_answer(&bytes) => break,
                Some(Frame::Packet { .. }) => return Err(NoSign::Other),
                Some(Frame::Error(code)) => return Err(NoSign::Refused(code)),
                Some(_) => {}
                None => match wire.stream().read(&mut scratch).await? {
                    0 => return Err(NoSign::Closed),
                    len => {
                        wire.receive(&mut scratch[..len], &mut inbound).map_err(NoSign::Record)?
                    }
                },
            }
        }
        round_trip = begun.elapsed();
    }
    Ok(round_trip)
}

/// An unencrypted packet begins with a key of 0.
fn is_answer(packet: &[u8]) -> bool {
    packet.len() >= plain::HEADER && packet.starts_with(&[0; 8])
}

/// `req_pq_multi#be7e8ef1 nonce:int128 = ResPQ`.
const REQ_PQ_MULTI: u32 = 0xbe7e_8ef1;
const READ_MAX: usize = 4 << 10;

//! A link inside fake TLS, from the side of a client.

use std::io;

use bytes::{Bytes, BytesMut};
use chappe_crypto::{Rng, x25519_public};
use chappe_proto::transport::Secret;
use chappe_proto::transport::fake_tls::{
    CHANGE_CIPHER_SPEC, FlightError, RECORD_HEADER, Records, greeting, read_flight, record_header,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::driver::End;
use crate::wire::Wire;

/// A connection whose bytes travel in records that look like those of TLS.
#[derive(Debug)]
pub struct FakeTls<S> {
    stream: S,
    records: Records,
    /// What the proxy sent behind its answer.
    early: Bytes,
    /// What is said once before all data (FTL-13).
    has_changed_cipher: bool,
}

/// Why there is no fake TLS with a proxy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FakeTlsError {
    /// The connection broke, or the proxy closed it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What answers does not hold the secret (FTL-11, FTL-12).
    #[error(transparent)]
    Flight(#[from] FlightError),
}

/// Longest content of a record, as browsers make them while they say little (FTL-17).
const RECORD_MAX: usize = 2878;
/// Read at once of the answer, which has a few thousand bytes.
const ANSWER_READ: usize = 4 << 10;

impl<S: AsyncRead + AsyncWrite + Unpin> FakeTls<S> {
    /// Greets the proxy at the other end of `stream` as a browser would the site `domain`, and
    /// verifies that what answers holds the secret. Nothing else is sent before (FTL-02). It may
    /// take for ever: the deadline is the caller's.
    ///
    /// `unix` is in seconds since 1970 by the clock of the server, as far as that is known.
    ///
    /// # Errors
    ///
    /// The connection is to be closed, and the proxy not tried in another way (PRX-09).
    pub async fn begin(
        mut stream: S,
        domain: &str,
        secret: &Secret,
        unix: u32,
        rng: &mut Rng,
    ) -> Result<Self, FakeTlsError> {
        let keys = [x25519_public(rng), x25519_public(rng)];
        let (hello, random) = greeting(domain, secret, unix, &keys, rng);
        stream.write_all(&hello).await?;
        stream.flush().await?;
        let mut answer = BytesMut::new();
        let len = loop {
            answer.reserve(ANSWER_READ);
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            if let Some(len) = read_flight(&answer, secret, &random)? {
                break len;
            }
        };
        let early = answer.split_off(len).freeze();
        Ok(Self { stream, records: Records::of_proxy(), early, has_changed_cipher: false })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for FakeTls<S> {
    type Stream = S;

    fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    fn receive(&mut self, bytes: &mut [u8], inbound: &mut BytesMut) -> Result<(), End> {
        let early = std::mem::take(&mut self.early);
        if !early.is_empty() {
            let mut early = Vec::from(early);
            let len = self.records.unwrap(&mut early).map_err(End::FakeTls)?;
            inbound.extend_from_slice(&early[..len]);
        }
        let len = self.records.unwrap(bytes).map_err(End::FakeTls)?;
        inbound.extend_from_slice(&bytes[..len]);
        Ok(())
    }

    /// The header of the stream inside comes with the first frame, so that the first record is
    /// never shorter than it (FTL-14).
    fn wrap(&mut self, outbound: &mut BytesMut, start: usize) {
        let len = outbound.len() - start;
        let prefix: &[u8] = if self.has_changed_cipher { &[] } else { &CHANGE_CIPHER_SPEC };
        self.has_changed_cipher = true;
        let records = len.div_ceil(RECORD_MAX);
        outbound.resize(outbound.len() + prefix.len() + records * RECORD_HEADER, 0);
        let bytes = &mut outbound[start..];
        // The last first, for each moves to where the next one was.
        for record in (0..records).rev() {
            let (from, to) = (record * RECORD_MAX, prefix.len() + record * RECORD_STRIDE);
            let content = RECORD_MAX.min(len - from);
            bytes.copy_within(from..from + content, to + RECORD_HEADER);
            bytes[to..to + RECORD_HEADER].copy_from_slice(&record_header(content));
        }
        bytes[..prefix.len()].copy_from_slice(prefix);
    }
}

const RECORD_STRIDE: usize = RECORD_HEADER + RECORD_MAX;

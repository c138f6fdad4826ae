//! The ClientHello, as a proxy reads it.

use chappe_crypto::{equal, hmac_sha256};

use super::{KEY_SHARE, RANDOM, RECORD_HEADER, SERVER_NAME, X25519, X25519_MLKEM768};
use crate::transport::Secret;

/// A hello that a client of ours could have sent; whether it did, [`time_by`](Self::time_by) says.
///
/// Source: FTL-03 to FTL-09; RFC 8446, ClientHello.
#[derive(Clone, Debug)]
pub struct ClientHello {
    /// As one record, the random bytes zero: what the digest is taken of.
    blank: Vec<u8>,
    random: [u8; 32],
    session_id: Vec<u8>,
    domain: Option<String>,
    /// Of TLS 1.3, best first; there is one at least.
    suites: Vec<u16>,
    has_mlkem: bool,
}

/// What the first bytes of a connection are.
#[derive(Debug)]
pub enum Heard {
    /// The beginning of a hello, so far.
    More,
    /// A hello, in this many bytes.
    Hello(Box<ClientHello>, usize),
}

/// No hello of a client of ours, and none that could become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotHello {
    /// Not a handshake record of TLS.
    #[error("no TLS handshake")]
    Record,
    /// Cut into more pieces than tools cut one into.
    #[error("a hello in more than {RECORDS_MAX} records")]
    Pieces,
    /// Shorter or longer than any client's.
    #[error("a hello of {0} bytes, expected {HELLO_MIN} to {HELLO_MAX}")]
    Length(usize),
    /// Its lengths contradict each other, or it is of another version.
    #[error("a malformed hello")]
    Malformed,
    /// It offers none of the suites of TLS 1.3.
    #[error("no suite of TLS 1.3 offered")]
    Suite,
    /// It brings no key that the answer could seem to take up.
    #[error("no key share offered")]
    KeyShare,
}

/// Bytes of a hello, its handshake header included (FTL-03).
const HELLO_MIN: usize = 100;
const HELLO_MAX: usize = 4096;
/// Records that a hello may be cut into (FTL-03).
const RECORDS_MAX: usize = 10;
/// Bytes of a digest that are compared; the other four hide the time.
const COMPARED: usize = 28;

impl ClientHello {
    /// Reads the hello at the start of `bytes`.
    ///
    /// # Errors
    ///
    /// It is none, whatever may follow.
    pub fn read(bytes: &[u8]) -> Result<Heard, NotHello> {
        let mut message = Vec::new();
        let mut rest = bytes;
        for _ in 0..RECORDS_MAX {
            let Some(record) = first_record(rest)? else { return Ok(Heard::More) };
            message.extend_from_slice(record);
            rest = &rest[RECORD_HEADER + record.len()..];
            let Some(len) = declared_len(&message)? else { continue };
            if message.len() == len {
                let hello = Self::parse(&message)?;
                return Ok(Heard::Hello(Box::new(hello), bytes.len() - rest.len()));
            }
            if message.len() > len {
                return Err(NotHello::Malformed);
            }
        }
        Err(NotHello::Pieces)
    }

    fn parse(message: &[u8]) -> Result<Self, NotHello> {
        let mut reader = Reader(&message[4..]);
        let version = reader.u16()?;
        let random = *reader.array::<32>()?;
        let session_id = reader.block8()?.to_vec();
        let suites = reader.block16()?;
        reader.block8()?;
        let mut extensions = Reader(reader.block16()?);
        if version != 0x0303 || session_id.len() > 32 || !reader.0.is_empty() {
            return Err(NotHello::Malformed);
        }
        let (suites, odd) = suites.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(NotHello::Malformed);
        }
        let suites = suites.iter().map(|suite| u16::from_be_bytes(*suite));
        let suites: Vec<u16> = suites.filter(|suite| (0x1301..=0x1303).contains(suite)).collect();
        let (mut domain, mut groups) = (None, Vec::new());
        while !extensions.0.is_empty() {
            let kind = extensions.u16()?;
            let body = extensions.block16()?;
            match kind {
                SERVER_NAME => domain = host_name(body),
                KEY_SHARE => groups = shares(body)?,
                _ => {}
            }
        }
        let has_mlkem = groups.contains(&X25519_MLKEM768);
        if !has_mlkem && !groups.contains(&X25519) {
            return Err(NotHello::KeyShare);
        }
        if suites.is_empty() {
            return Err(NotHello::Suite);
        }
        Ok(Self { blank: blank_record(message), random, session_id, domain, suites, has_mlkem })
    }

    /// The time that the client wrote into its digest, in seconds since 1970, if it holds `secret`.
    pub fn time_by(&self, secret: &Secret) -> Option<u32> {
        let digest = hmac_sha256(secret.as_bytes(), &[&self.blank]);
        let (ours, hidden) = digest.split_at(COMPARED);
        if !equal(ours, &self.random[..COMPARED]) {
            return None;
        }
        let mut time = [0; 4];
        for (at, byte) in time.iter_mut().enumerate() {
            *byte = hidden[at] ^ self.random[COMPARED + at];
        }
        Some(u32::from_le_bytes(time))
    }

    /// The random bytes: in a client of ours, its digest.
    pub fn random(&self) -> &[u8; 32] {
        &self.random
    }

    /// The host name that it asks for, in small letters; `None` where there is no valid one.
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// At most 32 bytes, to be echoed.
    pub(super) fn session_id(&self) -> &[u8] {
        &self.session_id
    }

    /// The suite for the answer: the preferred one if it is offered, else the first of TLS 1.3.
    pub(super) fn suite(&self, preferred: Option<u16>) -> u16 {
        preferred.filter(|suite| self.suites.contains(suite)).unwrap_or(self.suites[0])
    }

    /// Whether it brings a key for [`Group::X25519MlKem768`](super::Group).
    pub fn has_mlkem(&self) -> bool {
        self.has_mlkem
    }
}

/// The host name that any hello asks for, of our clients or of others, in small letters; `None`
/// where it names none or is not whole. Who is shown a web site is shown the one that he asked for.
pub fn asked_domain(bytes: &[u8]) -> Option<String> {
    let mut message = Vec::new();
    let mut rest = Reader(bytes);
    while let Ok([0x16, 3, _]) = rest.array::<3>()
        && let Ok(record) = rest.block16()
    {
        message.extend_from_slice(record);
    }
    let mut reader = Reader(message.get(4..)?);
    reader.take(2 + 32).ok()?;
    reader.block8().ok()?;
    reader.block16().ok()?;
    reader.block8().ok()?;
    let mut extensions = Reader(reader.block16().ok()?);
    loop {
        let kind = extensions.u16().ok()?;
        let body = extensions.block16().ok()?;
        if kind == SERVER_NAME {
            return host_name(body);
        }
    }
}

/// The body of the first record; `None` while it is not whole.
fn first_record(bytes: &[u8]) -> Result<Option<&[u8]>, NotHello> {
    let known = bytes.len().min(2);
    // Each byte is looked at as soon as it is there: strangers are not waited for.
    if bytes[..known] != [0x16, 0x03][..known]
        || bytes.get(2).is_some_and(|minor| *minor != 1 && *minor != 3)
    {
        return Err(NotHello::Record);
    }
    let Some((header, rest)) = bytes.split_first_chunk::<RECORD_HEADER>() else { return Ok(None) };
    let len = usize::from(u16::from_be_bytes([header[3], header[4]]));
    if len == 0 || len > HELLO_MAX {
        return Err(NotHello::Length(len));
    }
    Ok(rest.get(..len))
}

/// How long the handshake message is, its header of four bytes included.
fn declared_len(message: &[u8]) -> Result<Option<usize>, NotHello> {
    if message.first().is_some_and(|kind| *kind != 1) {
        return Err(NotHello::Malformed);
    }
    let Some([_, high, middle, low]) = message.first_chunk::<4>() else { return Ok(None) };
    let len = 4 + (usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low));
    if !(HELLO_MIN..=HELLO_MAX).contains(&len) {
        return Err(NotHello::Length(len));
    }
    Ok(Some(len))
}

/// The message in one record, whatever it came in, its random bytes zero.
fn blank_record(message: &[u8]) -> Vec<u8> {
    let [high, low] = (message.len() as u16).to_be_bytes();
    let mut record = vec![0x16, 0x03, 0x01, high, low];
    record.extend_from_slice(message);
    record[RANDOM].fill(0);
    record
}

/// The first host name of the extension; `None` where it is none that DNS could know.
fn host_name(body: &[u8]) -> Option<String> {
    let mut names = Reader(Reader(body).block16().ok()?);
    let kind = names.u8().ok()?;
    let name = std::str::from_utf8(names.block16().ok()?).ok()?;
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let is_valid = kind == 0 && name.len() <= 253 && name.split('.').all(is_label);
    is_valid.then(|| name.to_ascii_lowercase())
}

/// The groups that there are keys for.
fn shares(body: &[u8]) -> Result<Vec<u16>, NotHello> {
    let mut shares = Reader(Reader(body).block16()?);
    let mut groups = Vec::new();
    while !shares.0.is_empty() {
        groups.push(shares.u16()?);
        shares.block16()?;
    }
    Ok(groups)
}

/// Takes fields from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], NotHello> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(NotHello::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, NotHello> {
        self.array::<1>().map(|[byte]| *byte)
    }

    fn u16(&mut self) -> Result<u16, NotHello> {
        self.array().map(|bytes| u16::from_be_bytes(*bytes))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], NotHello> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(NotHello::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Bytes behind a length of one byte.
    fn block8(&mut self) -> Result<&'a [u8], NotHello> {
        let len = self.u8()?;
        self.take(len.into())
    }

    /// Bytes behind a length of two bytes.
    fn block16(&mut self) -> Result<&'a [u8], NotHello> {
        let len = self.u16()?;
        self.take(len.into())
    }
}

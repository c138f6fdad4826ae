//! A stream behind an obfuscation header: what is said on it and what is heard, at either end. Written
//! for the bench alone, for what proxies share would not show their mistakes.

use std::io::{self, ErrorKind};

use chappe_crypto::{Ctr, Rng, sha256};
use chappe_proto::transport::fake_tls::{Records, record_header};
use rustix::net::sockopt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::wish::LENGTH;

/// The half that is said.
#[derive(Debug)]
pub(super) struct Speaker {
    write: OwnedWriteHalf,
    cipher: Ctr,
    in_records: bool,
    /// What is sent next; it has room for the next time.
    sent: Vec<u8>,
}

/// The half that is heard.
#[derive(Debug)]
pub(super) struct Hearer {
    read: OwnedReadHalf,
    cipher: Ctr,
    records: Option<Records>,
    /// Where padding may come.
    packets: Option<Packets>,
}

/// What is left of packets whose padding goes: a proxy that takes them apart puts some behind each.
#[derive(Debug, Default)]
struct Packets {
    /// Bytes of the length that have come, and what they say.
    head: usize,
    len: usize,
    /// Bytes of the packet and of the padding that are to come.
    left: usize,
    padding: usize,
}

/// A header as it is sent, and the streams that it begins.
pub(super) struct Header {
    pub(super) bytes: [u8; HEADER],
    pub(super) outbound: Ctr,
    pub(super) inbound: Ctr,
}

/// Length of a header.
pub(super) const HEADER: usize = 64;
/// Where the framing's tag stands in it, and the data centre behind that.
const TAG: usize = 56;
const DC: usize = 60;
/// The data centre that is asked for.
const ASKED: i16 = 2;
/// Content of a client's records, as the library of most clients has it (FTL-17).
const RECORD: usize = 2878;

/// Both halves of a connection that a proxy made.
pub(super) fn halves(stream: TcpStream, outbound: Ctr, inbound: Ctr) -> (Speaker, Hearer) {
    let (read, write) = stream.into_split();
    let speaker = Speaker { write, cipher: outbound, in_records: false, sent: Vec::new() };
    (speaker, Hearer { read, cipher: inbound, records: None, packets: None })
}

/// Both halves of a client's connection; in records where the other end sends them.
pub(super) fn halves_of_client(
    stream: TcpStream,
    outbound: Ctr,
    inbound: Ctr,
    records: Option<Records>,
) -> (Speaker, Hearer) {
    let (mut speaker, mut hearer) = halves(stream, outbound, inbound);
    speaker.in_records = records.is_some();
    hearer.records = records;
    hearer.packets = Some(Packets::default());
    (speaker, hearer)
}

/// The length of a packet without its padding.
pub(super) fn whole(len: usize) -> usize {
    len.saturating_sub((len + 4) % 16)
}

impl Speaker {
    /// Has the system keep little of what is said and heard, from now on.
    pub(super) fn narrow(&self, bytes: u32) -> io::Result<()> {
        let stream: &TcpStream = self.write.as_ref();
        sockopt::set_socket_recv_buffer_size(stream, bytes as usize)?;
        sockopt::set_socket_send_buffer_size(stream, bytes as usize)?;
        Ok(())
    }

    /// Sends all of it.
    pub(super) async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sent.clear();
        if self.in_records {
            for content in bytes.chunks(RECORD) {
                self.sent.extend_from_slice(&record_header(content.len()));
                let begin = self.sent.len();
                self.sent.extend_from_slice(content);
                self.cipher.apply(&mut self.sent[begin..]);
            }
        } else {
            self.sent.extend_from_slice(bytes);
            self.cipher.apply(&mut self.sent);
        }
        self.write.write_all(&self.sent).await
    }
}

impl Hearer {
    /// The next bytes, as many as come at once; 0 at the end.
    pub(super) async fn hear(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.read.read(into).await?;
            let len = match &mut self.records {
                Some(records) => records
                    .unwrap(&mut into[..read])
                    .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?,
                None => read,
            };
            self.cipher.apply(&mut into[..len]);
            let len = match &mut self.packets {
                Some(packets) => packets.strip(&mut into[..len]),
                None => len,
            };
            // Of a record the header alone may have come, of a packet the padding.
            if len > 0 || read == 0 {
                return Ok(len);
            }
        }
    }

    /// As many bytes as fit.
    pub(super) async fn hear_all(&mut self, into: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < into.len() {
            match self.hear(&mut into[filled..]).await? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                len => filled += len,
            }
        }
        Ok(())
    }
}

impl Packets {
    /// Brings what is no padding to the front; how much that is.
    fn strip(&mut self, bytes: &mut [u8]) -> usize {
        let (mut at, mut kept) = (0, 0);
        while at < bytes.len() {
            if self.head < LENGTH {
                let byte = bytes[at];
                self.len |= usize::from(byte) << (8 * self.head);
                // Padding is short and packets are of such lengths that nothing is carried over.
                bytes[kept] = if self.head == 0 { whole(byte.into()) as u8 } else { byte };
                self.head += 1;
                at += 1;
                kept += 1;
                if self.head == LENGTH {
                    self.left = whole(self.len);
                    self.padding = self.len - self.left;
                }
            } else {
                let some = self.left.min(bytes.len() - at);
                bytes.copy_within(at..at + some, kept);
                self.left -= some;
                at += some;
                kept += some;
                let none = self.padding.min(bytes.len() - at);
                self.padding -= none;
                at += none;
            }
            if self.head == LENGTH && self.left == 0 && self.padding == 0 {
                *self = Self::default();
            }
        }
        kept
    }
}

impl Header {
    /// Draws one, by a secret or, for who speaks to a data centre, by none.
    pub(super) fn draw(tag: [u8; 4], secret: Option<&[u8; 16]>, rng: &mut Rng) -> Self {
        let mut bytes: [u8; HEADER] = rng.bytes();
        // None that begins as another protocol would.
        bytes[0] = 0x51;
        bytes[4] |= 1;
        bytes[TAG..DC].copy_from_slice(&tag);
        bytes[DC..DC + 2].copy_from_slice(&ASKED.to_le_bytes());
        let (mut outbound, inbound) = streams(&bytes, secret);
        let mut hidden = bytes;
        outbound.apply(&mut hidden);
        bytes[TAG..].copy_from_slice(&hidden[TAG..]);
        Self { bytes, outbound, inbound }
    }

    /// Opens the one that a proxy sent, if it is one.
    pub(super) fn open(bytes: [u8; HEADER]) -> Option<Self> {
        let (mut inbound, outbound) = streams(&bytes, None);
        let mut plain = bytes;
        inbound.apply(&mut plain);
        let tags = [[0xef; 4], [0xee; 4], [0xdd; 4]];
        tags.iter().any(|tag| plain[TAG..DC] == *tag).then_some(Self { bytes, outbound, inbound })
    }
}

/// The stream of who drew the header, and the one to him.
fn streams(header: &[u8; HEADER], secret: Option<&[u8; 16]>) -> (Ctr, Ctr) {
    let stream = |header: &[u8; HEADER]| {
        let (mut key, mut iv) = ([0; 32], [0; 16]);
        key.copy_from_slice(&header[8..40]);
        iv.copy_from_slice(&header[40..TAG]);
        if let Some(secret) = secret {
            key = sha256(&[&key, secret]);
        }
        Ctr::new(&key, &iv)
    };
    let mut reversed = *header;
    reversed.reverse();
    (stream(header), stream(&reversed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::bench::proxy::wish::{BULK_PACKET, Bulk, receipt};

    #[test]
    fn a_header_is_opened_by_whom_it_is_for() {
        let mut rng = Rng::from_seed([1; 32]);
        let mut header = Header::draw([0xdd; 4], None, &mut rng);
        let mut opened = Header::open(header.bytes).unwrap();
        for (from, to) in [
            (&mut header.outbound, &mut opened.inbound),
            (&mut opened.outbound, &mut header.inbound),
        ] {
            let mut bytes = *b"some bytes";
            from.apply(&mut bytes);
            assert_ne!(&bytes, b"some bytes");
            to.apply(&mut bytes);
            assert_eq!(&bytes, b"some bytes");
        }
        assert!(Header::open(Header::draw([0xdd; 4], Some(&[7; 16]), &mut rng).bytes).is_none());
    }

    #[test]
    fn padding_goes_wherever_the_pieces_end() {
        let mut bulk = Bulk::new();
        let packets = [receipt().to_vec(), bulk.next(BULK_PACKET).to_vec(), receipt().to_vec()];
        let mut padded = Vec::new();
        for (packet, padding) in packets.iter().zip([15, 3, 0]) {
            let len = (packet.len() - LENGTH + padding) as u32;
            padded.extend_from_slice(&len.to_le_bytes());
            padded.extend_from_slice(&packet[LENGTH..]);
            padded.extend(vec![0xa5; padding]);
        }
        for piece in [1, 2, 3, 61, 5000, padded.len()] {
            let (mut heard, mut stripper) = (Vec::new(), Packets::default());
            for bytes in padded.chunks(piece) {
                let mut bytes = bytes.to_vec();
                let len = stripper.strip(&mut bytes);
                heard.extend_from_slice(&bytes[..len]);
            }
            assert!(heard == packets.concat(), "pieces of {piece}");
        }
    }
}

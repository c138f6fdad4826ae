//! What is done to bytes on their way: from one stream cipher to another, out of records and into
//! them.

use std::io::{self, ErrorKind, IoSliceMut};
use std::time::Duration;

use bytes::BytesMut;
use chappe_net::Stream;
use chappe_proto::transport::fake_tls::{RECORD_HEADER, RECORD_MAX, Records, record_header};
use chappe_proto::transport::{Downward, Upward};
use tokio::time::Instant;

use crate::config::RecordShape;

/// What is done to one direction.
pub(crate) enum Coding {
    /// Nothing.
    Copied,
    /// From a client, perhaps in records.
    Up(Box<Upward>, Option<Records>),
    /// To a client, perhaps in records.
    Down(Downward, Option<Shaper>),
}

/// One read.
pub(crate) struct Coded {
    /// Bytes that came; 0 at the end.
    pub(crate) read: usize,
    /// Bytes to send, at the front of the buffer.
    pub(crate) len: usize,
}

impl Coding {
    /// Reads once, and leaves at the front of `scratch` what is to be sent.
    ///
    /// # Errors
    ///
    /// Those of the connection; `InvalidData` where records were to come and others did.
    pub(crate) fn read(&mut self, from: &Stream, scratch: &mut [u8]) -> io::Result<Coded> {
        match self {
            Self::Copied | Self::Down(Downward::Copied, None) => {
                let read = from.try_read(scratch)?;
                Ok(Coded { read, len: read })
            }
            Self::Up(leg, records) => {
                let read = from.try_read(scratch)?;
                let came = &mut scratch[..read];
                let len = match records {
                    Some(records) => {
                        records.unwrap(came).map_err(|_| io::Error::from(ErrorKind::InvalidData))?
                    }
                    None => read,
                };
                leg.apply(&mut came[..len]);
                Ok(Coded { read, len })
            }
            Self::Down(leg, None) => {
                let read = from.try_read(scratch)?;
                leg.apply(&mut scratch[..read]);
                Ok(Coded { read, len: read })
            }
            Self::Down(leg, Some(shaper)) => shaper.read(leg, from, scratch),
        }
    }
}

/// Cuts a stream into records.
pub(crate) struct Shaper {
    shape: RecordShape,
    /// Bytes since the stream last paused, and when bytes last came.
    run: usize,
    last: Instant,
}

/// Content of a record that fills one packet of the usual size, its header and those of TCP and IP
/// in all forms counted.
const PACKET: usize = 1395;
/// Bytes after which records grow, and the pause after which they are small again: what web servers
/// do for the sake of their first lines.
const GROWS_AFTER: usize = 64 << 10;
const SHRINKS_AFTER: Duration = Duration::from_secs(1);
/// Records filled by one read.
const RECORDS_MAX: usize = 32;

impl Shaper {
    pub(crate) fn new(shape: RecordShape) -> Self {
        Self { shape, run: 0, last: Instant::now() }
    }

    /// How long the next records are.
    fn len(&mut self) -> usize {
        match self.shape {
            RecordShape::Fixed(len) => usize::from(len).clamp(1, RECORD_MAX),
            RecordShape::Growing => {
                let now = Instant::now();
                if now.duration_since(std::mem::replace(&mut self.last, now)) >= SHRINKS_AFTER {
                    self.run = 0;
                }
                if self.run < GROWS_AFTER { PACKET } else { RECORD_MAX }
            }
        }
    }

    /// Appends to `out` what is to go to the client, in records.
    pub(crate) fn wrap(&mut self, bytes: &[u8], out: &mut BytesMut) {
        let len = self.len();
        self.run += bytes.len();
        for content in bytes.chunks(len) {
            out.extend_from_slice(&record_header(content.len()));
            out.extend_from_slice(content);
        }
    }

    /// Reads to where the contents of records belong, so that only their headers are to be put
    /// between.
    fn read(&mut self, leg: &mut Downward, from: &Stream, scratch: &mut [u8]) -> io::Result<Coded> {
        let size = RECORD_HEADER + self.len();
        let mut contents: [IoSliceMut<'_>; RECORDS_MAX] =
            std::array::from_fn(|_| IoSliceMut::new(&mut []));
        let rooms = scratch.chunks_mut(size).filter_map(|room| room.get_mut(RECORD_HEADER..));
        for (content, room) in contents.iter_mut().zip(rooms) {
            *content = IoSliceMut::new(room);
        }
        let read = from.try_read_vectored(&mut contents)?;
        self.run += read;
        let (mut left, mut len) = (read, 0);
        for room in scratch.chunks_mut(size) {
            if left == 0 {
                break;
            }
            let (header, content) = room.split_at_mut(RECORD_HEADER);
            let filled = left.min(content.len());
            header.copy_from_slice(&record_header(filled));
            leg.apply(&mut content[..filled]);
            len += RECORD_HEADER + filled;
            left -= filled;
        }
        Ok(Coded { read, len })
    }
}

//! The data phase: the obfuscated stream in records of application data.

/// What a client says once before its first record of data (FTL-13).
pub const CHANGE_CIPHER_SPEC: [u8; 6] = [0x14, 0x03, 0x03, 0x00, 0x01, 0x01];
/// Bytes before the content of a record.
pub const RECORD_HEADER: usize = 5;
/// Longest content of a record that is sent (FTL-17).
pub const RECORD_MAX: usize = 1 << 14;
/// Longest content of a record that is received (FTL-18).
const RECEIVED_MAX: usize = RECORD_MAX + 256;

/// The other end does not keep to the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Not application data.
    #[error("a record that is no application data")]
    Type,
    /// Longer than a record can be.
    #[error("a record of {0} bytes, over {RECEIVED_MAX}")]
    Length(usize),
}

/// Takes the content out of the records that come.
#[derive(Debug, Default)]
pub struct Records {
    header: [u8; RECORD_HEADER + 1],
    header_len: usize,
    /// What is still to come of the record.
    content: usize,
    /// A change of cipher may come, once, before all data.
    may_change: bool,
}

impl Records {
    /// For the side that a client's records come to: one change of cipher may come first (FTL-15).
    pub fn of_client() -> Self {
        Self { may_change: true, ..Self::default() }
    }

    /// For the side that a proxy's records come to.
    pub fn of_proxy() -> Self {
        Self::default()
    }

    /// Moves the content of the records in `bytes`, which came next, to their front; how much it
    /// is. Records may begin and end anywhere.
    ///
    /// # Errors
    ///
    /// Something that is no record of data; the connection is to be closed (FTL-16).
    pub fn unwrap(&mut self, bytes: &mut [u8]) -> Result<usize, RecordError> {
        let (mut taken, mut kept) = (0, 0);
        while taken < bytes.len() {
            if self.content == 0 {
                self.header[self.header_len] = bytes[taken];
                self.header_len += 1;
                taken += 1;
                self.advance_header()?;
                continue;
            }
            let len = self.content.min(bytes.len() - taken);
            bytes.copy_within(taken..taken + len, kept);
            self.content -= len;
            taken += len;
            kept += len;
        }
        Ok(kept)
    }

    fn advance_header(&mut self) -> Result<(), RecordError> {
        let header = &self.header[..self.header_len];
        if self.may_change && CHANGE_CIPHER_SPEC.starts_with(header) {
            if header.len() == CHANGE_CIPHER_SPEC.len() {
                (self.may_change, self.header_len) = (false, 0);
            }
            return Ok(());
        }
        let known = header.len().min(3);
        if header[..known] != [0x17, 0x03, 0x03][..known] {
            return Err(RecordError::Type);
        }
        if let [_, _, _, high, low] = *header {
            self.content = usize::from(u16::from_be_bytes([high, low]));
            (self.may_change, self.header_len) = (false, 0);
            if self.content > RECEIVED_MAX {
                return Err(RecordError::Length(self.content));
            }
        }
        Ok(())
    }
}

/// The header of a record with `len` bytes of data, at most [`RECORD_MAX`].
pub fn record_header(len: usize) -> [u8; RECORD_HEADER] {
    let [high, low] = (len.min(RECORD_MAX) as u16).to_be_bytes();
    [0x17, 0x03, 0x03, high, low]
}

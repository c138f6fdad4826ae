//! Who may name a file, and for how long (20-telegram-api-service §5.3).

use bytes::Bytes;
use chappe_crypto::{equal, sha256};

use crate::Service;
use crate::error::{Failure, bad};

/// Version, expiry in Unix seconds, hash.
const LENGTH: usize = 13;
const VERSION: u8 = 1;

impl Service {
    /// What a viewer has to know of a file to name it, another for each viewer.
    pub(crate) fn file_hash(&self, viewer: i64, file: i64) -> i64 {
        i64::from_le_bytes(self.keyed(b"file", viewer, file, 0))
    }

    /// What a viewer is given with a file to prove, for a time, that it was shown to it.
    pub(crate) fn file_reference(&self, now: i64, viewer: i64, file: i64) -> Bytes {
        let expires = match self.config.file_reference_life {
            // All that are given within a part of their life are the same: clients cache by them.
            Some(life) => {
                let step = i64::from(life / 24).max(1);
                u32::try_from((now / step + 1) * step + i64::from(life)).unwrap_or(u32::MAX)
            }
            None => u32::MAX,
        };
        let mut reference = Vec::with_capacity(LENGTH);
        reference.push(VERSION);
        reference.extend_from_slice(&expires.to_be_bytes());
        reference.extend_from_slice(&self.keyed(b"reference", viewer, file, expires));
        reference.into()
    }

    /// Whether a viewer was ever shown a file.
    pub(crate) fn knows_file(&self, viewer: i64, file: i64, access_hash: i64) -> bool {
        equal(&self.file_hash(viewer, file).to_le_bytes(), &access_hash.to_le_bytes())
    }

    /// Clients fetch the message anew when a reference is too old, or another's.
    pub(crate) fn check_reference(
        &self,
        now: i64,
        viewer: i64,
        file: i64,
        reference: &[u8],
    ) -> Result<(), Failure> {
        let (expires, hash) = match reference {
            [] => return Err(bad("FILE_REFERENCE_EMPTY")),
            [VERSION, a, b, c, d, hash @ ..] if reference.len() == LENGTH => {
                (u32::from_be_bytes([*a, *b, *c, *d]), hash)
            }
            _ => return Err(bad("FILE_REFERENCE_INVALID")),
        };
        let is_genuine = equal(hash, &self.keyed(b"reference", viewer, file, expires));
        if is_genuine && (expires == u32::MAX || i64::from(expires) > now) {
            return Ok(());
        }
        Err(bad("FILE_REFERENCE_EXPIRED"))
    }

    fn keyed(&self, what: &[u8], viewer: i64, file: i64, expires: u32) -> [u8; 8] {
        let (viewer, file) = (viewer.to_le_bytes(), file.to_le_bytes());
        let hash = sha256(&[&self.secret[..], what, &viewer, &file, &expires.to_le_bytes()]);
        hash.first_chunk().copied().unwrap_or_default()
    }
}

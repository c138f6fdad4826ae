//! What is computed of a content while it goes by.

use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::Kind;
use crate::store::NewBlob;

/// Bytes of which clients may ask the hash.
pub(crate) const HASHED: usize = 128 << 10;
/// Bytes that tell what a file is.
const HEAD: usize = 16;

pub(super) struct Digest {
    whole: Sha256,
    piece: Sha256,
    in_piece: usize,
    hashes: Vec<u8>,
    size: i64,
    head: Vec<u8>,
    md5: Option<Md5>,
}

impl Digest {
    /// With `md5` where somebody will ask for that.
    pub(super) fn new(md5: bool) -> Self {
        Self {
            whole: Sha256::new(),
            piece: Sha256::new(),
            in_piece: 0,
            hashes: Vec::new(),
            size: 0,
            head: Vec::new(),
            md5: md5.then(Md5::new),
        }
    }

    pub(super) fn update(&mut self, mut content: &[u8]) {
        let missing = HEAD.saturating_sub(self.head.len()).min(content.len());
        self.head.extend_from_slice(&content[..missing]);
        self.size += content.len() as i64;
        self.whole.update(content);
        if let Some(md5) = &mut self.md5 {
            md5.update(content);
        }
        while !content.is_empty() {
            let (now, later) = content.split_at(content.len().min(HASHED - self.in_piece));
            self.piece.update(now);
            self.in_piece += now.len();
            if self.in_piece == HASHED {
                self.hashes.extend_from_slice(&self.piece.finalize_reset());
                self.in_piece = 0;
            }
            content = later;
        }
    }

    /// What it comes to, and the MD5 if that was wished.
    pub(super) fn finish(mut self, blob: i64) -> (NewBlob, Option<[u8; 16]>) {
        if self.in_piece > 0 {
            self.hashes.extend_from_slice(&self.piece.finalize());
        }
        let new = NewBlob {
            id: blob,
            hash: self.whole.finalize().into(),
            size: self.size,
            kind: Kind::of(&self.head).number(),
            hashes: self.hashes,
        };
        (new, self.md5.map(|md5| md5.finalize().into()))
    }

    /// Of content that is all there.
    pub(super) fn of(blob: i64, content: &[u8]) -> NewBlob {
        let mut digest = Self::new(false);
        digest.update(content);
        digest.finish(blob).0
    }
}

/// Whether a hash that a client has computed of a whole content is wrong.
pub(super) fn is_other(said: &[u8], md5: &[u8; 16]) -> bool {
    // GramJS and Web A say nothing (FLS-07).
    if said.len() != 32 || !said.iter().all(u8::is_ascii_hexdigit) {
        return false;
    }
    let hex: String = md5.iter().map(|byte| format!("{byte:02x}")).collect();
    !said.eq_ignore_ascii_case(hex.as_bytes())
}

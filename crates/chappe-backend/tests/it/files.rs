//! Keys to store, and a look into the files an engine leaves.

use std::path::Path;

use chappe_backend::{Database, SqlStore, SqliteDatabase, StoredKey};
use chappe_crypto::{AuthKey, AuthKeyId};

/// Unix seconds at which the tests play.
pub(crate) const NOW: u64 = 1_760_000_000;

pub(crate) fn permanent(id: u64) -> StoredKey {
    StoredKey {
        key: AuthKey::from_stored(
            AuthKeyId(id),
            [9; 8],
            auth_key(id).first_chunk().expect("256 > 192"),
        ),
        created: NOW,
        first_salt: 1,
        expires: None,
        dc: 2,
    }
}

pub(crate) fn temporary(id: u64, expires: u64) -> StoredKey {
    StoredKey { expires: Some(expires), ..permanent(id) }
}

/// 256 bytes without two equal runs of eight, within one key or between two.
pub(crate) fn auth_key(id: u64) -> [u8; 256] {
    let mut bytes = [0; 256];
    for (position, chunk) in (1u64..).zip(bytes.chunks_mut(8)) {
        let word = (id * 64 + position).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// The file of a store that has one.
pub(crate) fn file(store: &SqlStore) -> &SqliteDatabase {
    let Database::Sqlite(file) = store.database() else { panic!("no file") };
    file
}

/// Whether any file in the folder holds any eight-byte run of `secret` cut at multiples of eight.
pub(crate) fn on_disk(folder: &Path, secret: &[u8]) -> bool {
    let mut found = false;
    for entry in std::fs::read_dir(folder).expect("the folder is listed") {
        let content = std::fs::read(entry.expect("the entry is read").path()).expect("a file");
        found |= content.windows(8).any(|window| secret.chunks(8).any(|chunk| chunk == window));
    }
    found
}

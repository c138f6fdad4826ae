//! `upload.getFileHashes` (FLS-16).

use bytes::Bytes;
use chappe_api::functions::upload::GetFileHashes;
use chappe_api::types;
use chappe_server::{Caller, State};

use super::digest::HASHED;
use super::location::Found;
use crate::Service;
use crate::error::{Failure, bad};

/// Hashes of one answer: of one block that clients download.
const HASHES: i64 = 8;

/// Hashes from the piece on in which the offset lies, none behind the end.
pub(crate) async fn get_file_hashes(
    State(service): State<Service>,
    caller: Caller,
    call: GetFileHashes,
) -> Result<Vec<types::FileHash>, Failure> {
    let me = service.me(&caller).await?;
    if call.offset < 0 {
        return Err(bad("OFFSET_INVALID"));
    }
    let now = caller.now.unix_seconds();
    let Found { blob, .. } = service.located(now, me, &call.location).await?;
    if call.offset >= blob.size {
        return Ok(Vec::new());
    }
    let first = call.offset / HASHED as i64;
    let hashes = Bytes::from(service.store.hashes(blob.id, first, HASHES).await?);
    let hash = |(at, hash): (usize, &[u8])| {
        let offset = (first + at as i64) * HASHED as i64;
        let limit = (blob.size - offset).clamp(0, HASHED as i64) as i32;
        types::FileHash { offset, limit, hash: hashes.slice_ref(hash) }
    };
    Ok(hashes.chunks_exact(32).enumerate().map(hash).collect())
}

//! `upload.getFile` (20-telegram-api-service §5.2).

use bytes::Bytes;
use chappe_api::functions::upload::GetFile;
use chappe_api::{ctors, types};
use chappe_server::{Caller, State};

use super::Kind;
use super::location::Found;
use crate::Service;
use crate::error::{Failure, bad};

/// Bytes of one answer, and of the blocks that none crosses.
const BLOCK: i64 = 1 << 20;

/// A part of a file, shorter than asked for only at its end. It never sends a client to another
/// server (FLS-14, FLS-17).
pub(crate) async fn get_file(
    State(service): State<Service>,
    caller: Caller,
    call: GetFile,
) -> Result<types::upload::File, Failure> {
    let me = service.me(&caller).await?;
    check(call.precise, call.offset, call.limit)?;
    let now = caller.now.unix_seconds();
    service.sweep(now);
    let Found { blob, date } = service.located(now, me, &call.location).await?;
    let end = blob.size.min(call.offset.saturating_add(call.limit.into()));
    // Clients ask once more at the end of a file whose size is a multiple of their parts (FLS-12).
    let bytes = if call.offset < end {
        let range = call.offset.cast_unsigned()..end.cast_unsigned();
        service.files.blobs.read(blob.id, range).await?
    } else {
        Bytes::new()
    };
    Ok(types::upload::File::File(ctors::upload::File {
        r#type: Kind::of_number(blob.kind).as_type(),
        mtime: i32::try_from(date).unwrap_or(i32::MAX),
        bytes,
    }))
}

/// FLS-10.
fn check(precise: bool, offset: i64, limit: i32) -> Result<(), Failure> {
    let limit = i64::from(limit);
    let unit = if precise { 1024 } else { 4096 };
    if offset < 0 || offset % unit != 0 {
        return Err(bad("OFFSET_INVALID"));
    }
    let is_legal = limit > 0 && limit % unit == 0 && limit <= BLOCK;
    if !is_legal || (!precise && BLOCK % limit != 0) || offset % BLOCK + limit > BLOCK {
        return Err(bad("LIMIT_INVALID"));
    }
    Ok(())
}

//! `upload.saveFilePart` and `upload.saveBigFilePart` (20-telegram-api-service §5.1).

use bytes::Bytes;
use chappe_api::functions::upload::{SaveBigFilePart, SaveFilePart};
use chappe_proto::rpc::RpcError;
use chappe_server::{Caller, State};

use crate::Service;
use crate::error::{Failure, bad};
use crate::store::{Judged, NewPart, Quota};

/// Parts of one file.
pub(super) const PARTS_MAX: i32 = 4000;
/// Bytes of one part.
const PART_MAX: usize = 512 << 10;
/// Files that an account has under way.
const UPLOADS_MAX: i64 = 200;
/// Seconds to wait for an account that has too much under way.
const TOO_MUCH_WAIT: u32 = 300;

/// Small files: how many parts there are is said when they are used.
pub(crate) async fn save_file_part(
    State(service): State<Service>,
    caller: Caller,
    call: SaveFilePart,
) -> Result<bool, Failure> {
    let SaveFilePart { file_id, file_part, bytes } = call;
    service.save_part(&caller, (file_id, false), (file_part, None), bytes).await
}

/// Large ones: they may be said to have -1 parts while nobody knows (FLS-04).
pub(crate) async fn save_big_file_part(
    State(service): State<Service>,
    caller: Caller,
    call: SaveBigFilePart,
) -> Result<bool, Failure> {
    let SaveBigFilePart { file_id, file_part, file_total_parts, bytes } = call;
    let total = match file_total_parts {
        -1 => None,
        1..=PARTS_MAX => Some(file_total_parts),
        _ => return Err(bad("FILE_PARTS_INVALID")),
    };
    service.save_part(&caller, (file_id, true), (file_part, total), bytes).await
}

impl Service {
    async fn save_part(
        &self,
        caller: &Caller,
        (file, is_big): (i64, bool),
        (part, total): (i32, Option<i32>),
        bytes: Bytes,
    ) -> Result<bool, Failure> {
        let owner = self.me(caller).await?;
        if !(0..PARTS_MAX).contains(&part) || total.is_some_and(|total| part >= total) {
            return Err(bad("FILE_PART_INVALID"));
        }
        if bytes.is_empty() {
            return Err(bad("FILE_PART_EMPTY"));
        }
        if bytes.len() > PART_MAX {
            return Err(bad("FILE_PART_TOO_BIG"));
        }
        let now = caller.now.unix_seconds();
        self.sweep(now);
        let new = NewPart { owner, file, is_big, part, size: bytes.len() as i64, total };
        let fresh = self.rng().u64().cast_signed();
        let expires = now + i64::from(self.config.upload_life);
        let quota = Quota { bytes: self.config.uploads_max_bytes, uploads: UPLOADS_MAX };
        match self.store.note_part(&new, (fresh, expires), quota).await? {
            // Noted first: a part that breaks off is missing, and none is nobody's.
            Judged::Fits(round) => self.files.blobs.put_part(round, part, bytes).await?,
            Judged::WrongSize => return Err(bad("FILE_PART_SIZE_INVALID")),
            Judged::OtherSize => return Err(bad("FILE_PART_SIZE_CHANGED")),
            Judged::BeyondTotal => return Err(bad("FILE_PART_INVALID")),
            Judged::OtherTotal => return Err(bad("FILE_PARTS_INVALID")),
            Judged::TooMuch => {
                let message = format!("FLOOD_WAIT_{TOO_MUCH_WAIT}");
                return Err(Failure::Rpc(RpcError::new(420, message)));
            }
        }
        Ok(true)
    }
}

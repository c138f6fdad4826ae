//! Pictures of accounts (20-telegram-api-service §5.5).

mod change;
mod list;

pub(crate) use change::{delete_photos, update_profile_photo, upload_profile_photo};
pub(crate) use list::get_user_photos;

//! What messages show besides their text: photos, documents, and plain data
//! (20-telegram-api-service §5.4).

mod attributes;
mod document;
mod input;
mod photo;
mod picture;
mod plain;
mod stripped;
mod view;

pub(crate) use input::may_be;
pub(crate) use photo::{NewPhoto, Purpose};

/// Seconds for which a file is kept that nothing shows yet.
pub(crate) const UNUSED_LIFE: i64 = 3600;

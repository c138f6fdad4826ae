//! Finding people, and knowing them.

mod acquaintances;
mod blocks;
mod list;
mod resolve;
mod search;
mod statuses;

pub(crate) use acquaintances::{Owed, Tidings};
pub(crate) use blocks::{block, block_update, get_blocked, unblock};
pub(crate) use list::{add_contact, delete_contacts, get_contacts, import_contacts};
pub(crate) use resolve::{resolve_phone, resolve_username};
pub(crate) use search::search;
pub(crate) use statuses::get_statuses;

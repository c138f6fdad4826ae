//! Finding people, and knowing them.

mod list;
mod resolve;

pub(crate) use list::{add_contact, delete_contacts, get_contacts, import_contacts};
pub(crate) use resolve::{resolve_phone, resolve_username};

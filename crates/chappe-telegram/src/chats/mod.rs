//! Basic groups: up to two hundred people who all have their own copy of what is said.

mod admins;
mod create;
mod get;
mod invites;
mod join;
mod members;
mod names;
mod photo;
mod rights;
mod room;
mod told;
mod view;

pub(crate) use admins::{edit_chat_admin, edit_chat_default_banned_rights};
pub(crate) use create::{create_chat, delete_chat};
pub(crate) use get::{get_chats, get_common_chats, get_full_chat};
pub(crate) use invites::{
    delete_exported_chat_invite, edit_exported_chat_invite, export_chat_invite,
    get_chat_invite_importers, get_exported_chat_invite, get_exported_chat_invites,
};
pub(crate) use join::{check_chat_invite, import_chat_invite};
pub(crate) use members::{add_chat_user, delete_chat_user};
pub(crate) use names::{edit_chat_about, edit_chat_title};
pub(crate) use photo::edit_chat_photo;
pub(crate) use room::{Room, admin_required};

/// People of one group, its creator among them.
const MEMBERS_MAX: usize = 200;
/// Characters of a title.
const TITLE_MAX: usize = 128;
/// Characters that say what a group is about.
const ABOUT_MAX: usize = 255;

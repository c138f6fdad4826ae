//! What people say to each other (20-telegram-api-service §2.1, §3).

mod change;
mod dialogs;
mod drafts;
mod entities;
mod history;
mod peer;
mod post;
mod read;
mod send;
mod typing;
mod view;

pub(crate) use change::{delete_history, delete_messages, edit_message};
pub(crate) use dialogs::{get_dialogs, get_peer_dialogs, get_pinned_dialogs};
pub(crate) use drafts::{clear_all_drafts, get_all_drafts, save_draft};
pub(crate) use history::{get_history, get_messages};
pub(crate) use peer::peer_of;
pub(crate) use read::read_history;
pub(crate) use send::send_message;
pub(crate) use typing::set_typing;
pub(crate) use view::{Named, Shown, message as shown_message};

//! Private messages (20-telegram-api-service §2.1, §3).

mod change;
mod dialogs;
mod entities;
mod history;
mod peer;
mod read;
mod send;
mod send_media;
mod typing;
mod view;

pub(crate) use change::{delete_messages, edit_message};
pub(crate) use dialogs::{get_dialogs, get_peer_dialogs};
pub(crate) use history::{get_history, get_messages};
pub(crate) use peer::peer_of;
pub(crate) use read::read_history;
pub(crate) use send::send_message;
pub(crate) use send_media::{send_media, send_multi_media, upload_media};
pub(crate) use typing::set_typing;
pub(crate) use view::Named;

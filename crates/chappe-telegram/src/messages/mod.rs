//! Private messages (20-telegram-api-service §2.1, §3).

mod change;
mod dialogs;
mod entities;
mod history;
mod peer;
mod read;
mod send;
mod typing;
mod view;

pub(crate) use change::{delete_messages, edit_message};
pub(crate) use dialogs::{get_dialogs, get_peer_dialogs};
pub(crate) use entities::shown as shown_entities;
pub(crate) use history::{get_history, get_messages};
pub(crate) use peer::peer_of;
pub(crate) use read::read_history;
pub(crate) use send::{replied, send_message};
pub(crate) use typing::set_typing;
pub(crate) use view::{Named, message as shown_message};

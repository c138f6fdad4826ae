//! What people say to each other (20-telegram-api-service §2.1, §3).

mod change;
mod dialogs;
mod drafts;
mod entities;
mod forward;
mod history;
mod marks;
mod peer;
mod pins;
mod post;
mod read;
mod search;
mod seen;
mod send;
mod send_media;
mod typing;
mod view;

pub(crate) use change::{delete_history, delete_messages, edit_message};
pub(crate) use dialogs::{get_dialogs, get_peer_dialogs, get_pinned_dialogs};
pub(crate) use drafts::{clear_all_drafts, draft_update, get_all_drafts, save_draft};
pub(crate) use entities::shown as shown_entities;
pub(crate) use forward::forward_messages;
pub(crate) use history::{get_history, get_messages};
pub(crate) use marks::{
    get_dialog_unread_marks, mark_dialog_unread, pins_update, reorder_pinned_dialogs,
    toggle_dialog_pin, unread_mark_update,
};
pub(crate) use peer::peer_of;
pub(crate) use pins::{unpin_all_messages, update_pinned_message};
pub(crate) use post::{Post, both};
pub(crate) use read::read_history;
pub(crate) use search::{
    get_search_counters, get_unread_mentions, read_mentions, search, search_global,
};
pub(crate) use seen::{
    get_message_read_participants, get_messages_views, get_onlines, get_outbox_read_date,
    get_peer_settings, get_unread_reactions, get_web_page, get_web_page_preview,
    hide_peer_settings_bar, read_message_contents, read_reactions, received_messages,
};
pub(crate) use send::{replied, send_message};
pub(crate) use send_media::{send_media, send_multi_media, upload_media};
pub(crate) use typing::set_typing;
pub(crate) use view::{Named, Shown};

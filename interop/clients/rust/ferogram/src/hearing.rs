//! What a person hears, as long as it is connected.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferogram::media::Document;
use ferogram::tl::enums;
use ferogram::update::{CallbackQuery, IncomingMessage, Update};
use ferogram::UpdateStream;
use person::hear;
use serde_json::json;
use tokio::task::JoinHandle;

/// What was heard and is of use later.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Things>>);

#[derive(Default)]
pub struct Things {
    /// What was shown and not fetched yet.
    pub shown: VecDeque<enums::MessageMedia>,
    /// Who wrote last.
    pub writer: Option<enums::Peer>,
    pub offered: Option<Offered>,
    pub pressed: Option<CallbackQuery>,
    /// Another device let this one in.
    pub is_accepted: bool,
}

/// A message with buttons, and what they stand for.
#[derive(Clone)]
pub struct Offered {
    pub peer: enums::Peer,
    pub message: i32,
    pub buttons: Vec<(String, Vec<u8>)>,
}

impl Seen {
    pub fn lock(&self) -> MutexGuard<'_, Things> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that says what is heard.
pub struct Hearing(JoinHandle<()>);

impl Hearing {
    pub fn begin(mut stream: UpdateStream, seen: &Seen) -> Self {
        let seen = seen.clone();
        Self(tokio::spawn(async move {
            while let Some(update) = stream.next().await {
                notice(update, &seen);
            }
        }))
    }

    pub fn end(self) {
        self.0.abort();
    }
}

fn notice(update: Update, seen: &Seen) {
    match update {
        Update::NewMessage(message) if message.outgoing() => hear(json!(["sent", message.text()])),
        Update::NewMessage(message) => notice_message(&message, seen),
        Update::MessageEdited(message) if !message.outgoing() => {
            hear(json!(["edit", message.text()]))
        }
        Update::MessageDeleted(deletion) => hear(json!(["deletion", deletion.message_ids.len()])),
        Update::UserTyping(_) => hear(json!(["typing"])),
        Update::CallbackQuery(query) => {
            hear(json!(["press", query.data()]));
            seen.lock().pressed = Some(query);
        }
        Update::Raw(update) => match update.inner {
            enums::Update::ReadHistoryOutbox(_) => hear(json!(["read"])),
            enums::Update::ReadHistoryInbox(_) => hear(json!(["seen"])),
            enums::Update::LoginToken => seen.lock().is_accepted = true,
            _ => {}
        },
        _ => {}
    }
}

fn notice_message(message: &IncomingMessage, seen: &Seen) {
    if let Some(action) = message.action() {
        let action = match action {
            enums::MessageAction::PinMessage => "pin",
            enums::MessageAction::ChatCreate(_) => "group",
            enums::MessageAction::ChatEditTitle(_) => "title",
            enums::MessageAction::ChatDeleteUser(_) => "removal",
            _ => return,
        };
        hear(json!(["action", action]));
        return;
    }
    let mut seen = seen.lock();
    seen.writer = message.peer_id().cloned();
    let in_album = message.grouped_id().is_some();
    match (message.media(), message.reply_markup(), message.peer_id()) {
        (Some(media), ..) => {
            match Document::from_media(media) {
                Some(document) => hear(json!(["file", document.file_name(), in_album])),
                None => hear(json!(["photo", null, in_album])),
            }
            seen.shown.push_back(media.clone());
        }
        (None, Some(enums::ReplyMarkup::ReplyInlineMarkup(markup)), Some(peer)) => {
            let rows = markup.rows.iter().flat_map(|row| {
                let enums::KeyboardInlineButtonRow::KeyboardInlineButtonRow(row) = row;
                &row.buttons
            });
            let buttons: Vec<_> = rows.filter_map(stands_for).collect();
            let labels: Vec<_> = buttons.iter().map(|(label, _)| label).collect();
            hear(json!(["keyboard", message.text(), labels]));
            seen.offered = Some(Offered { peer: peer.clone(), message: message.id(), buttons });
        }
        _ => hear(json!(["message", message.text(), message.is_reply()])),
    }
}

fn stands_for(button: &enums::KeyboardInlineButton) -> Option<(String, Vec<u8>)> {
    let enums::KeyboardInlineButton::KeyboardInlineButton(button) = button;
    match &button.r#type {
        enums::InlineButtonType::Callback(callback) => {
            Some((button.text.clone(), callback.data.clone()))
        }
        _ => None,
    }
}

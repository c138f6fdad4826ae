//! What a person hears, as long as it is connected.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grammers_client::client::UpdateStream;
use grammers_client::media::Media;
use grammers_client::message::Message;
use grammers_client::session::types::PeerRef;
use grammers_client::tl::enums;
use grammers_client::update::{CallbackQuery, Update};
use person::{hear, Failure};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// What was heard and is of use later.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Things>>);

#[derive(Default)]
pub struct Things {
    /// What was shown and not fetched yet.
    pub shown: VecDeque<Media>,
    /// Who wrote last.
    pub writer: Option<PeerRef>,
    pub offered: Option<Offered>,
    pub pressed: Option<CallbackQuery>,
}

/// A message with buttons, and what they stand for.
pub struct Offered {
    pub peer: PeerRef,
    pub message: i32,
    pub buttons: Vec<(String, Vec<u8>)>,
}

impl Seen {
    pub fn lock(&self) -> MutexGuard<'_, Things> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that says what is heard.
pub struct Hearing {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Failure>>,
}

impl Hearing {
    pub fn begin(stream: UpdateStream, seen: &Seen) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, task: tokio::spawn(listen(stream, seen.clone(), stopped)) }
    }

    /// The session knows afterwards how far it came.
    pub async fn end(self) -> Result<(), Failure> {
        let _ = self.stop.send(());
        self.task.await?
    }
}

async fn listen(
    mut stream: UpdateStream,
    seen: Seen,
    mut stopped: oneshot::Receiver<()>,
) -> Result<(), Failure> {
    loop {
        tokio::select! {
            update = stream.next() => match update {
                Ok(update) => notice(update, &seen).await?,
                // The line is broken: the next one begins with a difference.
                Err(error) => {
                    eprintln!("{error}");
                    sleep(Duration::from_millis(200)).await;
                }
            },
            _ = &mut stopped => return stream.sync_update_state().await,
        }
    }
}

async fn notice(update: Update, seen: &Seen) -> Result<(), Failure> {
    match update {
        Update::NewMessage(message) if message.outgoing() => hear(json!(["sent", message.text()])),
        Update::NewMessage(message) => notice_message(&message, seen).await?,
        Update::MessageEdited(message) if !message.outgoing() => {
            hear(json!(["edit", message.text()]))
        }
        // What this device read or deleted comes as a deletion of nothing.
        Update::MessageDeleted(deletion) if deletion.messages().is_empty() => {}
        Update::MessageDeleted(deletion) => hear(json!(["deletion", deletion.messages().len()])),
        Update::CallbackQuery(query) => {
            hear(json!(["press", String::from_utf8_lossy(query.data())]));
            seen.lock().pressed = Some(query);
        }
        Update::Raw(update) => match update.raw {
            enums::Update::ReadHistoryOutbox(_) => hear(json!(["read"])),
            enums::Update::ReadHistoryInbox(_) => hear(json!(["seen"])),
            enums::Update::UserTyping(_) => hear(json!(["typing"])),
            _ => {}
        },
        _ => {}
    }
    Ok(())
}

async fn notice_message(message: &Message, seen: &Seen) -> Result<(), Failure> {
    if let Some(action) = message.action() {
        let action = match action {
            enums::MessageAction::PinMessage => "pin",
            enums::MessageAction::ChatCreate(_) => "group",
            enums::MessageAction::ChatEditTitle(_) => "title",
            enums::MessageAction::ChatDeleteUser(_) => "removal",
            _ => return Ok(()),
        };
        hear(json!(["action", action]));
        return Ok(());
    }
    let writer = message.peer_ref().await?;
    let mut seen = seen.lock();
    seen.writer = writer;
    let in_album = message.grouped_id().is_some();
    match (message.media(), message.reply_markup(), writer) {
        (Some(media), ..) => {
            match &media {
                Media::Photo(_) => hear(json!(["photo", null, in_album])),
                Media::Document(document) => hear(json!(["file", document.name(), in_album])),
                _ => return Ok(()),
            }
            seen.shown.push_back(media);
        }
        (None, Some(enums::ReplyMarkup::ReplyInlineMarkup(markup)), Some(peer)) => {
            let rows = markup
                .rows
                .into_iter()
                .flat_map(|enums::KeyboardInlineButtonRow::Row(row)| row.buttons);
            let buttons: Vec<_> = rows.filter_map(stands_for).collect();
            let labels: Vec<_> = buttons.iter().map(|(label, _)| label).collect();
            hear(json!(["keyboard", message.text(), labels]));
            seen.offered = Some(Offered { peer, message: message.id(), buttons });
        }
        _ => hear(json!(["message", message.text(), message.reply_to_message_id().is_some()])),
    }
    Ok(())
}

fn stands_for(button: enums::KeyboardInlineButton) -> Option<(String, Vec<u8>)> {
    let enums::KeyboardInlineButton::Button(button) = button;
    match button.r#type {
        enums::InlineButtonType::Callback(callback) => Some((button.text, callback.data)),
        _ => None,
    }
}

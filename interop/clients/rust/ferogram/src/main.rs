//! A person who uses ferogram.

mod deeds;
mod hearing;
mod qr;

use std::sync::Arc;

use ferogram::media::UploadedFile;
use ferogram::tl::{self, enums, functions, types};
use ferogram::update::IncomingMessage;
use ferogram::{Client, ForwardOptions, InMemoryBackend, InputMessage, ShutdownToken};
use person::{unknown, Failure, Person, Target, Words};
use serde_json::Value;

use hearing::{Hearing, Seen};

const API_ID: i32 = 1;

struct Ferogram {
    target: Target,
    session: Arc<InMemoryBackend>,
    peers: Vec<enums::InputPeer>,
    seen: Seen,
    line: Option<Line>,
}

/// What there is while connected.
struct Line {
    client: Client,
    shutdown: ShutdownToken,
    hearing: Hearing,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    person::main::<Ferogram>().await;
}

impl Person for Ferogram {
    const LAYER: i32 = tl::LAYER;
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const CANNOT: &[(&str, &str)] = &[(
        "reconnect",
        "what waits for the answer to its own message is thrown away when that comes \
         (feed_own_updates), so that of two who write at once it may miss what the other says",
    )];

    fn new(target: Target) -> Self {
        let (peers, seen) = Default::default();
        Self { target, session: Arc::new(InMemoryBackend::new()), peers, seen, line: None }
    }

    async fn obey(&mut self, order: &str, words: Words) -> Result<Value, Failure> {
        match order {
            "ask_qr" => Ok(self.ask_qr().await?.into()),
            "find" => {
                let user = self.look_up(words.text(0)?).await?;
                let access_hash = user.access_hash.ok_or("a user without a hash")?;
                Ok(self.add(types::InputPeerUser { user_id: user.id, access_hash }.into()))
            }
            "find_named" => {
                let client = self.client()?;
                let peer = client.resolve(words.text(0)?).await?;
                let peer = client.resolve_to_input_peer(&peer).await?;
                Ok(self.add(peer))
            }
            "find_group" => self.find_group(words.text(0)?).await,
            "dialogs" => {
                let dialogs = self.client()?.get_dialogs(100).await?;
                Ok(dialogs.iter().map(|dialog| dialog.unread_count()).collect())
            }
            "say" => {
                let message = InputMessage::text(words.text(1)?).reply_to(words.maybe_number(2));
                let sent = self.client()?.send_message(self.peer(&words)?, message).await?;
                Ok(sent.id().into())
            }
            "history" => {
                let count = words.maybe_number(1).unwrap_or(100).try_into()?;
                Ok(texts(self.history(self.peer(&words)?, count).await?))
            }
            "forwarded" => {
                let mut all = self.history(self.peer(&words)?, 100).await?;
                all.retain(IncomingMessage::is_forwarded);
                Ok(texts(all))
            }
            "search" => {
                let client = self.client()?;
                let found = client.search(self.peer(&words)?, words.text(1)?);
                Ok(texts(found.fetch(client).await?))
            }
            "pinned" => {
                let (client, pinned) =
                    (self.client()?, enums::MessagesFilter::InputMessagesFilterPinned);
                let found = client.search(self.peer(&words)?, "").filter(pinned);
                Ok(texts(found.fetch(client).await?))
            }
            "begun" => self.begun().await,
            "make_group" => self.make_group(words.text(0)?, words.peer(1)?).await,
            "press" => self.press(words.text(0)?).await,
            _ => self.act(order, &words).await.map(|()| Value::Null),
        }
    }
}

impl Ferogram {
    /// Does what has no answer.
    async fn act(&mut self, order: &str, words: &Words) -> Result<(), Failure> {
        match order {
            "enter" => self.enter(words.text(0)?, words.maybe_text(1)).await?,
            "enter_as_bot" => {
                self.open().await?;
                self.client()?.bot_sign_in(words.text(0)?).await?;
            }
            "await_qr" => self.await_qr().await?,
            "accept_qr" => self.accept_qr(words.text(0)?).await?,
            "set_password" => self.set_password(words.text(0)?).await?,
            "leave" => {
                self.client()?.sign_out().await?;
            }
            "edit" => {
                let (message, text) = (words.number(1)?, words.text(2)?);
                self.client()?.edit_message(self.peer(words)?, message, text).await?;
            }
            "delete" => self.client()?.delete_messages(&[words.number(1)?], true).await?,
            "read" => self.client()?.mark_read(self.peer(words)?).await?,
            "type" => {
                let action = enums::SendMessageAction::SendMessageTypingAction;
                self.client()?.send_chat_action(self.peer(words)?, action).await?;
            }
            "forward" => {
                let (peer, message) = (self.peer(words)?, words.number(1)?);
                let as_it_is = ForwardOptions::default();
                self.client()?.forward_messages(peer.clone(), &[message], peer, as_it_is).await?;
            }
            "pin" => self.client()?.pin_message(self.peer(words)?, words.number(1)?, true).await?,
            "begin" => self.client()?.save_draft(self.peer(words)?, words.text(1)?).await?,
            "show_file" => {
                let media = UploadedFile::as_document_media;
                self.show(self.peer(words)?, words.text(1)?, media).await?;
            }
            "show_photo" => {
                let media = UploadedFile::as_photo_media;
                self.show(self.peer(words)?, words.text(1)?, media).await?;
            }
            "show_album" => self.show_album(self.peer(words)?, &words.texts(1)?).await?,
            "fetch" => self.fetch(words.text(0)?).await?,
            "put_on" => {
                let me = self.client()?.set_profile(enums::InputPeer::PeerSelf);
                me.photo_path(words.text(0)?).send().await?;
            }
            "fetch_profile" => {
                self.fetch_profile(words.text(0)?, words.text(1)?.as_ref()).await?;
            }
            "rename" => {
                let (chat_id, title) = (self.group(words.peer(0)?)?, words.text(1)?.to_owned());
                self.client()?
                    .invoke(&functions::messages::EditChatTitle { chat_id, title })
                    .await?;
            }
            "remove" => {
                let (chat_id, user_id) = (self.group(words.peer(0)?)?, self.user(words.peer(1)?)?);
                let revoke_history = false;
                let remove =
                    functions::messages::DeleteChatUser { revoke_history, chat_id, user_id };
                self.client()?.invoke(&remove).await?;
            }
            "go_away" => self.go_away().await?,
            "come_back" => self.open().await?,
            "offer" => self.offer(words.text(0)?, &words.pairs(1)?).await?,
            "answer_press" => {
                let pressed = self.seen.lock().pressed.take().ok_or("nobody pressed anything")?;
                pressed.answer().text(words.text(0)?).send(self.client()?).await?;
            }
            _ => return Err(unknown(order)),
        }
        Ok(())
    }
}

fn texts(messages: Vec<IncomingMessage>) -> Value {
    messages.iter().map(|message| message.text().unwrap_or_default()).collect()
}

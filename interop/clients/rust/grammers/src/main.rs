//! A person who uses grammers.

mod deeds;
mod hearing;
mod qr;

use std::sync::Arc;

use grammers_client::client::{MessageIter, SearchIter};
use grammers_client::message::{InputMessage, Message};
use grammers_client::session::storages::MemorySession;
use grammers_client::session::types::PeerRef;
use grammers_client::session::updates::UpdatesLike;
use grammers_client::tl::{self, enums, types};
use grammers_client::{Client, InvocationError};
use person::{unknown, Failure, Person, Target, Words};
use serde_json::{json, Value};
use tokio::sync::mpsc;

use hearing::{Hearing, Seen};

const API_ID: i32 = 1;

struct Grammers {
    target: Target,
    session: Arc<MemorySession>,
    peers: Vec<PeerRef>,
    seen: Seen,
    line: Option<Line>,
}

/// What there is while connected.
struct Line {
    client: Client,
    /// Until somebody is signed in, what the server says by itself is not taken from here.
    updates: Option<mpsc::Receiver<UpdatesLike>>,
    hearing: Option<Hearing>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    person::main::<Grammers>().await;
}

impl Person for Grammers {
    const LAYER: i32 = tl::LAYER;
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const CANNOT: &[(&str, &str)] = &[];

    fn new(target: Target) -> Self {
        let (session, peers, seen) = Default::default();
        Self { target, session, peers, seen, line: None }
    }

    async fn obey(&mut self, order: &str, words: Words) -> Result<Value, Failure> {
        match order {
            "ask_qr" => Ok(self.ask_qr().await?.into()),
            "find" => self.find(words.text(0)?).await,
            "find_named" => {
                let found = self.client()?.resolve_username(words.text(0)?).await?;
                self.add(&found.ok_or("nobody has it")?).await
            }
            "find_group" => self.find_group(words.text(0)?).await,
            "dialogs" => self.dialogs().await,
            "say" => {
                let message = InputMessage::new().text(words.text(1)?);
                let message = message.reply_to(words.maybe_number(2));
                Ok(self.send(self.peer(&words)?, message).await?.id().into())
            }
            "history" => {
                let count = words.maybe_number(1).unwrap_or(100).try_into()?;
                self.history(self.peer(&words)?, count, |_| true).await
            }
            "forwarded" => {
                let is_forwarded = |message: &Message| message.forward_header().is_some();
                self.history(self.peer(&words)?, 100, is_forwarded).await
            }
            "search" => {
                let found = self.client()?.search_messages(self.peer(&words)?);
                texts(found.query(words.text(1)?), |_| true).await
            }
            "pinned" => {
                let found = self.client()?.search_messages(self.peer(&words)?);
                let pinned = enums::MessagesFilter::InputMessagesFilterPinned;
                texts(found.filter(pinned), |_| true).await
            }
            "begun" => self.begun().await,
            "make_group" => self.make_group(words.text(0)?, self.peers[words.peer(1)?]).await,
            "press" => self.press(words.text(0)?).await,
            _ => self.act(order, &words).await.map(|()| Value::Null),
        }
    }
}

impl Grammers {
    /// Does what has no answer.
    async fn act(&mut self, order: &str, words: &Words) -> Result<(), Failure> {
        match order {
            "enter" => self.enter(words.text(0)?, words.maybe_text(1)).await?,
            "enter_as_bot" => self.enter_as_bot(words.text(0)?).await?,
            "await_qr" => self.await_qr().await?,
            "accept_qr" => self.accept_qr(words.text(0)?).await?,
            "set_password" => self.set_password(words.text(0)?).await?,
            "leave" => drop(self.client()?.sign_out().await?),
            "edit" => {
                let text = InputMessage::new().text(words.text(2)?);
                self.client()?.edit_message(self.peer(words)?, words.number(1)?, text).await?;
            }
            "delete" => {
                self.client()?.delete_messages(self.peer(words)?, &[words.number(1)?]).await?;
            }
            "read" => self.client()?.mark_as_read(self.peer(words)?).await?,
            "type" => {
                let action = types::SendMessageTypingAction {};
                self.client()?.action(self.peer(words)?).oneshot(action).await?;
            }
            "forward" => {
                let peer = self.peer(words)?;
                self.client()?.forward_messages(peer, &[words.number(1)?], peer).await?;
            }
            "pin" => self.client()?.pin_message(self.peer(words)?, words.number(1)?).await?,
            "begin" => self.begin(self.peer(words)?, words.text(1)?).await?,
            "show_file" => {
                let file = self.client()?.upload_file(words.text(1)?).await?;
                self.send(self.peer(words)?, InputMessage::new().document(file)).await?;
            }
            "show_photo" => {
                let file = self.client()?.upload_file(words.text(1)?).await?;
                self.send(self.peer(words)?, InputMessage::new().photo(file)).await?;
            }
            "show_album" => self.show_album(self.peer(words)?, &words.texts(1)?).await?,
            "fetch" => self.fetch(words.text(0)?).await?,
            "put_on" => self.put_on(words.text(0)?).await?,
            "fetch_profile" => self.fetch_profile(words.text(0)?, words.text(1)?).await?,
            "rename" => self.rename(self.peer(words)?, words.text(1)?).await?,
            "remove" => {
                let who = self.peers[words.peer(1)?];
                self.client()?.kick_participant(self.peer(words)?, who).await?;
            }
            "go_away" => self.go_away().await?,
            "come_back" => self.come_back().await?,
            "offer" => self.offer(words.text(0)?, &words.pairs(1)?).await?,
            "answer_press" => {
                let pressed = self.seen.lock().pressed.take().ok_or("nobody pressed anything")?;
                pressed.answer().text(words.text(0)?).send().await?;
            }
            _ => return Err(unknown(order)),
        }
        Ok(())
    }
}

fn hash() -> String {
    "0".repeat(32)
}

/// The texts of messages, of those that count.
async fn texts(
    mut messages: impl Messages,
    counts: fn(&Message) -> bool,
) -> Result<Value, Failure> {
    let mut texts = Vec::new();
    while let Some(message) = messages.following().await? {
        if counts(&message) {
            texts.push(message.text().to_owned());
        }
    }
    Ok(json!(texts))
}

/// What gives messages, one after the other.
trait Messages {
    async fn following(&mut self) -> Result<Option<Message>, InvocationError>;
}

impl Messages for MessageIter {
    async fn following(&mut self) -> Result<Option<Message>, InvocationError> {
        self.next().await
    }
}

impl Messages for SearchIter {
    async fn following(&mut self) -> Result<Option<Message>, InvocationError> {
        self.next().await
    }
}

//! What a person does that takes more than a call of the library.

use std::path::Path;
use std::sync::Arc;

use ferogram::keyboard::{Button, InlineKeyboard};
use ferogram::media::{AlbumItem, ProfilePhoto, UploadedFile};
use ferogram::tl::{enums, functions, types};
use ferogram::update::IncomingMessage;
use ferogram::{Client, InputMessage, SendCodeOutcome, SignInError};
use person::{found, Failure, Words};
use serde_json::{json, Value};

use crate::hearing::Hearing;
use crate::{Ferogram, Line, API_ID};

impl Ferogram {
    /// Connects, with the session as it is.
    pub async fn open(&mut self) -> Result<(), Failure> {
        let session = Arc::clone(&self.session);
        let (client, shutdown) = Client::builder()
            .api_id(API_ID)
            .api_hash("0".repeat(32))
            .session_backend(session)
            .dc_addr(self.target.address.to_string())
            .dc_id_override(self.target.dc)
            .catch_up(true)
            .connect()
            .await?;
        let hearing = Hearing::begin(client.stream_updates(), &self.seen);
        self.line = Some(Line { client, shutdown, hearing });
        Ok(())
    }

    pub fn client(&self) -> Result<&Client, Failure> {
        self.line.as_ref().map(|line| &line.client).ok_or_else(|| "not connected".into())
    }

    /// The first word of most orders.
    pub fn peer(&self, words: &Words) -> Result<enums::InputPeer, Failure> {
        self.peers.get(words.peer(0)?).cloned().ok_or_else(|| "there is no such peer".into())
    }

    pub async fn enter(&mut self, code: &str, password: Option<&str>) -> Result<(), Failure> {
        if self.line.is_none() {
            self.open().await?;
        }
        let client = self.client()?;
        let SendCodeOutcome::CodeRequired(token) =
            client.request_login_code(&self.target.number).await?
        else {
            return Ok(());
        };
        match client.sign_in(&token, code).await {
            Err(SignInError::PasswordRequired(token)) => {
                client.check_password(*token, password.unwrap_or_default()).await?;
            }
            done => drop(done?),
        }
        Ok(())
    }

    /// By the call itself: ferogram can only sign in with a password.
    pub async fn set_password(&self, password: &str) -> Result<(), Failure> {
        let client = self.client()?;
        let enums::account::Password::Password(known) =
            client.invoke(&functions::account::GetPassword {}).await?;
        let enums::PasswordKdfAlgo::Sha256Sha256Pbkdf2Hmacsha512iter100000Sha256ModPow(mut algo) =
            known.new_algo
        else {
            return Err("another way to keep passwords".into());
        };
        let (verifier, salt1) =
            person::verifier(password, &algo.salt1, &algo.salt2, algo.g, &algo.p);
        algo.salt1 = salt1;
        let new_settings = types::account::PasswordInputSettings {
            new_algo: Some(algo.into()),
            new_password_hash: Some(verifier),
            hint: Some(String::new()),
            email: None,
            new_secure_settings: None,
        };
        let password = enums::InputCheckPasswordSrp::InputCheckPasswordEmpty;
        let update = functions::account::UpdatePasswordSettings {
            password,
            new_settings: new_settings.into(),
        };
        client.invoke(&update).await?;
        Ok(())
    }

    /// By the call itself: of its own, ferogram imports a contact without a name.
    pub async fn look_up(&self, phone: &str) -> Result<types::User, Failure> {
        let client = self.client()?;
        let phone = functions::contacts::ResolvePhone { phone: phone.to_owned() };
        let enums::contacts::ResolvedPeer::ResolvedPeer(found) = client.invoke(&phone).await?;
        client.cache_entities(&found.users, &found.chats).await;
        match found.users.into_iter().next() {
            Some(enums::User::User(user)) => Ok(user),
            _ => Err("nobody".into()),
        }
    }

    pub async fn find_group(&mut self, title: &str) -> Result<Value, Failure> {
        let client = self.client()?;
        let dialogs = client.get_dialogs(100).await?;
        let dialog = dialogs
            .iter()
            .find(|dialog| dialog.title() == title)
            .ok_or("there is no such group")?;
        let peer =
            client.resolve_to_input_peer(dialog.peer().ok_or("a dialog with nobody")?).await?;
        Ok(self.add(peer))
    }

    pub fn add(&mut self, peer: enums::InputPeer) -> Value {
        self.peers.push(peer);
        found(self.peers.len() - 1)
    }

    pub fn group(&self, peer: usize) -> Result<i64, Failure> {
        match self.peers.get(peer) {
            Some(enums::InputPeer::Chat(chat)) => Ok(chat.chat_id),
            _ => Err("not a group".into()),
        }
    }

    pub fn user(&self, peer: usize) -> Result<enums::InputUser, Failure> {
        match self.peers.get(peer) {
            Some(enums::InputPeer::User(user)) => {
                let types::InputPeerUser { user_id, access_hash } = *user;
                Ok(types::InputUser { user_id, access_hash }.into())
            }
            _ => Err("not a user".into()),
        }
    }

    pub async fn history(
        &self,
        peer: enums::InputPeer,
        count: usize,
    ) -> Result<Vec<IncomingMessage>, Failure> {
        let client = self.client()?;
        let mut pages = client.iter_messages(peer);
        let mut messages = Vec::new();
        while messages.len() < count {
            match pages.next(client).await? {
                Some(message) => messages.push(message),
                None => break,
            }
        }
        Ok(messages)
    }

    pub async fn begun(&self) -> Result<Value, Failure> {
        let enums::Updates::Updates(all) =
            self.client()?.invoke(&functions::messages::GetAllDrafts {}).await?
        else {
            return Err("drafts come as updates".into());
        };
        let text = |update| match update {
            enums::Update::DraftMessage(update) => match update.draft {
                enums::DraftMessage::DraftMessage(draft) => Some(draft.message),
                enums::DraftMessage::Empty(_) => None,
            },
            _ => None,
        };
        Ok(all.updates.into_iter().filter_map(text).collect())
    }

    pub async fn show(
        &self,
        peer: enums::InputPeer,
        path: &str,
        media: fn(&UploadedFile) -> enums::InputMedia,
    ) -> Result<(), Failure> {
        let client = self.client()?;
        let file = client.upload_file(path).await?;
        client.send_message(peer, InputMessage::text("").copy_media(media(&file))).await?;
        Ok(())
    }

    pub async fn show_album(&self, peer: enums::InputPeer, paths: &[&str]) -> Result<(), Failure> {
        let client = self.client()?;
        let mut album = Vec::new();
        for path in paths {
            album.push(AlbumItem::new(client.upload_file(path).await?.as_photo_media()));
        }
        client.send_album(peer, album).await?;
        Ok(())
    }

    pub async fn fetch(&self, path: &str) -> Result<(), Failure> {
        let media = self.seen.lock().shown.front().cloned().ok_or("nothing was shown")?;
        self.client()?.download_file(&media, path).await?;
        self.seen.lock().shown.pop_front();
        Ok(())
    }

    pub async fn fetch_profile(&self, phone: &str, path: &Path) -> Result<(), Failure> {
        let user = self.look_up(phone).await?;
        let access_hash = user.access_hash.ok_or("a user without a hash")?;
        let peer = types::InputPeerUser { user_id: user.id, access_hash };
        let photo = user
            .photo
            .and_then(|photo| ProfilePhoto::from_user(peer.into(), &photo))
            .ok_or("no photo")?;
        self.client()?.download_file(&photo, path).await?;
        Ok(())
    }

    /// By the call itself: the answer that `create_group` reads is one of older layers.
    pub async fn make_group(&mut self, title: &str, who: usize) -> Result<Value, Failure> {
        let users = vec![self.user(who)?];
        let create =
            functions::messages::CreateChat { users, title: title.to_owned(), ttl_period: None };
        let enums::messages::InvitedUsers::InvitedUsers(made) =
            self.client()?.invoke(&create).await?;
        let enums::Updates::Updates(made) = made.updates else {
            return Err("a group comes as updates".into());
        };
        let Some(enums::Chat::Chat(chat)) = made.chats.first() else {
            return Err("no group".into());
        };
        let chat_id = chat.id;
        Ok(self.add(types::InputPeerChat { chat_id }.into()))
    }

    pub async fn go_away(&mut self) -> Result<(), Failure> {
        let line = self.line.take().ok_or("not connected")?;
        line.client.save_session().await?;
        line.shutdown.cancel();
        line.hearing.end();
        Ok(())
    }

    pub async fn offer(&self, text: &str, buttons: &[(&str, &str)]) -> Result<(), Failure> {
        let client = self.client()?;
        let writer = self.seen.lock().writer.clone().ok_or("nobody wrote")?;
        let row: Vec<_> =
            buttons.iter().map(|&(label, data)| Button::callback(label, data)).collect();
        let keyboard = InlineKeyboard::new().row(row).into_markup();
        client.send_message(writer, InputMessage::text(text).reply_markup(keyboard)).await?;
        Ok(())
    }

    /// By the call itself: `click_button` does not tell the answer.
    pub async fn press(&self, label: &str) -> Result<Value, Failure> {
        let client = self.client()?;
        let offered = self.seen.lock().offered.clone().ok_or("nothing was offered")?;
        let (_, data) =
            offered.buttons.into_iter().find(|(text, _)| text == label).ok_or("no such button")?;
        let press = functions::messages::GetBotCallbackAnswer {
            game: false,
            peer: client.resolve_to_input_peer(&offered.peer).await?,
            msg_id: offered.message,
            data: Some(data),
            password: None,
        };
        let enums::messages::BotCallbackAnswer::BotCallbackAnswer(answer) =
            client.invoke(&press).await?;
        Ok(json!(answer.message))
    }
}

//! What a person does that takes more than a call of the library.

use std::net::SocketAddrV6;
use std::sync::Arc;

use grammers_client::media::{Downloadable, InputMedia};
use grammers_client::message::{Button, InputMessage, Message, ReplyMarkup};
use grammers_client::peer::{Peer, User};
use grammers_client::sender::UpdatesConfiguration;
use grammers_client::session::types::{DcOption, PeerInfo, PeerRef, UpdateState, UpdatesState};
use grammers_client::session::Session;
use grammers_client::tl::{enums, functions, types};
use grammers_client::{Client, SenderPool, SignInError};
use person::{found, Failure, Words};
use serde_json::{json, Value};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::hearing::Hearing;
use crate::{hash, texts, Grammers, Line, API_ID};

impl Grammers {
    /// Connects, with the session as it is.
    pub async fn open(&mut self) -> Result<(), Failure> {
        let (dc, ipv4) = (self.target.dc, self.target.address);
        let known = self.session.dc_option(dc)?;
        let ipv6 = SocketAddrV6::new(ipv4.ip().to_ipv6_mapped(), ipv4.port(), 0, 0);
        let auth_key =
            known.filter(|option| option.ipv4 == ipv4).and_then(|option| option.auth_key);
        self.session.set_dc_option(&DcOption { id: dc, ipv4, ipv6, auth_key }).await?;
        self.session.set_home_dc_id(dc).await?;
        let SenderPool { runner, handle, updates } =
            SenderPool::new(Arc::clone(&self.session), API_ID);
        tokio::spawn(runner.run());
        self.line =
            Some(Line { client: Client::new(handle), updates: Some(updates), hearing: None });
        Ok(())
    }

    pub fn client(&self) -> Result<&Client, Failure> {
        self.line.as_ref().map(|line| &line.client).ok_or_else(|| "not connected".into())
    }

    /// The first word of most orders.
    pub fn peer(&self, words: &Words) -> Result<PeerRef, Failure> {
        self.peers.get(words.peer(0)?).copied().ok_or_else(|| "there is no such peer".into())
    }

    /// Takes updates from what the session knows on.
    pub async fn listen(&mut self) -> Result<(), Failure> {
        let line = self.line.as_mut().ok_or("not connected")?;
        if let Some(updates) = line.updates.take() {
            let missed = UpdatesConfiguration { catch_up: true };
            let stream = line.client.stream_updates(updates, missed).await?;
            line.hearing = Some(Hearing::begin(stream, &self.seen));
        }
        Ok(())
    }

    pub async fn enter(&mut self, code: &str, password: Option<&str>) -> Result<(), Failure> {
        if self.line.is_none() {
            self.open().await?;
        }
        let token = self.client()?.request_login_code(&self.target.number, &hash()).await?;
        match self.client()?.sign_in(&token, code).await {
            Err(SignInError::PasswordRequired(token)) => {
                self.client()?.check_password(token, password.unwrap_or_default()).await?;
            }
            done => drop(done?),
        }
        self.listen().await
    }

    pub async fn enter_as_bot(&mut self, token: &str) -> Result<(), Failure> {
        self.open().await?;
        self.client()?.bot_sign_in(token, &hash()).await?;
        self.listen().await
    }

    /// By the call itself: grammers can only sign in with a password.
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

    pub async fn find(&mut self, phone: &str) -> Result<Value, Failure> {
        let user = self.user(phone).await?;
        self.peers.push(user.to_ref().await?.ok_or("a user without a hash")?);
        Ok(found(self.peers.len() - 1))
    }

    pub async fn user(&self, phone: &str) -> Result<User, Failure> {
        let client = self.client()?;
        let phone = functions::contacts::ResolvePhone { phone: phone.to_owned() };
        let enums::contacts::ResolvedPeer::Peer(found) = client.invoke(&phone).await?;
        Ok(User::from_raw(client, found.users.into_iter().next().ok_or("nobody")?))
    }

    pub async fn find_group(&mut self, title: &str) -> Result<Value, Failure> {
        let mut dialogs = self.client()?.iter_dialogs();
        while let Some(dialog) = dialogs.next().await? {
            if dialog.peer().name() == Some(title) {
                return self.add(dialog.peer()).await;
            }
        }
        Err("there is no such group".into())
    }

    pub async fn add(&mut self, peer: &Peer) -> Result<Value, Failure> {
        self.peers.push(peer.to_ref().await?.ok_or("a peer without a hash")?);
        Ok(found(self.peers.len() - 1))
    }

    pub async fn dialogs(&self) -> Result<Value, Failure> {
        let mut dialogs = self.client()?.iter_dialogs();
        let mut unread = Vec::new();
        while let Some(dialog) = dialogs.next().await? {
            if let enums::Dialog::Dialog(dialog) = dialog.raw {
                unread.push(dialog.unread_count);
            }
        }
        Ok(json!(unread))
    }

    pub async fn send(&self, peer: PeerRef, message: InputMessage) -> Result<Message, Failure> {
        Ok(self.client()?.send_message(peer, message).await?)
    }

    pub async fn history(
        &self,
        peer: PeerRef,
        count: usize,
        counts: fn(&Message) -> bool,
    ) -> Result<Value, Failure> {
        texts(self.client()?.iter_messages(peer).limit(count), counts).await
    }

    pub async fn begin(&self, peer: PeerRef, message: &str) -> Result<(), Failure> {
        let draft = functions::messages::SaveDraft {
            no_webpage: false,
            invert_media: false,
            reply_to: None,
            peer: peer.into(),
            message: message.to_owned(),
            entities: None,
            media: None,
            effect: None,
            suggested_post: None,
            rich_message: None,
        };
        self.client()?.invoke(&draft).await?;
        Ok(())
    }

    pub async fn begun(&self) -> Result<Value, Failure> {
        let enums::Updates::Updates(all) =
            self.client()?.invoke(&functions::messages::GetAllDrafts {}).await?
        else {
            return Err("drafts come as updates".into());
        };
        let text = |update| match update {
            enums::Update::DraftMessage(update) => match update.draft {
                enums::DraftMessage::Message(draft) => Some(draft.message),
                enums::DraftMessage::Empty(_) => None,
            },
            _ => None,
        };
        Ok(all.updates.into_iter().filter_map(text).collect())
    }

    pub async fn show_album(&self, peer: PeerRef, paths: &[&str]) -> Result<(), Failure> {
        let client = self.client()?;
        let mut album = Vec::new();
        for path in paths {
            album.push(InputMedia::new().photo(client.upload_file(path).await?));
        }
        client.send_album(peer, album).await?;
        Ok(())
    }

    pub async fn fetch(&self, path: &str) -> Result<(), Failure> {
        let media = self.seen.lock().shown.front().cloned().ok_or("nothing was shown")?;
        self.download(&media, path).await?;
        self.seen.lock().shown.pop_front();
        Ok(())
    }

    /// Part by part: `download_media` does not wait until the file is written.
    pub async fn download(&self, what: &impl Downloadable, path: &str) -> Result<(), Failure> {
        let mut file = File::create(path).await?;
        let mut parts = self.client()?.iter_download(what);
        while let Some(part) = parts.next().await? {
            file.write_all(&part).await?;
        }
        Ok(file.flush().await?)
    }

    pub async fn put_on(&self, path: &str) -> Result<(), Failure> {
        let client = self.client()?;
        let file = client.upload_file(path).await?.raw;
        let upload = functions::photos::UploadProfilePhoto {
            fallback: false,
            bot: None,
            file: Some(file),
            video: None,
            video_start_ts: None,
            video_emoji_markup: None,
        };
        client.invoke(&upload).await?;
        Ok(())
    }

    pub async fn fetch_profile(&self, phone: &str, path: &str) -> Result<(), Failure> {
        let user = Peer::User(self.user(phone).await?);
        let photo = user.photo(true).await?.ok_or("no photo")?;
        self.download(&photo, path).await
    }

    pub async fn make_group(&mut self, title: &str, who: PeerRef) -> Result<Value, Failure> {
        let title = title.to_owned();
        let create =
            functions::messages::CreateChat { users: vec![who.into()], title, ttl_period: None };
        let enums::messages::InvitedUsers::Users(made) = self.client()?.invoke(&create).await?;
        let enums::Updates::Updates(made) = made.updates else {
            return Err("a group comes as updates".into());
        };
        self.peers.push(made.chats.first().ok_or("no group")?.into());
        Ok(found(self.peers.len() - 1))
    }

    pub async fn rename(&self, group: PeerRef, title: &str) -> Result<(), Failure> {
        let rename =
            functions::messages::EditChatTitle { chat_id: group.into(), title: title.to_owned() };
        self.client()?.invoke(&rename).await?;
        Ok(())
    }

    pub async fn go_away(&mut self) -> Result<(), Failure> {
        let line = self.line.take().ok_or("not connected")?;
        if let Some(hearing) = line.hearing {
            hearing.end().await?;
        }
        line.client.disconnect();
        Ok(())
    }

    pub async fn come_back(&mut self) -> Result<(), Failure> {
        self.open().await?;
        self.listen().await
    }

    pub async fn offer(&self, text: &str, buttons: &[(&str, &str)]) -> Result<(), Failure> {
        let writer = self.seen.lock().writer.ok_or("nobody wrote")?;
        let row: Vec<_> = buttons.iter().map(|&(label, data)| Button::data(label, data)).collect();
        let message =
            InputMessage::new().text(text).reply_markup(ReplyMarkup::from_buttons_row(&row));
        self.send(writer, message).await?;
        Ok(())
    }

    /// By the call itself: grammers is for bots that answer.
    pub async fn press(&self, label: &str) -> Result<Value, Failure> {
        let press = {
            let seen = self.seen.lock();
            let offered = seen.offered.as_ref().ok_or("nothing was offered")?;
            let (_, data) =
                offered.buttons.iter().find(|(text, _)| text == label).ok_or("no such button")?;
            functions::messages::GetBotCallbackAnswer {
                game: false,
                peer: offered.peer.into(),
                msg_id: offered.message,
                data: Some(data.clone()),
                password: None,
            }
        };
        let enums::messages::BotCallbackAnswer::Answer(answer) =
            self.client()?.invoke(&press).await?;
        Ok(json!(answer.message))
    }

    /// What a sign-in by number does at its end, for one that is made of calls.
    pub async fn signed_in(&mut self, user: enums::User) -> Result<(), Failure> {
        let client = self.client()?;
        let id = user.id();
        let auth = User::from_raw(client, user).to_ref().await?.map(|peer| peer.auth);
        let enums::updates::State::State(state) =
            client.invoke(&functions::updates::GetState {}).await?;
        let types::updates::State { pts, qts, date, seq, .. } = state;
        let state = UpdatesState { pts, qts, date, seq, channels: Vec::new() };
        self.session
            .cache_peer(PeerInfo::User { id, auth, bot: Some(false), is_self: Some(true) })
            .await?;
        self.session.set_update_state(UpdateState::All(state)).await?;
        self.listen().await
    }
}

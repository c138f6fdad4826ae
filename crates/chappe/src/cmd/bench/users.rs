//! Everybody who is there: devices signed in, acquainted, in their groups, and listening.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use chappe_api::functions::contacts::ResolvePhone;
use chappe_api::functions::messages::{CreateChat, SendMessage};
use chappe_api::{ctors, types};
use chappe_client::{CallOptions, Push, Pushes, RawClient};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::ledger::{Book, Ledger};
use super::plan::{Plan, To, Writing};
use super::sign_in::Door;

/// All users, each with the device it writes by.
pub(super) struct Users {
    clients: Vec<RawClient>,
    /// Second devices, of those who write to themselves.
    others: Vec<RawClient>,
    /// Of each user the one it chats with.
    partners: Vec<types::InputPeer>,
    chats: Vec<types::InputPeer>,
}

/// Whom to tell how far something is, now and then.
pub(super) type Progress<'p> = &'p (dyn Fn(usize) + Sync);

impl Users {
    /// Signs everybody in, so many at once.
    pub(super) async fn enter(
        door: &Door,
        plan: &Plan,
        at_once: usize,
        progress: Progress<'_>,
    ) -> Result<Self> {
        let users = plan.partners.len();
        let enter = |user| async move {
            let entered = door.enter(user).await;
            entered.with_context(|| format!("user {} cannot sign in", door.phone(user)))
        };
        let mut entering = stream::iter((0..users).map(enter)).buffered(at_once);
        let mut clients = Vec::with_capacity(users);
        while let Some(client) = entering.try_next().await? {
            clients.push(client);
            progress(clients.len());
        }
        drop(entering);
        let mut others = Vec::new();
        // Only now, when their accounts are made.
        for user in plan.loners() {
            others.push(enter(user).await?);
        }
        Ok(Self { clients, others, partners: Vec::new(), chats: Vec::new() })
    }

    pub(super) fn devices(&self) -> usize {
        self.clients.len() + self.others.len()
    }

    /// Lets everybody find whom it is to write to, and makes the groups.
    pub(super) async fn acquaint(
        &mut self,
        door: &Door,
        plan: &Plan,
        at_once: usize,
        progress: Progress<'_>,
    ) -> Result<()> {
        let clients = &self.clients;
        let find = |(user, other): (usize, usize)| async move {
            if user == other {
                return Ok(types::InputPeer::InputPeerSelf);
            }
            let found = find(&clients[user], &door.phone(other)).await?;
            let ctors::InputUser { user_id, access_hash } = found;
            let found = ctors::InputPeerUser { user_id, access_hash };
            anyhow::Ok(types::InputPeer::InputPeerUser(found))
        };
        let pairs = plan.partners.iter().copied().enumerate();
        let mut finding = stream::iter(pairs.map(find)).buffered(at_once);
        while let Some(partner) = finding.try_next().await? {
            self.partners.push(partner);
            progress(self.partners.len());
        }
        drop(finding);
        let make = |group: &Vec<usize>| {
            let group = group.clone();
            async move { found_group(&clients[group[0]], door, &group[1..]).await }
        };
        let mut making = stream::iter(plan.groups.iter().map(make)).buffered(at_once);
        while let Some(chat) = making.try_next().await? {
            self.chats.push(chat);
        }
        Ok(())
    }

    /// Lets every device note what it hears, until it is closed.
    pub(super) fn listen(&self, book: &Arc<Book>) {
        for client in self.clients.iter().chain(&self.others) {
            tokio::spawn(listen(client.pushes(), Arc::clone(book)));
        }
    }

    /// Sends a message; whatever comes of it is noted.
    pub(super) fn write(
        &self,
        Writing { writer, to, .. }: Writing,
        text: &str,
        (message, ledger): (usize, &Arc<Ledger>),
        book: &Arc<Book>,
    ) {
        let peer = match to {
            To::Partner => self.partners[writer].clone(),
            To::Group(group) => self.chats[group].clone(),
        };
        // Unique for each sender, of whatever run.
        let random_id = chappe_crypto::sha256(&[text.as_bytes()]);
        let random_id = i64::from_le_bytes(*random_id.first_chunk().expect("32 bytes are 8"));
        let call = SendMessage { peer, message: text.into(), random_id, ..chappe_tl::blank() };
        let (client, ledger, book) =
            (self.clients[writer].clone(), Arc::clone(ledger), Arc::clone(book));
        tokio::spawn(async move {
            let call = client.invoke_with(&call, CallOptions::default());
            let failure = match tokio::time::timeout(ANSWER_MAX, call).await {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some(format!("messages.sendMessage: {error}")),
                Err(_) => Some(format!("messages.sendMessage: no answer in {ANSWER_MAX:?}")),
            };
            ledger.answered(message, failure.is_none());
            if let Some(failure) = failure {
                book.fault(failure);
            }
        });
    }
}

/// Notes what a device hears.
async fn listen(mut pushes: Pushes, book: Arc<Book>) {
    let mut last_pts = 0;
    while let Some(push) = pushes.next().await {
        let body = match push {
            Push::Message(body) => body,
            Push::MayBeLost => {
                book.fault("a session was begun anew, and what was said before may be lost");
                continue;
            }
            Push::Missed(_) => {
                book.fault("a client did not take in time what it was told");
                continue;
            }
            Push::NewKey => {
                book.fault("a key was lost");
                continue;
            }
        };
        let updates = match chappe_tl::from_bytes(body) {
            Ok(types::Updates::Updates(updates)) => updates.updates,
            Ok(_) => continue,
            Err(error) => {
                book.fault(format!("what a client was told cannot be read: {error}"));
                continue;
            }
        };
        for update in updates {
            let types::Update::UpdateNewMessage(new) = update else { continue };
            let types::Message::Message(message) = new.message else { continue };
            if new.pts <= last_pts {
                book.fault("a device heard of two events in the wrong order, or twice of one");
                continue;
            }
            last_pts = new.pts;
            book.heard(&message.message.to_string_lossy());
        }
    }
}

async fn find(client: &RawClient, phone: &str) -> Result<ctors::InputUser> {
    let asked = client.invoke(&ResolvePhone { phone: phone.into() }).await;
    let found = asked.with_context(|| format!("contacts.resolvePhone of {phone}"))?;
    let user = found.users.into_iter().find_map(|user| match user {
        types::User::User(user) => Some((user.id, user.access_hash?)),
        types::User::UserEmpty(_) => None,
    });
    let (user_id, access_hash) = user.with_context(|| format!("{phone} is nobody"))?;
    Ok(ctors::InputUser { user_id, access_hash })
}

/// Makes a group of others.
async fn found_group(
    client: &RawClient,
    door: &Door,
    others: &[usize],
) -> Result<types::InputPeer> {
    let mut users = Vec::with_capacity(others.len());
    for other in others {
        users.push(types::InputUser::InputUser(find(client, &door.phone(*other)).await?));
    }
    let call = CreateChat { users, title: "Bench".into(), ..chappe_tl::blank() };
    let made = client.invoke(&call).await.context("messages.createChat")?;
    let types::Updates::Updates(updates) = made.updates else {
        return Err(anyhow!("messages.createChat: an answer of another form"));
    };
    let chat = updates.chats.iter().find_map(|chat| match chat {
        types::Chat::Chat(chat) => Some(chat.id),
        _ => None,
    });
    let chat_id = chat.context("messages.createChat: no group in the answer")?;
    Ok(types::InputPeer::InputPeerChat(ctors::InputPeerChat { chat_id }))
}

/// Longest wait for an answer; then the message has failed.
const ANSWER_MAX: Duration = Duration::from_secs(60);

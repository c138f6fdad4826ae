//! Saying something to somebody: into whose boxes it goes, and what whoever said it hears.

use std::collections::BTreeSet;

use chappe_api::types;
use chappe_server::{Caller, Pusher};

use crate::Service;
use crate::chats::Room;
use crate::error::{Failure, bad};
use crate::store::{Change, Content, NewMessage, Peer, Sent};

/// Messages on their way to one peer.
pub(crate) struct Post {
    pub(crate) peer: Peer,
    pub(crate) messages: Vec<NewMessage>,
    /// Those that were sent before, each by its id, `random_id` and pts.
    pub(crate) sent: Vec<(i32, i64, i32)>,
    pub(crate) clear_draft: bool,
}

/// Names in one text that are looked up.
const NAMES_MAX: usize = 50;

impl Service {
    /// Puts messages of `me` to one peer into the boxes of everybody who is to have them; the
    /// answer for the session that sent them (API-08).
    pub(crate) async fn post(
        &self,
        (me, caller): (i64, &Caller),
        pusher: &Pusher,
        post: Post,
    ) -> Result<types::Updates, Failure> {
        let Post { peer, mut messages, mut sent, clear_draft } = post;
        self.check_may_write(me, peer).await?;
        let mut replied_to = None;
        for new in &mut messages {
            if peer.chat().is_some() {
                new.mentioned = self.mentioned(&new.content).await?;
            }
            if let Some(id) = new.reply_to {
                let replied = self.store.message(me, id).await?;
                let replied = replied.filter(|replied| replied.peer == peer);
                let replied = replied.ok_or_else(|| bad("REPLY_MESSAGE_ID_INVALID"))?;
                replied_to = Some(replied.sender);
            }
        }
        let gate = self.lines.gate().await;
        let room = self.room_as_it_is(me, peer).await?;
        let everybody = room.as_ref().map_or_else(|| both(me, peer), Room::inside);
        let turn = self.lines.turn_of(gate, &everybody).await;
        let under_way = clear_draft.then(|| self.dates.begin(me, caller.now.unix_seconds()));
        let mut change = self.store.change_apart().await?;
        for new in &messages {
            let owners = match &room {
                Some(room) => {
                    room.check_write(me, &new.content)?;
                    room.hearers(new, replied_to)
                }
                None => everybody.clone(),
            };
            let sent_now = self.store.send(&mut change, new, &owners).await?;
            let Sent { message, pts, is_repeat } = sent_now.ok_or_else(gone)?;
            if is_repeat {
                check_repeat(&mut change, new, message).await?;
            }
            sent.push((message, new.random_id.unwrap_or(0), pts));
        }
        let mut cleared = None;
        if let Some(under_way) = under_way
            && change.clear_draft(me, peer, under_way.second).await?
        {
            cleared = Some(under_way);
        }
        self.announce(turn, change, pusher, (me, caller)).await?;
        if let Some(under_way) = cleared {
            self.push_draft((me, caller), pusher, peer, (None, under_way.second)).await?;
        }
        self.own_messages(caller, me, &sent).await
    }

    /// The group that a peer is, for whoever changes nothing of it, behind the gate that keeps
    /// changes off; `None` for somebody.
    pub(crate) async fn room_as_it_is(&self, me: i64, peer: Peer) -> Result<Option<Room>, Failure> {
        let Peer::Chat(chat) = peer else { return Ok(None) };
        let room = Room::as_it_is(&self.store, me, chat).await?;
        Ok(Some(room.ok_or_else(|| bad("PEER_ID_INVALID"))?))
    }

    /// Lets the service say what `me` did, into these boxes: `content` has an action.
    pub(crate) async fn declare_to(
        &self,
        change: &mut Change<'_>,
        (me, peer): (i64, Peer),
        owners: &BTreeSet<i64>,
        content: Content,
        reply_to: Option<i32>,
        now: i64,
    ) -> Result<Sent, Failure> {
        let new = NewMessage {
            sender: me,
            peer,
            random_id: None,
            reply_to,
            date: now,
            mentioned: BTreeSet::new(),
            content,
        };
        self.store.send(change, &new, owners).await?.ok_or_else(gone)
    }

    /// What the service said, as the answer to whose doing it was. Clients look for the id of a
    /// message in it, though none asked for one.
    pub(crate) async fn declared(
        &self,
        caller: &Caller,
        me: i64,
        sent: Sent,
    ) -> Result<types::Updates, Failure> {
        let random_id = i64::from_le_bytes(self.rng().bytes());
        self.own_messages(caller, me, &[(sent.message, random_id, sent.pts)]).await
    }

    /// Whom a text names.
    async fn mentioned(&self, content: &Content) -> Result<BTreeSet<i64>, Failure> {
        let mut accounts: BTreeSet<i64> = content.named().collect();
        for name in names_in(&content.text).take(NAMES_MAX) {
            if let Some(account) = self.store.account_of_username(name).await? {
                accounts.insert(account.id);
            }
        }
        Ok(accounts)
    }
}

/// What was to be shown is no longer there.
fn gone() -> Failure {
    bad("MEDIA_INVALID")
}

/// What comes under a `random_id` of before has to be what came then (API-12).
async fn check_repeat(
    change: &mut Change<'_>,
    new: &NewMessage,
    before: i32,
) -> Result<(), Failure> {
    // By the connection that the change has: once all of the pool wait for another, none gets it.
    match change.message(new.sender, before).await? {
        Some(before)
            if before.peer != new.peer
                || (before.edited.is_none() && !before.content.is_like(&new.content)) =>
        {
            Err(bad("RANDOM_ID_DUPLICATE"))
        }
        _ => Ok(()),
    }
}

/// The boxes of a private message.
pub(crate) fn both(me: i64, peer: Peer) -> BTreeSet<i64> {
    match peer {
        Peer::Account(peer) => [me, peer].into(),
        Peer::Chat(_) => [me].into(),
    }
}

/// What follows an `@` and may be a username.
fn names_in(text: &str) -> impl Iterator<Item = &str> {
    text.split('@').skip(1).filter_map(|rest| {
        let is_over = |character: char| !character.is_ascii_alphanumeric() && character != '_';
        let name = &rest[..rest.find(is_over).unwrap_or(rest.len())];
        (4..=32).contains(&name.len()).then_some(name)
    })
}

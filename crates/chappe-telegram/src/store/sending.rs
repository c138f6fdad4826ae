//! Putting messages into boxes.

use std::collections::BTreeSet;

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, Transaction, in_rows, sql, sql_rows};

use super::events::Change;
use super::messages::{copy_of, message};
use super::{Content, Peer, Store, damaged};

/// What somebody wants to say.
#[derive(Clone, Debug)]
pub(crate) struct NewMessage {
    pub(crate) sender: i64,
    pub(crate) peer: Peer,
    /// `None` of what the service says of itself.
    pub(crate) random_id: Option<i64>,
    /// In the sender's box.
    pub(crate) reply_to: Option<i32>,
    pub(crate) date: i64,
    /// Whom it is to above all.
    pub(crate) mentioned: BTreeSet<i64>,
    pub(crate) content: Content,
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// In the sender's box.
    pub(crate) message: i32,
    pub(crate) pts: i32,
    /// It was sent before.
    pub(crate) is_repeat: bool,
}

/// Seconds for which a `random_id` is remembered at least (API-12).
const RANDOM_ID_LIFE: i64 = 86_400;
/// Messages of a sender after which those of everybody that are older go.
const FORGET_EVERY: i32 = 64;

impl Store {
    /// Puts a message into the boxes of `owners`, whose rows are taken in the order of their
    /// numbers, so that no two senders wait for each other. A repeat of one sent before gives that;
    /// `None` where what it shows is gone.
    pub(crate) async fn send(
        &self,
        change: &mut Change<'_>,
        new: &NewMessage,
        owners: &BTreeSet<i64>,
    ) -> Result<Option<Sent>, StoreError> {
        if let Some(before) = sent_before(change.transaction(), new).await? {
            return Ok(Some(before));
        }
        let replied = match new.reply_to {
            Some(id) => message(change.transaction(), new.sender, id).await?,
            None => None,
        };
        let places = change.next_messages(owners).await?;
        let origin = places.get(&new.sender).copied();
        let (origin, pts) = origin.ok_or_else(|| damaged("a sender has no box"))?;
        let mut copies = Vec::with_capacity(places.len());
        for (owner, (id, _)) in &places {
            let mut is_mention = new.mentioned.contains(owner);
            let mut reply_to = None;
            if let Some(replied) = &replied {
                reply_to = copy_of(change.transaction(), *owner, replied).await?;
                is_mention |= new.peer.chat().is_some() && replied.sender == *owner;
            }
            copies.push(Copy {
                owner: *owner,
                id: *id,
                peer: match new.peer {
                    Peer::Account(_) if *owner != new.sender => Peer::Account(new.sender),
                    peer => peer,
                },
                origin,
                reply_to: reply_to.map(|replied| replied.id),
                is_mention: is_mention && *owner != new.sender,
            });
        }
        if !change.hold(&new.content, copies.len()).await? {
            return Ok(None);
        }
        Copy::insert(&copies, change.transaction(), new).await?;
        change.log_messages(&places, new.date).await?;
        let sent = Sent { message: origin, pts, is_repeat: false };
        remember(change.transaction(), new, sent).await?;
        Ok(Some(sent))
    }
}

impl Store {
    /// What became of something sent before under this `random_id`.
    pub(crate) async fn sent(
        &self,
        sender: i64,
        random_id: i64,
    ) -> Result<Option<Sent>, StoreError> {
        let row = self.database.row(sql(SENT).bind(sender).bind(random_id)).await?;
        row.map(Sent::read).transpose()
    }
}

impl Sent {
    fn read(mut row: Row) -> Result<Self, StoreError> {
        Ok(Self { message: row.read()?, pts: row.read()?, is_repeat: true })
    }
}

const SENT: &str = "SELECT message, pts FROM sent WHERE owner = $1 AND random_id = $2";

/// A message on its way into one box.
pub(super) struct Copy {
    pub(super) owner: i64,
    pub(super) id: i32,
    pub(super) peer: Peer,
    pub(super) origin: i32,
    pub(super) reply_to: Option<i32>,
    pub(super) is_mention: bool,
}

impl Copy {
    /// Puts a message into boxes, and on top of what their owners have with whom it is.
    pub(super) async fn insert(
        copies: &[Self],
        transaction: &mut Transaction<'_>,
        new: &NewMessage,
    ) -> Result<(), StoreError> {
        let (json, folded) = (new.content.to_json(), new.content.folded());
        for part in in_rows(copies) {
            let before = "INSERT INTO message (owner, id, peer, sender, origin, reply_to, date,
                 mentioned, unheeded, content, folded, kinds) VALUES";
            let insert = sql_rows(before, (part.len(), 12), "");
            let insert = part.iter().fold(insert, |insert, copy| {
                let Self { owner, id, peer, origin, reply_to, is_mention } = *copy;
                let insert = insert.bind(owner).bind(id).bind(peer).bind(new.sender).bind(origin);
                let is_unheeded = is_mention || new.content.is_spoken();
                let insert = insert.bind(reply_to).bind(new.date).bind(is_mention);
                insert.bind(is_unheeded).bind(&*json).bind(&*folded).bind(new.content.kinds())
            });
            transaction.run(insert).await?;
            let before = "INSERT INTO dialog (owner, peer, top_message, messages) VALUES";
            let after = "ON CONFLICT (owner, peer) DO UPDATE SET
                 top_message = excluded.top_message, messages = dialog.messages + 1";
            let dialog = sql_rows(before, (part.len(), 4), after);
            let dialog = part.iter().fold(dialog, |dialog, Self { owner, peer, id, .. }| {
                dialog.bind(*owner).bind(*peer).bind(*id).bind(1)
            });
            transaction.run(dialog).await?;
        }
        Ok(())
    }
}

async fn sent_before(
    transaction: &mut Transaction<'_>,
    new: &NewMessage,
) -> Result<Option<Sent>, StoreError> {
    let Some(random_id) = new.random_id else { return Ok(None) };
    let row = transaction.row(sql(SENT).bind(new.sender).bind(random_id)).await?;
    row.map(Sent::read).transpose()
}

async fn remember(
    transaction: &mut Transaction<'_>,
    new: &NewMessage,
    sent: Sent,
) -> Result<(), StoreError> {
    let Some(random_id) = new.random_id else { return Ok(()) };
    if sent.message % FORGET_EVERY == 0 {
        let forget = sql("DELETE FROM sent WHERE date < $1").bind(new.date - RANDOM_ID_LIFE);
        transaction.run(forget).await?;
    }
    let insert =
        sql("INSERT INTO sent (owner, random_id, message, pts, date) VALUES ($1, $2, $3, $4, $5)");
    let insert = insert.bind(new.sender).bind(random_id).bind(sent.message);
    transaction.run(insert.bind(sent.pts).bind(new.date)).await?;
    Ok(())
}

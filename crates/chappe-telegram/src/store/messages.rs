//! Boxes of messages.

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, Transaction, sql};

use super::events::{Change, Happening};
use super::{Content, Store};

/// A message in the box of one account.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) owner: i64,
    pub(crate) id: i32,
    pub(crate) peer: i64,
    pub(crate) sender: i64,
    /// Its id in the box of its sender.
    pub(crate) origin: i32,
    pub(crate) reply_to: Option<i32>,
    /// Unix second.
    pub(crate) date: i64,
    pub(crate) edited: Option<i64>,
    pub(crate) content: Content,
}

/// What somebody wants to say.
#[derive(Clone, Debug)]
pub(crate) struct NewMessage {
    pub(crate) sender: i64,
    pub(crate) peer: i64,
    pub(crate) random_id: i64,
    /// In the sender's box.
    pub(crate) reply_to: Option<i32>,
    pub(crate) date: i64,
    pub(crate) content: Content,
}

/// What became of it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// In the sender's box.
    pub(crate) message: i32,
    pub(crate) pts: i32,
}

/// Which part of a box is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) peer: i64,
    /// The first message shown is the newest below this id, 0 for the newest of all …
    pub(crate) offset_id: i32,
    /// … and before this second, 0 for whenever …
    pub(crate) offset_date: i64,
    /// … moved by so many towards older ones, or newer ones.
    pub(crate) add_offset: i32,
    pub(crate) limit: i32,
    /// Only those below, 0 for all.
    pub(crate) max_id: i32,
    /// Only those above.
    pub(crate) min_id: i32,
}

/// Seconds for which a `random_id` is remembered (API-12).
const RANDOM_ID_LIFE: i64 = 86_400;

impl Sent {
    fn read(mut row: Row) -> Result<Self, StoreError> {
        Ok(Self { message: row.read()?, pts: row.read()? })
    }
}

impl Message {
    fn read(mut row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            owner: row.read()?,
            id: row.read()?,
            peer: row.read()?,
            sender: row.read()?,
            origin: row.read()?,
            reply_to: row.read()?,
            date: row.read()?,
            edited: row.read()?,
            content: Content::from_json(&row.read::<String>()?)?,
        })
    }
}

impl Store {
    /// Puts a message into the boxes of those who have it. A repeat of one sent before gives that.
    pub(crate) async fn send(
        &self,
        change: &mut Change<'_>,
        new: &NewMessage,
    ) -> Result<Sent, StoreError> {
        if let Some(before) = sent_before(change.transaction(), new).await? {
            return Ok(before);
        }
        let replied = match new.reply_to {
            Some(id) => message(change.transaction(), new.sender, id).await?,
            None => None,
        };
        // In the order of their numbers, so that no two senders wait for each other.
        let mut owners = vec![new.sender, new.peer];
        owners.sort_unstable();
        owners.dedup();
        let mut ids = Vec::new();
        for owner in &owners {
            let take = sql("UPDATE account SET last_message = last_message + 1 WHERE id = $1
                 RETURNING last_message");
            let row = change.transaction().row(take.bind(*owner)).await?;
            ids.push(row.ok_or_else(|| super::damaged("an account is missing"))?.read::<i32>()?);
        }
        let origin = owners.iter().zip(&ids).find(|(owner, _)| **owner == new.sender);
        let origin = origin.map_or(0, |(_, id)| *id);
        let mut sent = Sent { message: origin, pts: 0 };
        for (owner, id) in owners.iter().zip(&ids) {
            let reply_to = match &replied {
                Some(replied) => copy_of(change.transaction(), *owner, replied).await?,
                None => None,
            };
            let peer = if *owner == new.sender { new.peer } else { new.sender };
            insert(change.transaction(), new, (*owner, *id, peer), origin, reply_to).await?;
            change.hold(&new.content).await?;
            let happening = Happening::NewMessage(*id);
            let pts = change.happen(*owner, happening, 1, new.date).await?;
            if *owner == new.sender {
                sent.pts = pts;
            }
        }
        remember(change.transaction(), new, &sent).await?;
        Ok(sent)
    }

    /// What became of something sent before under this `random_id`.
    pub(crate) async fn sent(
        &self,
        sender: i64,
        random_id: i64,
    ) -> Result<Option<Sent>, StoreError> {
        let row = self.database.row(sql(SENT).bind(sender).bind(random_id)).await?;
        row.map(Sent::read).transpose()
    }

    pub(crate) async fn message(&self, owner: i64, id: i32) -> Result<Option<Message>, StoreError> {
        let row = self.database.row(sql(BY_ID).bind(owner).bind(id)).await?;
        row.map(Message::read).transpose()
    }

    /// Messages of one box, newest first.
    pub(crate) async fn history(
        &self,
        owner: i64,
        window: &Window,
    ) -> Result<Vec<Message>, StoreError> {
        let Window { peer, offset_id, offset_date, add_offset, limit, max_id, min_id } = *window;
        let max_id = if max_id > 0 { max_id } else { i32::MAX };
        let from = if offset_id > 0 { offset_id } else { i32::MAX };
        let before = if offset_date > 0 { offset_date } else { i64::MAX };
        let newer_wanted = add_offset.min(0).unsigned_abs() as usize;
        let limit = usize::try_from(limit).unwrap_or(0);
        let mut found = Vec::new();
        if newer_wanted > 0 {
            let query =
                sql("SELECT owner, id, peer, sender, origin, reply_to, date, edited, content
                 FROM message
                 WHERE owner = $1 AND peer = $2 AND (id >= $3 OR date >= $4)
                   AND id < $5 AND id > $6
                 ORDER BY id ASC LIMIT $7");
            let query = query.bind(owner).bind(peer).bind(from).bind(before).bind(max_id);
            let rows = self.database.rows(query.bind(min_id).bind(newer_wanted as i64)).await?;
            found = rows.into_iter().map(Message::read).collect::<Result<_, _>>()?;
            found.reverse();
            found.truncate(limit);
        }
        let older_wanted = limit.saturating_sub(newer_wanted);
        if older_wanted > 0 {
            let query =
                sql("SELECT owner, id, peer, sender, origin, reply_to, date, edited, content
                 FROM message
                 WHERE owner = $1 AND peer = $2 AND id < $3 AND date < $4
                   AND id < $5 AND id > $6
                 ORDER BY id DESC LIMIT $7 OFFSET $8");
            let query = query.bind(owner).bind(peer).bind(from).bind(before).bind(max_id);
            let query = query.bind(min_id).bind(older_wanted as i64).bind(add_offset.max(0));
            for row in self.database.rows(query).await? {
                found.push(Message::read(row)?);
            }
        }
        Ok(found)
    }

    /// How many messages an account has with a peer.
    pub(crate) async fn count_messages(&self, owner: i64, peer: i64) -> Result<i32, StoreError> {
        let query = sql("SELECT count(*) FROM message WHERE owner = $1 AND peer = $2");
        let row = self.database.row(query.bind(owner).bind(peer)).await?;
        row.map_or(Ok(0), |mut row| row.read())
    }

    /// Gives a message of one's own another content, in every box. Its new pts in the sender's;
    /// `None` where the message is not one's own.
    pub(crate) async fn edit(
        &self,
        change: &mut Change<'_>,
        (editor, id): (i64, i32),
        content: &Content,
        now: i64,
    ) -> Result<Option<i32>, StoreError> {
        let found = message(change.transaction(), editor, id).await?;
        let Some(original) = found.filter(|message| message.sender == editor) else {
            return Ok(None);
        };
        let mut owners = vec![editor, original.peer];
        owners.sort_unstable();
        owners.dedup();
        let mut own_pts = None;
        for owner in owners {
            let edit = sql("UPDATE message SET content = $1, edited = $2
                 WHERE owner = $3 AND sender = $4 AND origin = $5 RETURNING id");
            let edit = edit.bind(content.to_json()).bind(now).bind(owner);
            let row = change.transaction().row(edit.bind(editor).bind(original.origin)).await?;
            let Some(mut row) = row else { continue };
            change.hold(content).await?;
            change.release(&original.content).await?;
            let happening = Happening::Edited(row.read()?);
            let pts = change.happen(owner, happening, 1, now).await?;
            if owner == editor {
                own_pts = Some(pts);
            }
        }
        Ok(own_pts)
    }

    /// Takes messages out of one's box, and with `revoke` out of those of the others. The pts
    /// after it, and how many were there.
    pub(crate) async fn delete(
        &self,
        change: &mut Change<'_>,
        owner: i64,
        ids: &[i32],
        revoke: bool,
        now: i64,
    ) -> Result<(i32, i32), StoreError> {
        let mut gone: std::collections::BTreeMap<i64, Vec<Message>> = Default::default();
        for id in ids {
            let Some(own) = message(change.transaction(), owner, *id).await? else { continue };
            if revoke && own.peer != owner {
                let copy = sql(BY_ORIGIN).bind(own.peer).bind(own.sender).bind(own.origin);
                if let Some(row) = change.transaction().row(copy).await? {
                    gone.entry(own.peer).or_default().push(Message::read(row)?);
                }
            }
            let of_owner = gone.entry(owner).or_default();
            if !of_owner.iter().any(|message| message.id == own.id) {
                of_owner.push(own);
            }
        }
        let mut own = (change.pts(owner).await?, 0);
        for (of, messages) in gone {
            for message in &messages {
                let delete = sql("DELETE FROM message WHERE owner = $1 AND id = $2");
                change.transaction().run(delete.bind(of).bind(message.id)).await?;
                change.release(&message.content).await?;
                settle_dialog(change.transaction(), of, message.peer).await?;
            }
            let ids: Vec<i32> = messages.iter().map(|message| message.id).collect();
            let count = i32::try_from(ids.len()).unwrap_or(i32::MAX);
            let pts = change.happen(of, Happening::Deleted(ids), count, now).await?;
            if of == owner {
                own = (pts, count);
            }
        }
        Ok(own)
    }
}

const SENT: &str = "SELECT message, pts FROM sent WHERE owner = $1 AND random_id = $2";
const BY_ID: &str = "SELECT owner, id, peer, sender, origin, reply_to, date, edited, content
                     FROM message WHERE owner = $1 AND id = $2";
const BY_ORIGIN: &str = "SELECT owner, id, peer, sender, origin, reply_to, date, edited, content
                         FROM message WHERE owner = $1 AND sender = $2 AND origin = $3";

async fn message(
    transaction: &mut Transaction<'_>,
    owner: i64,
    id: i32,
) -> Result<Option<Message>, StoreError> {
    let row = transaction.row(sql(BY_ID).bind(owner).bind(id)).await?;
    row.map(Message::read).transpose()
}

/// The id that a message has in another box.
async fn copy_of(
    transaction: &mut Transaction<'_>,
    owner: i64,
    message: &Message,
) -> Result<Option<i32>, StoreError> {
    let query = sql("SELECT id FROM message WHERE owner = $1 AND sender = $2 AND origin = $3");
    let query = query.bind(owner).bind(message.sender).bind(message.origin);
    transaction.row(query).await?.map(|mut row| row.read()).transpose()
}

async fn insert(
    transaction: &mut Transaction<'_>,
    new: &NewMessage,
    (owner, id, peer): (i64, i32, i64),
    origin: i32,
    reply_to: Option<i32>,
) -> Result<(), StoreError> {
    let insert =
        sql("INSERT INTO message (owner, id, peer, sender, origin, reply_to, date, content)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    let insert = insert.bind(owner).bind(id).bind(peer).bind(new.sender).bind(origin);
    let insert = insert.bind(reply_to).bind(new.date).bind(new.content.to_json());
    transaction.run(insert).await?;
    let dialog = sql("INSERT INTO dialog (owner, peer, top_message) VALUES ($1, $2, $3)
         ON CONFLICT (owner, peer) DO UPDATE SET top_message = excluded.top_message");
    transaction.run(dialog.bind(owner).bind(peer).bind(id)).await?;
    Ok(())
}

async fn sent_before(
    transaction: &mut Transaction<'_>,
    new: &NewMessage,
) -> Result<Option<Sent>, StoreError> {
    let row = transaction.row(sql(SENT).bind(new.sender).bind(new.random_id)).await?;
    row.map(Sent::read).transpose()
}

async fn remember(
    transaction: &mut Transaction<'_>,
    new: &NewMessage,
    sent: &Sent,
) -> Result<(), StoreError> {
    let forget = sql("DELETE FROM sent WHERE date < $1").bind(new.date - RANDOM_ID_LIFE);
    transaction.run(forget).await?;
    let insert =
        sql("INSERT INTO sent (owner, random_id, message, pts, date) VALUES ($1, $2, $3, $4, $5)");
    let insert = insert.bind(new.sender).bind(new.random_id).bind(sent.message);
    transaction.run(insert.bind(sent.pts).bind(new.date)).await?;
    Ok(())
}

/// After a message is gone: the dialog shows the newest that is left, or is gone, too.
async fn settle_dialog(
    transaction: &mut Transaction<'_>,
    owner: i64,
    peer: i64,
) -> Result<(), StoreError> {
    let query = sql("SELECT max(id) FROM message WHERE owner = $1 AND peer = $2");
    let row = transaction.row(query.bind(owner).bind(peer)).await?;
    let top: Option<i64> = row.map_or(Ok(None), |mut row| row.read())?;
    let settle = match top {
        Some(top) => sql("UPDATE dialog SET top_message = $3 WHERE owner = $1 AND peer = $2")
            .bind(owner)
            .bind(peer)
            .bind(top),
        None => sql("DELETE FROM dialog WHERE owner = $1 AND peer = $2").bind(owner).bind(peer),
    };
    transaction.run(settle).await?;
    Ok(())
}

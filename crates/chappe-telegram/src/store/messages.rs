//! Boxes of messages, and what is read from them.

use std::collections::BTreeMap;

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, Statement, Transaction, in_rows, sql, sql_rows};

use super::{Change, Content, Peer, Store};

/// A message in the box of one account.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) owner: i64,
    pub(crate) id: i32,
    pub(crate) peer: Peer,
    pub(crate) sender: i64,
    /// Its id in the box of its sender: with that it is the same message everywhere.
    pub(crate) origin: i32,
    pub(crate) reply_to: Option<i32>,
    /// Unix second.
    pub(crate) date: i64,
    pub(crate) edited: Option<i64>,
    pub(crate) is_pinned: bool,
    /// It is to the owner above all.
    pub(crate) is_mention: bool,
    /// The owner has yet to look at it.
    pub(crate) is_unheeded: bool,
    pub(crate) content: Content,
}

/// What names a message: in its owner's box, and in everybody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heading {
    pub(crate) id: i32,
    pub(crate) peer: Peer,
    pub(crate) sender: i64,
    pub(crate) origin: i32,
}

/// Which part of a box is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) peer: Peer,
    /// The first message shown is the newest below this id, 0 for the newest of all …
    pub(crate) offset_id: i32,
    /// … or, where there is no such id, the newest before this second, 0 for whenever …
    pub(crate) offset_date: i64,
    /// … moved by so many towards older ones, or newer ones.
    pub(crate) add_offset: i32,
    pub(crate) limit: i32,
    /// Only those below, 0 for all.
    pub(crate) max_id: i32,
    /// Only those above.
    pub(crate) min_id: i32,
    pub(crate) sieve: Sieve,
}

/// Which messages count. By default all do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sieve {
    /// Words in lower case that occur in this order; none for any text.
    pub(crate) words: Vec<String>,
    /// Of any of these kinds, 0 for all.
    pub(crate) kinds: i64,
    pub(crate) sender: Option<i64>,
    pub(crate) is_pinned: bool,
    /// To the owner above all.
    pub(crate) is_mention: bool,
    /// Of those the ones it has yet to look at.
    pub(crate) is_unheeded: bool,
    /// Unix second, 0 for whenever.
    pub(crate) after: i64,
    /// Unix second, 0 for whenever.
    pub(crate) before: i64,
}

/// What a message is besides a text, in bits.
pub(crate) mod kinds {
    pub(crate) const URL: i64 = 1;
    pub(crate) const PHOTO: i64 = 1 << 1;
    pub(crate) const VIDEO: i64 = 1 << 2;
    /// A file that is none of the others.
    pub(crate) const FILE: i64 = 1 << 3;
    pub(crate) const GIF: i64 = 1 << 4;
    pub(crate) const MUSIC: i64 = 1 << 5;
    pub(crate) const VOICE: i64 = 1 << 6;
    pub(crate) const ROUND: i64 = 1 << 7;
    pub(crate) const CONTACT: i64 = 1 << 8;
    pub(crate) const PLACE: i64 = 1 << 9;
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT owner, id, peer, sender, origin, reply_to, date, edited, pinned, mentioned,
                    unheeded, content
             FROM ",
            $rest
        )
    };
}

/// A statement that sifts all messages, and that for those which are few, by what
/// [`few`](Sieve::few) says: by a condition without places engines see that the index of these few
/// has them all.
macro_rules! sifted {
    ([$($before:tt)*], $after:literal) => {
        [
            concat!($($before)*, $after),
            concat!($($before)*, "pinned = 1 AND ", $after),
            concat!($($before)*, "mentioned = 1 AND unheeded = 1 AND ", $after),
            concat!($($before)*, "kinds <> 0 AND ", $after),
        ]
    };
}

impl Message {
    fn read(mut row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            owner: row.read()?,
            id: row.read()?,
            peer: Peer::of_column(row.read()?),
            sender: row.read()?,
            origin: row.read()?,
            reply_to: row.read()?,
            date: row.read()?,
            edited: row.read()?,
            is_pinned: row.read::<i64>()? != 0,
            is_mention: row.read::<i64>()? != 0,
            is_unheeded: row.read::<i64>()? != 0,
            content: Content::from_json(&row.read::<String>()?)?,
        })
    }
}

impl Heading {
    fn read(mut row: Row) -> Result<Self, StoreError> {
        let (id, peer) = (row.read()?, Peer::of_column(row.read()?));
        Ok(Self { id, peer, sender: row.read()?, origin: row.read()? })
    }
}

impl Window {
    /// Whether it lets all see that the sieve does, if its limit is not reached.
    pub(crate) fn is_open(&self) -> bool {
        let Self { offset_id, offset_date, add_offset, max_id, min_id, .. } = self;
        (*offset_id).max(*max_id).max(*min_id) <= 0 && *offset_date <= 0 && *add_offset == 0
    }
}

impl Sieve {
    /// Whether every message counts.
    fn is_open(&self) -> bool {
        let Self { words, kinds, sender, is_pinned, is_mention, is_unheeded, after, before } = self;
        words.is_empty()
            && (*kinds, *sender, *after, *before) == (0, None, 0, 0)
            && !(*is_pinned || *is_mention || *is_unheeded)
    }

    /// Which of the statements that sift is the one for what counts.
    fn few(&self) -> usize {
        match self {
            Self { is_pinned: true, .. } => 1,
            Self { is_mention: true, is_unheeded: true, .. } => 2,
            Self { kinds, .. } if *kinds != 0 => 3,
            _ => 0,
        }
    }

    /// Fills the eight places of a statement that sifts.
    fn bind(&self, statement: Statement) -> Statement {
        let before = if self.before > 0 { self.before } else { i64::MAX };
        statement
            .bind(self.pattern())
            .bind(self.kinds)
            .bind(self.sender.unwrap_or(0))
            .bind(self.is_pinned)
            .bind(self.is_mention)
            .bind(self.is_unheeded)
            .bind(self.after)
            .bind(before)
    }

    fn pattern(&self) -> String {
        let mut pattern = String::from("%");
        for word in &self.words {
            for character in word.chars() {
                if matches!(character, '%' | '_' | '\\') {
                    pattern.push('\\');
                }
                pattern.push(character);
            }
            pattern.push('%');
        }
        pattern
    }
}

impl Store {
    pub(crate) async fn message(&self, owner: i64, id: i32) -> Result<Option<Message>, StoreError> {
        let row = self.database.row(sql(BY_ID).bind(owner).bind(id)).await?;
        row.map(Message::read).transpose()
    }

    /// Those of these messages that are in a box, by their ids.
    pub(crate) async fn messages(
        &self,
        owner: i64,
        ids: &[i32],
    ) -> Result<BTreeMap<i32, Message>, StoreError> {
        let mut found = BTreeMap::new();
        for part in in_rows(ids) {
            let query = sql_rows(BY_IDS, (part.len(), 2), AS_ASKED);
            let query = part.iter().fold(query, |query, id| query.bind(owner).bind(*id));
            for row in self.database.rows(query).await? {
                let message = Message::read(row)?;
                found.insert(message.id, message);
            }
        }
        Ok(found)
    }

    /// Messages of one box, newest first.
    pub(crate) async fn history(
        &self,
        owner: i64,
        window: &Window,
    ) -> Result<Vec<Message>, StoreError> {
        let Window { peer, offset_id, offset_date, add_offset, limit, max_id, min_id, sieve } =
            window;
        let max_id = if *max_id > 0 { *max_id } else { i32::MAX };
        let from = if *offset_id > 0 { *offset_id } else { i32::MAX };
        // Some give the second of the message, too, which it may share with others (QRK-40).
        let date = Some(*offset_date).filter(|date| *date > 0 && *offset_id <= 0);
        let newer_wanted = add_offset.min(&0).unsigned_abs() as usize;
        let limit = usize::try_from(*limit).unwrap_or(0);
        let mut found = Vec::new();
        if newer_wanted > 0 {
            // Whatever is not below the id, or before the second.
            let above = date.map_or((from - 1).max(*min_id), |_| *min_id);
            let query = sql(NEWER).bind(owner).bind(*peer).bind(above).bind(date.unwrap_or(0));
            let query = query.bind(max_id).bind(newer_wanted as i64);
            let rows = self.database.rows(sieve.bind(query)).await?;
            found = rows.into_iter().map(Message::read).collect::<Result<_, _>>()?;
            found.reverse();
            found.truncate(limit);
        }
        let older_wanted = limit.saturating_sub(newer_wanted);
        if older_wanted > 0 {
            let (below, before) = (from.min(max_id), date.unwrap_or(i64::MAX));
            let query = sql(OLDER[sieve.few()]).bind(owner).bind(*peer).bind(below).bind(before);
            let query = query.bind(*min_id).bind(older_wanted as i64);
            let query = sieve.bind(query).bind((*add_offset).max(0));
            for row in self.database.rows(query).await? {
                found.push(Message::read(row)?);
            }
        }
        Ok(found)
    }

    /// How many messages an account has with a peer that count.
    pub(crate) async fn count_messages(
        &self,
        owner: i64,
        peer: Peer,
        sieve: &Sieve,
    ) -> Result<i32, StoreError> {
        let query = if sieve.is_open() {
            sql("SELECT messages FROM dialog WHERE owner = $1 AND peer = $2").bind(owner).bind(peer)
        } else {
            sieve.bind(sql(COUNT[sieve.few()]).bind(owner).bind(peer))
        };
        self.database.row(query).await?.map_or(Ok(0), |mut row| row.read())
    }

    /// Messages of a box below an id, 0 for the newest, that count, newest first, whoever they are
    /// with: `limit` at most, and how many there are in all.
    pub(crate) async fn search(
        &self,
        owner: i64,
        (below, limit): (i32, i32),
        (least, most): (Peer, Peer),
        sieve: &Sieve,
    ) -> Result<(Vec<Message>, i32), StoreError> {
        let is_open = below <= 0;
        let below = if is_open { i32::MAX } else { below };
        let query = sql(EVERYWHERE).bind(owner).bind(least).bind(most).bind(below).bind(limit);
        let rows = self.database.rows(sieve.bind(query)).await?;
        let found = rows.into_iter().map(Message::read).collect::<Result<Vec<_>, _>>()?;
        // A page that is not full is all there is: another walk would find no more.
        let seen = i32::try_from(found.len()).unwrap_or(i32::MAX);
        if is_open && seen < limit {
            return Ok((found, seen));
        }
        let count = sieve.bind(sql(COUNT_EVERYWHERE).bind(owner).bind(least).bind(most));
        let count = self.database.row(count).await?.map_or(Ok(0), |mut row| row.read())?;
        Ok((found, count))
    }

    /// Those of these messages that are in a box.
    pub(crate) async fn headings(
        &self,
        owner: i64,
        ids: &[i32],
    ) -> Result<Vec<Heading>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for part in in_rows(ids) {
            let before = "SELECT id, peer, sender, origin FROM (VALUES";
            let after = ") AS meant JOIN message
                 ON message.owner = meant.column1 AND message.id = meant.column2";
            let query = sql_rows(before, (part.len(), 2), after);
            let query = part.iter().fold(query, |query, id| query.bind(owner).bind(*id));
            for row in self.database.rows(query).await? {
                found.push(Heading::read(row)?);
            }
        }
        Ok(found)
    }

    /// Messages of a dialog, newest first, up to one and between two seconds; 0 is no bound.
    pub(crate) async fn headings_of(
        &self,
        owner: i64,
        (peer, max_id): (Peer, i32),
        (after, before): (i64, i64),
        limit: i64,
    ) -> Result<Vec<Heading>, StoreError> {
        let max_id = if max_id > 0 { max_id } else { i32::MAX };
        let before = if before > 0 { before } else { i64::MAX };
        let query = sql("SELECT id, peer, sender, origin FROM message
             WHERE owner = $1 AND peer = $2 AND id <= $3 AND date >= $4 AND date <= $5
             ORDER BY id DESC LIMIT $6");
        let query = query.bind(owner).bind(peer).bind(max_id).bind(after).bind(before).bind(limit);
        self.database.rows(query).await?.into_iter().map(Heading::read).collect()
    }
}

const BY_ID: &str = select!("message WHERE owner = $1 AND id = $2");
/// Engines call the columns of values so. As a join, for of a list of pairs SQLite takes no index.
const BY_IDS: &str = select!("(VALUES");
const AS_ASKED: &str = ") AS asked
     JOIN message ON message.owner = asked.column1 AND message.id = asked.column2";
const BY_ORIGIN: &str = select!("message WHERE owner = $1 AND sender = $2 AND origin = $3");
/// The part of a dialog between two ids. Of `peer = $2` and two bounds of ids SQLite takes the key of
/// the whole box for the better index.
const OLDER: [&str; 4] = sifted!(
    [select!("message WHERE ")],
    "owner = $1 AND (peer, id) < ($2, $3) AND date < $4 AND (peer, id) > ($2, $5)
       AND folded LIKE $7 ESCAPE '\\' AND ($8 = 0 OR (kinds & $8) <> 0)
       AND ($9 = 0 OR sender = $9) AND pinned >= $10 AND mentioned >= $11 AND unheeded >= $12
       AND date > $13 AND date < $14
     ORDER BY peer DESC, id DESC LIMIT $6 OFFSET $15"
);
const NEWER: &str = select!(
    "message WHERE owner = $1 AND (peer, id) > ($2, $3) AND date >= $4 AND (peer, id) < ($2, $5)
       AND folded LIKE $7 ESCAPE '\\' AND ($8 = 0 OR (kinds & $8) <> 0)
       AND ($9 = 0 OR sender = $9) AND pinned >= $10 AND mentioned >= $11 AND unheeded >= $12
       AND date > $13 AND date < $14
     ORDER BY peer, id LIMIT $6"
);
const COUNT: [&str; 4] = sifted!(
    ["SELECT count(*) FROM message WHERE "],
    "owner = $1 AND peer = $2
       AND folded LIKE $3 ESCAPE '\\' AND ($4 = 0 OR (kinds & $4) <> 0)
       AND ($5 = 0 OR sender = $5) AND pinned >= $6 AND mentioned >= $7 AND unheeded >= $8
       AND date > $9 AND date < $10"
);
const EVERYWHERE: &str = select!(
    "message WHERE owner = $1 AND peer >= $2 AND peer <= $3 AND id < $4
       AND folded LIKE $6 ESCAPE '\\' AND ($7 = 0 OR (kinds & $7) <> 0)
       AND ($8 = 0 OR sender = $8) AND pinned >= $9 AND mentioned >= $10 AND unheeded >= $11
       AND date > $12 AND date < $13
     ORDER BY id DESC LIMIT $5"
);
const COUNT_EVERYWHERE: &str =
    "SELECT count(*) FROM message WHERE owner = $1 AND peer >= $2 AND peer <= $3
       AND folded LIKE $4 ESCAPE '\\' AND ($5 = 0 OR (kinds & $5) <> 0)
       AND ($6 = 0 OR sender = $6) AND pinned >= $7 AND mentioned >= $8 AND unheeded >= $9
       AND date > $10 AND date < $11";

impl Change<'_> {
    /// A message as of this change.
    pub(crate) async fn message(
        &mut self,
        owner: i64,
        id: i32,
    ) -> Result<Option<Message>, StoreError> {
        message(self.transaction(), owner, id).await
    }
}

pub(super) async fn message(
    transaction: &mut Transaction<'_>,
    owner: i64,
    id: i32,
) -> Result<Option<Message>, StoreError> {
    let row = transaction.row(sql(BY_ID).bind(owner).bind(id)).await?;
    row.map(Message::read).transpose()
}

/// The same message in another box.
pub(super) async fn copy_of(
    transaction: &mut Transaction<'_>,
    owner: i64,
    message: &Message,
) -> Result<Option<Message>, StoreError> {
    let query = sql(BY_ORIGIN).bind(owner).bind(message.sender).bind(message.origin);
    transaction.row(query).await?.map(Message::read).transpose()
}

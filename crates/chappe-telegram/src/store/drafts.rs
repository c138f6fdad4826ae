//! What people began to write.

use std::collections::BTreeMap;

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, in_rows, sql, sql_rows};

use super::events::Change;
use super::{Content, Peer, Quiet, Store};

/// What an account began to write to somebody.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Draft {
    /// Unix second.
    pub(crate) date: i64,
    /// In the account's box.
    pub(crate) reply_to: Option<i32>,
    /// No preview of links is wanted.
    pub(crate) no_webpage: bool,
    pub(crate) content: Content,
}

impl Draft {
    fn read(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            date: row.read()?,
            reply_to: row.read()?,
            no_webpage: row.read::<i64>()? != 0,
            content: Content::from_json(&row.read::<String>()?)?,
        })
    }
}

impl Store {
    /// What an account began to write to these.
    pub(crate) async fn drafts_to(
        &self,
        owner: i64,
        peers: &[Peer],
    ) -> Result<BTreeMap<Peer, Draft>, StoreError> {
        let mut found = BTreeMap::new();
        for part in in_rows(peers) {
            let before = "SELECT peer, date, reply_to, no_webpage, content FROM (VALUES";
            let after = ") AS asked
                 JOIN draft ON draft.owner = asked.column1 AND draft.peer = asked.column2";
            let query = sql_rows(before, (part.len(), 2), after);
            let query = part.iter().fold(query, |query, peer| query.bind(owner).bind(*peer));
            for mut row in self.database.rows(query).await? {
                found.insert(Peer::of_column(row.read()?), Draft::read(&mut row)?);
            }
        }
        Ok(found)
    }

    /// By peer.
    pub(crate) async fn drafts(&self, owner: i64) -> Result<Vec<(Peer, Draft)>, StoreError> {
        let query = sql("SELECT peer, date, reply_to, no_webpage, content FROM draft
             WHERE owner = $1 ORDER BY peer");
        let rows = self.database.rows(query.bind(owner)).await?;
        let read = |mut row: Row| Ok((Peer::of_column(row.read()?), Draft::read(&mut row)?));
        rows.into_iter().map(read).collect()
    }

    /// Puts a draft in the place of the one there was.
    pub(crate) async fn save_draft(
        &self,
        (owner, peer): (i64, Peer),
        draft: &Draft,
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let insert = sql("INSERT INTO draft (owner, peer, date, reply_to, no_webpage, content)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (owner, peer) DO UPDATE SET date = excluded.date,
                 reply_to = excluded.reply_to, no_webpage = excluded.no_webpage,
                 content = excluded.content");
        let insert = insert.bind(owner).bind(peer).bind(draft.date).bind(draft.reply_to);
        let insert = insert.bind(draft.no_webpage).bind(draft.content.to_json());
        change.transaction().run(insert).await?;
        change.note_quiet(owner, Quiet::Draft(peer), draft.date).await?;
        change.commit().await.map(drop)
    }

    /// Whether there was one.
    pub(crate) async fn clear_draft(
        &self,
        owner: i64,
        peer: Peer,
        second: i64,
    ) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        let was_there = change.clear_draft(owner, peer, second).await?;
        change.commit().await?;
        Ok(was_there)
    }
}

impl Change<'_> {
    /// Whether there was one.
    pub(crate) async fn clear_draft(
        &mut self,
        owner: i64,
        peer: Peer,
        second: i64,
    ) -> Result<bool, StoreError> {
        let delete = sql("DELETE FROM draft WHERE owner = $1 AND peer = $2");
        let was_there = self.transaction().run(delete.bind(owner).bind(peer)).await? > 0;
        if was_there {
            self.note_quiet(owner, Quiet::Draft(peer), second).await?;
        }
        Ok(was_there)
    }
}

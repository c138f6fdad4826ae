//! Basic groups.

use std::collections::BTreeMap;

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, in_rows, sql, sql_rows};

use super::events::Change;
use super::members::{Role, Standing, State};
use super::{Photo, Store, damaged, files, next};

/// A basic group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chat {
    pub(crate) id: i64,
    pub(crate) title: String,
    pub(crate) about: String,
    /// Unix second.
    pub(crate) created: i64,
    /// Rises with every change.
    pub(crate) version: i32,
    /// What ordinary members may not do, in the bits of `chatBannedRights`.
    pub(crate) banned: i64,
    pub(crate) is_over: bool,
    pub(crate) photo: Option<Photo>,
    /// How many are in it.
    pub(crate) members: i32,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT chat.id, title, about, created, version, banned, is_over, photo,
                 (SELECT count(*) FROM chat_member AS one
                  WHERE one.chat = chat.id AND one.state = 1)",
            $rest
        )
    };
}

/// With what a viewer is in each. Engines call the columns of values so.
const SEEN: &str = select!(", chat_member.role, chat_member.state FROM (VALUES");
const SEEN_BY: &str = ") AS seen JOIN chat ON chat.id = seen.column2
     JOIN chat_member ON chat_member.chat = seen.column2 AND chat_member.account = seen.column1";

impl Chat {
    fn read(mut row: Row) -> Result<Self, StoreError> {
        Self::read_of(&mut row)
    }

    fn read_of(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.read()?,
            title: row.read()?,
            about: row.read()?,
            created: row.read()?,
            version: row.read()?,
            banned: row.read()?,
            is_over: row.read::<i64>()? != 0,
            photo: row.read::<Option<String>>()?.map(|json| photo(&json)).transpose()?,
            members: row.read()?,
        })
    }
}

impl Store {
    pub(crate) async fn chat(&self, id: i64) -> Result<Option<Chat>, StoreError> {
        let row = self.database.row(sql(select!(" FROM chat WHERE id = $1")).bind(id)).await?;
        row.map(Chat::read).transpose()
    }

    /// Those of these groups that a viewer is in, or was, by their numbers.
    pub(crate) async fn chats_seen(
        &self,
        viewer: i64,
        ids: &[i64],
    ) -> Result<BTreeMap<i64, (Chat, Standing)>, StoreError> {
        let mut seen = BTreeMap::new();
        for part in in_rows(ids) {
            let query = sql_rows(SEEN, (part.len(), 2), SEEN_BY);
            let query = part.iter().fold(query, |query, id| query.bind(viewer).bind(*id));
            for mut row in self.database.rows(query).await? {
                let chat = Chat::read_of(&mut row)?;
                seen.insert(chat.id, (chat, Standing::read(row.read()?, row.read()?)?));
            }
        }
        Ok(seen)
    }

    /// Groups that two accounts are in, the newest first, below a number unless it is 0.
    pub(crate) async fn common_chats(
        &self,
        (me, other): (i64, i64),
        max_id: i64,
        limit: i64,
    ) -> Result<Vec<i64>, StoreError> {
        let query = sql("SELECT chat FROM chat_member AS mine
             WHERE account = $1 AND state = 1 AND ($3 = 0 OR chat < $3) AND EXISTS (
                 SELECT 1 FROM chat_member AS theirs
                 WHERE theirs.chat = mine.chat AND theirs.account = $2 AND theirs.state = 1)
             ORDER BY chat DESC LIMIT $4");
        let query = query.bind(me).bind(other).bind(max_id).bind(limit);
        self.database.rows(query).await?.into_iter().map(|mut row| row.read()).collect()
    }
}

impl Change<'_> {
    /// Makes a group with its creator and these members; its number.
    pub(crate) async fn create_chat(
        &mut self,
        creator: i64,
        title: &str,
        members: &[i64],
        now: i64,
    ) -> Result<i64, StoreError> {
        let id = next(self.transaction(), "chat").await?;
        let insert = sql("INSERT INTO chat (id, title, created) VALUES ($1, $2, $3)");
        self.transaction().run(insert.bind(id).bind(title).bind(now)).await?;
        self.set_member(id, creator, (Role::Creator, State::In), (creator, now), None).await?;
        for member in members {
            self.set_member(id, *member, (Role::Member, State::In), (creator, now), None).await?;
        }
        Ok(id)
    }

    /// A group, which nobody else changes or writes to until the end of this change. Its row is
    /// taken before those of accounts.
    pub(crate) async fn chat(&mut self, id: i64) -> Result<Option<Chat>, StoreError> {
        let take = sql("UPDATE chat SET version = version WHERE id = $1").bind(id);
        if self.transaction().run(take).await? == 0 {
            return Ok(None);
        }
        let row = self.transaction().row(sql(select!(" FROM chat WHERE id = $1")).bind(id)).await?;
        row.map(Chat::read).transpose()
    }

    /// Counts a change of a group; its version now.
    pub(crate) async fn next_version(&mut self, chat: i64) -> Result<i32, StoreError> {
        let step = sql("UPDATE chat SET version = version + 1 WHERE id = $1 RETURNING version");
        let row = self.transaction().row(step.bind(chat)).await?;
        row.ok_or_else(|| damaged("a group is missing"))?.read()
    }

    pub(crate) async fn set_title(&mut self, chat: i64, title: &str) -> Result<(), StoreError> {
        let set = sql("UPDATE chat SET title = $2 WHERE id = $1").bind(chat).bind(title);
        self.transaction().run(set).await.map(drop)
    }

    pub(crate) async fn set_about(&mut self, chat: i64, about: &str) -> Result<(), StoreError> {
        let set = sql("UPDATE chat SET about = $2 WHERE id = $1").bind(chat).bind(about);
        self.transaction().run(set).await.map(drop)
    }

    /// Gives a group a photo in the place of the one it had, or none; `false` where it is gone.
    pub(crate) async fn set_photo(
        &mut self,
        chat: &Chat,
        photo: Option<&Photo>,
    ) -> Result<bool, StoreError> {
        if let Some(photo) = photo
            && !files::hold(self.transaction(), photo.id, 1).await?
        {
            return Ok(false);
        }
        if let Some(before) = &chat.photo {
            files::release(self.transaction(), before.id, 1).await?;
        }
        let json =
            photo.map(|photo| serde_json::to_string(photo).expect("strings and numbers are JSON"));
        let set = sql("UPDATE chat SET photo = $2 WHERE id = $1").bind(chat.id).bind(json);
        self.transaction().run(set).await?;
        Ok(true)
    }

    pub(crate) async fn set_banned(&mut self, chat: i64, banned: i64) -> Result<(), StoreError> {
        let set = sql("UPDATE chat SET banned = $2 WHERE id = $1").bind(chat).bind(banned);
        self.transaction().run(set).await.map(drop)
    }

    /// Removes everybody from a group for good.
    pub(crate) async fn end_chat(&mut self, chat: i64) -> Result<(), StoreError> {
        let end = sql("UPDATE chat SET is_over = 1 WHERE id = $1").bind(chat);
        self.transaction().run(end).await?;
        let remove = sql("UPDATE chat_member SET state = 3 WHERE chat = $1 AND state = 1");
        self.transaction().run(remove.bind(chat)).await.map(drop)
    }
}

fn photo(json: &str) -> Result<Photo, StoreError> {
    serde_json::from_str(json).map_err(|error| damaged(&format!("a group's photo: {error}")))
}

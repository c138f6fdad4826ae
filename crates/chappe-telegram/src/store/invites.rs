//! Links by which people join groups.

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, sql};

use super::events::Change;
use super::{Member, Store};

/// A link to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invite {
    pub(crate) hash: String,
    pub(crate) chat: i64,
    pub(crate) creator: i64,
    /// Unix second.
    pub(crate) date: i64,
    /// Unix second.
    pub(crate) expires: Option<i64>,
    pub(crate) usage_limit: Option<i32>,
    pub(crate) used: i32,
    pub(crate) title: Option<String>,
    /// The one that an administrator has always.
    pub(crate) is_permanent: bool,
    pub(crate) is_revoked: bool,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT hash, chat, creator, date, expires, usage_limit, used, title, is_permanent,
                 is_revoked
             FROM chat_invite WHERE ",
            $rest
        )
    };
}

impl Invite {
    fn read(mut row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            hash: row.read()?,
            chat: row.read()?,
            creator: row.read()?,
            date: row.read()?,
            expires: row.read()?,
            usage_limit: row.read()?,
            used: row.read()?,
            title: row.read()?,
            is_permanent: row.read::<i64>()? != 0,
            is_revoked: row.read::<i64>()? != 0,
        })
    }

    /// Whether somebody can join by it at a second.
    pub(crate) fn is_open(&self, now: i64) -> bool {
        !self.is_revoked
            && self.expires.is_none_or(|expires| now < expires)
            && self.usage_limit.is_none_or(|limit| self.used < limit)
    }
}

impl Store {
    pub(crate) async fn invite(&self, hash: &str) -> Result<Option<Invite>, StoreError> {
        let row = self.database.row(sql(select!("hash = $1")).bind(hash)).await?;
        row.map(Invite::read).transpose()
    }

    /// The one that an administrator has always.
    pub(crate) async fn permanent_invite(
        &self,
        chat: i64,
        creator: i64,
    ) -> Result<Option<Invite>, StoreError> {
        let query =
            sql(select!("chat = $1 AND creator = $2 AND is_permanent = 1 AND is_revoked = 0"));
        let row = self.database.row(query.bind(chat).bind(creator)).await?;
        row.map(Invite::read).transpose()
    }

    /// Links that somebody made, the newest first.
    pub(crate) async fn invites(
        &self,
        (chat, creator): (i64, i64),
        is_revoked: bool,
        limit: i64,
    ) -> Result<Vec<Invite>, StoreError> {
        let query = sql(select!(
            "chat = $1 AND creator = $2 AND is_revoked = $3 ORDER BY date DESC, hash LIMIT $4"
        ));
        let query = query.bind(chat).bind(creator).bind(is_revoked).bind(limit);
        self.database.rows(query).await?.into_iter().map(Invite::read).collect()
    }
}

impl Change<'_> {
    pub(crate) async fn invite(&mut self, hash: &str) -> Result<Option<Invite>, StoreError> {
        let row = self.transaction().row(sql(select!("hash = $1")).bind(hash)).await?;
        row.map(Invite::read).transpose()
    }

    pub(crate) async fn insert_invite(&mut self, invite: &Invite) -> Result<(), StoreError> {
        let insert = sql("INSERT INTO chat_invite (hash, chat, creator, date, expires,
                usage_limit, title, is_permanent)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
        let insert = insert.bind(&*invite.hash).bind(invite.chat).bind(invite.creator);
        let insert = insert.bind(invite.date).bind(invite.expires).bind(invite.usage_limit);
        let insert = insert.bind(invite.title.clone()).bind(invite.is_permanent);
        self.transaction().run(insert).await.map(drop)
    }

    /// Of a link that is open still what its maker may change.
    pub(crate) async fn set_invite(&mut self, invite: &Invite) -> Result<(), StoreError> {
        let set = sql("UPDATE chat_invite SET expires = $2, usage_limit = $3, title = $4,
                is_revoked = $5
             WHERE hash = $1");
        let set = set.bind(&*invite.hash).bind(invite.expires).bind(invite.usage_limit);
        let set = set.bind(invite.title.clone()).bind(invite.is_revoked);
        self.transaction().run(set).await.map(drop)
    }

    /// Takes the permanent link away that somebody had.
    pub(crate) async fn revoke_permanent(
        &mut self,
        chat: i64,
        creator: i64,
    ) -> Result<(), StoreError> {
        let revoke = sql("UPDATE chat_invite SET is_revoked = 1
             WHERE chat = $1 AND creator = $2 AND is_permanent = 1");
        self.transaction().run(revoke.bind(chat).bind(creator)).await.map(drop)
    }

    /// Takes a place on a link at a second; the link, if it was open.
    pub(crate) async fn use_invite(
        &mut self,
        hash: &str,
        now: i64,
    ) -> Result<Option<Invite>, StoreError> {
        let take = sql("UPDATE chat_invite SET used = used + 1
             WHERE hash = $1 AND is_revoked = 0 AND (expires IS NULL OR expires > $2)
                 AND (usage_limit IS NULL OR used < usage_limit)");
        if self.transaction().run(take.bind(hash).bind(now)).await? == 0 {
            return Ok(None);
        }
        self.invite(hash).await
    }

    /// Forgets a link that was revoked; whether there was one.
    pub(crate) async fn forget_invite(&mut self, invite: &Invite) -> Result<bool, StoreError> {
        let delete = sql("DELETE FROM chat_invite WHERE hash = $1 AND is_revoked = 1");
        Ok(self.transaction().run(delete.bind(&*invite.hash)).await? > 0)
    }
}

impl Invite {
    /// Whether somebody came by it.
    pub(crate) fn brought(&self, member: &Member) -> bool {
        member.invite.as_deref() == Some(&*self.hash)
    }
}

//! Who is in a group, and what they are there.

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, sql};

use super::events::Change;
use super::{Store, damaged};

/// Somebody in a group, or who was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) account: i64,
    pub(crate) inviter: i64,
    /// Unix second at which they came.
    pub(crate) date: i64,
    pub(crate) standing: Standing,
    pub(crate) is_bot: bool,
    /// The link by which they came.
    pub(crate) invite: Option<String>,
}

/// What somebody is in a group, and whether they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) role: Role,
    pub(crate) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Member = 1,
    Admin = 2,
    Creator = 3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    In = 1,
    Left = 2,
    Removed = 3,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT account, inviter, date, role, state,
                 (SELECT is_bot FROM account AS one WHERE one.id = chat_member.account), invite
             FROM chat_member WHERE ",
            $rest
        )
    };
}

const ONE: &str = select!("chat = $1 AND account = $2");
const ALL: &str = select!("chat = $1 ORDER BY account");

impl Standing {
    pub(super) fn read(role: i64, state: i64) -> Result<Self, StoreError> {
        let role = match role {
            1 => Role::Member,
            2 => Role::Admin,
            3 => Role::Creator,
            _ => return Err(damaged("a member has no role that is known")),
        };
        let state = match state {
            1 => State::In,
            2 => State::Left,
            3 => State::Removed,
            _ => return Err(damaged("a member is nowhere that is known")),
        };
        Ok(Self { role, state })
    }

    pub(crate) fn is_in(self) -> bool {
        self.state == State::In
    }

    /// In the group, and more than an ordinary member.
    pub(crate) fn is_admin(self) -> bool {
        self.is_in() && self.role >= Role::Admin
    }
}

impl Member {
    fn read(mut row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            account: row.read()?,
            inviter: row.read()?,
            date: row.read()?,
            standing: Standing::read(row.read()?, row.read()?)?,
            is_bot: row.read::<Option<i64>>()?.unwrap_or(0) != 0,
            invite: row.read()?,
        })
    }
}

impl Store {
    pub(crate) async fn member(
        &self,
        chat: i64,
        account: i64,
    ) -> Result<Option<Member>, StoreError> {
        let row = self.database.row(sql(ONE).bind(chat).bind(account)).await?;
        row.map(Member::read).transpose()
    }

    /// Everybody who is or was in a group, in the order of their numbers.
    pub(crate) async fn members(&self, chat: i64) -> Result<Vec<Member>, StoreError> {
        let rows = self.database.rows(sql(ALL).bind(chat)).await?;
        rows.into_iter().map(Member::read).collect()
    }

    /// How many of a group are online at a Unix second.
    pub(crate) async fn count_online(&self, chat: i64, now: i64) -> Result<i32, StoreError> {
        let query =
            sql("SELECT count(*) FROM chat_member JOIN account ON account.id = chat_member.account
             WHERE chat = $1 AND state = 1 AND online_until > $2");
        self.database.row(query.bind(chat).bind(now)).await?.map_or(Ok(0), |mut row| row.read())
    }
}

impl Change<'_> {
    /// Everybody who is or was in a group, in the order of their numbers.
    pub(crate) async fn members(&mut self, chat: i64) -> Result<Vec<Member>, StoreError> {
        let rows = self.transaction().rows(sql(ALL).bind(chat)).await?;
        rows.into_iter().map(Member::read).collect()
    }

    /// Makes somebody a member, or another kind of it, brought by an inviter at a second.
    pub(crate) async fn set_member(
        &mut self,
        chat: i64,
        account: i64,
        (role, state): (Role, State),
        (inviter, date): (i64, i64),
        invite: Option<&str>,
    ) -> Result<(), StoreError> {
        let insert =
            sql("INSERT INTO chat_member (chat, account, inviter, date, role, state, invite)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (chat, account) DO UPDATE SET inviter = excluded.inviter,
                 date = excluded.date, role = excluded.role, state = excluded.state,
                 invite = excluded.invite");
        let insert = insert.bind(chat).bind(account).bind(inviter).bind(date);
        let insert = insert.bind(role as i64).bind(state as i64).bind(invite);
        self.transaction().run(insert).await.map(drop)
    }

    pub(crate) async fn set_role(
        &mut self,
        (chat, account): (i64, i64),
        role: Role,
    ) -> Result<(), StoreError> {
        let set = sql("UPDATE chat_member SET role = $3 WHERE chat = $1 AND account = $2");
        self.transaction().run(set.bind(chat).bind(account).bind(role as i64)).await.map(drop)
    }

    pub(crate) async fn set_state(
        &mut self,
        (chat, account): (i64, i64),
        state: State,
    ) -> Result<(), StoreError> {
        let set = sql("UPDATE chat_member SET state = $3 WHERE chat = $1 AND account = $2");
        self.transaction().run(set.bind(chat).bind(account).bind(state as i64)).await.map(drop)
    }
}

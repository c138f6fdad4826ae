//! What the service keeps, in SQL that every engine understands.
//!
//! One file for each table or two. A change that has to be whole is one function that begins and
//! commits a transaction; what a handler may combine takes the transaction as an argument.

mod accounts;
mod action;
mod blocks;
mod bots;
mod changing;
mod chats;
mod codes;
mod content;
mod dialogs;
mod drafts;
mod events;
mod files;
mod invites;
mod log;
mod markup;
mod members;
mod messages;
mod names;
mod notices;
mod passwords;
mod peers;
mod pins;
mod quiet;
mod sending;
mod sessions;

use chappe_backend::sql::{Transaction, sql};
use chappe_backend::{Database, Migrations, StoreError};

pub(crate) use accounts::{Account, FIRST_ACCOUNT, KnownAs, SERVICE_ACCOUNT};
pub(crate) use action::{Action, Forwarded};
pub(crate) use bots::{BotCommand, MenuButton};
pub(crate) use chats::Chat;
pub(crate) use codes::{CodeJudgement, LoginCode};
pub(crate) use content::{
    Attribute, Content, Document, Entity, EntityKind, Media, Photo, Place, Shown, Size,
};
pub(crate) use dialogs::Dialog;
pub(crate) use drafts::Draft;
pub(crate) use events::{Change, Event, Happening, News};
pub(crate) use files::{Blob, File, Judged, NewBlob, NewPart, Quota, Source, Upload};
pub(crate) use invites::Invite;
pub(crate) use markup::{Button, ButtonKind, InlineButton, InlineKind, Markup, Style};
pub(crate) use members::{Member, Role, Standing, State};
pub(crate) use messages::{Heading, Message, Sieve, Window, kinds};
pub(crate) use names::Contact;
pub(crate) use passwords::Password;
pub(crate) use peers::Peer;
pub(crate) use quiet::Quiet;
pub(crate) use sending::{NewMessage, Sent};
pub(crate) use sessions::{Identity, SignedIn};

/// The tables of the service.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    database: Database,
}

const MIGRATIONS: Migrations = Migrations {
    component: "chappe-telegram",
    steps: &[
        include_str!("migrations/0001-accounts.sql"),
        include_str!("migrations/0002-messages.sql"),
        include_str!("migrations/0003-passwords.sql"),
        include_str!("migrations/0004-names.sql"),
        include_str!("migrations/0005-files.sql"),
        include_str!("migrations/0006-groups.sql"),
        include_str!("migrations/0007-bots.sql"),
        include_str!("migrations/0008-devices-menus.sql"),
        include_str!("migrations/0009-unread.sql"),
        include_str!("migrations/0010-quiet-changes.sql"),
        include_str!("migrations/0011-counts.sql"),
        include_str!("migrations/0012-few.sql"),
    ],
};

impl Store {
    /// Makes the tables where they are absent.
    pub(crate) async fn open(database: Database) -> Result<Self, StoreError> {
        database.migrate(&MIGRATIONS).await?;
        Ok(Self { database })
    }

    /// A secret of this installation: `fresh` if none of the name was kept before.
    pub(crate) async fn secret(
        &self,
        name: &'static str,
        fresh: [u8; 32],
    ) -> Result<[u8; 32], StoreError> {
        let mut transaction = self.database.begin().await?;
        let insert = sql("INSERT INTO installation_secret (name, secret) VALUES ($1, $2)
                          ON CONFLICT (name) DO NOTHING");
        transaction.run(insert.bind(name).bind(&fresh[..])).await?;
        let query = sql("SELECT secret FROM installation_secret WHERE name = $1").bind(name);
        let kept = transaction.row(query).await?;
        transaction.commit().await?;
        let secret: Vec<u8> = kept.map_or(Ok(fresh.to_vec()), |mut row| row.read())?;
        secret.try_into().map_err(|_| damaged("a secret is cut short"))
    }
}

/// The next number of a counter.
async fn next(transaction: &mut Transaction<'_>, counter: &str) -> Result<i64, StoreError> {
    let step = sql("UPDATE counter SET value = value + 1 WHERE name = $1 RETURNING value");
    let row = transaction.row(step.bind(counter)).await?;
    row.ok_or_else(|| damaged("a counter is missing"))?.read()
}

fn damaged(problem: &str) -> StoreError {
    StoreError::Unusable {
        place: "the tables of chappe-telegram".to_owned(),
        problem: problem.to_owned(),
        mend: "restore a backup",
    }
}

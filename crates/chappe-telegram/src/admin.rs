//! What an operator does by hand: accounts and bots.

use chappe_backend::{Backend, StoreError};
use chappe_crypto::{Rng, sha256};

use crate::account::check_name;
use crate::phone::Phone;
use crate::store::{FIRST_ACCOUNT, Store};

/// Accounts of a service, also while it runs.
pub struct Admin {
    store: Store,
    rng: Rng,
}

/// An account, as its operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// Its number.
    pub id: i64,
    /// Digits; bots have none.
    pub phone: Option<String>,
    /// First name.
    pub first_name: String,
    /// Last name, perhaps empty.
    pub last_name: String,
    /// The name that leads to it.
    pub username: Option<String>,
    /// Whether it is a bot.
    pub is_bot: bool,
}

/// Why an operator's wish cannot be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The phone number is none.
    #[error("`{0}` is no phone number; give the country code and 5 to 15 digits in all")]
    Phone(String),
    /// Somebody has the number.
    #[error("the number {0} has an account already")]
    PhoneTaken(String),
    /// The username is none.
    #[error("`{0}` is no username; 4 to 32 letters, digits and underscores, a letter first")]
    Username(String),
    /// Somebody has the username.
    #[error("the username {0} is taken")]
    UsernameTaken(String),
    /// There is no bot of that username.
    #[error("there is no bot {0}")]
    NoBot(String),
    /// The name is empty or too long.
    #[error("a name has 1 to 64 characters")]
    Name,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Characters of a name.
const NAME_MAX: usize = 64;

impl Admin {
    /// Opens the tables of a service, which are made where they are absent. `rng` is for secrets.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`] where `backend` has no database, else what befell it.
    pub async fn open(backend: &Backend, rng: Rng) -> Result<Self, StoreError> {
        Ok(Self { store: Store::open(crate::database(backend)?).await?, rng })
    }

    /// Makes an account at this Unix second; its number.
    ///
    /// # Errors
    ///
    /// See [`AdminError`]. Of an account whose username is taken nothing is made.
    pub async fn add_user(
        &self,
        phone: &str,
        (first_name, last_name): (&str, &str),
        username: Option<&str>,
        now: i64,
    ) -> Result<i64, AdminError> {
        let digits = Phone::parse(phone).map_err(|_| AdminError::Phone(phone.to_owned()))?;
        check_length(first_name)?;
        if last_name.chars().count() > NAME_MAX {
            return Err(AdminError::Name);
        }
        if let Some(username) = username {
            self.check_username(username).await?;
        }
        let made = self.store.insert_account(digits.digits(), (first_name, last_name), now).await?;
        let id = made.ok_or_else(|| AdminError::PhoneTaken(digits.digits().to_owned()))?;
        if let Some(username) = username
            && !self.store.set_username(id, username).await?
        {
            return Err(AdminError::UsernameTaken(username.to_owned()));
        }
        Ok(id)
    }

    /// Accounts in the order of their numbers, from one on.
    ///
    /// # Errors
    ///
    /// What befell the database.
    pub async fn users(&self, from: i64, limit: u32) -> Result<Vec<User>, AdminError> {
        let from = from.max(FIRST_ACCOUNT);
        let accounts = self.store.accounts(from, limit.into()).await?;
        let shown = |account: crate::store::Account| User {
            id: account.id,
            phone: account.phone,
            first_name: account.first_name,
            last_name: account.last_name,
            username: account.username,
            is_bot: account.is_bot,
        };
        Ok(accounts.into_iter().map(shown).collect())
    }

    /// Makes a bot at this Unix second; the token by which it signs in, which nobody can see again.
    ///
    /// # Errors
    ///
    /// See [`AdminError`].
    pub async fn create_bot(
        &mut self,
        name: &str,
        username: &str,
        now: i64,
    ) -> Result<String, AdminError> {
        check_length(name)?;
        self.check_username(username).await?;
        let secret: [u8; 20] = self.rng.bytes();
        let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let hash = sha256(&[secret.as_bytes()]);
        let made = self.store.insert_bot((name, username), hash, now).await?;
        let id = made.ok_or_else(|| AdminError::UsernameTaken(username.to_owned()))?;
        Ok(format!("{id}:{secret}"))
    }

    /// Lets the bot of this username answer inline queries: the text is shown before one is typed.
    /// `None` ends that.
    ///
    /// # Errors
    ///
    /// [`AdminError::NoBot`] where it is no bot's, else what befell the database.
    pub async fn set_inline(
        &self,
        username: &str,
        placeholder: Option<&str>,
    ) -> Result<(), AdminError> {
        let bot = self.store.account_of_username(username).await?.filter(|found| found.is_bot);
        let bot = bot.ok_or_else(|| AdminError::NoBot(username.to_owned()))?;
        Ok(self.store.set_inline_placeholder(bot.id, placeholder).await?)
    }

    async fn check_username(&self, username: &str) -> Result<(), AdminError> {
        check_name(username).map_err(|_| AdminError::Username(username.to_owned()))?;
        match self.store.account_of_username(username).await? {
            Some(_) => Err(AdminError::UsernameTaken(username.to_owned())),
            None => Ok(()),
        }
    }
}

fn check_length(name: &str) -> Result<(), AdminError> {
    if (1..=NAME_MAX).contains(&name.trim().chars().count()) {
        Ok(())
    } else {
        Err(AdminError::Name)
    }
}

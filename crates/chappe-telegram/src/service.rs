//! What all handlers share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chappe_backend::{Database, StoreError};
use chappe_crypto::Rng;
use chappe_proto::rpc::RpcError;
use chappe_server::Caller;
use chappe_tl::FunctionInfo;

use crate::auth::{Exports, LoginTokens};
use crate::bots::{CallbackAnswer, InlineQueries, Queries, Results, is_for_bots, is_for_people};
use crate::config::Config;
use crate::contacts::Owed;
use crate::error::{Failure, bad};
use crate::files::Files;
use crate::floods::Floods;
use crate::password::Challenges;
use crate::store::{Identity, Store};
use crate::updates::{Dates, Lines};

/// Functions without a handler that are called before signing in, or to sign in. A 401 would be
/// no answer to them, and makes TDLib throw its key away (QRK-22).
const FOR_STRANGERS: &[&str] = &["auth.initPasskeyLogin", "help.getDeepLinkInfo"];

/// What handlers share. Clones share it, too.
#[derive(Clone)]
pub struct Service {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    /// From which access hashes follow.
    pub(crate) secret: Arc<[u8; 32]>,
    /// Of those who sign in by another device.
    pub(crate) tokens: Arc<LoginTokens>,
    /// Of those who take their sign-in to another key.
    pub(crate) exports: Arc<Exports>,
    /// Of those who tell a password.
    pub(crate) challenges: Arc<Challenges>,
    /// Buttons that were pressed.
    pub(crate) callbacks: Arc<Queries<(), CallbackAnswer>>,
    /// What bots were asked inline, and what they answered.
    pub(crate) inline_queries: Arc<InlineQueries>,
    pub(crate) results: Arc<Results>,
    /// Who does too much of what costs something.
    pub(crate) floods: Arc<Floods>,
    /// Content of photos and documents.
    pub(crate) files: Files,
    /// What those who know somebody are still to be told.
    pub(crate) tidings: Owed,
    /// Who hears of what happens.
    pub(crate) lines: Lines,
    /// By which clients ask for what moves no pts.
    pub(crate) dates: Dates,
    rng: Arc<Mutex<Rng>>,
}

impl Service {
    pub(crate) async fn open(
        config: Config,
        database: Database,
        mut rng: Rng,
    ) -> Result<Self, StoreError> {
        let store = Store::open(database).await?;
        let secret = store.secret("access_hash", rng.bytes()).await?;
        Ok(Self {
            files: Files::new(config.blobs.clone()),
            config: Arc::new(config),
            store,
            secret: Arc::new(secret),
            tokens: Arc::default(),
            exports: Arc::default(),
            challenges: Arc::default(),
            callbacks: Arc::default(),
            inline_queries: Arc::default(),
            results: Arc::default(),
            floods: Arc::default(),
            tidings: Owed::default(),
            lines: Lines::default(),
            dates: Dates::default(),
            rng: Arc::new(Mutex::new(rng)),
        })
    }

    /// The account that calls, if it may call this (API-07).
    pub(crate) async fn me(&self, caller: &Caller) -> Result<i64, Failure> {
        match self.store.identity(caller.auth_key_id).await? {
            Some(Identity { is_waiting: false, is_bot: true, .. })
                if is_for_people(caller.function) =>
            {
                Err(bad("BOT_METHOD_INVALID"))
            }
            Some(Identity { is_waiting: false, is_bot: false, .. })
                if is_for_bots(caller.function) =>
            {
                Err(bad("USER_BOT_REQUIRED"))
            }
            Some(Identity { is_waiting: false, account, .. }) => Ok(account),
            Some(_) => Err(Failure::Rpc(RpcError::unauthorized("SESSION_PASSWORD_NEEDED"))),
            None => Err(self.not_in(caller).await?),
        }
    }

    /// The account that calls, or is about to be once its password is told (API-05).
    pub(crate) async fn whoever(&self, caller: &Caller) -> Result<i64, Failure> {
        let identity = self.store.identity(caller.auth_key_id).await?;
        match identity {
            Some(identity) => Ok(identity.account),
            None => Err(self.not_in(caller).await?),
        }
    }

    /// Why a key is nobody's: it never was somebody's or left, or another device has ended it.
    async fn not_in(&self, caller: &Caller) -> Result<Failure, Failure> {
        match self.store.was_ended(caller.auth_key_id).await? {
            true => Ok(Failure::Rpc(RpcError::unauthorized("SESSION_REVOKED"))),
            false => Ok(Self::signed_out()),
        }
    }

    /// What a function says that has no handler (API-04, API-06). Those that are there while a
    /// password is asked for say so then, too (API-05).
    pub(crate) async fn without_handler(
        &self,
        caller: &Caller,
        function: &FunctionInfo,
    ) -> RpcError {
        if FOR_STRANGERS.contains(&function.name) {
            return RpcError::bad_request("METHOD_INVALID");
        }
        let who = match function.name.split_once('.') {
            Some(("help" | "langpack", _)) => self.whoever(caller).await,
            _ => self.me(caller).await,
        };
        match who {
            Ok(_) => RpcError::bad_request("METHOD_INVALID"),
            Err(failure) => failure.into(),
        }
    }

    /// API-04: clients decide by this text that they have to sign in.
    pub(crate) fn signed_out() -> Failure {
        Failure::Rpc(RpcError::unauthorized("AUTH_KEY_UNREGISTERED"))
    }

    /// Whether an application may sign in here (ACC-08).
    pub(crate) fn check_api_id(&self, api_id: i32) -> Result<(), Failure> {
        let allowed = &self.config.api_ids;
        match allowed.is_empty() || allowed.contains(&api_id) {
            true => Ok(()),
            false => Err(bad("API_ID_INVALID")),
        }
    }

    pub(crate) fn rng(&self) -> MutexGuard<'_, Rng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name that nobody can guess.
    pub(crate) fn fresh_name(&self) -> String {
        let bytes: [u8; 9] = self.rng().bytes();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

//! What all handlers share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chappe_backend::{Database, StoreError};
use chappe_crypto::Rng;
use chappe_proto::rpc::RpcError;
use chappe_server::Caller;
use chappe_tl::FunctionInfo;

use crate::auth::LoginTokens;
use crate::config::Config;
use crate::error::Failure;
use crate::files::Files;
use crate::password::Challenges;
use crate::store::{Identity, Store};
use crate::updates::Lines;

/// Functions without a handler that are called before signing in, or to sign in. A 401 would be
/// no answer to them, and makes TDLib throw its key away (QRK-22).
const FOR_STRANGERS: &[&str] =
    &["auth.initPasskeyLogin", "help.getCountriesList", "help.getDeepLinkInfo", "help.saveAppLog"];

/// What handlers share. Clones share it, too.
#[derive(Clone)]
pub struct Service {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    /// From which access hashes follow.
    pub(crate) secret: Arc<[u8; 32]>,
    /// Of those who sign in by another device.
    pub(crate) tokens: Arc<LoginTokens>,
    /// Of those who tell a password.
    pub(crate) challenges: Arc<Challenges>,
    /// Content of photos and documents.
    pub(crate) files: Files,
    /// Who hears of what happens.
    pub(crate) lines: Lines,
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
            challenges: Arc::default(),
            lines: Lines::default(),
            rng: Arc::new(Mutex::new(rng)),
        })
    }

    /// The account that calls.
    pub(crate) async fn me(&self, caller: &Caller) -> Result<i64, Failure> {
        match self.store.identity(caller.auth_key_id).await? {
            Some(Identity { is_waiting: false, account }) => Ok(account),
            Some(_) => Err(Failure::Rpc(RpcError::unauthorized("SESSION_PASSWORD_NEEDED"))),
            None => Err(Self::signed_out()),
        }
    }

    /// The account that calls, or is about to be once its password is told (API-05).
    pub(crate) async fn whoever(&self, caller: &Caller) -> Result<i64, Failure> {
        let identity = self.store.identity(caller.auth_key_id).await?;
        identity.map(|identity| identity.account).ok_or_else(Self::signed_out)
    }

    /// What a function says that has no handler (API-04, API-06).
    pub(crate) async fn without_handler(
        &self,
        caller: &Caller,
        function: &FunctionInfo,
    ) -> RpcError {
        if FOR_STRANGERS.contains(&function.name) {
            return RpcError::bad_request("METHOD_INVALID");
        }
        match self.me(caller).await {
            Ok(_) => RpcError::bad_request("METHOD_INVALID"),
            Err(failure) => failure.into(),
        }
    }

    /// API-04: clients decide by this text that they have to sign in.
    pub(crate) fn signed_out() -> Failure {
        Failure::Rpc(RpcError::unauthorized("AUTH_KEY_UNREGISTERED"))
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

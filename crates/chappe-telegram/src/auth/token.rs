//! Signing in by a token that another device of the account accepts, shown as a QR code:
//! `auth.exportLoginToken`, `auth.acceptLoginToken` (API-14).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chappe_api::functions::auth::{AcceptLoginToken, ExportLoginToken, ImportLoginToken};
use chappe_api::{ctors, types};
use chappe_crypto::AuthKeyId;
use chappe_proto::SessionId;
use chappe_proto::rpc::RpcError;
use chappe_server::{Caller, Pusher, State};
use tracing::info;

use crate::Service;
use crate::error::{Failure, bad};
use crate::floods::Source;
use crate::store::Account;

/// Tokens that were given out. In memory: whoever asked before a restart asks again.
#[derive(Debug, Default)]
pub(crate) struct LoginTokens(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    offers: HashMap<AuthKeyId, Offer>,
    by_token: HashMap<[u8; TOKEN_LEN], AuthKeyId>,
    /// Offers of each network, none without any.
    of_source: HashMap<Source, usize>,
}

/// What a key was offered; it has one at a time.
#[derive(Clone, Debug)]
struct Offer {
    token: [u8; TOKEN_LEN],
    session: SessionId,
    source: Source,
    /// On the monotonic clock.
    until: Duration,
    accepted: Option<i64>,
}

const TOKEN_LEN: usize = 32;
/// How long a token may be accepted, and how long what it led to may be fetched after that.
const LIFE: Duration = Duration::from_secs(30);
const FETCH: Duration = Duration::from_secs(60);
/// Keys with a token; more are refused. Strangers can make us hold this much, each for a minute.
const OFFERS_MAX: usize = 100_000;
/// Of them to the keys that one network has made.
const SOURCE_MAX: usize = 1000;

pub(crate) async fn export_login_token(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: ExportLoginToken,
) -> Result<types::auth::LoginToken, Failure> {
    service.check_api_id(call.api_id)?;
    if let Some(identity) = service.store.identity(caller.auth_key_id).await? {
        let account = service.store.account(identity.account).await?;
        let account = account.ok_or_else(Service::signed_out)?;
        if identity.is_waiting {
            return Err(password_needed());
        }
        return Ok(service.success(&caller, &account));
    }
    if let Some(account) = service.tokens.take_accepted(caller.auth_key_id, caller.now.mono) {
        let account = service.store.account(account).await?.ok_or_else(Service::signed_out)?;
        // The token is used up.
        let session = service.session_of(&caller);
        let waits = service.until_done(|| service.store.sign_in(account.id, session.clone()));
        if waits.await? {
            return Err(password_needed());
        }
        info!(account = account.id, auth_key_id = %caller.auth_key_id, "signed in by a token");
        service.tell_of_sign_in(&caller, &pusher, &account);
        return Ok(service.success(&caller, &account));
    }
    let token = service.rng().bytes();
    let until = caller.now.mono + LIFE;
    let source = Source::household_of(caller.peer.ip());
    let offer = Offer { token, session: caller.session_id, source, until, accepted: None };
    if !service.tokens.offer(caller.auth_key_id, offer, caller.now.mono) {
        return Err(Failure::Rpc(RpcError::new(420, "FLOOD_WAIT_60")));
    }
    let expires = caller.now.unix_seconds() + LIFE.as_secs().cast_signed();
    Ok(types::auth::LoginToken::LoginToken(ctors::auth::LoginToken {
        expires: i32::try_from(expires).unwrap_or(i32::MAX),
        token: token.to_vec().into(),
    }))
}

/// The device that shows the token is told, and fetches what it led to by itself.
pub(crate) async fn accept_login_token(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: AcceptLoginToken,
) -> Result<types::Authorization, Failure> {
    let me = service.me(&caller).await?;
    let (key, session) = service.tokens.accept(&call.token, me, caller.now.mono)?;
    let short = ctors::UpdateShort {
        update: types::Update::UpdateLoginToken,
        date: i32::try_from(caller.now.unix_seconds()).unwrap_or(i32::MAX),
    };
    let updates = types::Updates::UpdateShort(Box::new(short));
    if let Ok(body) = chappe_tl::to_bytes(&updates) {
        // A device that left in the meantime asks when it is back.
        let _ = pusher.to_session(key, session, body).await;
    }
    Ok(types::Authorization { unconfirmed: true, ..chappe_tl::blank() })
}

/// Nobody is sent to another data centre with a token, so none comes from one.
pub(crate) async fn import_login_token(
    _call: ImportLoginToken,
) -> Result<types::auth::LoginToken, Failure> {
    Err(bad("AUTH_TOKEN_INVALID"))
}

impl LoginTokens {
    /// Whether there was room.
    fn offer(&self, key: AuthKeyId, offer: Offer, now: Duration) -> bool {
        let mut table = self.lock();
        table.remove(key);
        let is_full = |table: &Table| {
            table.offers.len() >= OFFERS_MAX
                || table.of_source.get(&offer.source).is_some_and(|count| *count >= SOURCE_MAX)
        };
        if is_full(&table) {
            let is_over = |offer: &Offer| offer.until + FETCH <= now;
            let over = table.offers.iter().filter(|(_, offer)| is_over(offer));
            let over: Vec<AuthKeyId> = over.map(|(key, _)| *key).collect();
            over.into_iter().for_each(|key| table.remove(key));
        }
        if is_full(&table) {
            return false;
        }
        table.by_token.insert(offer.token, key);
        *table.of_source.entry(offer.source).or_default() += 1;
        table.offers.insert(key, offer);
        true
    }

    /// Who has accepted the token of a key, once.
    fn take_accepted(&self, key: AuthKeyId, now: Duration) -> Option<i64> {
        let mut table = self.lock();
        let offer = table.offers.get(&key).filter(|offer| offer.until + FETCH > now)?;
        let account = offer.accepted?;
        table.remove(key);
        Some(account)
    }

    /// Whose token it is.
    fn accept(
        &self,
        token: &[u8],
        account: i64,
        now: Duration,
    ) -> Result<(AuthKeyId, SessionId), Failure> {
        let mut table = self.lock();
        // Where a token is looked for follows from a secret of the map: the time it takes tells
        // nothing of those that come near.
        let key = token.as_array().and_then(|token| table.by_token.get(token)).copied();
        let found = key.and_then(|key| Some((key, table.offers.get_mut(&key)?)));
        let Some((key, offer)) = found else { return Err(bad("AUTH_TOKEN_INVALID")) };
        if offer.accepted.is_some() {
            return Err(bad("AUTH_TOKEN_ALREADY_ACCEPTED"));
        }
        if offer.until <= now {
            return Err(bad("AUTH_TOKEN_EXPIRED"));
        }
        offer.accepted = Some(account);
        Ok((key, offer.session))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn remove(&mut self, key: AuthKeyId) {
        let Some(offer) = self.offers.remove(&key) else { return };
        self.by_token.remove(&offer.token);
        if let Some(count) = self.of_source.get_mut(&offer.source) {
            *count -= 1;
            if *count == 0 {
                self.of_source.remove(&offer.source);
            }
        }
    }
}

impl Service {
    fn success(&self, caller: &Caller, account: &Account) -> types::auth::LoginToken {
        let authorization = self.authorization(caller, account);
        let success = ctors::auth::LoginTokenSuccess { authorization };
        types::auth::LoginToken::LoginTokenSuccess(success)
    }
}

fn password_needed() -> Failure {
    Failure::Rpc(RpcError::unauthorized("SESSION_PASSWORD_NEEDED"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule:   one network fills no more than its part of what is offered, and has that again once it
    ///         is over; a key has one token at a time.
    /// Source: 20-telegram-api-service §2.1, `auth.exportLoginToken`, `FLOOD_WAIT_X`.
    #[test]
    fn network_has_its_part_of_the_tokens() {
        let tokens = LoginTokens::default();
        let at = Duration::from_secs;
        let offer = |number: usize, address: &str, now| {
            let mut token = [0; TOKEN_LEN];
            token[..8].copy_from_slice(&number.to_le_bytes());
            let source = Source::household_of(address.parse().unwrap());
            let (session, until) = (SessionId(1), now + LIFE);
            let offer = Offer { token, session, source, until, accepted: None };
            tokens.offer(AuthKeyId(number as u64), offer, now)
        };
        for number in 0..SOURCE_MAX {
            assert!(offer(number, "2001:db8::1", at(0)));
        }
        assert!(offer(0, "2001:db8::2", at(1)), "in the place of its own");
        assert!(!offer(SOURCE_MAX, "2001:db8::2", at(1)));
        assert!(offer(SOURCE_MAX, "192.0.2.1", at(1)));
        let mut token = [0; TOKEN_LEN];
        token[..8].copy_from_slice(&7_usize.to_le_bytes());
        assert_eq!(tokens.accept(&token, 5, at(2)).unwrap().0, AuthKeyId(7));
        assert_eq!(tokens.take_accepted(AuthKeyId(7), at(2)), Some(5));
        assert!(tokens.accept(&token, 5, at(2)).is_err());
        assert!(offer(SOURCE_MAX + 1, "2001:db8::2", at(2)), "one was fetched");
        assert!(offer(SOURCE_MAX + 2, "2001:db8::2", at(100)), "the others are over");
        assert!(tokens.lock().offers.len() < 4);
    }
}

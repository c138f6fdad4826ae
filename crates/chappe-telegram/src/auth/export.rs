//! `auth.exportAuthorization` and `auth.importAuthorization`: clients take a sign-in to another
//! data centre of their list, which here is this one under another number (§7.2).

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chappe_api::functions::auth::{ExportAuthorization, ImportAuthorization};
use chappe_api::types;
use chappe_crypto::AuthKeyId;
use chappe_server::{Caller, State};
use tracing::info;

use crate::Service;
use crate::error::{Failure, bad};

/// Sign-ins on their way from one key to another. In memory: who began before a restart begins
/// again.
#[derive(Debug, Default)]
pub(crate) struct Exports(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    by_token: HashMap<Vec<u8>, Export>,
    /// Tokens of each account that may still count, the oldest first.
    of_account: HashMap<i64, VecDeque<Vec<u8>>>,
}

#[derive(Clone, Copy, Debug)]
struct Export {
    key: AuthKeyId,
    account: i64,
    /// On the monotonic clock.
    until: Duration,
}

/// Bytes by which a sign-in is taken along.
const TOKEN_LEN: usize = 32;
/// How long they count.
const LIFE: Duration = Duration::from_secs(60);
/// Sign-ins of one account on their way: some clients take five at once. One more, and the oldest
/// counts no longer.
const ACCOUNT_MAX: usize = 20;
/// Sign-ins on their way in all; more are refused.
const EXPORTS_MAX: usize = 100_000;

pub(crate) async fn export_authorization(
    State(service): State<Service>,
    caller: Caller,
    call: ExportAuthorization,
) -> Result<types::auth::ExportedAuthorization, Failure> {
    let me = service.me(&caller).await?;
    // Test data centres are numbered from 10,001 on. Our own number is one of those, too: whoever
    // began under another one stays there, and fetches files by this one (QRK-42).
    let number = call.dc_id.checked_rem(10_000).unwrap_or(0);
    if !(1..=5).contains(&number) {
        return Err(bad("DC_ID_INVALID"));
    }
    let token = service.rng().bytes::<TOKEN_LEN>().to_vec();
    let export = Export { key: caller.auth_key_id, account: me, until: caller.now.mono + LIFE };
    if !service.exports.keep(token.clone(), export, caller.now.mono) {
        return Err(Failure::Rpc(chappe_proto::rpc::RpcError::new(420, "FLOOD_WAIT_60")));
    }
    Ok(types::auth::ExportedAuthorization { id: me, bytes: token.into() })
}

/// The password is not asked for again: whoever exported has told it, and still is signed in.
pub(crate) async fn import_authorization(
    State(service): State<Service>,
    caller: Caller,
    call: ImportAuthorization,
) -> Result<types::auth::Authorization, Failure> {
    let export = service.exports.take(&call.bytes, caller.now.mono);
    let export = export.filter(|export| export.account == call.id);
    let Export { key, account, .. } = export.ok_or_else(|| bad("AUTH_BYTES_INVALID"))?;
    let account = service.store.account(account).await?.ok_or_else(|| bad("USER_ID_INVALID"))?;
    // The bytes are used up.
    let session = service.session_of(&caller);
    let sign_in = || service.store.sign_in_along(key, account.id, session.clone());
    if !service.until_done(sign_in).await? {
        return Err(bad("AUTH_BYTES_INVALID"));
    }
    info!(account = account.id, auth_key_id = %caller.auth_key_id, "signed in from another key");
    Ok(service.authorization(&caller, &account))
}

impl Exports {
    /// Whether there was room.
    fn keep(&self, token: Vec<u8>, export: Export, now: Duration) -> bool {
        let mut table = self.lock();
        let Table { by_token, of_account } = &mut *table;
        if by_token.len() >= EXPORTS_MAX {
            by_token.retain(|_, export| export.until > now);
            of_account.retain(|_, tokens| {
                tokens.retain(|token| by_token.contains_key(token));
                !tokens.is_empty()
            });
        }
        if by_token.len() >= EXPORTS_MAX {
            return false;
        }
        let tokens = of_account.entry(export.account).or_default();
        tokens.retain(|token| by_token.contains_key(token));
        if tokens.len() >= ACCOUNT_MAX
            && let Some(oldest) = tokens.pop_front()
        {
            by_token.remove(&oldest);
        }
        tokens.push_back(token.clone());
        by_token.insert(token, export);
        true
    }

    /// Whose sign-in it is, once.
    fn take(&self, token: &[u8], now: Duration) -> Option<Export> {
        let export = self.lock().by_token.remove(token)?;
        (export.until > now).then_some(export)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule:   an account has so many sign-ins on their way, the newest, and takes nobody's place.
    /// Source: 20-telegram-api-service §2.1, `auth.exportAuthorization`.
    #[test]
    fn account_has_so_many_on_their_way() {
        let exports = Exports::default();
        let now = Duration::from_secs(1);
        let export = |account| Export { key: AuthKeyId(1), account, until: now + LIFE };
        assert!(exports.keep(vec![0; 2], export(2), now));
        for number in 0..=ACCOUNT_MAX {
            assert!(exports.keep(vec![number as u8], export(1), now));
        }
        assert!(exports.take(&[0], now).is_none(), "the oldest");
        assert_eq!(exports.take(&[0; 2], now).map(|export| export.account), Some(2));
        for number in 1..=ACCOUNT_MAX {
            assert!(exports.take(&[number as u8], now).is_some());
        }
        assert!(exports.keep(vec![0], export(1), now));
        let table = exports.lock();
        assert_eq!((table.by_token.len(), table.of_account[&1].len()), (1, 1));
    }
}

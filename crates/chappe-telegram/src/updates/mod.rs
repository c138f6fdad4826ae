//! The state of a client: how far its log of events goes (20-telegram-api-service §3).

use chappe_api::functions::updates::{GetDifference, GetState};
use chappe_api::{ctors, types};
use chappe_server::{Caller, State};

use crate::Service;
use crate::error::{Failure, bad};

pub(crate) async fn get_state(
    State(service): State<Service>,
    caller: Caller,
    _call: GetState,
) -> Result<types::updates::State, Failure> {
    let me = service.me(&caller).await?;
    service.state(&caller, me).await
}

/// Nothing happens to an account yet, so nobody is behind; whoever comes from the future, as after
/// a backup was restored, is told where we are (§3.4).
pub(crate) async fn get_difference(
    State(service): State<Service>,
    caller: Caller,
    call: GetDifference,
) -> Result<types::updates::Difference, Failure> {
    let me = service.me(&caller).await?;
    if call.pts <= 0 {
        return Err(bad("PERSISTENT_TIMESTAMP_EMPTY"));
    }
    let state = service.state(&caller, me).await?;
    Ok(if call.pts == state.pts && call.qts <= state.qts {
        let types::updates::State { date, seq, .. } = state;
        let empty = ctors::updates::DifferenceEmpty { date, seq };
        types::updates::Difference::DifferenceEmpty(empty)
    } else {
        let difference = ctors::updates::Difference { state, ..chappe_tl::blank() };
        types::updates::Difference::Difference(Box::new(difference))
    })
}

impl Service {
    async fn state(&self, caller: &Caller, me: i64) -> Result<types::updates::State, Failure> {
        let account = self.store.account(me).await?.ok_or_else(Self::signed_out)?;
        Ok(types::updates::State {
            pts: account.pts,
            qts: account.qts,
            date: i32::try_from(caller.now.unix_seconds()).unwrap_or(i32::MAX),
            // Legal, and skips a check that would gain nothing (UPD-07, UPD-08).
            seq: 0,
            unread_count: 0,
        })
    }
}

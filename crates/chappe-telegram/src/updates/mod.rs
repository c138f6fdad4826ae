//! What happens to an account, and how its clients learn of it (20-telegram-api-service §3).

mod dates;
mod difference;
mod lines;
mod quiet;
mod turns;
mod view;

use chappe_api::functions::updates::{GetChannelDifference, GetState};
use chappe_api::types;
use chappe_server::{Caller, State};

pub(crate) use dates::Dates;
pub(crate) use difference::get_difference;
pub(crate) use lines::Lines;

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

/// There are no channels.
pub(crate) async fn get_channel_difference(
    State(service): State<Service>,
    caller: Caller,
    _call: GetChannelDifference,
) -> Result<types::updates::ChannelDifference, Failure> {
    service.me(&caller).await?;
    Err(bad("CHANNEL_INVALID"))
}

impl Service {
    /// The date of what is read for an account from here on.
    pub(crate) fn date(&self, account: i64, now: i64) -> i32 {
        i32::try_from(self.dates.date(account, now)).unwrap_or(i32::MAX)
    }

    pub(crate) async fn state(
        &self,
        caller: &Caller,
        me: i64,
    ) -> Result<types::updates::State, Failure> {
        let date = self.date(me, caller.now.unix_seconds());
        let account = self.store.account(me).await?.ok_or_else(Self::signed_out)?;
        Ok(types::updates::State {
            pts: account.pts,
            qts: account.qts,
            date,
            // Legal, and skips a check that would gain nothing (UPD-07, UPD-08).
            seq: 0,
            unread_count: self.store.unread(me).await?,
        })
    }
}

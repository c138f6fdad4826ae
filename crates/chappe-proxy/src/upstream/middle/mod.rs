//! Through middle servers: many clients on one link, each packet by itself.
//!
//! What a client sends is taken apart into packets here and put together anew for the way back;
//! what is in them stays closed. [`pool`] has the links, [`link`] is the task of one, [`client`]
//! serves a connection over it, [`inbox`] is what waits for that.

mod client;
mod counters;
mod inbox;
mod link;
mod pool;

use std::sync::Arc;

use chappe_crypto::Rng;
use chappe_proto::middle::messages::Origin;
use tracing::debug;

pub use self::link::try_link;
pub(crate) use self::pool::Pool;
use super::{Client, UserToll, direct};
use crate::config::MiddleConfig;
use crate::metrics::count_centre;
use crate::policy::Policy;
use crate::relay::End;
use crate::shared::Shared;

pub(super) async fn serve(
    shared: &Arc<Shared>,
    policy: Arc<Policy>,
    config: Arc<MiddleConfig>,
    client: Client,
    rng: Rng,
) -> End {
    let dc = client.accepted.leg.dc;
    // There are no more names of counters than of data centres, whatever users ask for.
    let counted = if config.names(dc) { dc } else { 0 };
    let Some(line) = shared.middle.line(&config, dc, shared).await else {
        count_centre(counted, "no-link", "");
        debug!(user = client.seat.user().name(), dc, "there is no link to a middle server");
        // Nothing of the client was read as yet (MPX-14).
        return match config.direct_instead {
            true => direct::serve(shared, policy, client, rng).await,
            false => End::NoCentre,
        };
    };
    let origin = Origin {
        client: client.ends.peer,
        proxy: config.public.unwrap_or(client.ends.local),
        framing: client.accepted.leg.framing,
        ad_tag: policy.listed[client.accepted.user].config.ad_tag.or(config.ad_tag),
    };
    let bounds = client::Bounds::new(&policy.config.relay, &config, &shared.memory);
    drop(policy);
    let toll = UserToll::new(client.seat, shared.clock, counted);
    let served =
        client::Served::new(client.stream, client.accepted, line, origin, toll, bounds, rng);
    Box::pin(served.run()).await
}

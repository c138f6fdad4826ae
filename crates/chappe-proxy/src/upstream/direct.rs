//! Straight to the data centre: one connection there for each one here.

use std::sync::Arc;
use std::time::Duration;

use chappe_crypto::Rng;
use chappe_net::Stream;
use chappe_net::connect::{self, ConnectError, Endpoint};
use chappe_proto::transport::Leg;
use tracing::{debug, warn};

use super::{Client, UserToll};
use crate::coding::{Coding, Shaper};
use crate::metrics::count_centre;
use crate::policy::Policy;
use crate::relay::{Bounds, End, Flow, Relay};
use crate::shared::Shared;
use crate::users::Direction;

/// When the system looks whether a silent data centre is still there, and how long it looks.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
const CENTRE_LOST: Duration = Duration::from_secs(120);

pub(super) async fn serve(
    shared: &Arc<Shared>,
    policy: Arc<Policy>,
    client: Client,
    mut rng: Rng,
) -> End {
    let Client { stream: near, ends, accepted, seat } = client;
    let mut leg = accepted.leg;
    let asked = leg.dc;
    let (dc, addresses) = match target(&policy, asked) {
        Some(target) => target,
        None => {
            count_centre(0, "unknown", "");
            debug!(user = seat.user().name(), peer = %ends.peer, dc = asked, "an unknown data centre is asked for");
            return End::NoCentre;
        }
    };
    leg.dc = dc;
    let far = match Box::pin(dial(&policy, addresses)).await {
        Ok(far) => far,
        Err(error) => {
            count_centre(dc, "failed", "");
            warn!(dc, %error, "the data centre cannot be reached");
            return End::NoCentre;
        }
    };
    let family = match far.peer().map(|peer| peer.ip().to_canonical()) {
        Some(ip) if ip.is_ipv6() => "v6",
        Some(_) => "v4",
        None => "",
    };
    count_centre(dc, "connected", family);
    far.keep_alive(KEEP_ALIVE, CENTRE_LOST);

    let Leg { header, mut up, down } = match policy.config.direct.fast {
        true => leg.mirrored(&mut rng),
        false => leg.recoded(&mut rng),
    };
    let mut first = header.to_vec();
    first.extend_from_slice(&accepted.early);
    up.apply(&mut first[header.len()..]);
    let relay = &policy.config.relay;
    let shaper = accepted.records.is_some().then(|| Shaper::new(relay.records));
    let memory = &shared.memory;
    let mut toll = UserToll::new(seat, shared.clock, dc);
    toll.suspected = Some(shared.metrics.suspected_replays.clone());
    let relay = Relay {
        near,
        far,
        up: Flow::new(Direction::Up, Coding::Up(Box::new(up), accepted.records), first, memory),
        down: Flow::new(Direction::Down, Coding::Down(down, shaper), Vec::new(), memory),
        toll,
        bounds: Bounds {
            buffer_bytes: relay.buffer_bytes,
            idle_max: relay.idle_max,
            stalled_max: relay.stalled_max,
            memory: Arc::clone(memory),
        },
    };
    // It may last for days: settings that were replaced are not kept for it.
    drop(policy);
    Box::pin(relay.run()).await
}

/// The data centre that is meant, and where it is.
fn target(policy: &Policy, asked: i16) -> Option<(i16, &[Endpoint])> {
    let config = &policy.config;
    let find = |dc| config.centres.find(dc).map(|addresses| (dc, addresses));
    find(asked).or_else(|| config.direct.unknown_centre.and_then(find))
}

/// Connects to the first address that answers; each has its time, and the next begins a little
/// later beside it (PRX-19).
async fn dial(policy: &Policy, addresses: &[Endpoint]) -> Result<Stream, ConnectError> {
    let direct = &policy.config.direct;
    let addresses = direct.family.order(addresses);
    let wait_max = direct.connect_wait_max * u32::try_from(addresses.len()).unwrap_or(1).max(1);
    let connected = connect::connect(&addresses, direct.proxy.as_ref(), wait_max).await?;
    Ok(Stream::Tcp(connected.stream))
}

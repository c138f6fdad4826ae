//! Accepting connections, as far as there may be more.

use std::sync::Arc;
use std::time::Duration;

use chappe_net::Stream;
use chappe_net::listen::{Accepted, Ends, Listener};
use chappe_net::shutdown::{Stage, Watcher};
use tracing::debug;

use crate::connection::Connection;
use crate::metrics::{Gauged, Rejected};
use crate::shared::Shared;

/// When the system looks whether a silent client is still there, and how long it looks.
const KEEP_ALIVE: Duration = Duration::from_secs(50);
const PEER_LOST: Duration = Duration::from_secs(120);

/// Accepts connections until told to stop.
pub(crate) async fn accept(shared: Arc<Shared>, listener: Listener, watcher: Watcher) {
    listener.keep_alive(KEEP_ALIVE, PEER_LOST);
    loop {
        let (stream, ends) = listener.accept().await;
        if watcher.stage() != Stage::Running {
            return;
        }
        shared.metrics.accepted.increment(1);
        match admit(&shared, stream, ends, &watcher) {
            Ok((connection, stream, announced)) => {
                tokio::spawn(connection.serve(stream, announced));
            }
            Err(reason) => {
                shared.metrics.rejected(reason);
                debug!(peer = %ends.peer, ?reason, "a connection is refused");
            }
        }
    }
}

fn admit(
    shared: &Arc<Shared>,
    stream: Accepted,
    ends: Ends,
    watcher: &Watcher,
) -> Result<(Connection, Stream, bool), Rejected> {
    let policy = shared.policy.borrow();
    let access = &policy.config.access;
    let address = ends.peer.ip();
    let announced = access.is_balancer(address);
    if shared.memory.is_full() {
        return Err(Rejected::Memory);
    }
    // A balancer speaks for many: whom it speaks for is counted when it has said so.
    let permit = if announced {
        shared.connections.admit_unknown()
    } else {
        if !access.admits(address) && !access.mask_denied {
            return Err(Rejected::Denied);
        }
        let now = shared.clock.now().mono;
        if !shared.rates.admit(address, access.per_address_per_second, now) {
            return Err(Rejected::Rate);
        }
        shared.connections.admit(address)
    };
    let connection = Connection {
        shared: Arc::clone(shared),
        ends,
        watcher: watcher.clone(),
        permit: permit.ok_or(Rejected::Connections)?,
        open: Gauged::new(&shared.metrics.open),
    };
    Ok((connection, stream.into(), announced))
}

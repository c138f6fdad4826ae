//! Links of proxies that speak for many clients each.
//!
//! To the rest of the server each client is a connection like any other: its packets come out of
//! its link into a pipe, framed, and go the same way back. [`link`] is the task of a link,
//! [`client`] that of a pipe.

mod client;
mod link;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chappe_net::listen::{Accepted, Ends, Listener};
use chappe_net::shutdown::Watcher;
use chappe_proto::middle::greeting::ProcessId;
use chappe_proto::middle::keys::{Path, ProxySecret};
use chappe_proto::middle::link::{LinkConfig, MiddleLink};
use tracing::{Instrument, debug, info_span, warn};

use crate::shared::Shared;

/// How links of proxies are served, where [`Serve::middle`](crate::Serve::middle) has them accepted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MiddleSettings {
    /// What proxies dial, where their connections come by way of somebody who translates
    /// addresses: the keys of a link depend on it (MPX-01). Default: the address they arrive at.
    pub address: Option<SocketAddr>,
    /// Clients of one link; others are closed. Default: 50 000, each of which is a connection as
    /// well.
    pub clients_max: usize,
    /// Bytes of one client that wait for its session before the client is dropped (MPX-15).
    /// Default: 2 MiB. What is larger waits alone.
    pub client_max_bytes: usize,
    /// Bytes that wait to be written to a proxy beyond which its clients and what it sends wait,
    /// too. Default: 4 MiB.
    pub outbound_max_bytes: usize,
    /// Longest wait for the greeting of a proxy. Default: 10 s.
    pub greeting_max: Duration,
    /// A proxy that is silent is asked every 5 s whether it is there, and given up after this.
    /// Default: 15 min, for some answer nothing (QRK-62).
    pub silent_max: Duration,
}

impl Default for MiddleSettings {
    fn default() -> Self {
        Self {
            address: None,
            clients_max: 50_000,
            client_max_bytes: 2 << 20,
            outbound_max_bytes: 4 << 20,
            greeting_max: Duration::from_secs(10),
            silent_max: Duration::from_secs(15 * 60),
        }
    }
}

impl MiddleSettings {
    fn of_link(&self) -> LinkConfig {
        let mut link = LinkConfig::default();
        link.clients_max = self.clients_max;
        link.greeting_max = self.greeting_max;
        link.silent_max = self.silent_max;
        link
    }
}

/// Where proxies connect, and what they have to know.
pub(crate) struct Entrance {
    pub(crate) listener: Listener,
    pub(crate) secrets: Arc<[ProxySecret]>,
}

/// Accepts links until dropped.
pub(crate) async fn accept(shared: Arc<Shared>, entrance: Entrance, watcher: Watcher) {
    let Entrance { listener, secrets } = entrance;
    let started = shared.clock.now().unix_seconds() as u32;
    let pid = shared.rng().u32() as u16 | 1;
    loop {
        let (stream, ends) = listener.accept().await;
        // A proxy speaks for many addresses: its own says nothing.
        let Some(permit) = shared.connections.admit_unknown() else {
            shared.metrics.links_refused.increment(1);
            debug!(proxy = %ends.peer, "too many connections");
            continue;
        };
        let Some(path) = path(&shared, &ends) else { continue };
        let own = ProcessId { pid, start: started, ..ProcessId::at(path.middle()) };
        let config = shared.config.middle.of_link();
        let (now, secrets) = (shared.clock.now(), Arc::clone(&secrets));
        let link = MiddleLink::new(now, config, secrets, path, own, shared.rng());
        let span = info_span!("middle", proxy = %ends.peer);
        let task = link::Task::new(Arc::clone(&shared), watcher.clone(), link, permit);
        match stream {
            Accepted::Tcp(stream) => tokio::spawn(task.run(stream).instrument(span)),
            Accepted::Unix(stream) => tokio::spawn(task.run(stream).instrument(span)),
        };
    }
}

/// From where to where a connection runs, as its proxy has to see it, too.
fn path(shared: &Shared, ends: &Ends) -> Option<Path> {
    let path = Path::new(ends.peer, shared.config.middle.address.unwrap_or(ends.local));
    path.inspect_err(|error| warn!(%error, "a proxy is turned away")).ok()
}

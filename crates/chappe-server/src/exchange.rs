//! Key exchanges: one state for all connections (KEY-32), arithmetic off the reactor.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chappe_backend::{Inserted, StoredKey};
use chappe_crypto::{Rng, rsa};
use chappe_proto::handshake::NewKey;
use chappe_proto::handshake::server::{
    Exchanges, HandshakeConfig, Origin, Output, Stored, Ticket, Work,
};
use tokio::sync::Semaphore;
use tracing::{debug, info, warn};

use crate::keys::KeyRecord;
use crate::metrics::{self, code_name};
use crate::registry::LinkCommand;
use crate::shared::Shared;

/// All key exchanges of a server.
pub(crate) struct KeyExchange {
    exchanges: Mutex<Exchanges>,
    /// One permit for each core: more at once would only take time from the reactor.
    workers: Semaphore,
}

impl KeyExchange {
    pub(crate) fn new(
        config: HandshakeConfig,
        identities: Arc<[rsa::PrivateKey]>,
        rng: Rng,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            exchanges: Mutex::new(Exchanges::new(config, identities, rng)),
            workers: Semaphore::new(cores),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Exchanges> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes an unencrypted message of a link.
pub(crate) fn handle_plain(shared: &Arc<Shared>, origin: Origin, body: &Bytes) {
    let mut exchanges = shared.exchange.lock();
    exchanges.handle_plain(shared.clock.now(), origin, body);
    shared.metrics.exchanges.set(exchanges.len() as f64);
    drop(exchanges);
    perform(shared, false);
}

/// Does what the exchanges want done. `stored` tells that the store has just spoken, so that a
/// reply now is the last one of its exchange.
fn perform(shared: &Arc<Shared>, stored: bool) {
    loop {
        let Some(output) = shared.exchange.lock().poll_output() else { return };
        match output {
            Output::Reply(link, body) if stored => {
                shared.registry.send(link, LinkCommand::LastReply(body));
            }
            Output::Reply(link, body) => shared.registry.send(link, LinkCommand::Reply(body)),
            Output::Error(link, code) => {
                debug!(link = link.0, code, "key exchange refused");
                shared.metrics.handshakes.add(code_name(-code), 1);
                shared.registry.send(link, LinkCommand::Fail(-code));
            }
            Output::Work(work) => {
                tokio::spawn(run(Arc::clone(shared), work));
            }
            Output::Store(ticket, key, dc) => {
                tokio::spawn(store(Arc::clone(shared), ticket, key, dc));
            }
        }
    }
}

async fn run(shared: Arc<Shared>, work: Work) {
    // The semaphore is never closed.
    let Ok(_permit) = shared.exchange.workers.acquire().await else { return };
    let now = shared.clock.now().unix_seconds();
    let Ok(done) = tokio::task::spawn_blocking(move || work.run(now)).await else { return };
    shared.exchange.lock().handle_done(shared.clock.now(), done);
    perform(&shared, false);
}

async fn store(shared: Arc<Shared>, ticket: Ticket, new: Box<NewKey>, dc: i32) {
    let created = shared.clock.now().unix.as_secs();
    let NewKey { key, first_salt, expires_in } = *new;
    let expires = expires_in.map(|life| created + u64::from(life.unsigned_abs()));
    let stored = StoredKey { key, created, first_salt, expires, dc };
    let outcome = match shared.backend.store().insert_key(stored.clone(), created).await {
        Ok(Inserted::Stored) => {
            let record = Arc::new(KeyRecord::new(stored, None));
            info!(auth_key_id = %record.id(), dc, temporary = expires.is_some(), "key created");
            shared.events.key_created(record.id());
            shared.directory.insert_key(record);
            Stored::Kept
        }
        Ok(Inserted::Collision) => {
            shared.metrics.handshakes.add(metrics::COLLISION, 1);
            Stored::Collision
        }
        Err(error) => {
            warn!(%error, "a new key cannot be stored");
            shared.metrics.handshakes.add(metrics::STORE_FAILED, 1);
            Stored::Failed
        }
    };
    let now = shared.clock.now();
    let mut exchanges = shared.exchange.lock();
    if outcome == Stored::Kept {
        shared.metrics.handshakes.add(metrics::CREATED, 1);
        if let Some(begun) = exchanges.begun(ticket) {
            shared.metrics.handshake_duration.record(now.mono.saturating_sub(begun));
        }
    }
    exchanges.handle_stored(now, ticket, outcome);
    drop(exchanges);
    perform(&shared, outcome == Stored::Kept);
}

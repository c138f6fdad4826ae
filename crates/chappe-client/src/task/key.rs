//! What a client does about its keys: [`Keys`](chappe_proto::keys::Keys) decides, this obeys.

use std::sync::Arc;
use std::time::Duration;

use chappe_crypto::{AuthKey, AuthKeyId};
use chappe_proto::Now;
use chappe_proto::handshake::client::Finished;
use chappe_proto::keys::{KeyAction, Slot};
use chappe_proto::session::client::{Bind, CallError, CallId, ClientSession};
use chappe_tl::Raw;
use tracing::{debug, info, warn};

use super::channel::{Channel, Traffic};
use super::{Kept, Task};
use crate::builder::KeyLoss;
use crate::error::{ConnectError, InvokeError, LinkError};
use crate::exchange::{Done, Exchange};
use crate::push::Push;
use crate::storage::{KeyRecord, ServerId, StorageError};

impl Task {
    /// Does what the keys ask for. Whether that was anything.
    pub(super) fn take_actions(&mut self, now: Now) -> bool {
        let mut is_any = false;
        while let Some(action) = self.keys.poll_action() {
            is_any = true;
            match action {
                KeyAction::Make { slot, expires_in } => self.make(now, slot, expires_in),
                KeyAction::Keep(_) => self.keep(now),
                KeyAction::Bind(slot, bind) => self.bind(now, slot, bind),
                KeyAction::Use(slot) => self.use_slot(now, slot),
                KeyAction::Probe(slot) => self.probe(now, slot),
                KeyAction::Drop(slot) => self.drop_slot(slot),
                KeyAction::Lost => self.lost(now),
                KeyAction::Unsupported(error) => {
                    self.misconfigured(LinkError::PfsUnsupported(error));
                }
            }
        }
        is_any
    }

    fn make(&mut self, now: Now, slot: Slot, expires_in: Option<i32>) {
        let request = self.settings.key_request(expires_in);
        let rng = self.rng.fork();
        let mut exchange = Exchange::new(request, self.settings.exchange_timeout, rng);
        let channel = self.channels.entry(slot).or_insert_with(|| Channel::new(now));
        // The link that brought the permanent key serves for the temporary one as well.
        if channel.open_link().is_some() {
            exchange.begin(now);
        }
        channel.exchange = Some(exchange);
    }

    /// A step of an exchange is computed.
    pub(super) fn handle_done(&mut self, now: Now, slot: Slot, done: Done) {
        let Some(channel) = self.channels.get_mut(&slot) else { return };
        let Some(exchange) = &mut channel.exchange else { return };
        let begun = exchange.begun();
        match exchange.handle_done(done) {
            Ok(Some(finished)) => {
                channel.exchange = None;
                let took = now.mono.saturating_sub(begun.unwrap_or(now.mono));
                self.metrics.handshakes.increment(1);
                self.metrics.handshake_duration.record(took);
                self.take_key(now, slot, *finished);
            }
            Ok(None) => {}
            Err(error) => self.fail_link(now, slot, error),
        }
    }

    fn take_key(&mut self, now: Now, slot: Slot, finished: Finished) {
        let Finished { key, server_key, first_salt, server_time, heard_at, expires_at } = finished;
        info!(auth_key_id = %key.id(), is_temporary = expires_at.is_some(), "made an auth key");
        let mut clock = self.server_clock;
        clock.set(heard_at, Duration::from_secs(server_time.max(0).unsigned_abs()));
        self.server_clock = clock;
        let key = Arc::new(key);
        if expires_at.is_none() {
            let server = ServerId { dc: self.settings.dc, fingerprint: server_key };
            self.kept = Some(Kept { server, salt: first_salt, is_stored: false });
        } else {
            self.begin_session(slot, Arc::clone(&key), first_salt);
        }
        self.keys.handle_made(now, slot, key, heard_at, expires_at);
    }

    /// Gives a channel a key, and a session under it.
    fn begin_session(&mut self, slot: Slot, key: Arc<AuthKey>, salt: i64) {
        let config = self.settings.session.clone();
        let session = ClientSession::new(config, salt, self.server_clock, self.rng.fork());
        if let Some(channel) = self.channels.get_mut(&slot) {
            let traffic = Traffic::new(key, session);
            traffic.span.in_scope(|| debug!("session opened"));
            channel.traffic = Some(traffic);
        }
    }

    fn bind(&mut self, now: Now, slot: Slot, bind: Bind) {
        self.open_session(now, slot);
        let Some(channel) = self.channels.get_mut(&slot) else { return };
        channel.binding = channel.session().map(|session| session.bind(bind));
    }

    pub(super) fn is_binding(&self, slot: Slot, call: CallId) -> bool {
        self.channels.get(&slot).is_some_and(|channel| channel.binding == Some(call))
    }

    /// What the server says to the binding of a key.
    pub(super) fn bound(&mut self, now: Now, slot: Slot, result: Result<Raw, CallError>) {
        let error = match result {
            Ok(Raw(body)) if chappe_tl::from_bytes(body.clone()) == Ok(true) => {
                return self.keys.handle_bound(now, slot);
            }
            Err(CallError::Rpc(error)) => error,
            // It never says anything else; a temporary key more or less costs nothing.
            other => chappe_proto::rpc::RpcError::new(500, format!("{other:?}")),
        };
        warn!(%error, "the server does not bind the temporary key");
        self.last_error = Some(LinkError::BindRefused(error.clone()));
        self.keys.handle_bind_failed(now, slot, error);
    }

    /// Calls go out under the key of this slot from now on.
    fn use_slot(&mut self, now: Now, slot: Slot) {
        let Some(key) = self.keys.key(slot).cloned() else { return };
        let salt = self.kept.as_ref().map_or(0, |kept| kept.salt);
        let is_new = !self.channels.contains_key(&slot);
        self.channels.entry(slot).or_insert_with(|| Channel::new(now));
        if self.channels.get(&slot).is_some_and(|channel| channel.traffic.is_none()) {
            self.begin_session(slot, key, salt);
            if !is_new {
                self.open_session(now, slot);
            }
        }
        for (other, channel) in &mut self.channels {
            if *other != slot
                && !channel.is_retired
                && !channel.is_probe
                && let Some(session) =
                    &mut channel.traffic.as_mut().map(|traffic| &mut traffic.session)
            {
                channel.is_retired = true;
                self.calls.take_back(*other, session);
            }
        }
        self.calls.begin_anew();
        if std::mem::replace(&mut self.was_in_use, true) {
            // The server pushes to a session that did not exist a moment ago (SVC-40).
            self.push(Push::MayBeLost);
        }
        if self.channels.get(&slot).is_some_and(|channel| channel.is_confirmed) {
            self.confirm();
        }
    }

    fn probe(&mut self, now: Now, slot: Slot) {
        let Some(key) = self.keys.permanent().cloned() else { return };
        let salt = self.kept.as_ref().map_or(0, |kept| kept.salt);
        let channel = self.channels.entry(slot).or_insert_with(|| Channel::new(now));
        channel.is_probe = true;
        self.begin_session(slot, key, salt);
    }

    fn drop_slot(&mut self, slot: Slot) {
        self.close_link(slot);
        let Some(channel) = self.channels.remove(&slot) else { return };
        let session = channel.traffic.as_ref().map(|traffic| &traffic.session);
        if let Some(session) = session {
            self.server_clock = session.clock();
        }
        self.calls.lose(slot, session);
    }

    /// The server knows the permanent key no more.
    fn lost(&mut self, now: Now) {
        warn!("the server does not know our auth key any more");
        if self.settings.key_loss == KeyLoss::Stop {
            self.refuse(ConnectError::KeyLost, &InvokeError::KeyLost);
            self.hopeless = Some(InvokeError::KeyLost);
            return;
        }
        self.kept = None;
        self.has_lost_key = true;
        self.keys.begin_anew(now);
    }

    /// A salt belongs to its key: that of a temporary key dies with it (SES-25).
    pub(super) fn keep_salt(&mut self, now: Now, slot: Slot, salt: i64) {
        if self.settings.keys.pfs.is_none()
            && self.keys.in_use() == Some(slot)
            && let Some(kept) = &mut self.kept
        {
            kept.salt = salt;
        }
        if self.kept.as_ref().is_some_and(|kept| kept.is_stored) {
            self.keep(now);
        }
    }

    /// Hands what is worth keeping to the storage.
    pub(super) fn keep(&mut self, now: Now) {
        let Some(Kept { server, salt, .. }) = self.kept else { return };
        let Some(key) = self.keys.permanent() else { return };
        let in_use = self.keys.in_use().and_then(|slot| self.channels.get(&slot));
        let session = in_use.and_then(|channel| channel.traffic.as_ref());
        let clock = session.map_or(self.server_clock, |traffic| traffic.session.clock());
        let server_minus_unix = clock.server_minus_unix(now);
        self.keeper.keep(server, KeyRecord { key: (**key).clone(), salt, server_minus_unix });
    }

    pub(super) fn saved(&mut self, now: Now, id: AuthKeyId, result: Result<(), StorageError>) {
        let is_ours = self.keys.permanent().is_some_and(|key| key.id() == id);
        let slots = self.slots();
        let new = self.kept.as_mut().filter(|kept| is_ours && !kept.is_stored);
        match (new, result) {
            (Some(kept), Ok(())) => {
                kept.is_stored = true;
                for slot in slots {
                    self.keys.handle_kept(now, slot);
                }
                if std::mem::take(&mut self.has_lost_key) {
                    self.push(Push::NewKey);
                }
            }
            (Some(_), Err(error)) => {
                self.kept = None;
                for slot in slots {
                    self.keys.handle_not_kept(slot);
                }
                self.misconfigured(LinkError::Storage(error));
            }
            (None, Ok(())) => {}
            // The key is safe; an old salt costs one exchange of messages in the next run.
            (None, Err(error)) => warn!(%error, "the salt could not be stored"),
        }
    }

    /// The server has shown that it holds the key in use.
    pub(super) fn confirm(&mut self) {
        self.down_since = None;
        self.hopeless = None;
        self.last_error = None;
        if let Some(ready) = self.ready.take() {
            // Whoever does not wait any more closes the client by that.
            let _ = ready.send(Ok(()));
        }
    }
}

//! How waiting ends when there is no hope, and how a client ends.

use std::sync::Arc;
use std::time::Duration;

use chappe_proto::Now;
use tracing::warn;

use super::Task;
use crate::builder::panicked;
use crate::error::{ConnectError, InvokeError, LinkError};
use crate::storage::StorageError;

/// Longest wait for links to say their last.
const LAST_WORDS_MAX: Duration = Duration::from_secs(6);

impl Task {
    /// Tells everyone who waits that it is in vain; a client that never connected ends by it.
    pub(super) fn refuse(&mut self, connecting: ConnectError, calling: &InvokeError) {
        let placed = self.calls.fail(calling);
        self.drop_calls(placed);
        if let Some(ready) = self.ready.take() {
            let _ = ready.send(Err(connecting));
            self.is_stopping = true;
        }
    }

    /// There is no use in trying again as things are. What goes on under a key that served us is
    /// not disturbed by what a next one meets.
    pub(super) fn misconfigured(&mut self, error: LinkError) {
        if self.ready.is_none() && self.keys.in_use().is_some() {
            return;
        }
        self.refuse(
            ConnectError::Misconfigured(error.clone()),
            &InvokeError::Misconfigured(error.clone()),
        );
        self.last_error = Some(error);
    }

    /// When those who wait have waited too long.
    pub(super) fn deadline(&self) -> Option<Duration> {
        if self.ready.is_some() {
            return Some(self.started + self.settings.connect_timeout);
        }
        let down_since = self.down_since.filter(|_| self.hopeless.is_none())?;
        Some(down_since + self.settings.unreachable_max?)
    }

    pub(super) fn handle_deadline(&mut self, now: Now) {
        if self.deadline().is_none_or(|deadline| now.mono < deadline) {
            return;
        }
        let last = self.last_error.clone();
        let waited = self.settings.connect_timeout;
        let is_new = self.ready.is_some();
        let error = InvokeError::Unreachable(last.clone().unwrap_or(LinkError::Silent));
        self.refuse(ConnectError::Timeout { waited, last }, &error);
        if is_new {
            self.stop(now);
        } else {
            self.hopeless = Some(error);
        }
    }

    /// Begins the end: what was received is acknowledged before the links are closed.
    pub(super) fn stop(&mut self, now: Now) {
        self.is_stopping = true;
        let placed = self.calls.fail(&InvokeError::Closed);
        self.drop_calls(placed);
        for slot in self.slots() {
            if let Some(session) =
                self.channels.get_mut(&slot).and_then(|channel| channel.session())
            {
                session.flush();
            }
            self.transmit(now, slot);
        }
    }

    /// Stores what is to be stored and lets everyone go.
    pub(super) async fn finish(mut self) {
        let placed = self.calls.fail(&InvokeError::Closed);
        self.drop_calls(placed);
        // A link whose commands end says what is left and closes; its news are not awaited.
        for slot in self.slots() {
            self.close_link(slot);
        }
        self.news.close();
        let last_words = async { while self.link_tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_WORDS_MAX, last_words).await;
        if self.kept.as_ref().is_some_and(|kept| kept.is_stored) && self.forgetting.is_none() {
            self.keep(self.clock.now());
        }
        while self.keeper.is_busy() {
            if let (_, Err(error)) = self.keeper.saved().await {
                warn!(%error, "the key could not be stored at the end");
            }
        }
        if let Some(done) = self.forgetting.take() {
            let _ = done.send(self.forget().await);
        }
        for closer in self.closers {
            let _ = closer.send(());
        }
    }

    /// Removes the key from the storage.
    async fn forget(&self) -> Result<(), StorageError> {
        let Some(kept) = &self.kept else { return Ok(()) };
        let (server, storage) = (kept.server, Arc::clone(&self.settings.storage));
        let removed = tokio::task::spawn_blocking(move || storage.remove(server)).await;
        // A storage that panics has told why.
        removed.unwrap_or_else(|panic| Err(panicked(panic)))
    }
}

//! Tasks beside that of a session, for calls that wait; nearly always there is none.

use tokio::task::{JoinError, JoinSet};

/// A [`JoinSet`] that is there while there is something in it.
pub(super) struct Beside<T>(Option<JoinSet<T>>);

impl<T> Default for Beside<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Send + 'static> Beside<T> {
    pub(super) fn spawn(&mut self, task: impl Future<Output = T> + Send + 'static) {
        self.0.get_or_insert_default().spawn(task);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What a task has come to, if one has ended.
    pub(super) fn try_next(&mut self) -> Option<Result<T, JoinError>> {
        let ended = self.0.as_mut()?.try_join_next();
        self.give_back();
        ended
    }

    /// Waits for a task to end; `None` if there is none. May be dropped without losing any.
    pub(super) async fn next(&mut self) -> Option<Result<T, JoinError>> {
        let ended = self.0.as_mut()?.join_next().await;
        self.give_back();
        ended
    }

    /// Lets all tasks run on by themselves.
    pub(super) fn detach_all(&mut self) {
        if let Some(mut tasks) = self.0.take() {
            tasks.detach_all();
        }
    }

    fn give_back(&mut self) {
        self.0.take_if(|tasks| tasks.is_empty());
    }
}

//! Tasks beside that of a session, for calls that wait; nearly always there is none.

use std::task::{Context, Poll};

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

    /// What the next task to end has come to; never ready while there is none.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let Some(tasks) = &mut self.0 else { return Poll::Pending };
        let Poll::Ready(Some(ended)) = tasks.poll_join_next(context) else { return Poll::Pending };
        self.give_back();
        Poll::Ready(ended)
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

//! Stopping many tasks: first politely, then at once.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// How far a stop has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nobody asked to stop.
    #[default]
    Running,
    /// Finish what is under way, begin nothing.
    Draining,
    /// Leave at once.
    Ending,
}

/// Asks tasks to stop and waits for them.
#[derive(Debug)]
pub struct Shutdown {
    stage: watch::Sender<Stage>,
    /// Closes when every [`Watcher`] is dropped.
    alive: mpsc::Receiver<()>,
    template: Option<mpsc::Sender<()>>,
}

/// What a task holds to hear of the stop; the stop waits until it is dropped.
#[derive(Clone, Debug)]
pub struct Watcher {
    stage: watch::Receiver<Stage>,
    _alive: mpsc::Sender<()>,
}

impl Default for Shutdown {
    fn default() -> Self {
        let (template, alive) = mpsc::channel(1);
        Self { stage: watch::Sender::default(), alive, template: Some(template) }
    }
}

impl Shutdown {
    /// For one more task; `None` once the stop has begun.
    pub fn watcher(&self) -> Option<Watcher> {
        let alive = self.template.clone()?;
        Some(Watcher { stage: self.stage.subscribe(), _alive: alive })
    }

    /// Asks for the stop. Whoever asks for a [`watcher`](Self::watcher) from here on gets none.
    pub fn begin(&mut self) {
        self.template = None;
        self.stage.send_replace(Stage::Draining);
    }

    /// Waits until all tasks left, and asks none of them to. Whoever asks for a
    /// [`watcher`](Self::watcher) from here on gets none. May be dropped and called again.
    pub async fn all_left(&mut self) {
        self.template = None;
        // Nobody sends: this ends when the last watcher is gone.
        let _ = self.alive.recv().await;
    }

    /// Asks for the stop if that was not done, waits until all tasks left, tells them to leave at once after
    /// `drain_max`, and stops waiting after another `end_max`.
    ///
    /// Whether all left.
    pub async fn stop(&mut self, drain_max: Duration, end_max: Duration) -> bool {
        self.begin();
        for (stage, wait_max) in [(Stage::Draining, drain_max), (Stage::Ending, end_max)] {
            self.stage.send_replace(stage);
            // Nobody sends: this ends when the last watcher is gone.
            if timeout(wait_max, self.alive.recv()).await.is_ok() {
                return true;
            }
        }
        false
    }
}

impl Watcher {
    /// How far the stop has gone.
    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Waits until the stop has gone at least as far as `stage`.
    pub async fn reached(&mut self, stage: Stage) {
        // Without a sender nobody waits for us any more: leave.
        let _ = self.stage.wait_for(|at| *at >= stage).await;
    }
}

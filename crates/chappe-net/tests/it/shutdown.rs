//! Stopping tasks.

use std::time::Duration;

use chappe_net::shutdown::{Shutdown, Stage};

const DRAIN_MAX: Duration = Duration::from_secs(10);
const END_MAX: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn stop_waits_for_those_who_finish() {
    let mut shutdown = Shutdown::default();
    let mut watcher = shutdown.watcher().unwrap();
    let task = tokio::spawn(async move {
        watcher.reached(Stage::Draining).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        watcher.stage()
    });
    assert!(shutdown.stop(DRAIN_MAX, END_MAX).await);
    assert_eq!(task.await.unwrap(), Stage::Draining);
}

#[tokio::test(start_paused = true)]
async fn those_who_do_not_finish_are_told_to_leave() {
    let mut shutdown = Shutdown::default();
    let mut watcher = shutdown.watcher().unwrap();
    tokio::spawn(async move { watcher.reached(Stage::Ending).await });
    let stubborn = shutdown.watcher().unwrap();
    assert!(!shutdown.stop(DRAIN_MAX, END_MAX).await);
    assert_eq!(stubborn.stage(), Stage::Ending);
    assert!(shutdown.watcher().is_none());
}

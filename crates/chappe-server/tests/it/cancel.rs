//! Calls that their clients give up, and what their handlers make of it.

use std::time::Duration;

use chappe_backend::Backend;
use chappe_server::{Cancellation, Router, RpcError, cancellable};
use chappe_tl::Str;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::client::Client;
use crate::functions::{App, Echo, Sleep};
use crate::world::World;

/// Rule:   a handler that its program lets be stopped is dropped where it waits when the client
///         gives the call up; later calls go on.
/// Source: SVC-29.
#[tokio::test]
async fn cancellable_handler_is_stopped() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let world = world(Router::new(App::default()).function(cancellable(move |_: Sleep| {
        let mut fate = Fate::begun(&tell);
        async move {
            std::future::pending::<()>().await;
            fate.finish()
        }
    })))
    .await;
    let mut client = Client::new(&world).await;
    for _ in 0..2 {
        begin_and_give_up(&mut client, &mut told).await;
        assert_eq!(told.recv().await, Some("stopped"));
    }
    client.call(Echo::from("x")).await.unwrap();
}

/// Rule:   every other handler runs to its end, and may ask whether its answer is still wanted.
/// Source: SVC-29.
#[tokio::test]
async fn other_handlers_are_told_and_run_to_their_end() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let handler = move |cancellation: Cancellation, _: Sleep| {
        let (mut fate, tell) = (Fate::begun(&tell), tell.clone());
        async move {
            assert!(!cancellation.is_requested());
            cancellation.requested().await;
            tell.send("asked").unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            // Who asks late hears it, too.
            cancellation.requested().await;
            assert!(cancellation.is_requested());
            fate.finish()
        }
    };
    let world = world(Router::new(App::default()).function(handler)).await;
    let mut client = Client::new(&world).await;
    begin_and_give_up(&mut client, &mut told).await;
    assert_eq!(told.recv().await, Some("asked"));
    assert_eq!(told.recv().await, Some("finished"));
}

/// Rule:   the call that was dropped is stopped, and no other of its function.
/// Source: SVC-29.
#[tokio::test]
async fn only_the_call_that_was_dropped_is_stopped() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let world = world(Router::new(App::default()).function(cancellable(move |call: Sleep| {
        let mut fate = Fate::begun(&tell);
        async move {
            let wait = if call.text.as_str() == Ok("short") { 300 } else { 60_000 };
            tokio::time::sleep(Duration::from_millis(wait)).await;
            fate.finish()
        }
    })))
    .await;
    let mut client = Client::new(&world).await;
    let long = client.begin(&Sleep::from("long")).await;
    let short = client.begin(&Sleep::from("short")).await;
    for _ in 0..2 {
        assert_eq!(told.recv().await, Some("begun"));
    }
    client.give_up(long).await;
    assert_eq!(told.recv().await, Some("stopped"));
    assert_eq!(client.answer::<Sleep>(short).await.unwrap(), "finished");
}

/// Rule:   the end of a connection stops no handler, whatever it allows.
/// Source: SES-16.
#[tokio::test]
async fn lost_connection_stops_nothing() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let world = world(Router::new(App::default()).function(cancellable(move |_: Sleep| {
        let mut fate = Fate::begun(&tell);
        async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            fate.finish()
        }
    })))
    .await;
    let mut client = Client::new(&world).await;
    client.begin(&Sleep::from("x")).await;
    assert_eq!(told.recv().await, Some("begun"));
    drop(client);
    assert_eq!(told.recv().await, Some("finished"));
}

/// Has a call begun at the server and gives it up.
async fn begin_and_give_up(client: &mut Client, told: &mut UnboundedReceiver<&'static str>) {
    let call = client.begin(&Sleep::from("x")).await;
    assert_eq!(told.recv().await, Some("begun"));
    client.give_up(call).await;
}

/// A server of these functions, and [`Echo`].
async fn world(router: Router<App>) -> World {
    let router = router.function(async |call: Echo| Ok::<_, RpcError>(call.text));
    World::routed(Backend::memory(), |_| {}, App::default(), router).await
}

/// Tells how a handler comes to its end.
struct Fate {
    tell: UnboundedSender<&'static str>,
    end: &'static str,
}

impl Fate {
    fn begun(tell: &UnboundedSender<&'static str>) -> Self {
        tell.send("begun").unwrap();
        Self { tell: tell.clone(), end: "stopped" }
    }

    fn finish(&mut self) -> Result<Str, RpcError> {
        self.end = "finished";
        Ok("finished".into())
    }
}

impl Drop for Fate {
    fn drop(&mut self) {
        // The test may be over.
        let _ = self.tell.send(self.end);
    }
}

//! What a server counts is what happened; its spans carry the ids.

use std::collections::BTreeMap;
use std::time::Duration;

use chappe_proto::transport::{Framing, Transport};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::{Client, Scribe, Wire};
use crate::functions::{Echo, Fill, Panic, Sleep, Unanswered};
use crate::log::Log;
use crate::world::World;

/// Each counter, gauge and number of measurements by its name and labels.
#[derive(Default)]
pub(crate) struct Counts(BTreeMap<String, i64>);

/// Rule:   what became of links, handshakes, calls and messages is counted, and levels fall when
///         what they count is gone.
/// Source: docs/guide/observe.md.
#[tokio::test]
async fn counters_tell_what_happened() {
    let recorder = DebuggingRecorder::new();
    let snapshots = recorder.snapshotter();
    let guard = ::metrics::set_default_local_recorder(&recorder);
    let world = World::with(|config| {
        config.session.calls_max = 1;
        config.connections.per_address_max = 3;
    })
    .await;
    let mut client = Client::new(&world).await;
    client.call(Echo::from("x")).await.unwrap();
    client.call(Panic::from("now")).await.unwrap_err();
    client.call(Unanswered::from("")).await.unwrap_err();
    client.call(Sleep::from("x")).await.unwrap_err();
    let slow = client.begin(&Sleep::from("200")).await;
    let refused = client.begin(&Echo::from("x")).await;
    client.answer::<Echo>(refused).await.unwrap_err();
    let mut counts = Counts::default();
    counts.read(&snapshots);
    counts.check("chappe_server_calls_running", 1);
    counts.check("chappe_server_sessions", 1);
    counts.check("chappe_server_keys_cached", 1);
    counts.check("chappe_server_links{carrier=stream,transport=intermediate}", 1);
    counts.check("chappe_server_links{carrier=stream,transport=unknown}", 0);
    client.answer::<Sleep>(slow).await.unwrap();

    // A message refused, one that came twice, a push, a stranger, a connection too many.
    let account = client.account.clone();
    let mut scribe = Scribe::new(&account);
    let mut wire = Wire::connect(world.address).await;
    let bad = scribe.write_with(0, chappe_tl::to_bytes(&Echo::from("x")).unwrap());
    wire.send(&account.key, bad).await;
    wire.hear().await;
    let twice = scribe.write(&Echo::from("x"));
    for _ in 0..2 {
        wire.send(&account.key, twice.clone()).await;
        wire.hear().await;
    }
    assert_eq!(world.pusher.to_key(account.key.id(), Fill::from("1").text.to_bytes()).await, 2);
    let _silent = TcpStream::connect(world.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut turned_away = Wire::connect(world.address).await;
    turned_away.ends().await;
    wire.stream.shutdown().await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;

    counts.read(&snapshots);
    for (sample, count) in [
        ("chappe_server_links_opened_total", 3),
        ("chappe_server_links_closed_total{reason=eof}", 1),
        ("chappe_server_links_closed_total{reason=overrun}", 0),
        ("chappe_server_links_refused_total", 1),
        ("chappe_server_links{carrier=stream,transport=intermediate}", 1),
        ("chappe_server_links{carrier=stream,transport=unknown}", 1),
        ("chappe_server_handshakes", 1),
        ("chappe_server_handshakes_total{outcome=created}", 1),
        ("chappe_server_handshake_duration_seconds", 1),
        ("chappe_server_packets_received_total{kind=plain}", 3),
        ("chappe_server_packets_sent_total{kind=plain}", 3),
        ("chappe_server_sessions", 2),
        ("chappe_server_sessions_opened_total", 2),
        ("chappe_server_sessions_forgotten_total", 0),
        ("chappe_server_calls_total{function=Echo,outcome=ok}", 2),
        ("chappe_server_calls_total{function=Panic,outcome=fault}", 1),
        ("chappe_server_calls_total{function=Sleep,outcome=error}", 1),
        ("chappe_server_calls_total{function=Sleep,outcome=ok}", 1),
        ("chappe_server_calls_total{function=unknown,outcome=error}", 1),
        ("chappe_server_call_duration_seconds{function=Sleep}", 2),
        ("chappe_server_calls_running", 0),
        ("chappe_server_calls_refused_total", 1),
        ("chappe_server_messages_refused_total{code=35}", 1),
        ("chappe_server_messages_refused_total{code=48}", 0),
        ("chappe_server_messages_repeated_total", 1),
        ("chappe_server_pushes_total", 2),
    ] {
        counts.check(sample, count);
    }
    assert!(counts.count("chappe_server_received_bytes_total") > 1000);
    assert!(counts.count("chappe_server_sent_bytes_total") > 1000);
    assert!(counts.count("chappe_server_session_memory_bytes") >= 8 << 10);
    drop(guard);
}

impl Counts {
    /// Adds what was counted since the last look, after which the recorder begins at 0.
    pub(crate) fn read(&mut self, snapshots: &Snapshotter) {
        for (key, _, text, value) in snapshots.snapshot().into_vec() {
            let (_, key) = key.into_parts();
            assert!(text.is_some(), "{} has no text", key.name());
            let labels: Vec<_> =
                key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            let sample = match &*labels {
                [] => key.name().to_owned(),
                labels => format!("{}{{{}}}", key.name(), labels.join(",")),
            };
            let total = self.0.entry(sample).or_default();
            match value {
                DebugValue::Counter(count) => *total += count as i64,
                DebugValue::Gauge(change) => *total += change.0 as i64,
                DebugValue::Histogram(values) => *total += values.len() as i64,
            }
        }
    }

    #[track_caller]
    pub(crate) fn check(&self, sample: &str, count: i64) {
        assert_eq!(self.0.get(sample), Some(&count), "{sample}");
    }

    #[track_caller]
    pub(crate) fn count(&self, sample: &str) -> i64 {
        self.0[sample]
    }
}

/// Rule:   what is logged of a link, a session or a call stands in spans with their ids, from the
///         key down to the function.
/// Source: docs/guide/observe.md.
#[tokio::test]
async fn spans_carry_the_ids() {
    let log = Log::of_the_process();
    let world = World::new().await;
    let stream = TcpStream::connect(world.address).await.unwrap();
    let peer = stream.local_addr().unwrap();
    let mut wire = Wire::over(stream, Transport::plain(Framing::Intermediate));
    let account = wire.exchange(&world).await.unwrap();
    let mut client = Client::over(wire, &account);
    client.call(Sleep::from("5")).await.unwrap();
    client.call(Panic::from("later")).await.unwrap_err();
    let (key, session) = (client.account.key.id(), client.session.id());
    client.wire.raw(&[9; 100]).await;
    client.wire.ends().await;
    tokio::time::sleep(Duration::from_millis(20)).await;

    let session = format!("session{{auth_key_id={key} session_id={session}}}");
    let link = format!(" peer={peer} carrier=\"stream\"}}: ");
    log.holds(&[" link{link=", &link, "link opened"]);
    log.holds(&[" link{link=", &link, "link bound", &format!("auth_key_id={key}")]);
    log.holds(&[" link{link=", &link, "link closed"]);
    log.holds(&[&format!(" {session}: "), "link attached", "link=", &format!("peer={peer}")]);
    log.holds(&[&format!(" {session}: "), "its handler panicked", "function=Panic", "msg_id="]);
    // What handlers log stands in their call.
    log.holds(&[&format!(" {session}:call{{msg_id="), " function=Sleep link=", "}: ", "slept"]);
}

//! What a client counts is what happened, and what the guide lists.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use chappe_proto::rpc::RpcError;
use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

use crate::server::{Hooks, Reply, Server};

const GUIDE: &str = include_str!("../../../../docs/guide/observe.md");

/// Counters, gauges and numbers of measurements, each by its name and labels.
type Counts = BTreeMap<String, u64>;

/// Kinds and labels by name.
type Shapes = BTreeMap<String, (String, BTreeSet<String>)>;

#[tokio::test]
async fn counters_tell_what_happened_and_are_in_the_guide() {
    let recorder = DebuggingRecorder::new();
    let snapshots = recorder.snapshotter();
    let guard = ::metrics::set_default_local_recorder(&recorder);
    let mut calls = 0;
    let hooks = Hooks {
        call: Box::new(move |call| {
            calls += 1;
            match calls {
                1 => Reply::Result(call.clone()),
                2 => Reply::Error(RpcError::bad_request("NO")),
                3 => Reply::Cut(call.clone()),
                _ => Reply::Nothing,
            }
        }),
        ..Hooks::default()
    };
    let server = Server::start(hooks).await;
    let client = server.client().connect().await.unwrap();
    let call = Bytes::from_static(&[1, 0, 0, 0x99]);
    client.invoke_raw(call.clone()).await.unwrap();
    client.invoke_raw(call.clone()).await.unwrap_err();
    client.invoke_raw(call.clone()).await.unwrap();
    let patience = Duration::from_millis(50);
    tokio::time::timeout(patience, client.invoke_raw(call.clone())).await.unwrap_err();
    client.close().await;
    client.invoke_raw(call).await.unwrap_err();
    drop(guard);

    let (counts, shapes) = read(&snapshots);
    for (sample, count) in [
        ("chappe_client_calls_total{outcome=ok}", 2),
        ("chappe_client_calls_total{outcome=error}", 1),
        ("chappe_client_calls_total{outcome=given_up}", 1),
        ("chappe_client_calls_total{outcome=closed}", 1),
        ("chappe_client_call_duration_seconds", 5),
        ("chappe_client_calls_open", 0),
        ("chappe_client_links_opened_total", 2),
        ("chappe_client_links_lost_total{cause=eof}", 1),
        ("chappe_client_handshakes_total", 1),
        ("chappe_client_handshake_duration_seconds", 1),
        ("chappe_client_round_trip_seconds", 2),
    ] {
        assert_eq!(counts[sample], count, "{sample}");
    }
    assert!(counts["chappe_client_received_bytes_total"] > 500);
    assert!(counts["chappe_client_sent_bytes_total"] > 500);
    let listed: Shapes = GUIDE.lines().filter_map(row).collect();
    assert_eq!(shapes, listed, "the client's table in the guide");
}

fn read(snapshots: &Snapshotter) -> (Counts, Shapes) {
    let mut counts = Counts::new();
    let mut shapes = Shapes::new();
    for (key, _, text, value) in snapshots.snapshot().into_vec() {
        let (kind, key) = key.into_parts();
        assert!(text.is_some(), "{} has no text", key.name());
        let kind = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let labels: Vec<_> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let inside = labels.join(",");
        let sample = if labels.is_empty() {
            key.name().into()
        } else {
            format!("{}{{{inside}}}", key.name())
        };
        counts.insert(
            sample,
            match value {
                DebugValue::Counter(count) => count,
                DebugValue::Gauge(level) => level.0 as u64,
                DebugValue::Histogram(values) => values.len() as u64,
            },
        );
        let labels = key.labels().map(|label| label.key().to_owned()).collect();
        shapes.insert(key.name().to_owned(), (kind.to_owned(), labels));
    }
    (counts, shapes)
}

/// A row of the guide's table: name, kind, labels, text.
fn row(line: &str) -> Option<(String, (String, BTreeSet<String>))> {
    let mut cells = line.split('|').map(str::trim).skip(1);
    let name = cells.next()?.trim_matches('`').to_owned();
    let kind = cells.next()?.to_owned();
    let labels = cells.next()?.split(", ").map(|label| label.trim_matches('`').to_owned());
    let labels = labels.filter(|label| !label.is_empty()).collect();
    name.starts_with("chappe_client_").then_some((name, (kind, labels)))
}

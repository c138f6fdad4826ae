//! Limits that hold for all, as far as they may change while the proxy runs.

use std::sync::Arc;

use axum::extract::State;
use chappe_proxy::ProxyConfig;
use serde::{Deserialize, Serialize};
use toml_edit::{DocumentMut, Value};
use utoipa::ToSchema;

use super::Api;
use super::answer::{Always, Problem, Tagged, Unchanged};
use super::document;
use super::request::{Body, Meant, nullable};
use super::user::number;

/// Limits that hold for all.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Limits {
    /// Connections open at once.
    connections_total_max: usize,
    /// Of these, from one address, IPv6 by blocks of 64 bits.
    connections_per_address_max: usize,
    /// New connections a second from one address.
    handshakes_per_address_per_second: u32,
    /// Seconds until a user is recognised.
    greeting_wait_max: f64,
    /// Strangers shown the site at once.
    strangers_total_max: usize,
    /// Bytes that a stranger may pass each way.
    strangers_bytes_max: Option<u64>,
    /// Bytes kept for all slow ends together.
    held_max_bytes: usize,
    /// Bytes read at once, and kept at most for a slow end, each way.
    buffer_bytes: usize,
    /// Seconds without a byte either way.
    idle_max: f64,
    /// Seconds in which an end takes nothing.
    stalled_max: f64,
    /// Whether connections of users who are gone from the file end when it is read.
    close_removed: bool,
}

/// Changes to limits. What is missing stays as it is; `null` is the default.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitChanges {
    /// Connections open at once.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    connections_total_max: Option<Option<u64>>,
    /// Of these, from one address, IPv6 by blocks of 64 bits.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    connections_per_address_max: Option<Option<u64>>,
    /// New connections a second from one address.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    handshakes_per_address_per_second: Option<Option<u64>>,
    /// Seconds until a user is recognised.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<f64>)]
    greeting_wait_max: Option<Option<f64>>,
    /// Strangers shown the site at once.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    strangers_total_max: Option<Option<u64>>,
    /// Bytes that a stranger may pass each way.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    strangers_bytes_max: Option<Option<u64>>,
    /// Bytes kept for all slow ends together.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    held_max_bytes: Option<Option<u64>>,
    /// Bytes read at once, and kept at most for a slow end, each way.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    buffer_bytes: Option<Option<u64>>,
    /// Seconds without a byte either way.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<f64>)]
    idle_max: Option<Option<f64>>,
    /// Seconds in which an end takes nothing.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<f64>)]
    stalled_max: Option<Option<f64>>,
    /// Whether connections of users who are gone from the file end when it is read.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<bool>)]
    close_removed: Option<Option<bool>>,
}

/// Show the limits that hold for all.
#[utoipa::path(
    get,
    path = "/v1/limits",
    operation_id = "show_limits",
    responses((status = 200, body = Limits, headers(("ETag"))), Always)
)]
pub(super) async fn show(State(api): State<Arc<Api>>) -> Tagged<Limits> {
    let in_use = api.live.in_use();
    Tagged::new(&in_use, Limits::of(&in_use.settings.proxy))
}

/// Change limits that hold for all. No connection is closed by that.
#[utoipa::path(
    patch,
    path = "/v1/limits",
    operation_id = "change_limits",
    params(("If-Match" = Option<String>, Header, description = "only if these are the settings")),
    request_body = LimitChanges,
    responses((status = 200, body = Limits, headers(("ETag"))), Unchanged, Always)
)]
pub(super) async fn patch(
    State(api): State<Arc<Api>>,
    meant: Meant,
    Body(changes): Body<LimitChanges>,
) -> Result<Tagged<Limits>, Problem> {
    let (in_use, ()) = api.change(meant, None, move |document| changes.write(document)).await?;
    Ok(Tagged::new(&in_use, Limits::of(&in_use.settings.proxy)))
}

impl Limits {
    fn of(proxy: &ProxyConfig) -> Self {
        let ProxyConfig { connections, access, strangers, relay, .. } = proxy;
        Self {
            connections_total_max: connections.total_max,
            connections_per_address_max: connections.per_address_max,
            handshakes_per_address_per_second: access.per_address_per_second,
            greeting_wait_max: access.greeting_wait_max.as_secs_f64(),
            strangers_total_max: strangers.total_max,
            strangers_bytes_max: strangers.bytes_max,
            held_max_bytes: relay.held_max_bytes,
            buffer_bytes: relay.buffer_bytes,
            idle_max: relay.idle_max.as_secs_f64(),
            stalled_max: relay.stalled_max.as_secs_f64(),
            close_removed: proxy.close_removed,
        }
    }
}

impl LimitChanges {
    fn write(self, document: &mut DocumentMut) -> Result<(), Problem> {
        let seconds = |change: Option<Option<f64>>| change.map(|change| change.map(Value::from));
        let per_second = self.handshakes_per_address_per_second;
        for (table, key, change) in [
            ("connections", "total-max", whole(self.connections_total_max)?),
            ("connections", "per-address-max", whole(self.connections_per_address_max)?),
            ("access", "per-address-per-second", whole(per_second)?),
            ("access", "greeting-wait-max", seconds(self.greeting_wait_max)),
            ("strangers", "total-max", whole(self.strangers_total_max)?),
            ("strangers", "bytes-max", whole(self.strangers_bytes_max)?),
            ("relay", "held-max-bytes", whole(self.held_max_bytes)?),
            ("relay", "buffer-bytes", whole(self.buffer_bytes)?),
            ("relay", "idle-max", seconds(self.idle_max)),
            ("relay", "stalled-max", seconds(self.stalled_max)),
        ] {
            let Some(value) = change else { continue };
            // A default needs no table to be made for it.
            if value.is_none() && !document.contains_key(table) {
                continue;
            }
            let cannot = || Problem::invalid(format!("`{table}` in the file is no table"));
            document::put(document::table(document, table).ok_or_else(cannot)?, key, value);
        }
        if let Some(close) = self.close_removed {
            document::put(document.as_table_mut(), "close-removed", close.map(Value::from));
        }
        Ok(())
    }
}

fn whole(change: Option<Option<u64>>) -> Result<Option<Option<Value>>, Problem> {
    number("a limit", change)
}

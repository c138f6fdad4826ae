//! Limits that hold for all, as far as they may change while the proxy runs.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use chappe_proxy::{ProxyConfig, RecordShape};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use toml_edit::{Array, DocumentMut, Value};
use utoipa::ToSchema;

use super::Api;
use super::answer::{Always, Problem, Tagged, Unchanged};
use super::document;
use super::request::{Body, Meant, nullable};
use super::user::number;

/// Names each limit once, with the types in which it is shown and changed.
macro_rules! limits {
    ($(#[doc = $text:literal] $name:ident: [$($shown:tt)*], [$($changed:tt)*];)*) => {
        /// Limits that hold for all.
        #[derive(Debug, Serialize, ToSchema)]
        pub(super) struct Limits {
            $(#[doc = $text] $name: $($shown)*,)*
        }

        /// Changes to limits. What is missing stays as it is; `null` is the default.
        #[derive(Debug, Default, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(super) struct LimitChanges {
            $(
                #[doc = $text]
                #[serde(default, deserialize_with = "nullable")]
                #[schema(value_type = Option<$($changed)*>)]
                $name: Option<Option<$($changed)*>>,
            )*
        }
    };
}

limits! {
    /// Connections open at once.
    connections_total_max: [usize], [u64];
    /// Of these, from one address, IPv6 by blocks of 64 bits.
    connections_per_address_max: [usize], [u64];
    /// New connections a second from one address.
    handshakes_per_address_per_second: [u32], [u64];
    /// Networks that alone are served; none for all.
    allow: [Vec<String>], [Vec<String>];
    /// Networks that are not.
    deny: [Vec<String>], [Vec<String>];
    /// Whether who is not served for his address is shown the site.
    mask_denied: [bool], [bool];
    /// Seconds until a user is recognised.
    greeting_wait_max: [f64], [f64];
    /// Seconds that the clock of a client may be late.
    hello_age_max: [f64], [f64];
    /// Seconds that it may be early.
    hello_future_max: [f64], [f64];
    /// Strangers shown the site at once.
    strangers_total_max: [usize], [u64];
    /// Of these, from one address, IPv6 by blocks of 64 bits.
    strangers_per_address_max: [usize], [u64];
    /// Bytes that a stranger may pass each way.
    strangers_bytes_max: [Option<u64>], [u64];
    /// Seconds without a byte either way between a stranger and the site.
    strangers_idle_max: [f64], [f64];
    /// Seconds to reach the site.
    strangers_connect_wait_max: [f64], [f64];
    /// Bytes kept for all slow ends together.
    held_max_bytes: [usize], [u64];
    /// Bytes read at once, and kept at most for a slow end, each way.
    buffer_bytes: [usize], [u64];
    /// Seconds without a byte either way.
    idle_max: [f64], [f64];
    /// Seconds in which an end takes nothing.
    stalled_max: [f64], [f64];
    /// Bytes of each record to a user of fake TLS; `null` where they grow.
    record_bytes: [Option<u16>], [u64];
    /// Seconds to reach one address of a data centre.
    centre_connect_wait_max: [f64], [f64];
    /// Bytes that wait for one client of a middle server; `null` where there are none of these.
    middle_client_max_bytes: [Option<usize>], [u64];
    /// Links to each middle server at first.
    middle_links_min: [Option<usize>], [u64];
    /// Links to each middle server when all have many clients.
    middle_links_max: [Option<usize>], [u64];
    /// Seconds to reach a middle server.
    middle_connect_wait_max: [Option<f64>], [f64];
    /// Seconds that a client waits for a link.
    middle_link_wait_max: [Option<f64>], [f64];
    /// Whether connections of users who are gone from the file end when it is read.
    close_removed: [bool], [bool];
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
        let ProxyConfig { connections, access, hello, strangers, relay, direct, .. } = proxy;
        let middle = proxy.middle.as_deref();
        let seconds = |time: Duration| time.as_secs_f64();
        let texts = |networks: &[IpNet]| networks.iter().map(IpNet::to_string).collect();
        Self {
            connections_total_max: connections.total_max,
            connections_per_address_max: connections.per_address_max,
            handshakes_per_address_per_second: access.per_address_per_second,
            allow: texts(&access.allow),
            deny: texts(&access.deny),
            mask_denied: access.mask_denied,
            greeting_wait_max: seconds(access.greeting_wait_max),
            hello_age_max: seconds(hello.age_max),
            hello_future_max: seconds(hello.future_max),
            strangers_total_max: strangers.total_max,
            strangers_per_address_max: strangers.per_address_max,
            strangers_bytes_max: strangers.bytes_max,
            strangers_idle_max: seconds(strangers.idle_max),
            strangers_connect_wait_max: seconds(strangers.connect_wait_max),
            held_max_bytes: relay.held_max_bytes,
            buffer_bytes: relay.buffer_bytes,
            idle_max: seconds(relay.idle_max),
            stalled_max: seconds(relay.stalled_max),
            record_bytes: match relay.records {
                RecordShape::Fixed(bytes) => Some(bytes),
                RecordShape::Growing => None,
            },
            centre_connect_wait_max: seconds(direct.connect_wait_max),
            middle_client_max_bytes: middle.map(|middle| middle.client_max_bytes),
            middle_links_min: middle.map(|middle| *middle.links.start()),
            middle_links_max: middle.map(|middle| *middle.links.end()),
            middle_connect_wait_max: middle.map(|middle| seconds(middle.connect_wait_max)),
            middle_link_wait_max: middle.map(|middle| seconds(middle.link_wait_max)),
            close_removed: proxy.close_removed,
        }
    }
}

impl LimitChanges {
    fn write(self, document: &mut DocumentMut) -> Result<(), Problem> {
        let per_second = self.handshakes_per_address_per_second;
        for (table, key, change) in [
            ("connections", "total-max", whole(self.connections_total_max)?),
            ("connections", "per-address-max", whole(self.connections_per_address_max)?),
            ("access", "per-address-per-second", whole(per_second)?),
            ("access", "allow", any(self.allow.map(|networks| networks.map(Array::from_iter)))),
            ("access", "deny", any(self.deny.map(|networks| networks.map(Array::from_iter)))),
            ("access", "mask-denied", any(self.mask_denied)),
            ("access", "greeting-wait-max", any(self.greeting_wait_max)),
            ("hello", "age-max", any(self.hello_age_max)),
            ("hello", "future-max", any(self.hello_future_max)),
            ("strangers", "total-max", whole(self.strangers_total_max)?),
            ("strangers", "per-address-max", whole(self.strangers_per_address_max)?),
            ("strangers", "bytes-max", whole(self.strangers_bytes_max)?),
            ("strangers", "idle-max", any(self.strangers_idle_max)),
            ("strangers", "connect-wait-max", any(self.strangers_connect_wait_max)),
            ("relay", "held-max-bytes", whole(self.held_max_bytes)?),
            ("relay", "buffer-bytes", whole(self.buffer_bytes)?),
            ("relay", "idle-max", any(self.idle_max)),
            ("relay", "stalled-max", any(self.stalled_max)),
            ("relay", "record-bytes", whole(self.record_bytes)?),
            ("direct", "connect-wait-max", any(self.centre_connect_wait_max)),
            ("middle", "client-max-bytes", whole(self.middle_client_max_bytes)?),
            ("middle", "links-min", whole(self.middle_links_min)?),
            ("middle", "links-max", whole(self.middle_links_max)?),
            ("middle", "connect-wait-max", any(self.middle_connect_wait_max)),
            ("middle", "link-wait-max", any(self.middle_link_wait_max)),
        ] {
            let Some(value) = change else { continue };
            // A default needs no table to be made for it.
            if value.is_none() && !document.contains_key(table) {
                continue;
            }
            let cannot = || Problem::invalid(format!("`{table}` in the file is no table"));
            document::put(document::table(document, table).ok_or_else(cannot)?, key, value);
        }
        if let Some(close) = any(self.close_removed) {
            document::put(document.as_table_mut(), "close-removed", close);
        }
        Ok(())
    }
}

fn any<T: Into<Value>>(change: Option<Option<T>>) -> Option<Option<Value>> {
    change.map(|change| change.map(Into::into))
}

fn whole(change: Option<Option<u64>>) -> Result<Option<Option<Value>>, Problem> {
    number("a limit", change)
}

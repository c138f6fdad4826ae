//! The tables of the file that say how a proxy behaves, each put into the settings.

use std::time::Duration;

use anyhow::{Context, Result};
use chappe_net::connect::Proxy;
use chappe_proxy::{Family, ProxyConfig, RecordShape, TIME_MAX};
use ipnet::IpNet;
use serde::Deserialize;

use crate::config::listen::Text;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Direct {
    family: Option<FamilyName>,
    connect_wait_max: Option<f64>,
    proxy: Option<Text<Proxy>>,
    fast: Option<bool>,
    unknown_dc: Option<i16>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FamilyName {
    PreferV4,
    PreferV6,
    OnlyV4,
    OnlyV6,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Relay {
    buffer_bytes: Option<usize>,
    held_max_bytes: Option<usize>,
    idle_max: Option<f64>,
    stalled_max: Option<f64>,
    record_bytes: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Strangers {
    connect_wait_max: Option<f64>,
    idle_max: Option<f64>,
    bytes_max: Option<u64>,
    total_max: Option<usize>,
    per_address_max: Option<usize>,
    measure: Option<bool>,
    imitate_time: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Access {
    greeting_wait_max: Option<f64>,
    per_address_per_second: Option<u32>,
    proxy_protocol: Option<Vec<Text<IpNet>>>,
    allow: Option<Vec<Text<IpNet>>>,
    deny: Option<Vec<Text<IpNet>>>,
    mask_denied: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Hello {
    age_max: Option<f64>,
    future_max: Option<f64>,
    refuse_before_start: Option<bool>,
    digests_kept: Option<usize>,
    headers_kept: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Connections {
    total_max: Option<usize>,
    per_address_max: Option<usize>,
}

impl Direct {
    pub(super) fn apply(self, proxy: &mut ProxyConfig, flag: Option<&Proxy>) -> Result<()> {
        let direct = &mut proxy.direct;
        if let Some(family) = self.family {
            direct.family = match family {
                FamilyName::PreferV4 => Family::PreferV4,
                FamilyName::PreferV6 => Family::PreferV6,
                FamilyName::OnlyV4 => Family::OnlyV4,
                FamilyName::OnlyV6 => Family::OnlyV6,
            };
        }
        set_time(&mut direct.connect_wait_max, "direct.connect-wait-max", self.connect_wait_max)?;
        direct.proxy = flag.cloned().or(self.proxy.map(|Text(proxy)| proxy));
        set(&mut direct.fast, self.fast);
        direct.unknown_centre = self.unknown_dc;
        Ok(())
    }
}

impl Relay {
    pub(super) fn apply(self, proxy: &mut ProxyConfig) -> Result<()> {
        let relay = &mut proxy.relay;
        set(&mut relay.buffer_bytes, self.buffer_bytes);
        set(&mut relay.held_max_bytes, self.held_max_bytes);
        set_time(&mut relay.idle_max, "relay.idle-max", self.idle_max)?;
        set_time(&mut relay.stalled_max, "relay.stalled-max", self.stalled_max)?;
        set(&mut relay.records, self.record_bytes.map(RecordShape::Fixed));
        Ok(())
    }
}

impl Strangers {
    pub(super) fn apply(self, proxy: &mut ProxyConfig) -> Result<()> {
        let strangers = &mut proxy.strangers;
        let wait_max = self.connect_wait_max;
        set_time(&mut strangers.connect_wait_max, "strangers.connect-wait-max", wait_max)?;
        set_time(&mut strangers.idle_max, "strangers.idle-max", self.idle_max)?;
        strangers.bytes_max = self.bytes_max;
        set(&mut strangers.total_max, self.total_max);
        set(&mut strangers.per_address_max, self.per_address_max);
        set(&mut strangers.measure, self.measure);
        set(&mut strangers.imitate_time, self.imitate_time);
        Ok(())
    }
}

impl Access {
    pub(super) fn apply(self, proxy: &mut ProxyConfig) -> Result<()> {
        let access = &mut proxy.access;
        let wait_max = self.greeting_wait_max;
        set_time(&mut access.greeting_wait_max, "access.greeting-wait-max", wait_max)?;
        set(&mut access.per_address_per_second, self.per_address_per_second);
        let networks = |written: Option<Vec<Text<IpNet>>>| {
            written.map(|networks| networks.into_iter().map(|Text(network)| network).collect())
        };
        set(&mut access.proxy_protocol_from, networks(self.proxy_protocol));
        set(&mut access.allow, networks(self.allow));
        set(&mut access.deny, networks(self.deny));
        set(&mut access.mask_denied, self.mask_denied);
        Ok(())
    }
}

impl Hello {
    pub(super) fn apply(self, proxy: &mut ProxyConfig) -> Result<()> {
        let hello = &mut proxy.hello;
        set_time(&mut hello.age_max, "hello.age-max", self.age_max)?;
        set_time(&mut hello.future_max, "hello.future-max", self.future_max)?;
        set(&mut hello.refuse_before_start, self.refuse_before_start);
        set(&mut hello.digests_kept, self.digests_kept);
        set(&mut hello.headers_kept, self.headers_kept);
        Ok(())
    }
}

impl Connections {
    pub(super) fn apply(self, proxy: &mut ProxyConfig) {
        set(&mut proxy.connections.total_max, self.total_max);
        set(&mut proxy.connections.per_address_max, self.per_address_max);
    }
}

pub(in crate::config) fn set<T>(place: &mut T, written: Option<T>) {
    if let Some(value) = written {
        *place = value;
    }
}

/// Seconds, with a fraction or without.
pub(in crate::config) fn set_time(
    place: &mut Duration,
    name: &str,
    written: Option<f64>,
) -> Result<()> {
    if let Some(seconds) = written {
        let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= TIME_MAX);
        *place = time.with_context(|| format!("{name}: {seconds} is not possible"))?;
    }
    Ok(())
}

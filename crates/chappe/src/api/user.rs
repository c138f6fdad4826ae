//! A user as JSON has him, and as the file does.

use std::time::SystemTime;

use chappe_proto::middle::messages::AdTag;
use chappe_proto::transport::EndpointSecret;
use chappe_proxy::{Quota, UserConfig, UserStatistics};
use serde::{Deserialize, Serialize};
use toml_edit::{Datetime, TableLike, Value};
use utoipa::ToSchema;

use super::answer::Problem;
use super::document::put;
use super::request::nullable;
use crate::config::expiry;

/// A user: his settings, and how he fares.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct User {
    /// What he is called.
    name: String,
    /// Whether he is served now, and if not, why.
    status: Status,
    /// Whether he is to be served. Who is not is a stranger.
    enabled: bool,
    /// When he ceases to be served: a moment of UTC.
    #[schema(format = DateTime)]
    expires: Option<String>,
    /// Connections at once; a client opens up to eight.
    connections_max: Option<usize>,
    /// Addresses at once, IPv6 by blocks of 64 bits.
    addresses_max: Option<usize>,
    /// Bytes a second from him.
    rate_up: Option<u64>,
    /// Bytes a second to him.
    rate_down: Option<u64>,
    /// Bytes both ways, for ever.
    quota: Option<u64>,
    /// Bytes both ways in each month (UTC).
    monthly_quota: Option<u64>,
    /// The only site that he may come by.
    domain: Option<String>,
    /// For whom his connections advertise.
    ad_tag: Option<String>,
    /// Whether a flag of the command line names him: then he cannot be changed here.
    of_flags: bool,
    /// Connections open now.
    connections: usize,
    /// Distinct addresses of these.
    addresses: usize,
    /// Connections since the start.
    connections_total: u64,
    /// Connections refused for one of his limits, since the start.
    refused_total: u64,
    /// Connections that his data centre answered with an error alone, since the start: somebody may
    /// repeat what he recorded.
    suspected_replays_total: u64,
    /// Bytes from him since the start.
    bytes_up: u64,
    /// Bytes to him since the start.
    bytes_down: u64,
    /// Bytes that count for his quota.
    quota_used: u64,
    /// Bytes that are left of it.
    quota_left: Option<u64>,
    /// The month that it is of, such as `2027-12`.
    month: Option<String>,
}

/// Whether a user is served now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Status {
    /// He is.
    Served,
    /// He is switched off.
    Off,
    /// His time is over.
    Expired,
    /// His quota is used up.
    UsedUp,
}

/// Settings of a user. What is missing stays as it is; `null` takes a limit away.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserSettings {
    /// 32 hexadecimal digits. One is drawn for who is new and brings none.
    pub(super) secret: Option<String>,
    /// Whether he is to be served.
    enabled: Option<bool>,
    /// When he ceases to be served: a day (its beginning) or a moment, UTC unless it says otherwise.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    expires: Option<Option<String>>,
    /// Connections at once; a client opens up to eight.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    connections_max: Option<Option<u64>>,
    /// Addresses at once, IPv6 by blocks of 64 bits.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    addresses_max: Option<Option<u64>>,
    /// Bytes a second from him.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    rate_up: Option<Option<u64>>,
    /// Bytes a second to him.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    rate_down: Option<Option<u64>>,
    /// Bytes both ways, for ever; takes the place of a monthly quota.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    quota: Option<Option<u64>>,
    /// Bytes both ways in each month (UTC); takes the place of one for ever.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    monthly_quota: Option<Option<u64>>,
    /// The only site that he may come by.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    domain: Option<Option<String>>,
    /// For whom his connections advertise, by middle servers: 32 hexadecimal digits.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    ad_tag: Option<Option<String>>,
}

/// A number as TOML has it, whose numbers have a sign.
pub(super) fn number(
    name: &str,
    change: Option<Option<u64>>,
) -> Result<Option<Option<Value>>, Problem> {
    let value = |number: u64| {
        let number = i64::try_from(number);
        number.map(Value::from).map_err(|_| Problem::invalid(format!("{name} is too large")))
    };
    change.map(|change| change.map(value).transpose()).transpose()
}

fn moment(text: &str) -> Result<Value, Problem> {
    let moment = text.parse::<Datetime>().map_err(|error| error.to_string());
    let moment = moment.and_then(|moment| {
        expiry::unix(&moment).map_err(|error| format!("{error:#}"))?;
        Ok(moment)
    });
    moment.map(Value::from).map_err(|error| Problem::invalid(format!("expires: {error}")))
}

impl User {
    pub(super) fn new(config: &UserConfig, statistics: UserStatistics, of_flags: bool) -> Self {
        let quota = |monthly| config.quota.filter(|quota| quota.monthly == monthly);
        let bytes = |quota: Quota| quota.bytes;
        let left = config.quota.map(|quota| quota.bytes.saturating_sub(statistics.quota_used));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let status = match () {
            () if !config.enabled => Status::Off,
            () if config.expires.is_some_and(|expires| now.as_secs() >= expires) => Status::Expired,
            () if left == Some(0) => Status::UsedUp,
            () => Status::Served,
        };
        Self {
            name: statistics.name,
            status,
            enabled: config.enabled,
            expires: config.expires.map(expiry::text),
            connections_max: config.connections_max,
            addresses_max: config.addresses_max,
            rate_up: config.rate_up,
            rate_down: config.rate_down,
            quota: quota(false).map(bytes),
            monthly_quota: quota(true).map(bytes),
            domain: config.domain.clone(),
            ad_tag: config.ad_tag.map(|AdTag(tag)| digits(&tag)),
            of_flags,
            connections: statistics.connections,
            addresses: statistics.addresses,
            connections_total: statistics.connections_total,
            refused_total: statistics.refused_total,
            suspected_replays_total: statistics.suspected_replays_total,
            bytes_up: statistics.bytes_up,
            bytes_down: statistics.bytes_down,
            quota_used: statistics.quota_used,
            quota_left: left,
            month: statistics.quota_month,
        }
    }
}

impl UserSettings {
    pub(super) fn with_secret(self, secret: String) -> Self {
        Self { secret: Some(secret), ..self }
    }

    /// Writes them into the table of a user: `whole` takes away what is missing.
    pub(super) fn write(self, table: &mut dyn TableLike, whole: bool) -> Result<(), Problem> {
        if let Some(secret) = self.secret {
            // The error of the file's reader might show it.
            let parsed = secret.parse::<EndpointSecret>();
            parsed.map_err(|error| Problem::invalid(format!("secret: {error}")))?;
            put(table, "secret", Some(secret.into()));
        }
        let (mut quota, mut monthly_quota) = (self.quota, self.monthly_quota);
        match (quota, monthly_quota) {
            (Some(Some(_)), None) => monthly_quota = Some(None),
            (None, Some(Some(_))) => quota = Some(None),
            _ => {}
        }
        let expires = self.expires.map(|expires| expires.map(|text| moment(&text)).transpose());
        let domain = self.domain.map(|domain| domain.map(Value::from));
        let ad_tag = self.ad_tag.map(|ad_tag| ad_tag.map(Value::from));
        for (key, change) in [
            ("enabled", self.enabled.map(|enabled| Some(enabled.into()))),
            ("expires", expires.transpose()?),
            ("connections-max", number("connections_max", self.connections_max)?),
            ("addresses-max", number("addresses_max", self.addresses_max)?),
            ("rate-up", number("rate_up", self.rate_up)?),
            ("rate-down", number("rate_down", self.rate_down)?),
            ("quota", number("quota", quota)?),
            ("monthly-quota", number("monthly_quota", monthly_quota)?),
            ("domain", domain),
            ("ad-tag", ad_tag),
        ] {
            if let Some(value) = change.or(whole.then_some(None)) {
                put(table, key, value);
            }
        }
        Ok(())
    }
}

/// Bytes in hexadecimal digits.
pub(super) fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

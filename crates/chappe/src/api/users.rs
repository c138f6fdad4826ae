//! Users: who they are, how they fare, what they may; and the links that they come by.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chappe_net::entropy;
use chappe_proto::middle::messages::AdTag;
use chappe_proto::transport::EndpointSecret;
use chappe_proxy::{Quota, UserConfig, UserStatistics};
use serde::{Deserialize, Serialize};
use toml_edit::{Datetime, DocumentMut, TableLike, Value};
use utoipa::ToSchema;

use super::Api;
use super::answer::{Always, Problem, Tagged, Unchanged};
use super::document::{self, put as put_value};
use super::request::{Body, Meant, OnlyNew, nullable};
use crate::cmd::links;
use crate::cmd::proxy::live::InUse;
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
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UserSettings {
    /// 32 hexadecimal digits. One is drawn for who is new and brings none.
    secret: Option<String>,
    /// Whether he is to be served.
    enabled: Option<bool>,
    /// When he ceases to be served: a day (its beginning) or a moment, UTC unless it says otherwise.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    expires: Option<Option<String>>,
    /// Connections at once; a client opens up to eight.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    connections_max: Option<Option<u64>>,
    /// Addresses at once, IPv6 by blocks of 64 bits.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    addresses_max: Option<Option<u64>>,
    /// Bytes a second from him.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    rate_up: Option<Option<u64>>,
    /// Bytes a second to him.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    rate_down: Option<Option<u64>>,
    /// Bytes both ways, for ever; takes the place of a monthly quota.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    quota: Option<Option<u64>>,
    /// Bytes both ways in each month (UTC); takes the place of one for ever.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    monthly_quota: Option<Option<u64>>,
    /// The only site that he may come by.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    domain: Option<Option<String>>,
    /// For whom his connections advertise: 32 hexadecimal digits.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    ad_tag: Option<Option<String>>,
}

/// How a secret is replaced.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rotation {
    /// The new one, 32 hexadecimal digits. Default: one that is drawn.
    secret: Option<String>,
    /// Whether connections by the old one may go on until they end by themselves. Default: no.
    keep_connections: bool,
}

/// All users, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Users {
    users: Vec<User>,
}

/// The links of a user. They give his secret away.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Links {
    name: String,
    links: Vec<Link>,
}

/// A link in each of its spellings.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Link {
    /// `plain`, `padded` or `tls`.
    #[schema(value_type = String)]
    mode: &'static str,
    /// The site that the proxy seems to be to who comes by it.
    domain: Option<String>,
    /// For clients.
    tg: String,
    /// For browsers.
    web: String,
    /// For old clients that misread base64.
    tg_hex: String,
    /// The same for browsers.
    web_hex: String,
}

/// List all users.
#[utoipa::path(
    get,
    path = "/v1/users",
    responses((status = 200, body = Users, headers(("ETag"))), Always)
)]
pub(super) async fn list(State(api): State<Arc<Api>>) -> Tagged<Users> {
    let in_use = api.live.in_use();
    Tagged::new(&in_use, Users { users: api.users(&in_use, None) })
}

/// Show a user.
#[utoipa::path(
    get,
    path = "/v1/users/{name}",
    params(("name" = String, Path)),
    responses(
        (status = 200, body = User, headers(("ETag"))),
        (status = 404, body = Problem, description = "There is no such user."),
        Always
    )
)]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
) -> Result<Tagged<User>, Problem> {
    api.user(&api.live.in_use(), &name)
}

/// Add a user, or replace all settings of one who is there; what is missing is then no limit, but
/// for his secret, which stays.
#[utoipa::path(
    put,
    path = "/v1/users/{name}",
    params(
        ("name" = String, Path),
        ("If-Match" = Option<String>, Header, description = "only if these are the settings"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only if he is new")
    ),
    request_body = UserSettings,
    responses(
        (status = 200, body = User, headers(("ETag")), description = "He was there."),
        (status = 201, body = User, headers(("ETag")), description = "He is new."),
        Unchanged,
        Always
    )
)]
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    meant: Meant,
    OnlyNew(only_new): OnlyNew,
    Body(settings): Body<UserSettings>,
) -> Result<Tagged<User>, Problem> {
    let his = name.clone();
    let edit = move |document: &mut DocumentMut| {
        if let Some(table) = document::user(document, &his) {
            if only_new {
                return Err(Problem::changed());
            }
            return settings.write(table, true).map(|()| StatusCode::OK);
        }
        check_name(&his)?;
        let secret = settings.secret.clone().map_or_else(draw_secret, Ok)?;
        let cannot = || Problem::invalid("`user` in the file is no table");
        let table = document::add_user(document, &his).ok_or_else(cannot)?;
        UserSettings { secret: Some(secret), ..settings }.write(table, true)?;
        Ok(StatusCode::CREATED)
    };
    let (in_use, status) = api.change_user(meant, &name, true, edit).await?;
    Ok(Tagged { status, ..api.user(&in_use, &name)? })
}

/// Change some settings of a user. Connections that he may not have any more end.
#[utoipa::path(
    patch,
    path = "/v1/users/{name}",
    params(
        ("name" = String, Path),
        ("If-Match" = Option<String>, Header, description = "only if these are the settings")
    ),
    request_body = UserSettings,
    responses(
        (status = 200, body = User, headers(("ETag"))),
        (status = 404, body = Problem, description = "There is no such user."),
        Unchanged,
        Always
    )
)]
pub(super) async fn patch(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    meant: Meant,
    Body(settings): Body<UserSettings>,
) -> Result<Tagged<User>, Problem> {
    let edit = edit_user(name.clone(), move |table| settings.write(table, false));
    let (in_use, ()) = api.change_user(meant, &name, true, edit).await?;
    api.user(&in_use, &name)
}

/// Remove a user. His connections end.
#[utoipa::path(
    delete,
    path = "/v1/users/{name}",
    params(
        ("name" = String, Path),
        ("If-Match" = Option<String>, Header, description = "only if these are the settings")
    ),
    responses(
        (status = 204, description = "He is gone."),
        (status = 404, body = Problem, description = "There is no such user."),
        Unchanged,
        Always
    )
)]
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    meant: Meant,
) -> Result<StatusCode, Problem> {
    let his = name.clone();
    let edit = move |document: &mut DocumentMut| match document::remove_user(document, &his) {
        true => Ok(()),
        false => Err(Problem::no_user(&his)),
    };
    api.change_user(meant, &name, true, edit).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replace the secret of a user. Whoever knows the old one is a stranger from then on.
#[utoipa::path(
    post,
    path = "/v1/users/{name}/secret",
    params(
        ("name" = String, Path),
        ("If-Match" = Option<String>, Header, description = "only if these are the settings")
    ),
    request_body = Option<Rotation>,
    responses(
        (status = 200, body = User, headers(("ETag"))),
        (status = 404, body = Problem, description = "There is no such user."),
        Unchanged,
        Always
    )
)]
pub(super) async fn rotate(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    meant: Meant,
    Body(Rotation { secret, keep_connections }): Body<Rotation>,
) -> Result<Tagged<User>, Problem> {
    let secret = Some(secret.map_or_else(draw_secret, Ok)?);
    let settings = UserSettings { secret, ..UserSettings::default() };
    let edit = edit_user(name.clone(), move |table| settings.write(table, false));
    let (in_use, ()) = api.change_user(meant, &name, !keep_connections, edit).await?;
    api.user(&in_use, &name)
}

/// Give out the links of a user, in every form that is switched on.
#[utoipa::path(
    get,
    path = "/v1/users/{name}/links",
    params(("name" = String, Path)),
    responses(
        (status = 200, body = Links),
        (status = 404, body = Problem, description = "There is no such user."),
        (status = 409, body = Problem, description = "Nobody said where clients find the proxy."),
        Always
    )
)]
pub(super) async fn links(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
) -> Result<Json<Links>, Problem> {
    let in_use = api.live.in_use();
    let user = in_use.settings.proxy.users.iter().find(|user| user.name == name);
    let user = user.ok_or_else(|| Problem::no_user(&name))?;
    let public = links::public(&in_use.settings).map_err(|error| Problem::no_place(&error))?;
    let links = links::of(&in_use.settings.proxy, user).into_iter().map(|link| {
        let ((tg, web), (tg_hex, web_hex)) = (link.urls(&public, false), link.urls(&public, true));
        Link { mode: link.mode, domain: link.domain, tg, web, tg_hex, web_hex }
    });
    Ok(Json(Links { links: links.collect(), name }))
}

impl Api {
    /// All users, or the one of a name.
    fn users(&self, in_use: &InUse, name: Option<&str>) -> Vec<User> {
        let statistics = self.live.handle().statistics().into_iter();
        let mut statistics: HashMap<String, UserStatistics> =
            statistics.map(|user| (user.name.clone(), user)).collect();
        let users = in_use.settings.proxy.users.iter();
        let users = users.filter(|user| name.is_none_or(|name| user.name == name));
        let user = |config: &UserConfig| {
            let of_flags = self.live.is_of_flags(&config.name);
            // Whoever is in use has been entered.
            Some(User::new(config, statistics.remove(&config.name)?, of_flags))
        };
        users.filter_map(user).collect()
    }

    fn user(&self, in_use: &InUse, name: &str) -> Result<Tagged<User>, Problem> {
        let user = self.users(in_use, Some(name)).pop();
        Ok(Tagged::new(in_use, user.ok_or_else(|| Problem::no_user(name))?))
    }

    /// Changes the entry of a user in the file. His connections that are not served any more then
    /// end, if they are revoked.
    async fn change_user<T: Send + 'static>(
        &self,
        meant: Meant,
        name: &str,
        revokes: bool,
        edit: impl FnOnce(&mut DocumentMut) -> Result<T, Problem> + Send + 'static,
    ) -> Result<(Arc<InUse>, T), Problem> {
        if self.live.is_of_flags(name) {
            return Err(Problem::of_flags(name));
        }
        self.change(meant, revokes.then(|| name.to_owned()), edit).await
    }

    /// Changes the file.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        meant: Meant,
        revoked: Option<String>,
        edit: impl FnOnce(&mut DocumentMut) -> Result<T, Problem> + Send + 'static,
    ) -> Result<(Arc<InUse>, T), Problem> {
        let live = Arc::clone(&self.live);
        let change = move || live.change(|tag| meant.is(tag), revoked.as_deref(), edit);
        let changed = tokio::task::spawn_blocking(change).await;
        let changed = changed.map_err(|_| Problem::failed("the process ends"))?;
        changed.map_err(Problem::from)
    }
}

/// A change to the table of a user who has to be there.
fn edit_user(
    name: String,
    edit: impl FnOnce(&mut dyn TableLike) -> Result<(), Problem>,
) -> impl FnOnce(&mut DocumentMut) -> Result<(), Problem> {
    move |document| edit(document::user(document, &name).ok_or_else(|| Problem::no_user(&name))?)
}

/// Longest name of a user who is made here.
const NAME_MAX: usize = 64;

/// What needs no quotes and no escapes anywhere.
fn check_name(name: &str) -> Result<(), Problem> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte);
    if (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    let message = format!("a name has 1 to {NAME_MAX} letters, digits or ._@+-");
    Err(Problem::invalid(message))
}

fn draw_secret() -> Result<String, Problem> {
    let rng = entropy::rng().map_err(|error| Problem::failed(error.to_string()));
    Ok(digits(&rng?.bytes::<16>()))
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl UserSettings {
    /// Writes them into the table of a user: `whole` takes away what is missing.
    fn write(self, table: &mut dyn TableLike, whole: bool) -> Result<(), Problem> {
        if let Some(secret) = self.secret {
            // The error of the file's reader might show it.
            let parsed = secret.parse::<EndpointSecret>();
            parsed.map_err(|error| Problem::invalid(format!("secret: {error}")))?;
            put_value(table, "secret", Some(secret.into()));
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
                put_value(table, key, value);
            }
        }
        Ok(())
    }
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
    fn new(config: &UserConfig, statistics: UserStatistics, of_flags: bool) -> Self {
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
            bytes_up: statistics.bytes_up,
            bytes_down: statistics.bytes_down,
            quota_used: statistics.quota_used,
            quota_left: left,
            month: statistics.quota_month,
        }
    }
}

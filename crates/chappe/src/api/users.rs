//! Users: who there are, who comes and goes, what changes; and the links that they come by.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chappe_net::entropy;
use chappe_proxy::{UserConfig, UserStatistics};
use serde::{Deserialize, Serialize};
use toml_edit::{DocumentMut, TableLike};
use utoipa::ToSchema;

use super::Api;
use super::answer::{Always, Problem, Tagged, Unchanged};
use super::document;
use super::request::{Body, Meant, OnlyNew};
use super::user::{User, UserSettings, digits};
use crate::cmd::links;
use crate::cmd::proxy::live::InUse;

/// How a secret is replaced.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// The new one, 32 hexadecimal digits. Default: one that is drawn.
    secret: Option<String>,
    /// Whether connections by the old one may go on until they end by themselves. Default: no.
    #[serde(default)]
    keep_connections: bool,
}

/// All users, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Users {
    users: Vec<User>,
}

/// The links of a user. They give his secret away.
#[derive(Serialize, ToSchema)]
pub(super) struct Links {
    name: String,
    links: Vec<Link>,
}

/// A link in each of its spellings.
#[derive(Serialize, ToSchema)]
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
    operation_id = "list_users",
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
    operation_id = "show_user",
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
    operation_id = "put_user",
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
        settings.with_secret(secret).write(table, true)?;
        Ok(StatusCode::CREATED)
    };
    let (in_use, status) = api.change_user(meant, &name, true, edit).await?;
    Ok(Tagged { status, ..api.user(&in_use, &name)? })
}

/// Change some settings of a user. Connections that he may not have any more end.
#[utoipa::path(
    patch,
    path = "/v1/users/{name}",
    operation_id = "change_user",
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
    operation_id = "remove_user",
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
    operation_id = "rotate_secret",
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
    let secret = secret.map_or_else(draw_secret, Ok)?;
    let settings = UserSettings::default().with_secret(secret);
    let edit = edit_user(name.clone(), move |table| settings.write(table, false));
    let (in_use, ()) = api.change_user(meant, &name, !keep_connections, edit).await?;
    api.user(&in_use, &name)
}

/// Give out the links of a user, in every form that is switched on.
#[utoipa::path(
    get,
    path = "/v1/users/{name}/links",
    operation_id = "show_links",
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

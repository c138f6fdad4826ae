//! The interface for operators of `chappe proxy run`: JSON over HTTP, for who holds the token.
//!
//! What it changes it writes into the file of the settings and has that read again, as SIGHUP would
//! (decision 23). Routes and their description are made of the same functions.
//!
//! | file | holds |
//! | --- | --- |
//! | `server` | connections, and who may ask |
//! | `users`, `limits`, `whole` | what may be asked: of users, of limits for all, of the process |
//! | `user` | a user as JSON has him, and as the file does |
//! | `request`, `answer` | what requests bring; answers, and errors |
//! | `document` | changes to the file |

mod answer;
mod document;
mod limits;
mod request;
mod server;
mod user;
mod users;
mod whole;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use chappe_proxy::Seldom;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Description;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use self::server::Server;
use crate::cmd::proxy::live::Live;

/// What all requests share.
struct Api {
    live: Arc<Live>,
    description: String,
    /// What those without the token can have the log say, since the start.
    seldom: Seldom,
    begun: Instant,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "chappe proxy",
        description = "The interface for operators of an MTProto proxy. Changes are written into \
            the file of its settings and are in use when the answer comes. Answers about settings \
            have an `ETag`; a change with `If-Match` is made only if nothing else was changed."
    ),
    security(("token" = []))
)]
struct Head;

/// Everything that may be asked, and its description.
fn routes() -> (Router<Arc<Api>>, Description) {
    let (router, mut description) = OpenApiRouter::with_openapi(Head::openapi())
        .routes(routes!(users::list))
        .routes(routes!(users::show, users::put, users::patch, users::remove))
        .routes(routes!(users::rotate))
        .routes(routes!(users::links))
        .routes(routes!(limits::show, limits::patch))
        .routes(routes!(whole::statistics))
        .routes(routes!(whole::reload))
        .routes(routes!(whole::description))
        .split_for_parts();
    let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = description.components.get_or_insert_default();
    components.add_security_scheme("token", token);
    (router, description)
}

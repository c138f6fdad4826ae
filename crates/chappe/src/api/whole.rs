//! The process as a whole: its counts, its settings read again, the description of all this.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use chappe_proxy::Totals;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::answer::{Always, Problem, Tagged};

/// What the proxy has counted since its start, and what it holds now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Statistics {
    /// The version of the program.
    #[schema(value_type = String)]
    version: &'static str,
    /// Seconds since the start.
    uptime_seconds: u64,
    /// Users in the settings.
    users: usize,
    /// Connections open.
    connections: usize,
    /// Connections accepted.
    accepted_total: u64,
    /// Those closed before a byte was read, by why.
    #[schema(value_type = BTreeMap<String, u64>)]
    rejected_total: BTreeMap<&'static str, u64>,
    /// Those of users who were recognised, by the form in which they came.
    #[schema(value_type = BTreeMap<String, u64>)]
    handshakes_total: BTreeMap<&'static str, u64>,
    /// Those of nobody known, by what gave them away: `replay` is somebody who watches.
    #[schema(value_type = BTreeMap<String, u64>)]
    strangers_total: BTreeMap<&'static str, u64>,
    /// Those that began with a hello of a user and nothing good after it.
    broken_total: u64,
    /// Those of users that were closed for a limit of theirs, by which.
    #[schema(value_type = BTreeMap<String, u64>)]
    refused_total: BTreeMap<&'static str, u64>,
    /// Those of users that are over, by why.
    #[schema(value_type = BTreeMap<String, u64>)]
    ended_total: BTreeMap<&'static str, u64>,
    /// Strangers shown a web site now.
    masked: usize,
    /// Strangers who were shown one.
    masked_total: u64,
    /// Strangers for whom the web site was not to be had.
    masked_failed_total: u64,
    /// Strangers who saw nothing, for too many were shown a web site.
    masked_refused_total: u64,
    /// Bytes from users.
    bytes_up: u64,
    /// Bytes to users.
    bytes_down: u64,
    /// Bytes that wait for slow ends.
    held_bytes: usize,
    /// Connections closed because too many bytes waited.
    evicted_total: u64,
    /// Connections of users that their data centre answered with an error alone: replays perhaps.
    suspected_replays_total: u64,
    /// Times that the settings were replaced.
    reloads_total: u64,
    /// Times that new settings were of no use.
    reloads_failed_total: u64,
}

/// That the settings were read again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reloaded {
    /// Settings that differ from those that the proxy began with and take a restart.
    #[schema(value_type = Vec<String>)]
    awaits_restart: Vec<&'static str>,
}

/// Show what is counted of the whole proxy.
#[utoipa::path(get, path = "/v1/statistics", operation_id = "show_statistics", responses((status = 200, body = Statistics), Always))]
pub(super) async fn statistics(State(api): State<Arc<Api>>) -> Json<Statistics> {
    let totals = api.live.handle().totals();
    Json(Statistics::new(totals, api.live.in_use().settings.proxy.users.len()))
}

/// Read the file of the settings again, as SIGHUP would.
#[utoipa::path(
    post,
    path = "/v1/reload",
    operation_id = "reload",
    responses(
        (status = 200, body = Reloaded, headers(("ETag"))),
        (status = 409, body = Problem, description = "The settings stay as they were."),
        Always
    )
)]
pub(super) async fn reload(State(api): State<Arc<Api>>) -> Result<Tagged<Reloaded>, Problem> {
    let live = Arc::clone(&api.live);
    let reloaded = tokio::task::spawn_blocking(move || live.reload()).await;
    let reloaded = reloaded.map_err(|_| Problem::failed("the process ends"))?;
    let in_use = reloaded.map_err(|error| Problem::broken(&error))?;
    Ok(Tagged::new(&in_use, Reloaded { awaits_restart: in_use.awaits_restart.clone() }))
}

/// Show this description.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    operation_id = "describe",
    responses((status = 200, body = Object, description = "OpenAPI 3.1."), Always)
)]
pub(super) async fn description(State(api): State<Arc<Api>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], api.description.clone())
}

impl Statistics {
    fn new(totals: Totals, users: usize) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: totals.uptime_seconds,
            users,
            connections: totals.connections,
            accepted_total: totals.accepted_total,
            rejected_total: totals.rejected_total,
            handshakes_total: totals.handshakes_total,
            strangers_total: totals.strangers_total,
            broken_total: totals.broken_total,
            refused_total: totals.refused_total,
            ended_total: totals.ended_total,
            masked: totals.masked,
            masked_total: totals.masked_total,
            masked_failed_total: totals.masked_failed_total,
            masked_refused_total: totals.masked_refused_total,
            bytes_up: totals.bytes_up,
            bytes_down: totals.bytes_down,
            held_bytes: totals.held_bytes,
            evicted_total: totals.evicted_total,
            suspected_replays_total: totals.suspected_replays_total,
            reloads_total: totals.reloads_total,
            reloads_failed_total: totals.reloads_failed_total,
        }
    }
}

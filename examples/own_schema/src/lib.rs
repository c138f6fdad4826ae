//! A weather service on Chappe: a schema of its own, and a handler for each of its functions.
//!
//! `schema/weather.tl` is all the protocol there is; `build.rs` turns it into [`schema`]. The
//! program in `src/bin/` puts a server around [`router`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use chappe_server::{Caller, Pusher, Router, RpcError, State};
use chappe_tl::Str;

/// The types and functions of `schema/weather.tl`.
pub mod schema {
    #![allow(missing_docs, reason = "the schema says what there is to say")]
    chappe_tl::include_schema!("weather");
}

use schema::functions::weather::{GetForecast, Report, Watch};
use schema::types::weather::{Forecast, Update};

/// What the handlers share.
#[derive(Clone, Default)]
pub struct App(Arc<Mutex<Cities>>);

#[derive(Default)]
struct Cities {
    reports: HashMap<Str, Forecast>,
    watchers: HashMap<Str, Vec<Caller>>,
}

/// The service: one line for each function.
pub fn router(app: App) -> Router<App> {
    Router::new(app).function(get_forecast).function(report).function(watch)
}

async fn get_forecast(State(app): State<App>, call: GetForecast) -> Result<Forecast, RpcError> {
    let cities = app.cities();
    cities.reports.get(&call.city).cloned().ok_or(RpcError::bad_request("CITY_UNKNOWN"))
}

async fn report(State(app): State<App>, pusher: Pusher, call: Report) -> Result<bool, RpcError> {
    if !(-100.0..=100.0).contains(&call.degrees) {
        return Err(RpcError::bad_request("DEGREES_INVALID"));
    }
    let forecast = Forecast { city: call.city.clone(), at: unix_now(), degrees: call.degrees };
    let watchers = {
        let mut cities = app.cities();
        cities.reports.insert(call.city.clone(), forecast.clone());
        cities.watchers.get(&call.city).cloned().unwrap_or_default()
    };
    let update = chappe_tl::to_bytes(&Update { forecast }).map_err(|_| RpcError::internal())?;
    for watcher in watchers {
        let pushed =
            pusher.to_session(watcher.auth_key_id, watcher.session_id, update.clone()).await;
        if pushed.is_err() {
            app.forget(&call.city, &watcher);
        }
    }
    Ok(true)
}

async fn watch(State(app): State<App>, caller: Caller, call: Watch) -> Result<bool, RpcError> {
    app.forget(&call.city, &caller);
    app.cities().watchers.entry(call.city).or_default().push(caller);
    Ok(true)
}

impl App {
    fn cities(&self) -> MutexGuard<'_, Cities> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, city: &Str, watcher: &Caller) {
        if let Some(watchers) = self.cities().watchers.get_mut(city) {
            let name = |caller: &Caller| (caller.auth_key_id, caller.session_id);
            watchers.retain(|other| name(other) != name(watcher));
        }
    }
}

fn unix_now() -> i32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i32::try_from(now.as_secs()).unwrap_or(i32::MAX)
}

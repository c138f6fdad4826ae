//! The Telegram API as handlers for `chappe-server`.
//!
//! One folder for each namespace of the schema. So far the service answers what clients ask
//! before they sign in; to every other function of the schema it says, as Telegram does to whom
//! it does not know, 401 `AUTH_KEY_UNREGISTERED`.

mod config;
mod help;
mod langpack;

use std::sync::Arc;

use chappe_api::functions::help::{GetConfig, GetNearestDc};
use chappe_proto::rpc::RpcError;
use chappe_server::Router;

pub use config::Config;

/// What handlers share.
#[derive(Clone, Debug)]
pub struct Service {
    config: Arc<Config>,
}

/// The whole API as one router.
pub fn router(config: Config) -> Router<Service> {
    let service = Service { config: Arc::new(config) };
    Router::new(service)
        .function(help::get_config)
        .function(help::get_nearest_dc)
        .function(help::get_app_config)
        .function(langpack::get_lang_pack)
        .function(langpack::get_difference)
        .function(langpack::get_strings)
        .function(langpack::get_languages)
        .function(langpack::get_language)
        // PFS-04: what clients ask before they know whom they talk to.
        .allow_unbound::<GetConfig>()
        .allow_unbound::<GetNearestDc>()
        // API-04: clients decide by this text that they have to sign in.
        .known(chappe_api::FUNCTIONS, |_| RpcError::unauthorized("AUTH_KEY_UNREGISTERED"))
}

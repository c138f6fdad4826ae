//! The Telegram API as handlers for `chappe-server`.
//!
//! One folder for each namespace of the schema. So far the service answers what clients ask
//! before they sign in; to every other function of the schema it says, as Telegram does to whom
//! it does not know, 401 `AUTH_KEY_UNREGISTERED`, unless Telegram would answer a stranger.

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
        .known(chappe_api::FUNCTIONS, |function| {
            if FOR_STRANGERS.contains(&function.name) {
                RpcError::bad_request("METHOD_INVALID")
            } else {
                // API-04: clients decide by this text that they have to sign in.
                RpcError::unauthorized("AUTH_KEY_UNREGISTERED")
            }
        })
}

/// Functions without a handler that are called before signing in, or to sign in. A 401 would be
/// no answer to them, and makes TDLib throw its key away (QRK-22).
const FOR_STRANGERS: &[&str] = &[
    "auth.exportLoginToken",
    "auth.importBotAuthorization",
    "auth.initPasskeyLogin",
    "auth.sendCode",
    "auth.signIn",
    "auth.signUp",
    "help.getCountriesList",
    "help.getDeepLinkInfo",
    "help.saveAppLog",
];

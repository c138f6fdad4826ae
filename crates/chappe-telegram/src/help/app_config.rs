//! `help.getAppConfig`: hints for applications, as JSON (20-telegram-api-service §7.3).

use chappe_api::ctors::{JsonBool, JsonNumber, JsonObject, JsonString, help};
use chappe_api::functions::help::GetAppConfig;
use chappe_api::types::{JsonObjectValue, JsonValue, help::AppConfig};
use chappe_proto::rpc::RpcError;

/// Changes with the table below, so that clients fetch it anew.
const HASH: i32 = 1;

const NUMBERS: &[(&str, f64)] = &[
    ("authorization_autoconfirm_period", 604_800.0),
    ("caption_length_limit_default", 1024.0),
    ("channels_limit_default", 500.0),
    ("dialog_filters_limit_default", 10.0),
    ("forum_upgrade_participants_min", 200.0),
    ("hidden_members_group_size_min", 100.0),
    ("pm_read_date_expire_period", 604_800.0),
    ("quote_length_max", 1024.0),
    ("reactions_uniq_max", 11.0),
    ("reactions_user_max_default", 1.0),
    ("topics_pinned_limit", 5.0),
    ("upload_max_fileparts_default", 4000.0),
    ("upload_max_fileparts_premium", 8000.0),
];

const FLAGS: &[(&str, bool)] = &[("premium_purchase_blocked", true), ("stargifts_blocked", true)];

const TEXTS: &[(&str, &str)] = &[("stories_posting", "disabled")];

pub(crate) async fn get_app_config(call: GetAppConfig) -> Result<AppConfig, RpcError> {
    if call.hash == HASH {
        return Ok(AppConfig::AppConfigNotModified);
    }
    let numbers = NUMBERS
        .iter()
        .map(|(key, value)| entry(key, JsonValue::JsonNumber(JsonNumber { value: *value })));
    let flags = FLAGS
        .iter()
        .map(|(key, value)| entry(key, JsonValue::JsonBool(JsonBool { value: *value })));
    let texts = TEXTS.iter().map(|(key, value)| {
        entry(key, JsonValue::JsonString(JsonString { value: (*value).into() }))
    });
    let value = numbers.chain(flags).chain(texts).collect();
    let config = JsonValue::JsonObject(JsonObject { value });
    Ok(AppConfig::AppConfig(help::AppConfig { hash: HASH, config }))
}

fn entry(key: &str, value: JsonValue) -> JsonObjectValue {
    JsonObjectValue { key: key.into(), value }
}

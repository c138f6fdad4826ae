//! `langpack.*`: no pack has strings of ours, so clients fall back to their built-in ones
//! (20-telegram-api-service §7.4).

use chappe_api::functions::langpack::{
    GetDifference, GetLangPack, GetLanguage, GetLanguages, GetStrings,
};
use chappe_api::types::{LangPackDifference, LangPackLanguage, LangPackString};
use chappe_proto::rpc::RpcError;
use chappe_tl::Str;

/// Version of every pack.
const VERSION: i32 = 1;
/// The one language that there is.
const LANGUAGE: &str = "en";

pub(crate) async fn get_lang_pack(call: GetLangPack) -> Result<LangPackDifference, RpcError> {
    check_pack(&call.lang_pack)?;
    check_language(&call.lang_code)?;
    Ok(difference(call.lang_code, 0))
}

pub(crate) async fn get_difference(call: GetDifference) -> Result<LangPackDifference, RpcError> {
    check_pack(&call.lang_pack)?;
    check_language(&call.lang_code)?;
    Ok(difference(call.lang_code, call.from_version))
}

pub(crate) async fn get_strings(call: GetStrings) -> Result<Vec<LangPackString>, RpcError> {
    check_pack(&call.lang_pack)?;
    check_language(&call.lang_code)?;
    Ok(Vec::new())
}

pub(crate) async fn get_languages(call: GetLanguages) -> Result<Vec<LangPackLanguage>, RpcError> {
    check_pack(&call.lang_pack)?;
    Ok(vec![english()])
}

pub(crate) async fn get_language(call: GetLanguage) -> Result<LangPackLanguage, RpcError> {
    check_pack(&call.lang_pack)?;
    check_language(&call.lang_code)?;
    Ok(english())
}

/// A pack is named by the application: letters, digits and `_`; the empty name is that of an
/// application without one.
fn check_pack(pack: &Str) -> Result<(), RpcError> {
    let is_name = pack.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if is_name { Ok(()) } else { Err(RpcError::bad_request("LANG_PACK_INVALID")) }
}

/// Clients ask for the language of their system; anything that looks like a code is served.
fn check_language(code: &Str) -> Result<(), RpcError> {
    let is_code = (2..=32).contains(&code.len())
        && code.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_code { Ok(()) } else { Err(RpcError::bad_request("LANG_CODE_NOT_SUPPORTED")) }
}

fn difference(lang_code: Str, from_version: i32) -> LangPackDifference {
    LangPackDifference { lang_code, from_version, version: VERSION, strings: Vec::new() }
}

fn english() -> LangPackLanguage {
    LangPackLanguage {
        official: true,
        name: "English".into(),
        native_name: "English".into(),
        lang_code: LANGUAGE.into(),
        plural_code: LANGUAGE.into(),
        translations_url: "".into(),
        ..chappe_tl::blank()
    }
}

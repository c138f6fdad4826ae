//! What the service tells those who have not signed in.

use std::net::SocketAddr;

use chappe_api::functions::help::{GetConfig, GetNearestDc};
use chappe_api::functions::langpack::{GetDifference, GetLangPack, GetLanguage, GetStrings};
use chappe_api::types::{self, DcOption, LangPackDifference, LangPackLanguage};
use chappe_telegram::Config;
use chappe_tl::{Decode, Encode, from_bytes};

use crate::client::Client;

/// Rule:   the one address there is, the one the client came to, is that of the home data centre;
///         `static`, and nothing else that some client would pass over (QRK-12); `expires` is later
///         than `date`, or clients ask for ever.
/// Source: 20-telegram-api-service §7.1.
#[tokio::test]
async fn configuration_points_back_at_the_server() {
    let (home, mut client) = Client::stranger(Config::default()).await;
    let config: types::Config = answer(&mut client, &GetConfig).await;
    check_address(&config, 2, home.address);
    assert_eq!(config.expires - config.date, 3600);
    assert!(!config.test_mode && config.revoke_pm_inbox && !config.blocked_mode);
}

/// Rule:   an advertised address, the number of the data centre and the test mode go out as they
///         are set.
/// Source: 20-telegram-api-service §7.1, §7.2; QRK-13.
#[tokio::test]
async fn configuration_follows_the_settings() {
    let mut settings = Config::default();
    let address = "[2001:db8::7]:443".parse().unwrap();
    (settings.dc, settings.advertise, settings.test_mode) = (4, Some(address), true);
    settings.country = "NZ".into();
    let (_home, mut client) = Client::stranger(settings).await;
    let config: types::Config = answer(&mut client, &GetConfig).await;
    check_address(&config, 4, address);
    assert!(config.test_mode);
    let nearest: types::NearestDc = answer(&mut client, &GetNearestDc).await;
    assert_eq!((nearest.this_dc, nearest.nearest_dc), (4, 4));
    assert_eq!(nearest.country, "NZ");
}

/// Rule:   packs are empty, whatever language is asked for, so that clients fall back to their own.
/// Source: 20-telegram-api-service §7.4.
#[tokio::test]
async fn language_packs_are_empty() {
    let (_home, mut client) = Client::stranger(Config::default()).await;
    let pack = |code: &str| GetLangPack { lang_pack: "weba".into(), lang_code: code.into() };
    for code in ["en", "pt-br", "zh_Hans"] {
        let whole: LangPackDifference = answer(&mut client, &pack(code)).await;
        assert_eq!((whole.from_version, whole.version, whole.strings.len()), (0, 1, 0));
        assert_eq!(whole.lang_code, code);
    }
    let (lang_pack, lang_code) = ("weba".into(), "en".into());
    let call = GetDifference { lang_pack, lang_code, from_version: 1 };
    let none: LangPackDifference = answer(&mut client, &call).await;
    assert_eq!((none.from_version, none.version, none.strings.len()), (1, 1, 0));
    let call = GetLanguage { lang_pack: "".into(), lang_code: "de".into() };
    let language: LangPackLanguage = answer(&mut client, &call).await;
    assert_eq!(language.lang_code, "en");
}

/// Rule:   what is no name of a pack, and no code of a language, is refused.
/// Source: 20-telegram-api-service §2.1.
#[tokio::test]
async fn wrong_packs_and_languages_are_refused() {
    let (_home, mut client) = Client::stranger(Config::default()).await;
    let call = |pack: &str, code: &str| GetStrings {
        lang_pack: pack.into(),
        lang_code: code.into(),
        keys: vec!["key".into()],
    };
    for pack in ["we ba", "weba.", "wéba"] {
        assert_eq!(refusal(&mut client, &call(pack, "en")).await, "LANG_PACK_INVALID");
    }
    let long = "e".repeat(33);
    for code in ["", "e", &long, "e n", "en?"] {
        assert_eq!(refusal(&mut client, &call("weba", code)).await, "LANG_CODE_NOT_SUPPORTED");
    }
    assert!(client.call(&call("weba", &long[..32])).await.is_ok());
}

fn check_address(config: &types::Config, dc: i32, address: SocketAddr) {
    assert_eq!(config.this_dc, dc);
    let [DcOption { ipv6, r#static, media_only, cdn, tcpo_only, id, ip_address, port, .. }] =
        &config.dc_options[..]
    else {
        panic!("{} addresses", config.dc_options.len())
    };
    assert!(*r#static && !media_only && !cdn && !tcpo_only);
    assert_eq!((*id, *ipv6), (dc, address.is_ipv6()));
    assert_eq!(*ip_address, &*address.ip().to_string());
    assert_eq!(*port, i32::from(address.port()));
}

async fn answer<T: Decode>(client: &mut Client, call: &impl Encode) -> T {
    from_bytes(client.call(call).await.unwrap()).unwrap()
}

async fn refusal(client: &mut Client, call: &impl Encode) -> String {
    let error = client.call(call).await.unwrap_err();
    assert_eq!(error.code, 400);
    error.message.to_string()
}

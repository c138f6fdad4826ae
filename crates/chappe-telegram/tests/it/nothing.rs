//! What clients ask for that there is nothing of, and small functions beside the great ones.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use chappe_api::functions::account::{
    ConfirmPasswordEmail, GetNotifySettings, GetTmpPassword, GetWallPapers, RegisterDevice,
};
use chappe_api::functions::auth::{
    CheckRecoveryPassword, ImportLoginToken, RecoverPassword, ReportMissingCode,
    RequestPasswordRecovery,
};
use chappe_api::functions::bots::{GetBotMenuButton, SetBotMenuButton};
use chappe_api::functions::contacts::{AddContact, GetTopPeers, Search};
use chappe_api::functions::help::{
    AcceptTermsOfService, GetCdnConfig, GetCountriesList, GetPeerColors, GetPromoData, GetSupport,
    GetTermsOfServiceUpdate, GetUserInfo, SaveAppLog,
};
use chappe_api::functions::messages::{GetAllStickers, GetDocumentByHash, GetStickerSet};
use chappe_api::functions::payments::GetStarsStatus;
use chappe_api::functions::stories::GetAllStories;
use chappe_api::functions::updates::GetChannelDifference;
use chappe_api::functions::users::GetFullUser;
use chappe_api::types::{self, BotMenuButton};
use chappe_api::{ctors, functions};
use chappe_telegram::Config;
use chappe_tl::{Encode, blank};

use crate::bots;
use crate::client::{Client, Home};
use crate::messages::Pair;
use crate::password::{prove, set};
use crate::sign_in::{code_of, enter, test_numbers};

/// Rule:   what clients ask in the background is answered as of nothing, not with an error; lists
///         with a hash are not said again to whoever has them; strangers are told to sign in.
/// Source: 20-telegram-api-service §1.4, API-04.
#[tokio::test]
async fn there_is_nothing_and_that_is_an_answer() {
    let (_home, mut client) = Client::stranger(test_numbers()).await;
    let unregistered = (401, "AUTH_KEY_UNREGISTERED".to_owned());
    assert_eq!(client.fail(GetAllStickers { hash: 0 }).await, unregistered);
    enter(&mut client, "9996620001").await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
    let tomorrow = now + 86_000..now + 87_000;
    let promo = client.ask(GetPromoData {}).await.unwrap();
    let types::help::PromoData::PromoDataEmpty(promo) = promo else { panic!("a promotion") };
    assert!(tomorrow.contains(&promo.expires.into()));
    let terms = client.ask(GetTermsOfServiceUpdate {}).await.unwrap();
    assert!(matches!(
        terms,
        types::help::TermsOfServiceUpdate::TermsOfServiceUpdateEmpty(terms)
            if tomorrow.contains(&terms.expires.into())
    ));
    let accept = AcceptTermsOfService { id: types::DataJson { data: "{}".into() } };
    assert!(client.ask(accept).await.unwrap());
    let colors = client.ask(GetPeerColors { hash: 0 }).await.unwrap();
    let types::help::PeerColors::PeerColors(colors) = colors else { panic!("not said") };
    assert_eq!((colors.hash, colors.colors.len()), (1, 0));
    let colors = client.ask(GetPeerColors { hash: 1 }).await.unwrap();
    assert!(matches!(colors, types::help::PeerColors::PeerColorsNotModified));
    let stickers = client.ask(GetAllStickers { hash: 7 }).await.unwrap();
    assert!(matches!(
        stickers,
        types::messages::AllStickers::AllStickers(all) if all.hash == 0 && all.sets.is_empty()
    ));
    let papers = client.ask(GetWallPapers { hash: 0 }).await.unwrap();
    assert!(matches!(papers, types::account::WallPapers::WallPapers(papers) if papers.hash == 0));
    let set =
        GetStickerSet { stickerset: types::InputStickerSet::InputStickerSetAnimatedEmoji, hash: 0 };
    assert_eq!(client.fail(set).await, (406, "STICKERSET_INVALID".to_owned()));
    let peer = types::InputNotifyPeer::InputNotifyUsers;
    let settings = client.ask(GetNotifySettings { peer }).await.unwrap();
    assert_eq!(bytes(&settings), bytes(&blank::<types::PeerNotifySettings>()));
    let top = client.ask(GetTopPeers { limit: 10, ..blank() }).await.unwrap();
    assert!(matches!(top, types::contacts::TopPeers::TopPeersDisabled));
    for ton in [false, true] {
        let peer = types::InputPeer::InputPeerSelf;
        let stars = client.ask(GetStarsStatus { ton, peer }).await.unwrap();
        assert_eq!(matches!(stars.balance, types::StarsAmount::StarsTonAmount(_)), ton);
    }
    let stories = || GetAllStories { next: false, hidden: false, state: None };
    let first = client.ask(stories()).await.unwrap();
    let second = client.ask(stories()).await.unwrap();
    assert!(matches!(&first, types::stories::AllStories::AllStories(all) if !all.state.is_empty()));
    assert_eq!(bytes(&first), bytes(&second));
    assert!(client.ask(RegisterDevice { token_type: 1, ..blank() }).await.unwrap());
    let document = GetDocumentByHash { sha256: "".into(), size: 1, mime_type: "".into() };
    let document = client.ask(document).await.unwrap();
    assert!(matches!(document, types::Document::DocumentEmpty(_)));
    let channel = ctors::InputChannel { channel_id: 1, access_hash: 2 };
    let difference = GetChannelDifference {
        channel: types::InputChannel::InputChannel(channel),
        pts: 1,
        limit: 10,
        ..blank()
    };
    assert_eq!(client.fail(difference).await, (400, "CHANNEL_INVALID".to_owned()));
}

/// Rule:   before anybody has signed in there are countries to choose from, each with how its numbers
///         begin, not said again to whoever has them; there are no other servers for files; a log is
///         taken. A token of another data centre there is not.
/// Source: QRK-22, 20-telegram-api-service §2.1, `help.getCountriesList`, `help.getCdnConfig`,
///         `auth.importLoginToken`.
#[tokio::test]
async fn strangers_are_helped() {
    let (_home, mut client) = Client::stranger(Config::default()).await;
    let list = |hash| GetCountriesList { lang_code: "en".into(), hash };
    let types::help::CountriesList::CountriesList(known) = client.ask(list(0)).await.unwrap()
    else {
        panic!("not said")
    };
    assert!(known.countries.len() > 50 && known.hash != 0);
    let has_code = |country: &types::help::Country| {
        country.iso2.len() == 2
            && country.country_codes.iter().any(|code| !code.country_code.is_empty())
    };
    assert!(known.countries.iter().all(has_code));
    let patterns = |country: &types::help::Country| country.country_codes[0].patterns.is_some();
    assert!(known.countries.iter().any(patterns));
    let again = client.ask(list(known.hash)).await.unwrap();
    assert!(matches!(again, types::help::CountriesList::CountriesListNotModified));
    assert!(client.ask(GetCdnConfig {}).await.unwrap().public_keys.is_empty());
    assert!(client.ask(SaveAppLog { events: Vec::new() }).await.unwrap());
    let invalid = (400, "AUTH_TOKEN_INVALID".to_owned());
    assert_eq!(client.fail(ImportLoginToken { token: vec![1; 32].into() }).await, invalid);
}

/// Rule:   while a password is asked for there is help, and who has forgotten it hears that there is
///         no other way, not that it is asked for; nobody else does.
/// Source: API-05, 20-telegram-api-service §2.1, `auth.requestPasswordRecovery`,
///         `PASSWORD_RECOVERY_NA`.
#[tokio::test]
async fn forgotten_password_is_not_recovered() {
    let mut home = Home::open(test_numbers()).await;
    let (mut first, mut second) = (home.client().await, home.client().await);
    let unregistered = (401, "AUTH_KEY_UNREGISTERED".to_owned());
    assert_eq!(first.fail(RequestPasswordRecovery {}).await, unregistered);
    enter(&mut first, "9996620001").await;
    set(&mut first, "sesame", "").await.unwrap();
    let code = code_of(&mut second, "9996620001").await;
    assert_eq!(second.fail(code).await, (401, "SESSION_PASSWORD_NEEDED".to_owned()));
    for client in [&mut second, &mut first] {
        let none = (400, "PASSWORD_RECOVERY_NA".to_owned());
        assert_eq!(client.fail(RequestPasswordRecovery {}).await, none);
        assert_eq!(client.fail(CheckRecoveryPassword { code: "1".into() }).await, none);
        let recover = RecoverPassword { code: "1".into(), new_settings: None };
        assert_eq!(client.fail(recover).await, none);
        assert!(client.ask(GetSupport {}).await.is_ok());
        let user_id = types::InputUser::InputUserSelf;
        assert_eq!(client.fail(GetUserInfo { user_id }).await, (400, "METHOD_INVALID".to_owned()));
    }
    let confirm = ConfirmPasswordEmail { code: "1".into() };
    assert_eq!(first.fail(confirm).await, (400, "CODE_INVALID".to_owned()));

    let wrong = prove(&mut first, "mellon").await;
    let tmp = |password| GetTmpPassword { password, period: 5 };
    assert_eq!(first.fail(tmp(wrong)).await, (400, "PASSWORD_HASH_INVALID".to_owned()));
    let right = prove(&mut first, "sesame").await;
    let made = first.ask(tmp(right)).await.unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
    assert!((now + 55..now + 65).contains(&made.valid_until.into()), "a minute at least");
    assert_eq!(made.tmp_password.len(), 32);
}

/// Rule:   a code that was sent and has not come may be reported, one that was not sent may not.
/// Source: 20-telegram-api-service §2.1, `auth.reportMissingCode`.
#[tokio::test]
async fn missing_code_is_reported() {
    let (_home, mut client) = Client::stranger(test_numbers()).await;
    let code = code_of(&mut client, "9996620001").await;
    let report = |number: &str, hash| ReportMissingCode {
        phone_number: number.into(),
        phone_code_hash: hash,
        mnc: "".into(),
    };
    let hash = code.phone_code_hash.clone();
    assert!(client.ask(report("9996620001", hash.clone())).await.unwrap());
    let expired = (400, "PHONE_CODE_EXPIRED".to_owned());
    assert_eq!(client.fail(report("9996620002", hash)).await, expired);
    let empty = (400, "PHONE_CODE_HASH_EMPTY".to_owned());
    assert_eq!(client.fail(report("9996620001", "".into())).await, empty);
}

/// Rule:   people are found among those whom one knows by the name that one gave them, and among all
///         by how their username begins; each in one list, with everybody in `users`.
/// Source: API-09, 20-telegram-api-service §2.1, `contacts.search`.
#[tokio::test]
async fn people_are_found_by_name() {
    let mut pair = Pair::new().await;
    let mut eve = pair.home.client().await;
    let of_eve = enter(&mut eve, "9996620003").await.id;
    for (client, name) in [(&mut pair.bob, "bob_the_1st"), (&mut eve, "bobxthe_2nd")] {
        let name = functions::account::UpdateUsername { username: name.into() };
        client.ask(name).await.unwrap();
    }
    let types::InputPeer::InputPeerUser(bob) = &pair.to_bob else { panic!("no user") };
    let id = ctors::InputUser { user_id: bob.user_id, access_hash: bob.access_hash };
    let contact = AddContact {
        id: types::InputUser::InputUser(id),
        first_name: "Robert".into(),
        last_name: "Baker".into(),
        ..blank()
    };
    pair.ada.ask(contact).await.unwrap();
    let of_bob = pair.ids.1;
    let search = |q: &str| Search { q: q.into(), limit: 10, ..blank() };
    for (q, own, others) in [
        ("ERT bak", vec![of_bob], vec![]),
        ("@Bob_", vec![of_bob], vec![]),
        ("bob", vec![of_bob], vec![of_eve]),
        ("bobx", vec![], vec![of_eve]),
        ("b", vec![of_bob], vec![]),
        ("%%%", vec![], vec![]),
    ] {
        let found = pair.ada.ask(search(q)).await.unwrap();
        let ids = |peers: &[types::Peer]| {
            let id = |peer: &types::Peer| match peer {
                types::Peer::PeerUser(peer) => peer.user_id,
                _ => panic!("no user"),
            };
            peers.iter().map(id).collect::<Vec<_>>()
        };
        assert_eq!((ids(&found.my_results), ids(&found.results)), (own, others), "{q}");
        assert_eq!(found.users.len(), found.my_results.len() + found.results.len());
    }
    let empty = (400, "SEARCH_QUERY_EMPTY".to_owned());
    assert_eq!(pair.ada.fail(search(" ")).await, empty);
}

/// Rule:   a bot gives everybody, or one person, the button of its menu, which they see with what it
///         says of itself; nobody else gives it.
/// Source: 20-telegram-api-service §2.1, `bots.setBotMenuButton`.
#[tokio::test]
async fn bot_gives_a_menu_button() {
    let mut pair = bots::Pair::new(test_numbers()).await;
    pair.begin().await;
    let page = |url: &str| {
        BotMenuButton::BotMenuButton(ctors::BotMenuButton { text: "Shop".into(), url: url.into() })
    };
    let everybody = || types::InputUser::InputUserEmpty;
    let ada = ctors::InputUser { user_id: pair.of_ada, access_hash: 0 };
    let ada = || types::InputUser::InputUser(ada.clone());
    let give = |user_id, button| SetBotMenuButton { user_id, button };
    let required = (400, "USER_BOT_REQUIRED".to_owned());
    assert_eq!(
        pair.ada.fail(give(everybody(), BotMenuButton::BotMenuButtonDefault)).await,
        required
    );
    let invalid = (400, "BUTTON_URL_INVALID".to_owned());
    assert_eq!(pair.bot.fail(give(everybody(), page("ftp://a"))).await, invalid);
    for (whose, button, seen) in [
        (everybody(), page("https://a.example"), page("https://a.example")),
        (ada(), BotMenuButton::BotMenuButtonCommands, BotMenuButton::BotMenuButtonCommands),
        (ada(), BotMenuButton::BotMenuButtonDefault, page("https://a.example")),
        (everybody(), BotMenuButton::BotMenuButtonDefault, BotMenuButton::BotMenuButtonDefault),
    ] {
        assert!(pair.bot.ask(give(whose, button)).await.unwrap());
        let kept = pair.bot.ask(GetBotMenuButton { user_id: ada() }).await.unwrap();
        assert_eq!(bytes(&kept), bytes(&seen));
        let types::InputPeer::InputPeerUser(bot) = &pair.to_bot else { panic!("no user") };
        let bot = ctors::InputUser { user_id: bot.user_id, access_hash: bot.access_hash };
        let id = types::InputUser::InputUser(bot);
        let full = pair.ada.ask(GetFullUser { id }).await.unwrap();
        let info = full.full_user.bot_info.unwrap();
        assert_eq!(info.menu_button.map(|button| bytes(&*button)), Some(bytes(&seen)));
    }
}

/// By which values are compared.
fn bytes(value: &impl Encode) -> Bytes {
    chappe_tl::to_bytes(value).unwrap()
}

//! What bots may do and people may not, and the other way round; what is refused to everybody.

use chappe_api::functions::auth::{ExportLoginToken, SendCode};
use chappe_api::functions::contacts::{GetContacts, ResolvePhone};
use chappe_api::functions::help::GetConfig;
use chappe_api::functions::messages::{
    GetBotCallbackAnswer, GetDialogs, GetHistory, GetMessages, GetStickers, SetBotCallbackAnswer,
    SetInlineBotResults,
};
use chappe_api::functions::users::GetUsers;
use chappe_api::{ctors, types};
use chappe_tl::Raw;

use crate::bots::{Pair, bot, resolve};
use crate::client::{Client, Home};
use crate::messages::{new_message, say};
use crate::sign_in::{enter, test_numbers};

/// Rule:   what is for people a bot is refused, whether the service knows how to do it or not; what
///         is for bots, people.
/// Source: API-07.
#[tokio::test]
async fn bots_and_people_have_functions_of_their_own() {
    let mut pair = Pair::new(test_numbers()).await;
    let invalid = (400, "BOT_METHOD_INVALID".to_owned());
    let peer = types::InputPeer::InputPeerSelf;
    let dialogs = GetDialogs { limit: 10, ..chappe_tl::blank() };
    assert_eq!(pair.bot.fail(dialogs).await, invalid);
    let history = GetHistory { peer: peer.clone(), limit: 10, ..chappe_tl::blank() };
    assert_eq!(pair.bot.fail(history).await, invalid);
    assert_eq!(pair.bot.fail(GetContacts { hash: 0 }).await, invalid);
    assert_eq!(pair.bot.fail(ResolvePhone { phone: "9996620001".into() }).await, invalid);
    let press = GetBotCallbackAnswer { game: false, peer, msg_id: 1, data: None, password: None };
    assert_eq!(pair.bot.fail(press).await, invalid);
    let stickers = GetStickers { emoticon: "x".into(), hash: 0 };
    assert_eq!(pair.bot.fail(stickers).await, invalid);
    assert!(pair.bot.ask(GetMessages { id: Vec::new() }).await.is_ok());

    let required = (400, "USER_BOT_REQUIRED".to_owned());
    let answer =
        SetBotCallbackAnswer { alert: false, query_id: 1, message: None, url: None, cache_time: 0 };
    assert_eq!(pair.ada.fail(answer).await, required);
    let results = SetInlineBotResults { query_id: 1, ..chappe_tl::blank() };
    assert_eq!(pair.ada.fail(results).await, required);
}

/// Rule:   a bot writes to those alone who have written to it; them it names without a hash, and
///         nobody else; bots do not write to each other.
/// Source: API-10, UPD-34, 20-telegram-api-service §2.1, `USER_IS_BOT`, `PEER_ID_INVALID`.
#[tokio::test]
async fn bot_does_not_write_first() {
    let mut pair = Pair::new(test_numbers()).await;
    let mut bob = pair.home.client().await;
    enter(&mut bob, "9996620002").await;
    let name = chappe_api::functions::account::UpdateUsername { username: "ada_l".into() };
    pair.ada.ask(name).await.unwrap();
    let to_ada = resolve(&mut pair.bot, "ada_l").await;
    let peer = (400, "PEER_ID_INVALID".to_owned());
    assert_eq!(pair.bot.fail(say(&to_ada, "hello", 1)).await, peer);
    let unnamed = |user_id| ctors::InputUser { user_id, access_hash: 0 };
    let asked = |id| GetUsers { id: vec![types::InputUser::InputUser(unnamed(id))] };
    let users = pair.bot.ask(asked(pair.of_ada)).await.unwrap();
    assert!(matches!(&users[..], [types::User::UserEmpty(_)]));

    pair.begin().await;
    let users = pair.bot.ask(asked(pair.of_ada)).await.unwrap();
    assert!(matches!(&users[..], [types::User::User(user)] if user.access_hash != Some(0)));
    let user = ctors::InputPeerUser { user_id: pair.of_ada, access_hash: 0 };
    let without_hash = types::InputPeer::InputPeerUser(user);
    pair.bot.ask(say(&without_hash, "hello", 2)).await.unwrap();
    assert_eq!(new_message(&pair.ada.pushed().await.updates[0]).0.message, "hello");
    assert_eq!(pair.bot.fail(say(&with_hash(pair.of_ada + 1), "hello", 3)).await, peer);
    let users = bob.ask(asked(pair.of_ada)).await.unwrap();
    assert!(matches!(&users[..], [types::User::UserEmpty(_)]), "people need the hash");

    bot(&mut pair.home, "other_bot").await;
    let other = resolve(&mut pair.bot, "other_bot").await;
    assert_eq!(pair.bot.fail(say(&other, "hello", 4)).await, (400, "USER_IS_BOT".to_owned()));
}

/// Rule:   an id that no schema has, a function without a handler and bytes that are no call are
///         told apart, and never with a code at which clients try again.
/// Source: API-06, API-11.
#[tokio::test]
async fn what_is_no_call_is_refused_for_good() {
    let mut pair = Pair::new(test_numbers()).await;
    let unknown = Raw(vec![0x78, 0x56, 0x34, 0x12].into());
    let error = pair.ada.call(&unknown).await.unwrap_err();
    assert_eq!((error.code, &*error.message), (400, "INPUT_METHOD_INVALID_305419896"));
    let stickers = GetStickers { emoticon: "x".into(), hash: 0 };
    assert_eq!(pair.ada.fail(stickers).await, (400, "METHOD_INVALID".to_owned()));
    let whole = chappe_tl::to_bytes(&GetDialogs { limit: 10, ..chappe_tl::blank() }).unwrap();
    let error = pair.ada.call(&Raw(whole.slice(..whole.len() - 4))).await.unwrap_err();
    assert_eq!((error.code, &*error.message), (400, "INPUT_FETCH_ERROR"));
}

fn with_hash(user_id: i64) -> types::InputPeer {
    types::InputPeer::InputPeerUser(ctors::InputPeerUser { user_id, access_hash: 0 })
}

/// Rule:   any application signs in with whatever hash it has, unless the operator has named those
///         that may.
/// Source: ACC-08.
#[tokio::test]
async fn operator_names_the_applications() {
    for (allowed, is_ok) in [(vec![], true), (vec![1, 2], true), (vec![2], false)] {
        let mut config = test_numbers();
        config.api_ids = allowed;
        let (_home, mut client) = Client::stranger(config).await;
        let code = SendCode {
            phone_number: "9996620001".into(),
            api_id: 1,
            api_hash: "whatever".into(),
            settings: chappe_tl::blank(),
        };
        let token = ExportLoginToken { api_id: 1, api_hash: "".into(), except_ids: Vec::new() };
        if is_ok {
            client.ask(code).await.unwrap();
            client.ask(token).await.unwrap();
        } else {
            let invalid = (400, "API_ID_INVALID".to_owned());
            assert_eq!(client.fail(code).await, invalid);
            assert_eq!(client.fail(token).await, invalid);
        }
    }
}

/// Rule:   clients make their key with whatever number the data centre has in their list, for tests
///         and media as well, and are at home; whether this is a test server is the operator's word.
/// Source: ACC-09, QRK-03, 20-telegram-api-service §7.2.
#[tokio::test]
async fn every_number_of_a_data_centre_leads_home() {
    for (place, dc) in [1, 5, -2, 10_002, -10_002].into_iter().enumerate() {
        let mut config = test_numbers();
        config.test_mode = place % 2 == 0;
        let home = Home::open(config).await;
        let mut client = Client::of_dc(&home, dc).await;
        let config = client.ask(GetConfig {}).await.unwrap();
        assert_eq!((config.this_dc, config.test_mode), (2, place % 2 == 0), "{dc}");
        enter(&mut client, "9996620001").await;
    }
}

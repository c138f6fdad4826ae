//! Several devices of one account: signing in by another, the list of them, ending one.

use chappe_api::functions::account::{GetAuthorizations, ResetAuthorization};
use chappe_api::functions::auth::{AcceptLoginToken, ExportLoginToken, ResetAuthorizations};
use chappe_api::functions::updates::GetState;
use chappe_api::types;
use chappe_api::types::auth::LoginToken;

use crate::client::{Client, Home};
use crate::password::set;
use crate::sign_in::{enter, test_numbers};

/// Rule:   a device shows a token and is told when another has accepted it, though nobody is signed
///         in there; asking again signs it in. A token counts once and for nobody else.
/// Source: API-14, 20-telegram-api-service §2.1, `auth.exportLoginToken`, `auth.acceptLoginToken`.
#[tokio::test]
async fn token_signs_another_device_in() {
    let mut home = Home::open(test_numbers()).await;
    let (mut phone, mut desk) = (home.client().await, home.client().await);
    let user = enter(&mut phone, "9996620001").await;
    let first = token(&mut desk).await;
    let shown = token(&mut desk).await;
    assert_ne!(first, shown);
    let accept = |token: &[u8]| AcceptLoginToken { token: token.to_vec().into() };
    let unregistered = (401, "AUTH_KEY_UNREGISTERED".to_owned());
    assert_eq!(desk.fail(accept(&shown)).await, unregistered);
    let invalid = (400, "AUTH_TOKEN_INVALID".to_owned());
    for wrong in [&first[..], &[], &shown[1..]] {
        assert_eq!(phone.fail(accept(wrong)).await, invalid);
    }
    phone.ask(accept(&shown)).await.unwrap();
    let twice = (400, "AUTH_TOKEN_ALREADY_ACCEPTED".to_owned());
    assert_eq!(phone.fail(accept(&shown)).await, twice);
    let types::Updates::UpdateShort(told) = desk.told().await else { panic!("not short") };
    assert!(matches!(told.update, types::Update::UpdateLoginToken));

    let LoginToken::LoginTokenSuccess(success) = desk.ask(export()).await.unwrap() else {
        panic!("not signed in")
    };
    let types::auth::Authorization::Authorization(entered) = success.authorization else {
        panic!("nobody")
    };
    assert!(matches!(entered.user, types::User::User(found) if found.id == user.id));
    assert!(desk.ask(GetState {}).await.is_ok());
    let again = desk.ask(export()).await.unwrap();
    assert!(matches!(again, LoginToken::LoginTokenSuccess(_)), "who is in is told so");
}

/// Rule:   an account with a password asks for it after the token, too.
/// Source: API-05, 20-telegram-api-service §2.1, `auth.exportLoginToken`.
#[tokio::test]
async fn token_is_no_way_around_a_password() {
    let mut home = Home::open(test_numbers()).await;
    let (mut phone, mut desk) = (home.client().await, home.client().await);
    enter(&mut phone, "9996620001").await;
    set(&mut phone, "sesame", "").await.unwrap();
    let shown = token(&mut desk).await;
    phone.ask(AcceptLoginToken { token: shown.into() }).await.unwrap();
    let needed = (401, "SESSION_PASSWORD_NEEDED".to_owned());
    for _ in 0..2 {
        assert_eq!(desk.fail(export()).await, needed);
    }
    assert_eq!(desk.fail(GetState {}).await, needed);
}

/// Rule:   every device is listed, one's own without a hash; each other can be ended by its hash,
///         or all at once; it is told to ask, and then that it is signed out.
/// Source: UPD-11, 20-telegram-api-service §2.1, `account.getAuthorizations`,
///         `account.resetAuthorization`, `auth.resetAuthorizations`.
#[tokio::test]
async fn device_can_be_signed_out_by_another() {
    let mut home = Home::open(test_numbers()).await;
    let (mut first, mut second) = (home.client().await, home.client().await);
    let (mut third, mut stranger) = (home.client().await, home.client().await);
    for client in [&mut first, &mut second, &mut third] {
        enter(client, "9996620001").await;
        client.ask(GetState {}).await.unwrap();
    }
    enter(&mut stranger, "9996620002").await;
    let listed = first.ask(GetAuthorizations {}).await.unwrap().authorizations;
    assert_eq!(listed.iter().filter(|device| device.current).count(), 1);
    let other = |device: &&types::Authorization| !device.current && device.hash != 0;
    assert_eq!(listed.iter().filter(other).count(), 2);
    assert!(listed.iter().all(|device| device.ip.as_str() == Ok("127.0.0.1")));

    let hash = listed.iter().find(other).unwrap().hash;
    let invalid = (400, "HASH_INVALID".to_owned());
    assert_eq!(stranger.fail(ResetAuthorization { hash }).await, invalid);
    assert_eq!(first.fail(ResetAuthorization { hash: 0 }).await, invalid);
    assert!(first.ask(ResetAuthorization { hash }).await.unwrap());
    assert_eq!(first.ask(GetAuthorizations {}).await.unwrap().authorizations.len(), 2);
    assert!(first.ask(ResetAuthorizations {}).await.unwrap());
    assert_eq!(first.ask(GetAuthorizations {}).await.unwrap().authorizations.len(), 1);
    for client in [&mut second, &mut third] {
        assert!(matches!(client.told().await, types::Updates::UpdatesTooLong));
        let unregistered = (401, "AUTH_KEY_UNREGISTERED".to_owned());
        assert_eq!(client.fail(GetState {}).await, unregistered);
    }
    assert!(first.ask(GetState {}).await.is_ok() && stranger.ask(GetState {}).await.is_ok());
}

fn export() -> ExportLoginToken {
    ExportLoginToken { api_id: 1, api_hash: "any".into(), except_ids: Vec::new() }
}

async fn token(client: &mut Client) -> Vec<u8> {
    let LoginToken::LoginToken(token) = client.ask(export()).await.unwrap() else {
        panic!("no token")
    };
    token.token.to_vec()
}

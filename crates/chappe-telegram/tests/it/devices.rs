//! Several devices of one account: signing in by another, the list of them, ending one.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chappe_api::functions::account::{GetAuthorizations, ResetAuthorization};
use chappe_api::functions::auth::{
    AcceptLoginToken, ExportAuthorization, ExportLoginToken, ImportAuthorization, LogOut,
    ResetAuthorizations,
};
use chappe_api::functions::updates::GetState;
use chappe_api::types;
use chappe_api::types::auth::LoginToken;
use chappe_backend::sql::sql;
use chappe_telegram::Config;

use crate::client::{Client, Home};
use crate::notices::{self, Codes};
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
    let unregistered = (401, "AUTH_KEY_UNREGISTERED".to_owned());
    for client in [&mut second, &mut third] {
        assert!(matches!(client.told().await, types::Updates::UpdatesTooLong));
        let revoked = (401, "SESSION_REVOKED".to_owned());
        for _ in 0..2 {
            assert_eq!(client.fail(GetState {}).await, revoked);
        }
    }
    assert!(first.ask(GetState {}).await.is_ok() && stranger.ask(GetState {}).await.is_ok());
    // Who comes back and leaves by itself is a stranger again.
    enter(&mut second, "9996620001").await;
    second.ask(LogOut {}).await.unwrap();
    assert_eq!(second.fail(GetState {}).await, unregistered);
}

/// Rule:   who has signed in within a day ends no device that was there before, neither one nor all,
///         so that whoever got in by a stolen code cannot shut the owner out; the owner ends it.
/// Source: 20-telegram-api-service §2.1, `account.resetAuthorization`, `auth.resetAuthorizations`,
///         406 `FRESH_RESET_AUTHORISATION_FORBIDDEN`.
#[tokio::test]
async fn fresh_sign_in_ends_no_older_one() {
    let codes = Codes::default();
    let mut config = Config::default();
    config.code_sender = Arc::new(codes.clone());
    let mut home = Home::open(config).await;
    let (mut owner, mut thief) = (home.client().await, home.client().await);
    notices::sign_in(&mut owner, &codes).await;
    set_age(&home, &owner, 100_000).await;
    notices::sign_in(&mut thief, &codes).await;
    let devices = thief.ask(GetAuthorizations {}).await.unwrap().authorizations;
    let hash = devices.iter().find(|device| !device.current).unwrap().hash;
    let forbidden = (406, "FRESH_RESET_AUTHORISATION_FORBIDDEN".to_owned());
    set_age(&home, &thief, 86_000).await;
    assert_eq!(thief.fail(ResetAuthorization { hash }).await, forbidden);
    assert_eq!(thief.fail(ResetAuthorizations {}).await, forbidden);
    assert!(owner.ask(GetState {}).await.is_ok());
    // The day is over.
    set_age(&home, &thief, 86_401).await;
    assert!(thief.ask(ResetAuthorization { hash }).await.unwrap());
    assert_eq!(owner.fail(GetState {}).await, (401, "SESSION_REVOKED".to_owned()));

    // Who came later may be ended at once.
    notices::sign_in(&mut owner, &codes).await;
    set_age(&home, &owner, 10).await;
    let mut third = home.client().await;
    notices::sign_in(&mut third, &codes).await;
    let devices = owner.ask(GetAuthorizations {}).await.unwrap().authorizations;
    let third = devices.iter().max_by_key(|device| device.date_created).unwrap().hash;
    assert!(owner.ask(ResetAuthorization { hash: third }).await.unwrap());
}

/// Rule:   a sign-in that was taken along to other keys is one device with them: listed once, its
///         own wherever it asks, and ended with them, by itself or by another.
/// Source: QRK-42, UPD-11, 20-telegram-api-service §2.1, `auth.exportAuthorization`, `auth.logOut`,
///         `account.getAuthorizations`.
#[tokio::test]
async fn keys_of_one_device_end_together() {
    let mut home = Home::open(test_numbers()).await;
    let (mut first, mut other) = (home.client().await, home.client().await);
    enter(&mut first, "9996620001").await;
    enter(&mut other, "9996620001").await;
    let mut second = along(&mut home, &mut first).await;
    // One that came along takes it further: it is the same device.
    let mut third = along(&mut home, &mut second).await;
    for client in [&mut first, &mut second, &mut third] {
        let listed = client.ask(GetAuthorizations {}).await.unwrap().authorizations;
        let hashes: Vec<bool> = listed.iter().map(|device| device.hash == 0).collect();
        assert_eq!(hashes.len(), 2);
        assert!(listed.iter().all(|device| device.current == (device.hash == 0)));
    }
    assert!(third.ask(ResetAuthorizations {}).await.unwrap());
    assert!(first.ask(GetState {}).await.is_ok() && second.ask(GetState {}).await.is_ok());
    assert_eq!(other.fail(GetState {}).await, (401, "SESSION_REVOKED".to_owned()));

    // What was exported before the end is of no use after it.
    let exported = first.ask(ExportAuthorization { dc_id: 2 }).await.unwrap();
    first.ask(LogOut {}).await.unwrap();
    let unregistered = (401, "AUTH_KEY_UNREGISTERED".to_owned());
    for client in [&mut second, &mut third] {
        assert_eq!(client.fail(GetState {}).await, unregistered);
    }
    let import = ImportAuthorization { id: exported.id, bytes: exported.bytes };
    assert_eq!(second.fail(import).await, (400, "AUTH_BYTES_INVALID".to_owned()));

    enter(&mut first, "9996620001").await;
    enter(&mut other, "9996620001").await;
    let mut second = along(&mut home, &mut first).await;
    assert!(other.ask(ResetAuthorizations {}).await.unwrap());
    for client in [&mut first, &mut second] {
        assert_eq!(client.fail(GetState {}).await, (401, "SESSION_REVOKED".to_owned()));
    }
    // To itself nobody takes anything.
    let exported = other.ask(ExportAuthorization { dc_id: 2 }).await.unwrap();
    let import = ImportAuthorization { id: exported.id, bytes: exported.bytes };
    other.ask(import).await.unwrap();
    assert_eq!(other.ask(GetAuthorizations {}).await.unwrap().authorizations.len(), 1);
}

/// Another key of the same client.
async fn along(home: &mut Home, from: &mut Client) -> Client {
    let exported = from.ask(ExportAuthorization { dc_id: 2 }).await.unwrap();
    let mut client = home.client().await;
    let import = ImportAuthorization { id: exported.id, bytes: exported.bytes };
    client.ask(import).await.unwrap();
    client
}

/// Moves the sign-in of a client into the past.
async fn set_age(home: &Home, client: &Client, age: i64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
    let mut transaction = home.database().begin().await.unwrap();
    let change = sql("UPDATE session_of_account SET created = $1 WHERE key_id = $2");
    let change = change.bind(now - age).bind(client.key_id());
    assert_eq!(transaction.run(change).await, Ok(1));
    transaction.commit().await.unwrap();
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

//! Calls beside other transactions on the same rows.

use std::sync::Arc;
use std::time::Duration;

use chappe_api::functions::account::UpdateProfile;
use chappe_api::functions::auth::{
    CheckPassword, ExportAuthorization, ImportAuthorization, SignIn,
};
use chappe_api::functions::updates::GetState;
use chappe_api::types::Update;
use chappe_backend::sql::{Transaction, sql};

use crate::client::{Client, Home};
use crate::messages::{Pair, new_message, say, updates};
use crate::notices::{self, Codes, NUMBER, said, sent_hash};
use crate::password::{prove, set};
use crate::sign_in::{code_of, enter, test_numbers};

/// Rule:   a call whose transaction another one undoes is run again: its client hears of nothing,
///         and neither change is lost.
/// Source: 20-telegram-api-service §3.1, every change is whole; docs/decisions/0017.
#[tokio::test]
async fn call_that_was_undone_runs_again() {
    let (home, mut ada) = Client::stranger(test_numbers()).await;
    let me = enter(&mut ada, "9996620001").await.id;
    for (number, name) in ["Ada", "Augusta", "Countess"].into_iter().enumerate() {
        let mut rival = home.database().begin().await.unwrap();
        let change = sql("UPDATE account SET qts = qts + 1 WHERE id = $1").bind(me);
        assert_eq!(rival.run(change).await, Ok(1));
        let call = UpdateProfile { first_name: Some(name.into()), last_name: None, about: None };
        let (changed, ()) = tokio::join!(ada.ask(call), async {
            // Enough for the call to be in the middle of it.
            tokio::time::sleep(Duration::from_millis(300)).await;
            rival.commit().await.unwrap();
        });
        changed.unwrap();
        let state = ada.ask(GetState {}).await.unwrap();
        assert_eq!(state.qts, i32::try_from(number).unwrap() + 1);
        let query = sql("SELECT first_name FROM account WHERE id = $1").bind(me);
        let kept = home.database().row(query).await.unwrap().unwrap().read::<String>();
        assert_eq!(kept.as_deref(), Ok(name));
    }
}

/// Rule:   the password that a key tells lifts the wait of the account whose password it is, and not
///         that of another one that the key was signed in as while the password was checked.
/// Source: API-05, ACC-11, 20-telegram-api-service §2.1, `auth.checkPassword`.
#[tokio::test]
async fn password_of_one_account_does_not_open_another() {
    let mut home = Home::open(test_numbers()).await;
    let (mut ada, mut eve) = (home.client().await, home.client().await);
    let victim = enter(&mut ada, "9996620001").await.id;
    let own = enter(&mut eve, "9996620002").await.id;
    for client in [&mut ada, &mut eve] {
        set(client, "sesame", "").await.unwrap();
    }
    let mut key = home.client().await;
    let code = code_of(&mut key, "9996620002").await;
    let needed = (401, "SESSION_PASSWORD_NEEDED".to_owned());
    assert_eq!(key.fail(code).await, needed);

    let password = prove(&mut key, "sesame").await;
    // What a code of the victim would do at the same time.
    let mut rival = home.database().begin().await.unwrap();
    let turn =
        sql("UPDATE session_of_account SET account = $1 WHERE account = $2 AND is_waiting = 1");
    assert_eq!(rival.run(turn.bind(victim).bind(own)).await, Ok(1));
    let (told, ()) = tokio::join!(key.fail(CheckPassword { password }), async {
        // Enough for the check to be made.
        tokio::time::sleep(Duration::from_millis(500)).await;
        rival.commit().await.unwrap();
    });
    assert_eq!(told, (401, "AUTH_KEY_UNREGISTERED".to_owned()));
    assert_eq!(key.fail(GetState {}).await, needed);
}

/// Rule:   one code signs one key in, however many tell it at the same time.
/// Source: 20-telegram-api-service §2.1, `auth.signIn`, `PHONE_CODE_EXPIRED`.
#[tokio::test]
async fn code_signs_one_key_in() {
    let mut home = Home::open(test_numbers()).await;
    let (mut first, mut second) = (home.client().await, home.client().await);
    enter(&mut first, "9996620001").await;
    let code = code_of(&mut first, "9996620001").await;
    let same = SignIn {
        phone_number: code.phone_number.clone(),
        phone_code_hash: code.phone_code_hash.clone(),
        phone_code: code.phone_code.clone(),
        email_verification: None,
    };
    let mut third = home.client().await;
    let mut rival = home.database().begin().await.unwrap();
    let held = sql("UPDATE login_code SET is_proved = 1 WHERE phone = $1").bind("9996620001");
    assert_eq!(rival.run(held).await, Ok(1));
    let (second, third, ()) = tokio::join!(second.ask(code), third.ask(same), async {
        // Enough for both to be in the middle of it.
        tokio::time::sleep(Duration::from_millis(300)).await;
        rival.commit().await.unwrap();
    });
    let refused: Vec<_> = [second, third].into_iter().filter_map(Result::err).collect();
    let [error] = &refused[..] else { panic!("{} were refused", refused.len()) };
    assert_eq!((error.code, error.message.as_str()), (400, "PHONE_CODE_EXPIRED"));
}

/// Rule:   what is sent again is found by the connection that the change has already: when everybody
///         sends again at once, nobody waits for a second one.
/// Source: API-12, 20-telegram-api-service §2.1, `messages.sendMessage`; docs/decisions/0017.
#[tokio::test]
async fn message_is_sent_again_by_one_connection() {
    let mut pair = Pair::at(Home::with_one_connection(test_numbers()).await).await;
    let (sent, _) = pair.say("hello", 1).await;
    let again = pair.ada.ask(say(&pair.to_bob, "hello", 1)).await.unwrap();
    assert_eq!(new_message(&updates(again).updates[1]).0.id, sent.id);
    let duplicate = (400, "RANDOM_ID_DUPLICATE".to_owned());
    assert_eq!(pair.ada.fail(say(&pair.to_bob, "goodbye", 1)).await, duplicate);
}

/// Rule:   what other devices are told of a code and of a sign-in is no part of either: whoever undoes
///         it lets one code be sent and the sign-in be answered, and the devices hear of both.
/// Source: ACC-05, 20-telegram-api-service §2.1, `auth.sendCode`, `auth.signIn`; docs/decisions/0017.
#[tokio::test]
async fn notice_that_is_undone_undoes_no_sign_in() {
    let codes = Codes::default();
    let mut config = test_numbers();
    config.code_sender = Arc::new(codes.clone());
    let mut home = Home::open(config).await;
    let (mut first, mut second) = (home.client().await, home.client().await);
    notices::sign_in(&mut first, &codes).await;
    first.ask(GetState {}).await.unwrap();
    let change = || sql("UPDATE account SET qts = qts + 1 WHERE phone = $1").bind(NUMBER);

    let mut rival = home.database().begin().await.unwrap();
    rival.run(change()).await.unwrap();
    let (hash, ()) = tokio::join!(sent_hash(&mut second), soon(rival));
    assert_eq!(codes.0.lock().unwrap().len(), 2, "one for each device");
    let told = new_message(&first.pushed().await.updates[0]).0.message;
    assert!(told.to_string_lossy().contains(&codes.last()));

    let mut rival = home.database().begin().await.unwrap();
    rival.run(change()).await.unwrap();
    let (entered, ()) = tokio::join!(second.ask(said(&hash, &codes.last())), soon(rival));
    entered.unwrap();
    let mut told = Vec::new();
    while told.len() < 2 {
        told.extend(first.pushed().await.updates);
    }
    assert!(told.iter().any(|update| matches!(update, Update::UpdateNewAuthorization(_))));
}

/// Rule:   who has told the password is signed in, and so is a key that a sign-in is taken to, though
///         another transaction undoes that: neither has to be said again, for it would be refused.
/// Source: 20-telegram-api-service §2.1, `auth.checkPassword`, `auth.importAuthorization`;
///         docs/decisions/0017.
#[tokio::test]
async fn sign_in_that_was_undone_uses_nothing_up() {
    let mut home = Home::open(test_numbers()).await;
    let (mut first, mut second) = (home.client().await, home.client().await);
    let me = enter(&mut first, "9996620001").await.id;
    set(&mut first, "sesame", "").await.unwrap();
    let code = code_of(&mut second, "9996620001").await;
    second.fail(code).await;
    let password = prove(&mut second, "sesame").await;
    let mut rival = home.database().begin().await.unwrap();
    let change = sql("UPDATE session_of_account SET app_version = '2' WHERE is_waiting = 1");
    assert_eq!(rival.run(change).await, Ok(1));
    let check = CheckPassword { password };
    let (entered, ()) = tokio::join!(second.ask(check), soon(rival));
    entered.unwrap();
    second.ask(GetState {}).await.unwrap();

    let mut third = home.client().await;
    let exported = first.ask(ExportAuthorization { dc_id: 2 }).await.unwrap();
    let mut rival = home.database().begin().await.unwrap();
    let insert = sql("INSERT INTO session_of_account (key_id, account, hash, api_id, device_model,
         system_version, app_version, ip, created) VALUES ($1, $2, 1, 1, '', '', '', '', 1)");
    rival.run(insert.bind(third.key_id()).bind(me)).await.unwrap();
    let import = ImportAuthorization { id: exported.id, bytes: exported.bytes };
    let (entered, ()) = tokio::join!(third.ask(import), soon(rival));
    entered.unwrap();
    third.ask(GetState {}).await.unwrap();
}

/// Commits once calls that were made at the same time are in the middle of it.
async fn soon(rival: Transaction<'_>) {
    tokio::time::sleep(Duration::from_millis(300)).await;
    rival.commit().await.unwrap();
}

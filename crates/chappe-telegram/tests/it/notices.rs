//! What an account's devices are told of its codes and sign-ins, and who tries too often.

use std::sync::{Arc, Mutex};

use chappe_api::functions::auth::{ImportBotAuthorization, SendCode, SignIn};
use chappe_api::functions::help::GetSupport;
use chappe_api::functions::updates::GetState;
use chappe_api::types::{self, Update};
use chappe_backend::sql::sql;
use chappe_telegram::{CodeError, CodeSender, Config};
use futures_util::future::BoxFuture;

use crate::client::{Client, Home};
use crate::messages::new_message;
use crate::sign_in::{enter, test_numbers};

pub(crate) const NUMBER: &str = "15550100001";

/// Rule:   the devices of an account are told the code by which another is about to sign in, as a
///         message of 777000, and then that it has, with what it said of itself; the new one hears
///         of neither. Test accounts, whose code is no secret, are told nothing.
/// Source: ACC-05, ACC-10, 20-telegram-api-service §2.1, `auth.sendCode`, `auth.signIn`.
#[tokio::test]
async fn devices_are_told_of_codes_and_sign_ins() {
    let codes = Codes::default();
    let mut config = test_numbers();
    config.code_sender = Arc::new(codes.clone());
    let mut home = Home::open(config).await;
    let (mut first, mut second) = (home.client().await, home.client().await);
    sign_in(&mut first, &codes).await;
    first.ask(GetState {}).await.unwrap();
    assert_eq!(first.ask(GetState {}).await.unwrap().pts, 1, "there was nobody to tell");
    sign_in(&mut second, &codes).await;

    let code = codes.last();
    // What has no pts may come earlier than what has.
    let (mut messages, mut others) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let told = first.pushed().await;
        match &told.updates[0] {
            Update::UpdateNewMessage(_) => messages.push(told),
            _ => others.push(told),
        }
    }
    let [told, second_told] = &messages[..] else { panic!("{} messages", messages.len()) };
    let (message, ..) = new_message(&told.updates[0]);
    assert!(message.message.to_string_lossy().contains(&code) && !message.out);
    assert!(matches!(&message.peer_id, types::Peer::PeerUser(peer) if peer.user_id == 777_000));
    let is_service = |user: &types::User| matches!(user, types::User::User(user) if user.id == 777_000 && user.verified);
    assert!(told.users.iter().any(is_service));
    let [Update::UpdateNewAuthorization(new)] = &others[0].updates[..] else { panic!("not told") };
    assert!(new.hash != 0 && new.unconfirmed());
    let (message, ..) = new_message(&second_told.updates[0]);
    assert!(message.message.to_string_lossy().contains(NUMBER));
    let state = second.ask(GetState {}).await.unwrap();
    assert_eq!((state.pts, state.unread_count), (3, 2));
    assert_eq!(second.take_pushed().len(), 0);
    let support = second.ask(GetSupport {}).await.unwrap();
    assert!(is_service(&support.user));

    let (mut third, mut fourth) = (home.client().await, home.client().await);
    enter(&mut third, "9996620001").await;
    enter(&mut fourth, "9996620001").await;
    assert_eq!(fourth.ask(GetState {}).await.unwrap().pts, 1);
}

/// Rule:   codes are sent so often to a number, and so often because one address wants it; then
///         whoever asks is told how long to wait. Test numbers cost nothing and are not among them.
/// Source: API-11, 20-telegram-api-service §2.1, `FLOOD_WAIT_X`.
#[tokio::test]
async fn flood_of_codes_has_to_wait() {
    for (number_max, address_max) in [(2, 100), (100, 2)] {
        let codes = Codes::default();
        let mut config = test_numbers();
        config.code_sender = Arc::new(codes.clone());
        (config.codes_of_number_max, config.codes_of_address_max) = (number_max, address_max);
        let mut home = Home::open(config).await;
        let mut client = home.client().await;
        for _ in 0..2 {
            client.ask(code_for(NUMBER)).await.unwrap();
        }
        let sent = codes.0.lock().unwrap().len();
        assert_waits(client.fail(code_for(NUMBER)).await);
        assert_eq!(codes.0.lock().unwrap().len(), sent, "nothing more is sent");
        let other = client.call(&code_for("15550100002")).await;
        assert_eq!(other.is_ok(), number_max == 2);
        for _ in 0..7 {
            client.ask(code_for("9996620001")).await.unwrap();
        }
    }
}

/// Rule:   who wants the code of a test number again and again has to wait, and no more than some of
///         its codes are kept, the newest.
/// Source: ACC-01, 20-telegram-api-service §2.1, 420 `FLOOD_TEST_PHONE_WAIT_X`.
#[tokio::test]
async fn flood_of_test_codes_has_to_wait() {
    let mut config = test_numbers();
    config.test_codes_max = 25;
    let mut home = Home::open(config).await;
    let mut client = home.client().await;
    let mut hashes = Vec::new();
    for _ in 0..25 {
        let types::auth::SentCode::SentCode(sent) =
            client.ask(code_for("9996620001")).await.unwrap()
        else {
            panic!("no code")
        };
        hashes.push(sent.phone_code_hash);
    }
    let (code, message) = client.fail(code_for("9996620001")).await;
    let seconds = message.strip_prefix("FLOOD_TEST_PHONE_WAIT_").map(str::parse::<u64>);
    assert!(code == 420 && matches!(seconds, Some(Ok(1..=3600))), "{code} {message}");
    client.ask(code_for("9996620002")).await.unwrap();
    let query = sql("SELECT count(*) FROM login_code WHERE phone = $1").bind("9996620001");
    let kept = home.database().row(query).await.unwrap().unwrap().read::<i64>();
    assert_eq!(kept, Ok(20));
    let mut newest = said(&hashes[24], "22222");
    newest.phone_number = "9996620001".into();
    client.ask(newest).await.unwrap();
}

/// Rule:   wrong codes of a number, and whatever is guessed from one address, are bounded; beyond
///         that the right one is of no use either.
/// Source: ACC-11, API-11, 20-telegram-api-service §2.1, `FLOOD_WAIT_X`.
#[tokio::test]
async fn flood_of_guesses_has_to_wait() {
    let codes = Codes::default();
    let mut config = Config::default();
    config.code_sender = Arc::new(codes.clone());
    config.wrong_of_number_max = 3;
    config.wrong_of_address_max = 5;
    let mut home = Home::open(config).await;
    let mut client = home.client().await;
    let hash = sent_hash(&mut client).await;
    let wrong = if codes.last() == "00000" { "00001" } else { "00000" };
    for _ in 0..3 {
        let invalid = (400, "PHONE_CODE_INVALID".to_owned());
        assert_eq!(client.fail(said(&hash, wrong)).await, invalid);
    }
    assert_waits(client.fail(said(&hash, &codes.last())).await);
    let token = || ImportBotAuthorization {
        flags: 0,
        api_id: 1,
        api_hash: "any".into(),
        bot_auth_token: "1000000:00".into(),
    };
    for _ in 0..2 {
        assert_eq!(client.fail(token()).await, (400, "ACCESS_TOKEN_INVALID".to_owned()));
    }
    assert_waits(client.fail(token()).await);
}

fn assert_waits((code, message): (i32, String)) {
    let seconds = message.strip_prefix("FLOOD_WAIT_").map(str::parse::<u64>);
    assert_eq!(code, 420);
    assert!(matches!(seconds, Some(Ok(1..=3600))), "{message}");
}

/// Codes as they were sent.
#[derive(Clone, Default)]
pub(crate) struct Codes(pub(crate) Arc<Mutex<Vec<String>>>);

impl Codes {
    pub(crate) fn last(&self) -> String {
        self.0.lock().unwrap().last().unwrap().clone()
    }
}

impl CodeSender for Codes {
    fn send(&self, _: &str, code: &str) -> BoxFuture<'_, Result<(), CodeError>> {
        self.0.lock().unwrap().push(code.to_owned());
        Box::pin(std::future::ready(Ok(())))
    }
}

fn code_for(number: &str) -> SendCode {
    SendCode {
        phone_number: number.into(),
        api_id: 1,
        api_hash: "any".into(),
        settings: chappe_tl::blank(),
    }
}

pub(crate) async fn sent_hash(client: &mut Client) -> chappe_tl::Str {
    let sent = client.ask(code_for(NUMBER)).await.unwrap();
    let types::auth::SentCode::SentCode(sent) = sent else { panic!("no code") };
    sent.phone_code_hash
}

pub(crate) fn said(hash: &chappe_tl::Str, code: &str) -> SignIn {
    SignIn {
        phone_number: NUMBER.into(),
        phone_code_hash: hash.clone(),
        phone_code: Some(code.into()),
        email_verification: None,
    }
}

pub(crate) async fn sign_in(client: &mut Client, codes: &Codes) {
    let hash = sent_hash(client).await;
    client.ask(said(&hash, &codes.last())).await.unwrap();
}

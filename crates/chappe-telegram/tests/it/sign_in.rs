//! How people sign in, register and leave.

use std::sync::{Arc, Mutex};

use chappe_api::functions::auth::{CancelCode, LogOut, ResendCode, SendCode, SignIn, SignUp};
use chappe_api::functions::messages::GetStickers;
use chappe_api::functions::updates::{GetDifference, GetState};
use chappe_api::functions::users::{GetFullUser, GetUsers};
use chappe_api::types::auth::{Authorization, SentCodeType};
use chappe_api::{ctors, functions, types};
use chappe_telegram::{CodeError, CodeSender, Config, SignUp as Policy, TestNumbers};
use chappe_tl::Str;
use futures_util::future::BoxFuture;

use crate::client::{Client, Home};

/// Rule:   a number 99966XYYYY of this data centre signs in with X five times, or six, and gets an
///         account at once, which is its own in every answer; who is not signed in hears one text
///         for every function that needs it.
/// Source: ACC-01, ACC-03, ACC-06, ACC-10, API-04, UPD-31, UPD-34.
#[tokio::test]
async fn test_number_signs_in() {
    let (_home, mut client) = Client::stranger(test_numbers()).await;
    let unregistered = (401, "AUTH_KEY_UNREGISTERED".to_owned());
    assert_eq!(client.fail(GetState {}).await, unregistered);
    assert_eq!(client.fail(stickers()).await, unregistered);

    let sent = send_code(&mut client, "+99966 2 0001").await;
    assert!(matches!(&sent.r#type, SentCodeType::SentCodeTypeSms(sms) if sms.length == 5));
    let user = user_of(client.ask(sign_in("9996620001", &sent, "222222")).await.unwrap());
    assert_eq!((user.id, user.self_), (1_000_000, true));
    assert!(user.access_hash.is_some_and(|hash| hash != 0));
    assert_eq!(text(user.phone), "9996620001");
    assert_eq!((text(user.first_name), user.last_name), ("User".to_owned(), Some("0001".into())));

    let of_self = vec![types::InputUser::InputUserSelf];
    let users = client.ask(GetUsers { id: of_self }).await.unwrap();
    assert!(matches!(&users[..], [types::User::User(user)] if user.id == 1_000_000 && user.self_));
    let full = client.ask(GetFullUser { id: types::InputUser::InputUserSelf }).await.unwrap();
    assert_eq!((full.full_user.id, full.users.len()), (1_000_000, 1));
    let state = client.ask(GetState {}).await.unwrap();
    assert_eq!((state.pts, state.qts, state.seq), (1, 0, 0));
    assert_eq!(client.fail(stickers()).await, (400, "METHOD_INVALID".to_owned()));

    client.ask(LogOut {}).await.unwrap();
    assert_eq!(client.fail(GetState {}).await, unregistered);
}

/// Rule:   who is where the server is hears so; no state, or one from the future, is told apart.
/// Source: 20-telegram-api-service §3.4.
#[tokio::test]
async fn difference_says_where_the_server_is() {
    let (_home, mut client) = Client::stranger(test_numbers()).await;
    enter(&mut client, "9996620001").await;
    let ask = |pts, date, qts| GetDifference { pts, date, qts, ..chappe_tl::blank() };
    for (date, qts) in [(0, 0), (i32::MAX, 0), (1_800_000_000, -1)] {
        let difference = client.ask(ask(1, date, qts)).await.unwrap();
        assert!(matches!(difference, types::updates::Difference::DifferenceEmpty(_)));
    }
    let difference = client.ask(ask(7, 0, 0)).await.unwrap();
    let types::updates::Difference::Difference(difference) = difference else { panic!("no state") };
    assert_eq!(difference.state.pts, 1);
    let empty = (400, "PERSISTENT_TIMESTAMP_EMPTY".to_owned());
    assert_eq!(client.fail(ask(0, 0, 0)).await, empty);
}

/// Rule:   the second device of an account is the same user, and is told that its code went to the
///         first; leaving with one leaves the other signed in.
/// Source: 20-telegram-api-service §2.1, `auth.sendCode`, `auth.logOut`.
#[tokio::test]
async fn account_has_several_devices() {
    let mut home = Home::open(test_numbers()).await;
    let (mut first, mut second) = (home.client().await, home.client().await);
    let user = enter(&mut first, "9996620001").await;
    let sent = send_code(&mut second, "9996620001").await;
    assert!(matches!(&sent.r#type, SentCodeType::SentCodeTypeApp(app) if app.length == 5));
    let again = user_of(second.ask(sign_in("9996620001", &sent, "22222")).await.unwrap());
    assert_eq!((again.id, again.access_hash), (user.id, user.access_hash));
    first.ask(LogOut {}).await.unwrap();
    assert!(second.ask(GetState {}).await.is_ok());
}

/// Rule:   numbers of the test pattern are ordinary where they are not allowed, or of another data
///         centre.
/// Source: ACC-01, ACC-02.
#[tokio::test]
async fn test_numbers_are_those_that_are_allowed() {
    for (allowed, number, is_test) in [
        (TestNumbers::Off, "9996620001", false),
        (TestNumbers::Own, "9996620001", true),
        (TestNumbers::Own, "9996630001", false),
        (TestNumbers::Any, "9996630001", true),
        (TestNumbers::Any, "9996600001", false),
        (TestNumbers::Any, "99966200011", false),
    ] {
        let (told, mut config) = told_codes();
        config.test_numbers = allowed;
        let (_home, mut client) = Client::stranger(config).await;
        send_code(&mut client, number).await;
        assert_eq!(told.lock().unwrap().is_empty(), is_test, "{number} where {allowed:?}");
    }
}

/// Rule:   a code counts for its number and name, once, five tries long, until it is cancelled; it
///         can be sent again. A number has five at once.
/// Source: ACC-05, 20-telegram-api-service §2.1, `auth.sendCode`, `auth.signIn`.
#[tokio::test]
async fn code_counts_for_its_number_and_not_for_ever() {
    let (told, config) = told_codes();
    let (_home, mut client) = Client::stranger(config).await;
    let last = || told.lock().unwrap().last().unwrap().clone();
    let expired = (400, "PHONE_CODE_EXPIRED".to_owned());

    let sent = send_code(&mut client, "+1 (555) 010-0001").await;
    let (number, code) = last();
    assert_eq!((number.as_str(), code.len()), ("15550100001", 5));
    let wrong = if code == "00000" { "00001" } else { "00000" };
    let invalid = (400, "PHONE_CODE_INVALID".to_owned());
    for _ in 0..5 {
        assert_eq!(client.fail(sign_in(&number, &sent, wrong)).await, invalid);
    }
    assert_eq!(client.fail(sign_in(&number, &sent, &code)).await, expired);
    let empty = (400, "PHONE_CODE_EMPTY".to_owned());
    assert_eq!(client.fail(sign_in(&number, &sent, "")).await, empty);

    let sent = send_code(&mut client, &number).await;
    let (_, code) = last();
    assert_eq!(client.fail(sign_in("15550100002", &sent, &code)).await, expired);
    let name = sent.phone_code_hash.clone();
    let resend =
        ResendCode { phone_number: number.as_str().into(), phone_code_hash: name, reason: None };
    client.ask(resend).await.unwrap();
    assert_eq!((last().1, told.lock().unwrap().len()), (code.clone(), 3));
    let name = sent.phone_code_hash.clone();
    let cancel = CancelCode { phone_number: number.as_str().into(), phone_code_hash: name };
    assert!(client.ask(cancel).await.unwrap());
    assert_eq!(client.fail(sign_in(&number, &sent, &code)).await, expired);

    // One was used up above and counts until its time is over.
    let mut sent = Vec::new();
    for _ in 0..4 {
        sent.push(send_code(&mut client, &number).await);
    }
    let flood = (400, "PHONE_NUMBER_FLOOD".to_owned());
    assert_eq!(client.fail(code_for(&number)).await, flood);
    let (_, code) = last();
    client.ask(sign_in(&number, &sent[3], &code)).await.unwrap();
    assert_eq!(client.fail(sign_in(&number, &sent[3], &code)).await, expired);
}

/// Rule:   what cannot be a number is none; a code that cannot be sent is told so.
/// Source: 20-telegram-api-service §2.1, `auth.sendCode`.
#[tokio::test]
async fn number_has_to_be_one() {
    let (_home, mut client) = Client::stranger(Config::default()).await;
    for number in ["", "123", "1234567890123456", "phone", "0123456789", "+4915112345x"] {
        let invalid = (400, "PHONE_NUMBER_INVALID".to_owned());
        assert_eq!(client.fail(code_for(number)).await, invalid, "{number:?}");
    }
    let mut config = Config::default();
    config.code_sender = Arc::new(Mute);
    let (_home, mut client) = Client::stranger(config).await;
    let unavailable = (406, "SEND_CODE_UNAVAILABLE".to_owned());
    assert_eq!(client.fail(code_for("15550100001")).await, unavailable);
}

/// Rule:   where people register, a right code of a number that nobody has leads there, and to no
///         account before it; names have bounds; where nobody may, the number stays unoccupied.
/// Source: ACC-06, 20-telegram-api-service §2.1, `auth.signUp`.
#[tokio::test]
async fn registration_is_as_the_operator_wants_it() {
    let mut config = test_numbers();
    config.sign_up = Policy::Explicit;
    let (_home, mut client) = Client::stranger(config).await;
    let sent = send_code(&mut client, "9996620001").await;
    let expired = (400, "PHONE_CODE_EXPIRED".to_owned());
    assert_eq!(client.fail(sign_up(&sent, "Ada", "")).await, expired);
    let required = client.ask(sign_in("9996620001", &sent, "22222")).await.unwrap();
    assert!(matches!(required, Authorization::AuthorizationSignUpRequired(_)));
    assert!(client.ask(GetState {}).await.is_err());
    let long = "é".repeat(65);
    for (first, last, error) in [
        (" ", "", "FIRSTNAME_INVALID"),
        (&*long, "", "FIRSTNAME_INVALID"),
        ("Ada", &*long, "LASTNAME_INVALID"),
    ] {
        assert_eq!(client.fail(sign_up(&sent, first, last)).await, (400, error.to_owned()));
    }
    let user = user_of(client.ask(sign_up(&sent, " Ada ", "Lovelace")).await.unwrap());
    assert_eq!((text(user.first_name), text(user.last_name)), ("Ada".into(), "Lovelace".into()));
    assert!(client.ask(GetState {}).await.is_ok());
    let occupied = (400, "PHONE_NUMBER_OCCUPIED".to_owned());
    assert_eq!(client.fail(sign_up(&sent, "Ada", "")).await, occupied);

    let mut config = test_numbers();
    config.sign_up = Policy::Closed;
    let (_home, mut client) = Client::stranger(config).await;
    let sent = send_code(&mut client, "9996620001").await;
    let unoccupied = (400, "PHONE_NUMBER_UNOCCUPIED".to_owned());
    assert_eq!(client.fail(sign_in("9996620001", &sent, "22222")).await, unoccupied);
    assert_eq!(client.fail(sign_up(&sent, "Ada", "")).await, unoccupied);
}

/// Rule:   an account is named by an access hash that is another for each viewer; who has none, or
///         another's, sees nobody. Phone numbers are for their owners.
/// Source: UPD-30, API-09, 20-telegram-api-service §2.1, `users.getUsers`.
#[tokio::test]
async fn stranger_is_seen_by_whoever_has_the_hash() {
    let mut home = Home::open(test_numbers()).await;
    let (mut ada, mut bob) = (home.client().await, home.client().await);
    let (of_ada, of_bob) =
        (enter(&mut ada, "9996620001").await, enter(&mut bob, "9996620002").await);
    let own = of_bob.access_hash.unwrap();
    for access_hash in [0, own, own ^ 1] {
        let input =
            types::InputUser::InputUser(ctors::InputUser { user_id: of_bob.id, access_hash });
        let users = ada.ask(GetUsers { id: vec![input.clone()] }).await.unwrap();
        assert!(matches!(&users[..], [types::User::UserEmpty(user)] if user.id == of_bob.id));
        let invalid = (400, "USER_ID_INVALID".to_owned());
        assert_eq!(ada.fail(GetFullUser { id: input }).await, invalid);
    }
    // One's own id needs none.
    let input = ctors::InputUser { user_id: of_ada.id, access_hash: 0 };
    let users = ada.ask(GetUsers { id: vec![types::InputUser::InputUser(input)] }).await.unwrap();
    assert!(matches!(&users[..], [types::User::User(user)] if user.self_));
}

/// Rule:   who says to be online is seen so for a while, and since when not afterwards.
/// Source: 20-telegram-api-service §2.1, `account.updateStatus`.
#[tokio::test]
async fn status_is_what_the_client_says() {
    let (_home, mut client) = Client::stranger(test_numbers()).await;
    enter(&mut client, "9996620001").await;
    for offline in [false, true] {
        let update = functions::account::UpdateStatus { offline };
        assert!(client.ask(update).await.unwrap());
        let of_self = vec![types::InputUser::InputUserSelf];
        let users = client.ask(GetUsers { id: of_self }).await.unwrap();
        let [types::User::User(user)] = &users[..] else { panic!("nobody") };
        let is_offline = matches!(user.status, Some(types::UserStatus::UserStatusOffline(_)));
        assert_eq!(is_offline, offline);
    }
}

pub(crate) fn test_numbers() -> Config {
    let mut config = Config::default();
    config.test_numbers = TestNumbers::Own;
    config
}

/// Codes as they were sent: number, code.
type Told = Arc<Mutex<Vec<(String, String)>>>;

/// In the place of a telephone.
#[derive(Clone, Default)]
struct Telephone(Told);

impl CodeSender for Telephone {
    fn send(&self, phone: &str, code: &str) -> BoxFuture<'_, Result<(), CodeError>> {
        self.0.lock().unwrap().push((phone.to_owned(), code.to_owned()));
        Box::pin(std::future::ready(Ok(())))
    }
}

struct Mute;

impl CodeSender for Mute {
    fn send(&self, _: &str, _: &str) -> BoxFuture<'_, Result<(), CodeError>> {
        Box::pin(std::future::ready(Err(CodeError("no network".to_owned()))))
    }
}

fn told_codes() -> (Told, Config) {
    let telephone = Telephone::default();
    let mut config = Config::default();
    config.code_sender = Arc::new(telephone.clone());
    (telephone.0, config)
}

pub(crate) async fn enter(client: &mut Client, number: &str) -> ctors::User {
    let sent = send_code(client, number).await;
    user_of(client.ask(sign_in(number, &sent, "22222")).await.unwrap())
}

/// The right code of a test number, as it is told.
pub(crate) async fn code_of(client: &mut Client, number: &str) -> SignIn {
    let sent = send_code(client, number).await;
    sign_in(number, &sent, "22222")
}

async fn send_code(client: &mut Client, number: &str) -> ctors::auth::SentCode {
    let sent = client.ask(code_for(number)).await.unwrap();
    let types::auth::SentCode::SentCode(sent) = sent else { panic!("no code") };
    *sent
}

fn code_for(number: &str) -> SendCode {
    let (api_id, api_hash) = (1, "any".into());
    SendCode { phone_number: number.into(), api_id, api_hash, settings: chappe_tl::blank() }
}

fn sign_in(number: &str, sent: &ctors::auth::SentCode, code: &str) -> SignIn {
    SignIn {
        phone_number: number.into(),
        phone_code_hash: sent.phone_code_hash.clone(),
        phone_code: Some(code.into()),
        email_verification: None,
    }
}

fn sign_up(sent: &ctors::auth::SentCode, first_name: &str, last_name: &str) -> SignUp {
    SignUp {
        no_joined_notifications: false,
        phone_number: "9996620001".into(),
        phone_code_hash: sent.phone_code_hash.clone(),
        first_name: first_name.into(),
        last_name: last_name.into(),
    }
}

fn user_of(authorization: Authorization) -> ctors::User {
    let Authorization::Authorization(authorization) = authorization else {
        panic!("not signed in")
    };
    let types::User::User(user) = authorization.user else { panic!("nobody") };
    *user
}

fn stickers() -> GetStickers {
    GetStickers { emoticon: "x".into(), hash: 0 }
}

fn text(text: Option<Str>) -> String {
    text.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}

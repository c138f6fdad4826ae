//! The second factor, as its owner and as others meet it.

use chappe_api::functions::account::{GetPassword, GetPasswordSettings, UpdatePasswordSettings};
use chappe_api::functions::auth::{CheckPassword, LogOut};
use chappe_api::functions::help::GetAppConfig;
use chappe_api::functions::updates::GetState;
use chappe_api::types::{self, account, auth};
use chappe_api::{ctors, functions};
use chappe_crypto::Rng;
use chappe_crypto::dh::Group;
use chappe_crypto::srp::Algorithm;

use crate::client::{Client, Home};
use crate::sign_in::{code_of, enter, test_numbers};

/// Rule:   a password that was set is asked for at the next sign-in, by every function but a few,
///         until it is told; the wrong one is told apart; taken away, it is asked for no more.
/// Source: API-05, ACC-11, 20-telegram-api-service §2.1, `account.getPassword`, `auth.checkPassword`,
///         `account.updatePasswordSettings`.
#[tokio::test]
async fn password_is_asked_for_at_the_next_sign_in() {
    let mut home = Home::open(test_numbers()).await;
    let (mut first, mut second) = (home.client().await, home.client().await);
    let user = enter(&mut first, "9996620001").await;
    let before = first.ask(GetPassword {}).await.unwrap();
    assert!(before.current_algo_and_srp_b_and_srp_id.is_none());
    set(&mut first, "sesame", "an opening").await.unwrap();
    assert!(first.ask(GetState {}).await.is_ok(), "who is signed in stays so");

    let needed = (401, "SESSION_PASSWORD_NEEDED".to_owned());
    let code = code_of(&mut second, "9996620001").await;
    assert_eq!(second.fail(code).await, needed);
    assert_eq!(second.fail(GetState {}).await, needed);
    assert!(second.ask(GetAppConfig { hash: 0 }).await.is_ok());
    let password = second.ask(GetPassword {}).await.unwrap();
    assert_eq!(
        password.hint.map(|hint| hint.to_string_lossy().into_owned()).as_deref(),
        Some("an opening")
    );
    let wrong = prove(&mut second, "mellon").await;
    let invalid = (400, "PASSWORD_HASH_INVALID".to_owned());
    assert_eq!(second.fail(CheckPassword { password: wrong.clone() }).await, invalid);
    // A challenge is used up by its answer.
    let stale = (400, "SRP_ID_INVALID".to_owned());
    assert_eq!(second.fail(CheckPassword { password: wrong }).await, stale);
    let right = prove(&mut second, "sesame").await;
    let entered = second.ask(CheckPassword { password: right }).await.unwrap();
    let auth::Authorization::Authorization(entered) = entered else { panic!("not signed in") };
    assert!(matches!(entered.user, types::User::User(found) if found.id == user.id && found.self_));
    assert!(second.ask(GetState {}).await.is_ok());

    let nothing = types::InputCheckPasswordSrp::InputCheckPasswordEmpty;
    let none = types::PasswordKdfAlgo::PasswordKdfAlgoUnknown;
    let remove = |password| UpdatePasswordSettings {
        password,
        new_settings: account::PasswordInputSettings {
            new_algo_and_new_password_hash_and_hint: Some((none.clone(), "".into(), "".into())),
            ..chappe_tl::blank()
        },
    };
    assert_eq!(first.fail(remove(nothing)).await, invalid);
    let right = prove(&mut first, "sesame").await;
    assert!(first.ask(remove(right)).await.unwrap());
    let mut third = home.client().await;
    enter(&mut third, "9996620001").await;
}

/// Rule:   who has not told the password may leave, and is nobody then; their code was used up.
/// Source: API-05.
#[tokio::test]
async fn who_waits_for_a_password_may_leave() {
    let mut home = Home::open(test_numbers()).await;
    let (mut first, mut second) = (home.client().await, home.client().await);
    enter(&mut first, "9996620001").await;
    set(&mut first, "sesame", "").await.unwrap();
    let code = code_of(&mut second, "9996620001").await;
    second.fail(code).await;
    assert!(second.ask(LogOut {}).await.is_ok());
    assert_eq!(second.fail(GetState {}).await, (401, "AUTH_KEY_UNREGISTERED".to_owned()));
}

/// Rule:   a new password replaces the old one for whoever knows that; five wrong ones within a
///         minute, and the next has to wait.
/// Source: ACC-11.
#[tokio::test]
async fn password_cannot_be_guessed() {
    let (_home, mut client) = Client::stranger(test_numbers()).await;
    enter(&mut client, "9996620001").await;
    set(&mut client, "sesame", "").await.unwrap();
    let refused = set(&mut client, "mellon", "").await;
    assert_eq!(refused, Err((400, "PASSWORD_HASH_INVALID".to_owned())));
    let right = prove(&mut client, "sesame").await;
    let settings = GetPasswordSettings { password: right };
    assert!(client.ask(settings).await.is_ok(), "what was tried before is forgiven");
    for _ in 0..5 {
        let password = prove(&mut client, "mellon").await;
        let invalid = (400, "PASSWORD_HASH_INVALID".to_owned());
        assert_eq!(client.fail(GetPasswordSettings { password }).await, invalid);
    }
    let password = prove(&mut client, "sesame").await;
    let (code, wait) = client.fail(GetPasswordSettings { password }).await;
    assert!(code == 420 && wait.starts_with("FLOOD_WAIT_"), "{code} {wait}");
}

/// Rule:   a new password comes with the salts that we gave and enough of its owner's own.
/// Source: 20-telegram-api-service §2.1, `account.updatePasswordSettings`.
#[tokio::test]
async fn new_password_has_salts_of_both() {
    let (_home, mut client) = Client::stranger(test_numbers()).await;
    enter(&mut client, "9996620001").await;
    let (salt1, salt2) = new_salts(&mut client).await;
    let own = [&salt1[..], &[7; 32]].concat();
    for (first, second, hash, error) in [
        (salt1.clone(), salt2.clone(), vec![1; 256], "NEW_SALT_INVALID"),
        (vec![7; 40], salt2.clone(), vec![1; 256], "NEW_SALT_INVALID"),
        (own.clone(), vec![7; 16], vec![1; 256], "NEW_SALT_INVALID"),
        (own.clone(), salt2.clone(), vec![1; 255], "NEW_SETTINGS_INVALID"),
    ] {
        let call = update(
            types::InputCheckPasswordSrp::InputCheckPasswordEmpty,
            (first, second),
            hash,
            "",
        );
        assert_eq!(client.fail(call).await, (400, error.to_owned()));
    }
    let mut call = update(
        types::InputCheckPasswordSrp::InputCheckPasswordEmpty,
        (own, salt2),
        vec![1; 256],
        "",
    );
    call.new_settings.email = Some("a@example.org".into());
    assert_eq!(client.fail(call).await, (400, "EMAIL_INVALID".to_owned()));
}

/// Sets a password, with the same one as proof where there is one already.
pub(crate) async fn set(
    client: &mut Client,
    password: &str,
    hint: &str,
) -> Result<bool, (i32, String)> {
    let (salt1, salt2) = new_salts(client).await;
    let algorithm = Algorithm::new(Group::known(), salt1, salt2.clone());
    let own = algorithm.for_new_password(&mut Rng::from_seed([9; 32]));
    let known = client.ask(GetPassword {}).await.unwrap().current_algo_and_srp_b_and_srp_id;
    let proof = match known {
        Some(_) => prove(client, password).await,
        None => types::InputCheckPasswordSrp::InputCheckPasswordEmpty,
    };
    let salts = (own.salt1().to_vec(), salt2);
    let call = update(proof, salts, own.verifier(password).to_vec(), hint);
    client.ask(call).await.map_err(|error| (error.code, error.message))
}

fn update(
    password: types::InputCheckPasswordSrp,
    (salt1, salt2): (Vec<u8>, Vec<u8>),
    hash: Vec<u8>,
    hint: &str,
) -> functions::account::UpdatePasswordSettings {
    let algorithm = ctors::PasswordKdfAlgoSha256Sha256Pbkdf2Hmacsha512iter100000Sha256ModPow {
        salt1: salt1.into(),
        salt2: salt2.into(),
        g: 3,
        p: Group::known().prime().to_vec().into(),
    };
    let algorithm =
        types::PasswordKdfAlgo::PasswordKdfAlgoSha256Sha256Pbkdf2Hmacsha512iter100000Sha256ModPow(
            algorithm,
        );
    UpdatePasswordSettings {
        password,
        new_settings: account::PasswordInputSettings {
            new_algo_and_new_password_hash_and_hint: Some((algorithm, hash.into(), hint.into())),
            ..chappe_tl::blank()
        },
    }
}

async fn new_salts(client: &mut Client) -> (Vec<u8>, Vec<u8>) {
    salts(&client.ask(GetPassword {}).await.unwrap().new_algo)
}

fn salts(algorithm: &types::PasswordKdfAlgo) -> (Vec<u8>, Vec<u8>) {
    use types::PasswordKdfAlgo as A;
    let A::PasswordKdfAlgoSha256Sha256Pbkdf2Hmacsha512iter100000Sha256ModPow(algorithm) = algorithm
    else {
        panic!("an unknown algorithm")
    };
    assert_eq!((algorithm.g, &algorithm.p[..]), (3, &Group::known().prime()[..]));
    (algorithm.salt1.to_vec(), algorithm.salt2.to_vec())
}

/// What a client shows that was told this password.
pub(crate) async fn prove(client: &mut Client, password: &str) -> types::InputCheckPasswordSrp {
    let asked = client.ask(GetPassword {}).await.unwrap();
    let (algorithm, b, srp_id) = asked.current_algo_and_srp_b_and_srp_id.unwrap();
    let (salt1, salt2) = salts(&algorithm);
    let algorithm = Algorithm::new(Group::known(), salt1, salt2);
    let proof = algorithm.prove(password, &b, &mut Rng::from_seed([8; 32])).unwrap();
    let (a, m1) = (proof.a.to_vec().into(), proof.m1.to_vec().into());
    let proof = ctors::InputCheckPasswordSrp { srp_id, a, m1 };
    types::InputCheckPasswordSrp::InputCheckPasswordSrp(proof)
}

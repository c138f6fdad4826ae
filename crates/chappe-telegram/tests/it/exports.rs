//! Signing in by another key that is signed in.

use chappe_api::functions::auth::{ExportAuthorization, ImportAuthorization};
use chappe_api::functions::updates::GetState;
use chappe_api::types;

use crate::client::Home;
use crate::password::set;
use crate::sign_in::{enter, test_numbers};

/// Rule:   a sign-in is taken to a key made for any number of the data centre, once, by whoever has
///         its bytes, without the password; to a number that there is not it is not taken.
/// Source: QRK-42, 20-telegram-api-service §2.1, `auth.exportAuthorization`; §7.2.
#[tokio::test]
async fn sign_in_is_taken_to_another_key() {
    let mut home = Home::open(test_numbers()).await;
    let (mut first, mut second) = (home.client().await, home.client().await);
    let user = enter(&mut first, "9996620001").await;
    set(&mut first, "sesame", "").await.unwrap();
    for dc_id in [0, -1, 6, 10_006, i32::MIN] {
        let invalid = (400, "DC_ID_INVALID".to_owned());
        assert_eq!(first.fail(ExportAuthorization { dc_id }).await, invalid, "{dc_id}");
    }
    for dc_id in [1, 2, 10_002] {
        assert!(first.ask(ExportAuthorization { dc_id }).await.is_ok(), "{dc_id}");
    }
    let exported = first.ask(ExportAuthorization { dc_id: 4 }).await.unwrap();
    let import = |id, bytes: &[u8]| ImportAuthorization { id, bytes: bytes.to_vec().into() };
    let invalid = (400, "AUTH_BYTES_INVALID".to_owned());
    assert_eq!(second.fail(import(exported.id, &exported.bytes[1..])).await, invalid);
    let entered = second.ask(import(exported.id, &exported.bytes)).await.unwrap();
    let types::auth::Authorization::Authorization(entered) = entered else { panic!("nobody") };
    assert!(matches!(entered.user, types::User::User(found) if found.id == user.id));
    assert!(second.ask(GetState {}).await.is_ok());
    assert_eq!(second.fail(import(exported.id, &exported.bytes)).await, invalid, "once");
    let unregistered = (401, "AUTH_KEY_UNREGISTERED".to_owned());
    let mut third = home.client().await;
    assert_eq!(third.fail(ExportAuthorization { dc_id: 4 }).await, unregistered);
}

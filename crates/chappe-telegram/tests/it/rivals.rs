//! Calls beside other transactions on the same rows.

use std::time::Duration;

use chappe_api::functions::account::UpdateProfile;
use chappe_api::functions::updates::GetState;
use chappe_backend::sql::sql;

use crate::client::Client;
use crate::sign_in::{enter, test_numbers};

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

//! Names, contacts and bots.

use chappe_api::functions::account::{CheckUsername, UpdateProfile, UpdateUsername};
use chappe_api::functions::auth::ImportBotAuthorization;
use chappe_api::functions::contacts::{
    AddContact, DeleteContacts, GetContacts, ImportContacts, ResolvePhone, ResolveUsername,
};
use chappe_api::functions::messages::SendMedia;
use chappe_api::functions::updates::GetState;
use chappe_api::functions::users::GetUsers;
use chappe_api::types::contacts::Contacts;
use chappe_api::{ctors, types};
use chappe_telegram::{AdminError, SignUp};

use crate::client::{Client, Home};
use crate::sign_in::{enter, test_numbers};

/// Rule:   a username leads to its owner whatever its case, until it is given up; nobody else gets
///         it meanwhile; it has letters, digits and single underscores between them.
/// Source: 20-telegram-api-service §2.1, `account.updateUsername`, `checkUsername`,
///         `contacts.resolveUsername`.
#[tokio::test]
async fn username_leads_to_its_owner() {
    let mut home = Home::open(test_numbers()).await;
    let (mut ada, mut bob) = (home.client().await, home.client().await);
    let of_ada = enter(&mut ada, "9996620001").await;
    enter(&mut bob, "9996620002").await;
    let name = |username: &str| UpdateUsername { username: username.into() };
    let check = |username: &str| CheckUsername { username: username.into() };
    let find = |username: &str| ResolveUsername { username: username.into(), referer: None };
    for wrong in ["", "abc", "1abc", "_abc", "abc_", "ab__c", "ab-cd", "Zoë_", &"x".repeat(33)] {
        let invalid = (400, "USERNAME_INVALID".to_owned());
        assert_eq!(ada.fail(check(wrong)).await, invalid, "{wrong:?}");
    }
    assert!(ada.ask(check("Ada_L")).await.unwrap());
    let types::User::User(user) = ada.ask(name("Ada_L")).await.unwrap() else { panic!("nobody") };
    assert_eq!(user.username.unwrap().as_str(), Ok("Ada_L"));
    assert!(!bob.ask(check("ada_l")).await.unwrap());
    assert_eq!(bob.fail(name("ADA_L")).await, (400, "USERNAME_OCCUPIED".to_owned()));
    assert_eq!(ada.fail(name("Ada_L")).await, (400, "USERNAME_NOT_MODIFIED".to_owned()));
    let found = bob.ask(find("aDa_l")).await.unwrap();
    assert!(matches!(&found.users[..], [types::User::User(user)] if user.id == of_ada.id));
    ada.ask(name("")).await.unwrap();
    assert_eq!(bob.fail(find("ada_l")).await, (400, "USERNAME_NOT_OCCUPIED".to_owned()));
    assert!(bob.ask(name("ada_l")).await.is_ok());
}

/// Rule:   names change as their owner says, within bounds; what is not named stays.
/// Source: 20-telegram-api-service §2.1, `account.updateProfile`.
#[tokio::test]
async fn profile_is_what_its_owner_says() {
    let (_home, mut client) = Client::stranger(test_numbers()).await;
    enter(&mut client, "9996620001").await;
    let first_name = Some("Ada".into());
    let call = UpdateProfile { first_name, last_name: None, about: Some("Engines".into()) };
    let types::User::User(user) = client.ask(call).await.unwrap() else { panic!("nobody") };
    assert_eq!(user.first_name.unwrap().as_str(), Ok("Ada"));
    assert_eq!(user.last_name.unwrap().as_str(), Ok("0001"));
    let long = "x".repeat(141);
    for (first_name, about, error) in
        [(Some(""), None, "FIRSTNAME_INVALID"), (None, Some(&*long), "ABOUT_TOO_LONG")]
    {
        let (first_name, about) = (first_name.map(Into::into), about.map(Into::into));
        let call = UpdateProfile { first_name, last_name: None, about };
        assert_eq!(client.fail(call).await, (400, error.to_owned()));
    }
}

/// Rule:   whom one knows one sees under the name that one gave; the number of somebody is for those
///         who know each other; the list is told anew only when it changed.
/// Source: 20-telegram-api-service §2.1, `contacts.getContacts`, `importContacts`, `addContact`,
///         `deleteContacts`.
#[tokio::test]
async fn contact_is_seen_under_its_name() {
    let mut home = Home::open(test_numbers()).await;
    let (mut ada, mut bob) = (home.client().await, home.client().await);
    let of_ada = enter(&mut ada, "9996620001").await;
    let of_bob = enter(&mut bob, "9996620002").await;
    let (mut ada_too, mut bob_too) = (ada.beside(&home, 8).await, bob.beside(&home, 9).await);
    ada_too.ask(GetState {}).await.unwrap();
    bob_too.ask(GetState {}).await.unwrap();
    let entry = |client_id, phone: &str, first: &str| {
        let (phone, first_name, last_name) = (phone.into(), first.into(), "".into());
        types::InputContact { client_id, phone, first_name, last_name, note: None }
    };
    let contacts =
        vec![entry(7, "+99966 2 0002", "Bobby"), entry(8, "15550100001", "X"), entry(9, "x", "Y")];
    let imported = ada.ask(ImportContacts { contacts }).await.unwrap();
    assert!(matches!(
        &imported.imported[..],
        [one] if (one.user_id, one.client_id) == (of_bob.id, 7)
    ));
    assert_eq!(told_of(&mut ada_too).await, of_bob.id);
    let list = |hash| GetContacts { hash };
    let Contacts::Contacts(known) = ada.ask(list(0)).await.unwrap() else { panic!("no list") };
    assert!(matches!(&known.contacts[..], [one] if one.user_id == of_bob.id && !one.mutual));
    let [types::User::User(seen)] = &known.users[..] else { panic!("nobody") };
    assert!(seen.contact && !seen.mutual_contact && seen.phone.is_none());
    assert_eq!(seen.first_name.as_ref().unwrap().as_str(), Ok("Bobby"));

    let found = bob.ask(ResolvePhone { phone: "9996620001".into() }).await.unwrap();
    let [types::User::User(seen)] = &found.users[..] else { panic!("nobody") };
    let (user_id, access_hash) = (seen.id, seen.access_hash.unwrap());
    let input = types::InputUser::InputUser(ctors::InputUser { user_id, access_hash });
    let add = |first: &str| AddContact {
        id: input.clone(),
        first_name: first.into(),
        ..chappe_tl::blank()
    };
    assert_eq!(bob.fail(add(" ")).await, (400, "CONTACT_NAME_EMPTY".to_owned()));
    bob.ask(add("Countess")).await.unwrap();
    assert_eq!(told_of(&mut bob_too).await, of_ada.id);
    let myself = AddContact { id: types::InputUser::InputUserSelf, ..add("Me") };
    assert_eq!(bob.fail(myself).await, (400, "CONTACT_ID_INVALID".to_owned()));
    let users = bob.ask(GetUsers { id: vec![input.clone()] }).await.unwrap();
    let [types::User::User(seen)] = &users[..] else { panic!("nobody") };
    assert!(seen.mutual_contact && seen.id == of_ada.id);
    assert_eq!(seen.phone.as_ref().unwrap().as_str(), Ok("9996620001"));

    bob.ask(DeleteContacts { id: vec![input] }).await.unwrap();
    assert_eq!(told_of(&mut bob_too).await, of_ada.id);
    assert!(bob.take_pushed().is_empty());
    let Contacts::Contacts(known) = bob.ask(list(0)).await.unwrap() else { panic!("no list") };
    assert!(known.contacts.is_empty());
}

/// Who is known by another name now, as another device hears it.
async fn told_of(client: &mut Client) -> i64 {
    let told = client.pushed().await;
    let [types::Update::UpdateUser(told)] = &told.updates[..] else { panic!("another update") };
    told.user_id
}

/// Rule:   a bot signs in by its token alone, is shown as one, and is found by its name.
/// Source: 20-telegram-api-service §2.1, `auth.importBotAuthorization`; ACC-10.
#[tokio::test]
async fn bot_signs_in_by_its_token() {
    let mut config = test_numbers();
    config.sign_up = SignUp::Closed;
    let mut home = Home::open(config).await;
    let mut admin = home.admin().await;
    let token = admin.create_bot("Echo", "echo_bot", 1_800_000_000).await.unwrap();
    assert!(matches!(
        admin.create_bot("Echo", "Echo_Bot", 1_800_000_000).await,
        Err(AdminError::UsernameTaken(_))
    ));
    let mut client = home.client().await;
    let call = |token: &str| ImportBotAuthorization {
        flags: 0,
        api_id: 1,
        api_hash: "any".into(),
        bot_auth_token: token.into(),
    };
    let invalid = (400, "ACCESS_TOKEN_INVALID".to_owned());
    let cut = &token[..token.len() - 1];
    for wrong in ["", "1000000", "x:y", "1000001:00", cut, &format!("{token}0")] {
        assert_eq!(client.fail(call(wrong)).await, invalid, "{wrong:?}");
    }
    let entered = client.ask(call(&token)).await.unwrap();
    let types::auth::Authorization::Authorization(entered) = entered else { panic!("nobody") };
    let types::User::User(bot) = entered.user else { panic!("nobody") };
    assert!(bot.self_ && bot.bot_info_version.is_some() && bot.phone.is_none());
    assert_eq!(bot.username.unwrap().as_str(), Ok("echo_bot"));
}

/// Rule:   an operator makes accounts that can sign in, and sees them; nothing is made twice.
/// Source: ACC-04, ACC-10.
#[tokio::test]
async fn operator_makes_accounts() {
    let mut config = test_numbers();
    config.sign_up = SignUp::Closed;
    let mut home = Home::open(config).await;
    let admin = home.admin().await;
    let add = async |phone, username| admin.add_user(phone, ("Ada", "L"), username, 1).await;
    assert_eq!(add("+99966 20001", Some("ada_l")).await.unwrap(), 1_000_000);
    assert!(matches!(add("9996620001", None).await, Err(AdminError::PhoneTaken(_))));
    assert!(matches!(add("9996620002", Some("ADA_L")).await, Err(AdminError::UsernameTaken(_))));
    assert!(matches!(add("9996620002", Some("x")).await, Err(AdminError::Username(_))));
    assert!(matches!(add("x", None).await, Err(AdminError::Phone(_))));
    let users = admin.users(0, 10).await.unwrap();
    assert!(matches!(&users[..], [one] if one.username.as_deref() == Some("ada_l")));
    let mut client = home.client().await;
    assert_eq!(enter(&mut client, "9996620001").await.id, 1_000_000);
}

/// Rule:   an account asks for the owners of so many numbers within an hour, by its address book, by
///         single numbers and by cards together; somebody who is twice in a book is known once, by
///         the name that comes last.
/// Source: 20-telegram-api-service §2.1, `contacts.importContacts`, `contacts.resolvePhone`,
///         `FLOOD_WAIT_X`.
#[tokio::test]
async fn directory_is_not_read_from_end_to_end() {
    let mut config = test_numbers();
    config.lookups_max = 10;
    let mut home = Home::open(config).await;
    let (mut ada, mut bob) = (home.client().await, home.client().await);
    enter(&mut ada, "9996620001").await;
    let of_bob = enter(&mut bob, "9996620002").await.id;
    let contact = |client_id: i64, phone: &str, name: &str| types::InputContact {
        client_id,
        phone: phone.into(),
        first_name: name.into(),
        ..chappe_tl::blank()
    };
    let mut contacts = vec![contact(1, "9996620002", "Bob"), contact(2, "+99966 2 0002", "Bobby")];
    contacts.extend((3..9).map(|place| contact(place, &format!("1555010000{place}"), "Nobody")));
    let imported = ada.ask(ImportContacts { contacts }).await.unwrap();
    let whom: Vec<_> = imported.imported.iter().map(|one| (one.user_id, one.client_id)).collect();
    assert_eq!(whom, [(of_bob, 1), (of_bob, 2)]);
    let [types::User::User(seen)] = &imported.users[..] else { panic!("not once") };
    assert_eq!(seen.first_name.as_ref().unwrap().as_str(), Ok("Bobby"));

    let waits = |(code, message): (i32, String)| {
        assert!(code == 420 && message.starts_with("FLOOD_WAIT_"), "{code} {message}");
    };
    let resolve = || ResolvePhone { phone: "9996620002".into() };
    let many = || ImportContacts {
        contacts: (0..3).map(|place| contact(place, "15550100009", "N")).collect(),
    };
    waits(ada.fail(many()).await);
    ada.ask(resolve()).await.unwrap();
    ada.ask(resolve()).await.unwrap();
    waits(ada.fail(resolve()).await);
    let card = ctors::InputMediaContact {
        phone_number: "9996620002".into(),
        first_name: "B".into(),
        ..chappe_tl::blank()
    };
    let show = SendMedia {
        peer: types::InputPeer::InputPeerSelf,
        media: types::InputMedia::InputMediaContact(Box::new(card)),
        random_id: 1,
        ..chappe_tl::blank()
    };
    waits(ada.fail(show).await);
    bob.ask(ResolvePhone { phone: "9996620001".into() }).await.unwrap();
}

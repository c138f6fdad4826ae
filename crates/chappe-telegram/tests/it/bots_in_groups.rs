//! Bots among people.

use std::time::Duration;

use chappe_api::ctors;
use chappe_api::functions::messages::{GetBotCallbackAnswer, SendMessage};
use chappe_api::functions::updates::GetState;
use chappe_api::functions::users::GetUsers;
use chappe_api::types::{self, Update};

use crate::bots::{Pair, inline, press, user_of, with};
use crate::client::Client;
use crate::groups::{create, number};
use crate::messages::{find, new_message, say, updates};
use crate::sign_in::{enter, test_numbers};

/// Rule:   whoever is in a group with a bot the bot names without a hash, as if they had written to
///         it; it writes to them no sooner for that.
/// Source: API-10, UPD-34, 20-telegram-api-service §2.1, `PEER_ID_INVALID`.
#[tokio::test]
async fn bot_knows_whom_it_is_in_a_group_with() {
    let (mut pair, mut bob, of_bob) = open().await;
    let unnamed = || ctors::InputUser { user_id: of_bob, access_hash: 0 };
    let asked = || GetUsers { id: vec![types::InputUser::InputUser(unnamed())] };
    let users = pair.bot.ask(asked()).await.unwrap();
    assert!(matches!(&users[..], [types::User::UserEmpty(_)]));
    let chat_id = together(&mut pair, &mut bob).await;
    let users = pair.bot.ask(asked()).await.unwrap();
    assert!(matches!(&users[..], [types::User::User(user)] if user.id == of_bob));
    let to_bob = ctors::InputPeerUser { user_id: of_bob, access_hash: 0 };
    let to_bob = types::InputPeer::InputPeerUser(to_bob);
    let peer = (400, "PEER_ID_INVALID".to_owned());
    assert_eq!(pair.bot.fail(say(&to_bob, "hello", 1)).await, peer);
    pair.bot.ask(say(&group(chat_id), "hello", 2)).await.unwrap();
}

/// Rule:   a bot that is told of a button that was pressed in a group is told of the group with it.
/// Source: API-09, 20-telegram-api-service §2.1, `messages.getBotCallbackAnswer`.
#[tokio::test]
async fn pressed_button_comes_with_its_group() {
    let (mut pair, mut bob, of_bob) = open().await;
    let chat_id = together(&mut pair, &mut bob).await;
    let call: SendMessage = with(&group(chat_id), "choose", 1, &inline(vec![press(b"yes")]));
    pair.bot.ask(call).await.unwrap();
    let (heard, ..) = new_message(&bob.pushed().await.updates[0]);
    let pressed = GetBotCallbackAnswer {
        game: false,
        peer: group(chat_id),
        msg_id: heard.id,
        data: Some(b"yes".to_vec().into()),
        password: None,
    };
    let timeout = (400, "BOT_RESPONSE_TIMEOUT".to_owned());
    assert_eq!(bob.fail(pressed).await, timeout);
    let told = loop {
        let told = pair.bot.pushed().await;
        if matches!(&told.updates[..], [Update::UpdateBotCallbackQuery(_)]) {
            break told;
        }
    };
    assert!(matches!(&told.chats[..], [types::Chat::Chat(chat)] if chat.id == chat_id));
    assert!(matches!(&told.users[..], [types::User::User(user)] if user.id == of_bob));
}

/// A bot that is not waited for long, Ada, and Bob, who has nothing to do with them yet.
async fn open() -> (Pair, Client, i64) {
    let mut config = test_numbers();
    config.callback_wait = Duration::from_millis(300);
    let mut pair = Pair::new(config).await;
    let mut bob = pair.home.client().await;
    let of_bob = enter(&mut bob, &number(2)).await.id;
    bob.ask(GetState {}).await.unwrap();
    (pair, bob, of_bob)
}

/// Ada makes a group of the three.
async fn together(pair: &mut Pair, bob: &mut Client) -> i64 {
    let to_bob = find(&mut pair.ada, &number(2)).await;
    let users = vec![user_of(&to_bob), user_of(&pair.to_bot)];
    let made = updates(pair.ada.ask(create(users, "Three")).await.unwrap().updates);
    bob.pushed().await;
    let [types::Chat::Chat(chat)] = &made.chats[..] else { panic!("no group") };
    chat.id
}

fn group(chat_id: i64) -> types::InputPeer {
    types::InputPeer::InputPeerChat(ctors::InputPeerChat { chat_id })
}

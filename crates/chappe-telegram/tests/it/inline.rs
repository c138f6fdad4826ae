//! Inline queries: what a bot offers to whoever types its name, and what is sent of that.

use std::time::Duration;

use chappe_api::ctors;
use chappe_api::functions::messages::{
    EditChatDefaultBannedRights, EditInlineBotMessage, GetBotCallbackAnswer, GetInlineBotResults,
    SendInlineBotResult, SetBotCallbackAnswer, SetInlineBotResults,
};
use chappe_api::functions::updates::GetState;
use chappe_api::types::{self, InputBotInlineMessageId, ReplyMarkup, Update};

use crate::bots::{Pair, bot, inline, press, user_of};
use crate::client::Client;
use crate::groups::{create, number};
use crate::messages::{find, new_message, say, updates};
use crate::sign_in::{enter, test_numbers};

/// Rule:   a query goes to the bot that is named, and its answer to who asked; who asks the same
///         again within the time that the bot gave is answered without it, and what is private to
///         nobody else. A bot that answers nothing is not waited for.
/// Source: 20-telegram-api-service §2.1, `messages.getInlineBotResults`,
///         `messages.setInlineBotResults`.
#[tokio::test]
async fn query_is_answered_by_the_bot_that_is_named() {
    let mut pair = open().await;
    let mut other = bot(&mut pair.home, "other_bot").await;
    let mut bob = pair.home.client().await;
    enter(&mut bob, "9996620002").await;
    let to_bot = crate::bots::resolve(&mut bob, "echo_bot").await;
    let by_bob = |text: &str| GetInlineBotResults { bot: user_of(&to_bot), ..blank_query(text) };

    let (ada, bot) = (&mut pair.ada, &mut pair.bot);
    let named = user_of(&pair.to_bot);
    let asked = || GetInlineBotResults { bot: named.clone(), ..blank_query("cats") };
    let (found, id) = tokio::join!(ada.ask(asked()), async {
        let heard = inline_query(bot).await;
        assert_eq!((heard.user_id, heard.query), (pair.of_ada, "cats".into()));
        let invalid = (400, "QUERY_ID_INVALID".to_owned());
        assert_eq!(other.fail(results(heard.query_id, &["a"])).await, invalid);
        for (ids, error) in [
            (vec!["a", "a"], "RESULT_ID_DUPLICATE"),
            (vec![""], "RESULT_ID_INVALID"),
            (vec!["x"; 51], "RESULTS_TOO_MUCH"),
        ] {
            let call = results(heard.query_id, &ids);
            assert_eq!(bot.fail(call).await, (400, error.to_owned()));
        }
        let call = SetInlineBotResults {
            next_offset: Some("2".into()),
            cache_time: 300,
            private: true,
            ..results(heard.query_id, &["a", "b"])
        };
        assert!(bot.ask(call).await.unwrap());
        heard.query_id
    });
    let found = found.unwrap();
    assert_eq!((found.query_id, found.results.len(), found.cache_time), (id, 2, 300));
    assert_eq!(found.next_offset.unwrap(), "2");
    assert!(matches!(&found.results[0], types::BotInlineResult::BotInlineResult(result)
        if result.id == "a" && result.title.as_ref().unwrap() == "Title"));
    assert_eq!(ada.ask(asked()).await.unwrap().query_id, id, "from memory");
    let more = GetInlineBotResults { offset: "2".into(), ..asked() };
    let timeout = (400, "BOT_RESPONSE_TIMEOUT".to_owned());
    assert_eq!(ada.fail(more).await, timeout);
    assert_eq!(inline_query(bot).await.offset, "2");
    assert_eq!(bob.fail(by_bob("cats")).await, timeout, "it was for another");
    let late = inline_query(bot).await.query_id;
    let invalid = (400, "QUERY_ID_INVALID".to_owned());
    assert_eq!(bot.fail(results(late, &["a"])).await, invalid);
    let chosen = SendInlineBotResult { query_id: id, ..choice(&to_bot, 0, "a", 1) };
    assert_eq!(bob.fail(chosen).await, (400, "INLINE_RESULT_EXPIRED".to_owned()));
}

/// Rule:   what is chosen becomes a message of who chose, via the bot, which is told and may edit
///         it if it has buttons; those are answered by the bot, whoever presses them.
/// Source: 20-telegram-api-service §2.1, `messages.sendInlineBotResult`,
///         `messages.editInlineBotMessage`, `messages.getBotCallbackAnswer`.
#[tokio::test]
async fn chosen_result_is_sent_via_its_bot() {
    let mut pair = open().await;
    let mut other = bot(&mut pair.home, "other_bot").await;
    let mut bob = pair.home.client().await;
    enter(&mut bob, "9996620002").await;
    bob.ask(GetState {}).await.unwrap();
    let to_bob = find(&mut pair.ada, "9996620002").await;
    let asked = query(&pair, "x");
    let bot = &mut pair.bot;
    let (found, ()) = tokio::join!(pair.ada.ask(asked), async {
        let heard = inline_query(bot).await;
        bot.ask(results(heard.query_id, &["a"])).await.unwrap();
    });
    let id = found.unwrap().query_id;
    let wrong = choice(&to_bob, id, "b", 1);
    assert_eq!(pair.ada.fail(wrong).await, (400, "RESULT_ID_INVALID".to_owned()));
    let expired = (400, "INLINE_RESULT_EXPIRED".to_owned());
    assert_eq!(pair.ada.fail(choice(&to_bob, id ^ 1, "a", 1)).await, expired);
    let sent = updates(pair.ada.ask(choice(&to_bob, id, "a", 1)).await.unwrap());
    let (mine, ..) = new_message(&sent.updates[1]);
    let (theirs, ..) = new_message(&bob.pushed().await.updates[0]);
    for message in [&mine, &theirs] {
        assert_eq!(message.message, "Text of a");
        assert!(message.via_bot_id.is_some() && message.reply_markup.is_some());
    }
    let told = loop {
        let update = bot.pushed().await.updates.remove(0);
        if let Update::UpdateBotInlineSend(told) = update {
            break told;
        }
    };
    assert!(told.id == "a" && told.query == "x" && told.user_id == pair.of_ada);
    let msg_id = told.msg_id.unwrap();

    let edit = |id: InputBotInlineMessageId, text: &str| EditInlineBotMessage {
        id,
        message: Some(text.into()),
        reply_markup: Some(Box::new(inline(vec![press(b"again")]))),
        ..chappe_tl::blank()
    };
    let invalid = (400, "MESSAGE_ID_INVALID".to_owned());
    assert_eq!(other.fail(edit(msg_id.clone(), "mine")).await, invalid);
    let InputBotInlineMessageId::InputBotInlineMessageId64(mut next) = msg_id.clone() else {
        panic!("another form")
    };
    next.id += 1;
    let next = InputBotInlineMessageId::InputBotInlineMessageId64(next);
    assert_eq!(bot.fail(edit(next, "another")).await, invalid);
    assert!(bot.ask(edit(msg_id, "edited")).await.unwrap());
    for client in [&mut pair.ada, &mut bob] {
        let Update::UpdateEditMessage(edit) = client.pushed().await.updates.remove(0) else {
            panic!("no edit")
        };
        let types::Message::Message(message) = edit.message else { panic!("no message") };
        assert!(message.message == "edited" && message.via_bot_id.is_some());
        assert!(matches!(message.reply_markup.as_deref(), Some(ReplyMarkup::ReplyInlineMarkup(_))));
    }

    let to_ada = find(&mut bob, "9996620001").await;
    let pressed = GetBotCallbackAnswer {
        game: false,
        peer: to_ada,
        msg_id: theirs.id,
        data: Some(b"again".to_vec().into()),
        password: None,
    };
    let (answer, ()) = tokio::join!(bob.ask(pressed), async {
        let query_id = loop {
            let update = bot.pushed().await.updates.remove(0);
            if let Update::UpdateInlineBotCallbackQuery(query) = update {
                break query.query_id;
            }
        };
        let said = SetBotCallbackAnswer {
            alert: false,
            query_id,
            message: None,
            url: None,
            cache_time: 0,
        };
        bot.ask(said).await.unwrap();
    });
    assert!(answer.unwrap().message.is_none());
}

/// Rule:   a bot that has the message itself hears of its edit like anybody: its answer says nothing
///         of it.
/// Source: UPD-01, UPD-03, 20-telegram-api-service §2.1, `messages.editInlineBotMessage`.
#[tokio::test]
async fn edit_of_a_chosen_result_is_in_the_line_of_its_bot() {
    let mut pair = open().await;
    let to_bot = pair.to_bot.clone();
    let id = offered(&mut pair).await;
    pair.ada.ask(choice(&to_bot, id, "a", 1)).await.unwrap();
    let (mut before, mut named) = (None, None);
    while before.is_none() || named.is_none() {
        match pair.bot.pushed().await.updates.remove(0) {
            Update::UpdateNewMessage(new) => before = Some(new.pts),
            Update::UpdateBotInlineSend(sent) => named = sent.msg_id,
            _ => {}
        }
    }
    let message = Some("edited".into());
    let edit = EditInlineBotMessage { id: named.unwrap(), message, ..chappe_tl::blank() };
    assert!(pair.bot.ask(edit).await.unwrap());
    let told = pair.bot.pushed().await;
    let [Update::UpdateEditMessage(edit)] = &told.updates[..] else { panic!("no edit") };
    assert_eq!((edit.pts, edit.pts_count), (before.unwrap() + 1, 1));
}

/// Rule:   where members may send nothing of inline bots, they do not.
/// Source: 20-telegram-api-service §2.2, `messages.editChatDefaultBannedRights`.
#[tokio::test]
async fn inline_results_are_forbidden_where_they_are() {
    let mut pair = open().await;
    let mut bob = pair.home.client().await;
    enter(&mut bob, &number(2)).await;
    let (to_ada, myself) = (find(&mut bob, &number(1)).await, types::InputPeer::InputPeerSelf);
    let made = bob.ask(create(vec![user_of(&to_ada)], "Two")).await.unwrap();
    let types::Chat::Chat(chat) = &updates(made.updates).chats[0] else { panic!("no group") };
    let chat = ctors::InputPeerChat { chat_id: chat.id };
    let peer = types::InputPeer::InputPeerChat(chat);
    let banned_rights = types::ChatBannedRights { send_inline: true, ..chappe_tl::blank() };
    bob.ask(EditChatDefaultBannedRights { peer: peer.clone(), banned_rights }).await.unwrap();
    let id = offered(&mut pair).await;
    let forbidden = (403, "CHAT_SEND_INLINE_FORBIDDEN".to_owned());
    assert_eq!(pair.ada.fail(choice(&peer, id, "a", 1)).await, forbidden);
    pair.ada.ask(choice(&myself, id, "a", 1)).await.unwrap();
    pair.ada.ask(say(&peer, "without a bot", 2)).await.unwrap();
}

/// Rule:   only a bot whose operator wants it answers inline queries, and shows that it does.
/// Source: 20-telegram-api-service §2.1, `BOT_INLINE_DISABLED`.
#[tokio::test]
async fn bot_answers_inline_if_its_operator_wants_it() {
    let mut pair = Pair::new(test_numbers()).await;
    let asked = query(&pair, "x");
    assert_eq!(pair.ada.fail(asked).await, (400, "BOT_INLINE_DISABLED".to_owned()));
    let admin = pair.home.admin().await;
    assert!(admin.set_inline("nobody_bot", Some("x")).await.is_err());
    admin.set_inline("Echo_Bot", Some("Search cats")).await.unwrap();
    let call = chappe_api::functions::users::GetUsers { id: vec![user_of(&pair.to_bot)] };
    let users = pair.ada.ask(call).await.unwrap();
    assert!(matches!(&users[..], [types::User::User(user)]
        if user.bot_inline_placeholder.as_ref().unwrap() == "Search cats"));
    let myself = GetInlineBotResults { bot: types::InputUser::InputUserSelf, ..query(&pair, "x") };
    assert_eq!(pair.ada.fail(myself).await, (400, "BOT_INVALID".to_owned()));
}

/// A bot that answers inline queries, not waited for long.
async fn open() -> Pair {
    let mut config = test_numbers();
    config.inline_wait = Duration::from_millis(700);
    let pair = Pair::new(config).await;
    pair.home.admin().await.set_inline("echo_bot", Some("Search")).await.unwrap();
    pair
}

/// What the bot offers to Ada.
async fn offered(pair: &mut Pair) -> i64 {
    let asked = query(pair, "x");
    let bot = &mut pair.bot;
    let (found, ()) = tokio::join!(pair.ada.ask(asked), async {
        let heard = inline_query(bot).await;
        bot.ask(results(heard.query_id, &["a"])).await.unwrap();
    });
    found.unwrap().query_id
}

fn query(pair: &Pair, text: &str) -> GetInlineBotResults {
    GetInlineBotResults { bot: user_of(&pair.to_bot), ..blank_query(text) }
}

fn blank_query(text: &str) -> GetInlineBotResults {
    GetInlineBotResults {
        bot: types::InputUser::InputUserEmpty,
        peer: types::InputPeer::InputPeerSelf,
        geo_point: None,
        query: text.into(),
        offset: "".into(),
    }
}

fn results(query_id: i64, ids: &[&str]) -> SetInlineBotResults {
    let result = |id: &&str| {
        let message = ctors::InputBotInlineMessageText {
            no_webpage: false,
            invert_media: false,
            message: format!("Text of {id}").as_str().into(),
            entities: None,
            reply_markup: Some(Box::new(inline(vec![press(b"x")]))),
        };
        types::InputBotInlineResult::InputBotInlineResult(Box::new(ctors::InputBotInlineResult {
            id: (*id).into(),
            r#type: "article".into(),
            title: Some("Title".into()),
            description: None,
            url: None,
            thumb: None,
            content: None,
            send_message: types::InputBotInlineMessage::InputBotInlineMessageText(message),
        }))
    };
    SetInlineBotResults {
        gallery: false,
        private: false,
        query_id,
        results: ids.iter().map(result).collect(),
        cache_time: 0,
        next_offset: None,
        switch_pm: None,
        switch_webview: None,
    }
}

fn choice(peer: &types::InputPeer, query_id: i64, id: &str, random_id: i64) -> SendInlineBotResult {
    SendInlineBotResult {
        peer: peer.clone(),
        random_id,
        query_id,
        id: id.into(),
        ..chappe_tl::blank()
    }
}

/// The next query that a bot is asked.
async fn inline_query(bot: &mut Client) -> ctors::UpdateBotInlineQuery {
    loop {
        for update in bot.pushed().await.updates {
            if let Update::UpdateBotInlineQuery(query) = update {
                return *query;
            }
        }
    }
}

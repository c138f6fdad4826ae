//! What bots say of themselves, their keyboards, and buttons that are pressed.

use chappe_api::ctors;
use chappe_api::functions::auth::ImportBotAuthorization;
use chappe_api::functions::bots::{
    GetBotCommands, GetBotInfo, ResetBotCommands, SetBotCommands, SetBotInfo,
};
use chappe_api::functions::contacts::ResolveUsername;
use chappe_api::functions::messages::{
    EditMessage, GetBotCallbackAnswer, GetHistory, SendMessage, SetBotCallbackAnswer, StartBot,
};
use chappe_api::functions::updates::GetState;
use chappe_api::functions::users::GetFullUser;
use chappe_api::types::{self, InlineButtonType, ReplyMarkup, Update};
use chappe_telegram::Config;
use std::time::Duration;

use crate::client::{Client, Home};
use crate::messages::{new_message, say, updates};
use crate::sign_in::{enter, test_numbers};

/// A bot that is signed in, and a person.
pub(crate) struct Pair {
    pub(crate) home: Home,
    pub(crate) bot: Client,
    pub(crate) ada: Client,
    pub(crate) of_ada: i64,
    /// The bot, as the person names it.
    pub(crate) to_bot: types::InputPeer,
}

impl Pair {
    pub(crate) async fn new(config: Config) -> Self {
        let mut home = Home::open(config).await;
        let bot = bot(&mut home, "echo_bot").await;
        let mut ada = home.client().await;
        let of_ada = enter(&mut ada, "9996620001").await.id;
        ada.ask(GetState {}).await.unwrap();
        let to_bot = resolve(&mut ada, "echo_bot").await;
        Self { home, bot, ada, of_ada, to_bot }
    }

    /// The person writes first; how the bot names them.
    pub(crate) async fn begin(&mut self) -> types::InputPeer {
        self.ada.ask(say(&self.to_bot, "/start", 1)).await.unwrap();
        let pushed = self.bot.pushed().await;
        let (message, ..) = new_message(&pushed.updates[0]);
        assert_eq!(message.message, "/start");
        let user = pushed.users.iter().find_map(|user| match user {
            types::User::User(user) if user.id == self.of_ada => Some(user),
            _ => None,
        });
        let (user_id, access_hash) = (self.of_ada, user.unwrap().access_hash.unwrap());
        types::InputPeer::InputPeerUser(ctors::InputPeerUser { user_id, access_hash })
    }
}

/// Rule:   a bot has lists of commands for whom they are and by language; whoever asks for the bot
///         is shown the narrowest, and whoever has talked with it is told of changes.
/// Source: 20-telegram-api-service §2.1, `bots.setBotCommands`, `users.getFullUser`.
#[tokio::test]
async fn commands_are_shown_to_whom_they_are_for() {
    let mut pair = Pair::new(test_numbers()).await;
    let of_ada = pair.begin().await;
    let default = || types::BotCommandScope::BotCommandScopeDefault;
    let for_ada =
        types::BotCommandScope::BotCommandScopePeer(ctors::BotCommandScopePeer { peer: of_ada });
    let set = |scope, lang: &str, names: &[&str]| SetBotCommands {
        scope,
        lang_code: lang.into(),
        commands: names.iter().map(|name| command(name, "Does it.")).collect(),
    };
    assert_eq!(shown_commands(&mut pair).await, Vec::<String>::new());
    pair.bot.ask(set(default(), "", &["start", "help_2"])).await.unwrap();
    let told = pair.ada.pushed().await;
    let [Update::UpdateBotCommands(told)] = &told.updates[..] else { panic!("not told") };
    assert_eq!(told.commands.len(), 2);
    assert_eq!(shown_commands(&mut pair).await, ["start", "help_2"]);
    pair.bot.ask(set(default(), "de", &["hilfe"])).await.unwrap();
    assert_eq!(shown_commands(&mut pair).await, ["start", "help_2"]);
    let users = types::BotCommandScope::BotCommandScopeUsers;
    pair.bot.ask(set(users.clone(), "", &["users"])).await.unwrap();
    assert_eq!(shown_commands(&mut pair).await, ["users"]);
    pair.bot.ask(set(for_ada, "", &["ada"])).await.unwrap();
    assert_eq!(shown_commands(&mut pair).await, ["ada"]);
    let list = || GetBotCommands { scope: default(), lang_code: "de".into() };
    let listed = pair.bot.ask(list()).await.unwrap();
    assert!(matches!(&listed[..], [one] if one.command == "hilfe"));
    pair.bot.ask(ResetBotCommands { scope: default(), lang_code: "de".into() }).await.unwrap();
    assert_eq!(pair.bot.ask(list()).await.unwrap().len(), 0);

    for (name, description, error) in [
        ("", "x", "BOT_COMMAND_INVALID"),
        ("Start", "x", "BOT_COMMAND_INVALID"),
        ("/start", "x", "BOT_COMMAND_INVALID"),
        (&*"a".repeat(33), "x", "BOT_COMMAND_INVALID"),
        ("start", "", "BOT_COMMAND_DESCRIPTION_INVALID"),
        ("start", &*"x".repeat(257), "BOT_COMMAND_DESCRIPTION_INVALID"),
    ] {
        let commands = vec![command(name, description)];
        let call = SetBotCommands { scope: default(), lang_code: "".into(), commands };
        assert_eq!(pair.bot.fail(call).await, (400, error.to_owned()), "{name:?}");
    }
    let many = vec!["x"; 101];
    let too_much = (400, "BOT_COMMANDS_TOO_MUCH".to_owned());
    assert_eq!(pair.bot.fail(set(default(), "", &many)).await, too_much);
    let language = (400, "LANG_CODE_INVALID".to_owned());
    assert_eq!(pair.bot.fail(set(default(), "deu", &["x"])).await, language);
    let required = (400, "USER_BOT_REQUIRED".to_owned());
    assert_eq!(pair.ada.fail(set(default(), "", &["x"])).await, required);
}

/// Rule:   a bot says what it is called and what it is for; that is shown with it.
/// Source: 20-telegram-api-service §2.1, `bots.setBotInfo`, `getBotInfo`.
#[tokio::test]
async fn bot_says_what_it_is_for() {
    let mut pair = Pair::new(test_numbers()).await;
    let info = || GetBotInfo { bot: None, lang_code: "".into() };
    let set = |name: Option<&str>, about: Option<&str>, description: Option<&str>| SetBotInfo {
        bot: None,
        lang_code: "".into(),
        name: name.map(Into::into),
        about: about.map(Into::into),
        description: description.map(Into::into),
    };
    pair.bot.ask(set(Some("Echo 2"), Some("Repeats."), Some("Says it again."))).await.unwrap();
    let long = "x".repeat(513);
    for call in [set(None, Some(&long[..121]), None), set(None, None, Some(&long))] {
        assert_eq!(pair.bot.fail(call).await, (400, "ABOUT_TOO_LONG".to_owned()));
    }
    assert_eq!(pair.bot.fail(set(Some(" "), None, None)).await, (400, "FIRSTNAME_INVALID".into()));
    let shown = pair.bot.ask(info()).await.unwrap();
    assert!(shown.name == "Echo 2" && shown.about == "Repeats.");
    assert_eq!(shown.description, "Says it again.");
    assert_eq!(pair.ada.fail(info()).await, (400, "USER_BOT_REQUIRED".to_owned()));
    let full = pair.ada.ask(GetFullUser { id: user_of(&pair.to_bot) }).await.unwrap().full_user;
    assert_eq!(full.about.unwrap(), "Repeats.");
    assert_eq!(full.bot_info.unwrap().description.unwrap(), "Says it again.");
}

/// Rule:   a link to a bot sends `/start` and what the link says, and nothing that cannot be in a
///         link.
/// Source: 20-telegram-api-service §2.1, `messages.startBot`.
#[tokio::test]
async fn link_starts_a_bot() {
    let mut pair = Pair::new(test_numbers()).await;
    let (bot, peer) = (user_of(&pair.to_bot), pair.to_bot.clone());
    let start = |param: &str, random_id| StartBot {
        bot: bot.clone(),
        peer: peer.clone(),
        random_id,
        start_param: param.into(),
    };
    let long = "x".repeat(65);
    for (param, error) in [("a b", "START_PARAM_INVALID"), (&*long, "START_PARAM_TOO_LONG")] {
        assert_eq!(pair.ada.fail(start(param, 1)).await, (400, error.to_owned()));
    }
    let myself = StartBot { bot: types::InputUser::InputUserSelf, ..start("", 1) };
    assert_eq!(pair.ada.fail(myself).await, (400, "BOT_INVALID".to_owned()));
    for (param, random_id, said) in [("", 1, "/start"), ("from-x_1", 2, "/start from-x_1")] {
        let sent = updates(pair.ada.ask(start(param, random_id)).await.unwrap());
        assert_eq!(new_message(&sent.updates[1]).0.message, said);
        let heard = pair.bot.pushed().await;
        let (message, ..) = new_message(&heard.updates[0]);
        assert_eq!(message.message, said);
        let entities = message.entities.unwrap();
        assert!(matches!(&entities[..], [types::MessageEntity::MessageEntityBotCommand(one)]
            if (one.offset, one.length) == (0, 6)));
    }
}

/// Rule:   a bot's keyboards are kept and shown as they were sent, on both sides and in the
///         history; an edit gives another one or takes it away; people have none.
/// Source: 20-telegram-api-service §2.1, `messages.sendMessage`, `messages.editMessage`; LAY-01.
#[tokio::test]
async fn keyboard_is_shown_as_it_was_sent() {
    let mut pair = Pair::new(test_numbers()).await;
    let to_ada = pair.begin().await;
    let switch = ctors::InlineButtonTypeSwitchInline {
        same_peer: true,
        query: "cats".into(),
        peer_types: None,
    };
    let buttons = vec![
        InlineButtonType::InlineButtonTypeUrl(ctors::InlineButtonTypeUrl {
            url: "https://example.org/".into(),
        }),
        InlineButtonType::InlineButtonTypeSwitchInline(switch),
        InlineButtonType::InlineButtonTypeCopy(ctors::InlineButtonTypeCopy {
            copy_text: "copied".into(),
        }),
        InlineButtonType::InputInlineButtonTypeUserProfile(
            ctors::InputInlineButtonTypeUserProfile { user_id: user_of(&to_ada) },
        ),
        press(b"\x00yes"),
    ];
    let inline = inline(buttons);
    let sent = updates(pair.bot.ask(with(&to_ada, "choose", 1, &inline)).await.unwrap());
    let (mine, ..) = new_message(&sent.updates[1]);
    let theirs = new_message(&pair.ada.pushed().await.updates[0]).0;
    for message in [&mine, &theirs] {
        let Some(ReplyMarkup::ReplyInlineMarkup(shown)) = message.reply_markup.as_deref() else {
            panic!("no keyboard")
        };
        let [row] = &shown.rows[..] else { panic!("not one row") };
        use InlineButtonType as T;
        assert!(matches!(
            &row.buttons.iter().map(|button| &button.r#type).collect::<Vec<_>>()[..],
            [T::InlineButtonTypeUrl(url), T::InlineButtonTypeSwitchInline(switch),
             T::InlineButtonTypeCopy(copy), T::InlineButtonTypeUserProfile(user),
             T::InlineButtonTypeCallback(callback)]
            if url.url == "https://example.org/" && switch.same_peer && switch.query == "cats"
                && copy.copy_text == "copied" && user.user_id == pair.of_ada
                && callback.data[..] == *b"\x00yes"
        ));
    }
    let edit = |text: Option<&str>, markup: Option<&ReplyMarkup>| EditMessage {
        peer: to_ada.clone(),
        id: mine.id,
        message: text.map(Into::into),
        reply_markup: markup.cloned().map(Box::new),
        ..chappe_tl::blank()
    };
    pair.bot.ask(edit(None, None)).await.unwrap();
    assert!(edited(&pair.ada.pushed().await.updates[0]).reply_markup.is_none());
    assert_eq!(pair.bot.fail(edit(None, None)).await, (400, "MESSAGE_NOT_MODIFIED".to_owned()));
    pair.bot.ask(edit(Some("again"), Some(&inline))).await.unwrap();
    let again = edited(&pair.ada.pushed().await.updates[0]);
    assert!(again.message == "again" && again.reply_markup.is_some());

    let key = |text: &str, r#type| types::KeyboardButton { style: None, text: text.into(), r#type };
    let keyboard = ReplyMarkup::ReplyKeyboardMarkup(ctors::ReplyKeyboardMarkup {
        resize: true,
        single_use: true,
        selective: false,
        persistent: true,
        force_reply: false,
        rows: vec![types::KeyboardButtonRow {
            buttons: vec![
                key("yes", types::ButtonType::ButtonTypeDefault),
                key("number", types::ButtonType::ButtonTypeRequestPhone),
            ],
        }],
        placeholder: Some("yes or no".into()),
    });
    let force = ReplyMarkup::ReplyKeyboardForceReply(ctors::ReplyKeyboardForceReply {
        single_use: false,
        selective: true,
        placeholder: None,
    });
    let hide = ReplyMarkup::ReplyKeyboardHide(ctors::ReplyKeyboardHide { selective: true });
    for (place, markup) in [keyboard, force, hide].iter().enumerate() {
        let random_id = 10 + place as i64;
        pair.bot.ask(with(&to_ada, "look", random_id, markup)).await.unwrap();
        let message = new_message(&pair.ada.pushed().await.updates[0]).0;
        let (shown, sent) = (message.reply_markup.unwrap(), markup);
        assert_eq!(chappe_tl::to_bytes(&*shown).unwrap(), chappe_tl::to_bytes(sent).unwrap());
    }
    let history = GetHistory { peer: pair.to_bot.clone(), limit: 1, ..chappe_tl::blank() };
    let found = pair.ada.ask(history).await.unwrap();
    let types::messages::Messages::MessagesSlice(found) = found else { panic!("no slice") };
    assert!(matches!(&found.messages[..], [types::Message::Message(one)]
        if matches!(one.reply_markup.as_deref(), Some(ReplyMarkup::ReplyKeyboardHide(_)))));
    let to_bot = pair.to_bot.clone();
    let sent = updates(pair.ada.ask(with(&to_bot, "mine", 2, &inline)).await.unwrap());
    assert!(new_message(&sent.updates[1]).0.reply_markup.is_none());
}

/// Rule:   a keyboard that clients could not show is refused by name.
/// Source: 20-telegram-api-service §2.1, `messages.sendMessage`, `REPLY_MARKUP_INVALID`,
///         `BUTTON_TYPE_INVALID`.
#[tokio::test]
async fn wrong_keyboards_are_refused() {
    let mut pair = Pair::new(test_numbers()).await;
    let to_ada = pair.begin().await;
    let url = |url: &str| {
        InlineButtonType::InlineButtonTypeUrl(ctors::InlineButtonTypeUrl { url: url.into() })
    };
    let cases = [
        (vec![], "REPLY_MARKUP_INVALID"),
        (vec![press(b"x"); 9], "REPLY_MARKUP_TOO_LONG"),
        (vec![press(b"")], "BUTTON_DATA_INVALID"),
        (vec![press(&[7; 65])], "BUTTON_DATA_INVALID"),
        (vec![url("javascript:alert(1)")], "BUTTON_URL_INVALID"),
        (vec![url("https://a b")], "BUTTON_URL_INVALID"),
        (vec![InlineButtonType::InlineButtonTypeBuy], "BUTTON_TYPE_INVALID"),
    ];
    for (buttons, error) in cases {
        let call = with(&to_ada, "x", 1, &inline(buttons));
        assert_eq!(pair.bot.fail(call).await, (400, error.to_owned()));
    }
    let ReplyMarkup::ReplyInlineMarkup(mut unnamed) = inline(vec![press(b"x")]) else { panic!() };
    unnamed.rows[0].buttons[0].text = "".into();
    let call = with(&to_ada, "x", 1, &ReplyMarkup::ReplyInlineMarkup(unnamed));
    assert_eq!(pair.bot.fail(call).await, (400, "BUTTON_TEXT_INVALID".to_owned()));
}

/// Rule:   whoever presses a button hears what its bot says, once and from no other bot; data that
///         no button has is refused; a bot that is silent is waited for no longer than that.
/// Source: 20-telegram-api-service §2.1, `messages.getBotCallbackAnswer`,
///         `messages.setBotCallbackAnswer`.
#[tokio::test]
async fn pressed_button_is_answered_by_its_bot() {
    let mut config = test_numbers();
    config.callback_wait = Duration::from_millis(700);
    let mut pair = Pair::new(config).await;
    let mut other = bot(&mut pair.home, "other_bot").await;
    let mut second = pair.bot.beside(&pair.home, 8).await;
    second.ask(GetState {}).await.unwrap();
    let to_ada = pair.begin().await;
    let keyboard = inline(vec![press(b"yes")]);
    let sent = updates(pair.bot.ask(with(&to_ada, "choose", 1, &keyboard)).await.unwrap());
    let of_bot = new_message(&sent.updates[1]).0.id;
    let message = new_message(&pair.ada.pushed().await.updates[0]).0.id;
    let asked = |msg_id, data: &[u8]| GetBotCallbackAnswer {
        game: false,
        peer: pair.to_bot.clone(),
        msg_id,
        data: Some(data.to_vec().into()),
        password: None,
    };
    let said = |query_id, message: &str, url: Option<&str>| SetBotCallbackAnswer {
        alert: true,
        query_id,
        message: Some(message.into()),
        url: url.map(Into::into),
        cache_time: 7,
    };
    let data = (400, "DATA_INVALID".to_owned());
    assert_eq!(pair.ada.fail(asked(message, b"no")).await, data);
    let id = (400, "MESSAGE_ID_INVALID".to_owned());
    assert_eq!(pair.ada.fail(asked(message + 1, b"yes")).await, id);

    let invalid = (400, "QUERY_ID_INVALID".to_owned());
    let (bot, of_ada) = (&mut pair.bot, pair.of_ada);
    let (answer, query) = tokio::join!(pair.ada.ask(asked(message, b"yes")), async {
        let query = pressed(bot).await;
        assert_eq!((query.user_id, query.msg_id), (of_ada, of_bot));
        assert!(matches!(&query.peer, types::Peer::PeerUser(peer) if peer.user_id == of_ada));
        assert_eq!(query.data.unwrap()[..], *b"yes");
        assert_eq!(other.fail(said(query.query_id, "mine", None)).await, invalid);
        let long = "x".repeat(201);
        let too_long = (400, "MESSAGE_TOO_LONG".to_owned());
        assert_eq!(bot.fail(said(query.query_id, &long, None)).await, too_long);
        let url = (400, "URL_INVALID".to_owned());
        assert_eq!(bot.fail(said(query.query_id, "", Some("file:///x"))).await, url);
        // By whichever of its sessions.
        pressed(&mut second).await;
        assert!(second.ask(said(query.query_id, "well done", None)).await.unwrap());
        query.query_id
    });
    let answer = answer.unwrap();
    assert_eq!(answer.message.unwrap(), "well done");
    assert!(answer.alert && answer.cache_time == 7 && !answer.has_url);
    assert_eq!(pair.bot.fail(said(query, "again", None)).await, invalid);

    let timeout = (400, "BOT_RESPONSE_TIMEOUT".to_owned());
    assert_eq!(pair.ada.fail(asked(message, b"yes")).await, timeout);
    let late = pressed(&mut pair.bot).await.query_id;
    assert_eq!(pair.bot.fail(said(late, "late", None)).await, invalid);
}

/// A bot that is signed in and hears of updates.
pub(crate) async fn bot(home: &mut Home, username: &str) -> Client {
    let token = home.admin().await.create_bot("Bot", username, 1_800_000_000).await.unwrap();
    let mut client = home.client().await;
    let call = ImportBotAuthorization {
        flags: 0,
        api_id: 1,
        api_hash: "any".into(),
        bot_auth_token: token.as_str().into(),
    };
    client.ask(call).await.unwrap();
    client.ask(GetState {}).await.unwrap();
    client
}

pub(crate) async fn resolve(client: &mut Client, username: &str) -> types::InputPeer {
    let call = ResolveUsername { username: username.into(), referer: None };
    let found = client.ask(call).await.unwrap();
    let [types::User::User(user)] = &found.users[..] else { panic!("nobody") };
    let (user_id, access_hash) = (user.id, user.access_hash.unwrap());
    types::InputPeer::InputPeerUser(ctors::InputPeerUser { user_id, access_hash })
}

pub(crate) fn user_of(peer: &types::InputPeer) -> types::InputUser {
    let types::InputPeer::InputPeerUser(user) = peer else { panic!("not a user") };
    let (user_id, access_hash) = (user.user_id, user.access_hash);
    types::InputUser::InputUser(ctors::InputUser { user_id, access_hash })
}

pub(crate) fn press(data: &[u8]) -> InlineButtonType {
    let data = data.to_vec().into();
    let callback = ctors::InlineButtonTypeCallback { requires_password: false, data };
    InlineButtonType::InlineButtonTypeCallback(callback)
}

/// A keyboard of one row.
pub(crate) fn inline(buttons: Vec<InlineButtonType>) -> ReplyMarkup {
    let button = |r#type| types::KeyboardInlineButton { style: None, text: "x".into(), r#type };
    let buttons = buttons.into_iter().map(button).collect();
    let rows = vec![types::KeyboardInlineButtonRow { buttons }];
    ReplyMarkup::ReplyInlineMarkup(ctors::ReplyInlineMarkup { force_reply: false, rows })
}

/// Says something with a keyboard.
pub(crate) fn with(
    peer: &types::InputPeer,
    text: &str,
    random_id: i64,
    markup: &ReplyMarkup,
) -> SendMessage {
    SendMessage { reply_markup: Some(Box::new(markup.clone())), ..say(peer, text, random_id) }
}

fn edited(update: &Update) -> ctors::Message {
    let Update::UpdateEditMessage(edit) = update else { panic!("no edit") };
    let types::Message::Message(message) = &edit.message else { panic!("no message") };
    (**message).clone()
}

/// The next button that is pressed.
async fn pressed(bot: &mut Client) -> ctors::UpdateBotCallbackQuery {
    loop {
        for update in bot.pushed().await.updates {
            if let Update::UpdateBotCallbackQuery(query) = update {
                return query;
            }
        }
    }
}

fn command(name: &str, description: &str) -> types::BotCommand {
    let (command, description) = (name.into(), description.into());
    types::BotCommand { ephemeral: false, command, description }
}

async fn shown_commands(pair: &mut Pair) -> Vec<String> {
    let full = pair.ada.ask(GetFullUser { id: user_of(&pair.to_bot) }).await.unwrap();
    let commands = full.full_user.bot_info.unwrap().commands.unwrap();
    commands.iter().map(|one| one.command.to_string_lossy().into_owned()).collect()
}

//! Basic groups: what is said there and who hears it.

use chappe_api::ctors;
use chappe_api::functions::messages::{
    AddChatUser, CreateChat, DeleteChatUser, DeleteMessages, EditChatTitle, EditMessage, GetChats,
    GetDialogs, GetFullChat, GetMessages, ReadHistory, SetTyping,
};
use chappe_api::functions::updates::{GetDifference, GetState};
use chappe_api::types::updates::Difference;
use chappe_api::types::{self, MessageAction, Update};

use crate::client::{Client, Home};
use crate::messages::{find, history, new_message, replied, say, texts, updates, user_ids, window};
use crate::sign_in::{enter, test_numbers};

/// Ada, who made a group, with Bob and Cy in it; and Dan, who is not.
pub(crate) struct Group {
    pub(crate) home: Home,
    pub(crate) ada: Client,
    pub(crate) bob: Client,
    pub(crate) cy: Client,
    pub(crate) dan: Client,
    pub(crate) chat_id: i64,
    /// In that order.
    pub(crate) ids: [i64; 4],
}

impl Group {
    pub(crate) async fn new() -> Self {
        let mut home = Home::open(test_numbers()).await;
        let mut people = Vec::new();
        let mut ids = [0; 4];
        for (place, id) in ids.iter_mut().enumerate() {
            let mut client = home.client().await;
            *id = enter(&mut client, &number(place)).await.id;
            client.ask(GetState {}).await.unwrap();
            people.push(client);
        }
        let [mut ada, mut bob, mut cy, dan] = <[Client; 4]>::try_from(people).ok().unwrap();
        let users = vec![user(&mut ada, 1).await, user(&mut ada, 2).await];
        let made = ada.ask(create(users, "Engines")).await.unwrap();
        let made = updates(made.updates);
        let [types::Chat::Chat(chat)] = &made.chats[..] else { panic!("no group") };
        let chat_id = chat.id;
        bob.pushed().await;
        cy.pushed().await;
        Self { home, ada, bob, cy, dan, chat_id, ids }
    }

    pub(crate) fn peer(&self) -> types::InputPeer {
        types::InputPeer::InputPeerChat(ctors::InputPeerChat { chat_id: self.chat_id })
    }
}

/// Rule:   whoever is in a new group hears of it at once with everybody in it, under a message that
///         says so; it has version 1, one creator and ordinary members.
/// Source: 20-telegram-api-service §2.2, `messages.createChat`; API-08, API-09, UPD-01, UPD-05.
#[tokio::test]
async fn new_group_is_told_to_everybody_in_it() {
    let mut group = Group::new().await;
    let users = vec![user(&mut group.ada, 1).await];
    let made = group.ada.ask(create(users, "  Pair ")).await.unwrap();
    assert!(made.missing_invitees.is_empty());
    let made = updates(made.updates);
    let told = group.bob.pushed().await;
    for (heard, own) in [(&made.updates[1..], true), (&told.updates[..], false)] {
        let [Update::UpdateChatParticipants(all), Update::UpdateNewMessage(new)] = heard else {
            panic!("not the people and the message")
        };
        let types::ChatParticipants::ChatParticipants(all) = &all.participants else {
            panic!("closed")
        };
        assert_eq!(all.version, 1);
        assert!(matches!(
            &all.participants[..],
            [types::ChatParticipant::ChatParticipantCreator(ada), types::ChatParticipant::ChatParticipant(bob)]
                if ada.user_id == group.ids[0] && (bob.user_id, bob.inviter_id) == (group.ids[1], group.ids[0])
        ));
        let types::Message::MessageService(message) = &new.message else { panic!("not service") };
        let MessageAction::MessageActionChatCreate(made) = &message.action else {
            panic!("another action")
        };
        assert_eq!((made.title.as_str(), &made.users[..]), (Ok("Pair"), &group.ids[1..2]));
        assert_eq!((message.out, new.pts, new.pts_count), (own, 3, 1));
    }
    let Update::UpdateMessageId(name) = &made.updates[0] else { panic!("no id first") };
    assert_eq!(name.id, 2);
    assert_eq!(user_ids(&told.users), group.ids[..2]);
    let [types::Chat::Chat(chat)] = &told.chats[..] else { panic!("no group") };
    assert!(!chat.creator && (chat.participants_count, chat.version) == (2, 1));

    for (users, title, error) in [
        (vec![], "x", "USERS_TOO_FEW"),
        (vec![types::InputUser::InputUserSelf], "x", "USERS_TOO_FEW"),
        (vec![user(&mut group.ada, 1).await], " ", "CHAT_TITLE_EMPTY"),
        (vec![user(&mut group.bob, 2).await], "x", "USER_ID_INVALID"),
    ] {
        assert_eq!(group.ada.fail(create(users, title)).await, (400, error.to_owned()));
    }
}

/// Rule:   a message to a group is in every member's box under an id of its own; a reply, an edit
///         and a deletion reach it by each of them; each hears each once.
/// Source: API-08, UPD-01, UPD-02, UPD-03, 20-telegram-api-service §2.1.
#[tokio::test]
async fn message_is_in_every_box() {
    let mut group = Group::new().await;
    let peer = group.peer();
    // Notes, so that the boxes do not count alike.
    for number in 0..3 {
        let note = say(&types::InputPeer::InputPeerSelf, "note", 100 + number);
        group.cy.ask(note).await.unwrap();
    }
    let sent = updates(group.ada.ask(say(&peer, "hello", 1)).await.unwrap());
    let (mine, pts, count) = new_message(&sent.updates[1]);
    assert_eq!((mine.id, pts, count, mine.out), (2, 3, 1, true));
    assert!(matches!(&mine.peer_id, types::Peer::PeerChat(chat) if chat.chat_id == group.chat_id));
    let (in_bob, ..) = new_message(&group.bob.pushed().await.updates[0]);
    let told = group.cy.pushed().await;
    let (in_cy, ..) = new_message(&told.updates[0]);
    assert_eq!((in_bob.id, in_cy.id, in_cy.out), (2, 5, false));
    assert!(
        matches!(&in_cy.from_id, Some(types::Peer::PeerUser(ada)) if ada.user_id == group.ids[0])
    );
    assert_eq!((user_ids(&told.users), told.chats.len()), (group.ids[..1].to_vec(), 1));

    let mut answer = say(&peer, "indeed", 2);
    answer.reply_to = Some(reply(in_cy.id));
    group.cy.ask(answer).await.unwrap();
    let (heard, ..) = new_message(&group.ada.pushed().await.updates[0]);
    assert_eq!(replied(&heard), Some(mine.id));
    assert!(heard.mentioned && heard.media_unread);
    let (heard, ..) = new_message(&group.bob.pushed().await.updates[0]);
    assert!(replied(&heard) == Some(in_bob.id) && !heard.mentioned);

    let message = Some("good day".into());
    let edit = EditMessage { peer: peer.clone(), id: mine.id, message, ..chappe_tl::blank() };
    group.ada.ask(edit).await.unwrap();
    for (client, id) in [(&mut group.bob, in_bob.id), (&mut group.cy, in_cy.id)] {
        let told = client.pushed().await;
        let [Update::UpdateEditMessage(edited)] = &told.updates[..] else { panic!("no edit") };
        let types::Message::Message(message) = &edited.message else { panic!("no message") };
        assert_eq!((message.id, message.message.as_str()), (id, Ok("good day")));
    }
    group.ada.ask(DeleteMessages { revoke: true, id: vec![mine.id] }).await.unwrap();
    for (client, id) in [(&mut group.bob, in_bob.id), (&mut group.cy, in_cy.id)] {
        let told = client.pushed().await;
        let [Update::UpdateDeleteMessages(gone)] = &told.updates[..] else { panic!("no deletion") };
        assert_eq!(gone.messages, [id]);
        assert_eq!(history(client, window(&peer)).await.0.len(), 2);
    }
    assert_eq!(group.dan.ask(GetState {}).await.unwrap().pts, 1);
    // Nothing is told twice.
    for client in [&mut group.ada, &mut group.bob, &mut group.cy] {
        assert!(client.take_pushed().is_empty());
    }
}

/// Rule:   reading moves one's own mark, and that of everybody whose message one read; typing is
///         told to the others.
/// Source: 20-telegram-api-service §2.1, `messages.readHistory`, `setTyping`; UPD-06.
#[tokio::test]
async fn marks_and_typing_reach_the_others() {
    let mut group = Group::new().await;
    let peer = group.peer();
    group.ada.ask(say(&peer, "one", 1)).await.unwrap();
    group.bob.pushed().await;
    group.cy.pushed().await;
    group.bob.ask(say(&peer, "two", 2)).await.unwrap();
    group.ada.pushed().await;
    group.cy.pushed().await;
    let read = group.cy.ask(ReadHistory { peer: peer.clone(), max_id: 0 }).await.unwrap();
    assert_eq!((read.pts, read.pts_count), (5, 1));
    // Ada's newest of Cy's box is the second in hers, Bob's the third in his.
    for (client, mark) in [(&mut group.ada, 2), (&mut group.bob, 3)] {
        let told = client.pushed().await;
        let [Update::UpdateReadHistoryOutbox(read)] = &told.updates[..] else { panic!("no mark") };
        assert!(matches!(&read.peer, types::Peer::PeerChat(chat) if chat.chat_id == group.chat_id));
        assert_eq!(read.max_id, mark);
    }
    let asked = GetDialogs { limit: 10, ..chappe_tl::blank() };
    let types::messages::Dialogs::Dialogs(found) = group.cy.ask(asked).await.unwrap() else {
        panic!("a slice")
    };
    let [types::Dialog::Dialog(dialog)] = &found.dialogs[..] else { panic!("not one") };
    assert_eq!((dialog.top_message, dialog.read_inbox_max_id, dialog.unread_count), (3, 3, 0));
    assert!(matches!(&found.chats[..], [types::Chat::Chat(chat)] if chat.id == group.chat_id));

    let action = types::SendMessageAction::SendMessageTypingAction;
    group.cy.ask(SetTyping { peer, top_msg_id: None, action }).await.unwrap();
    for client in [&mut group.ada, &mut group.bob] {
        let types::Updates::UpdateShort(short) = client.told().await else { panic!("not short") };
        let Update::UpdateChatUserTyping(typing) = &short.update else { panic!("not typing") };
        assert_eq!(typing.chat_id, group.chat_id);
    }
}

/// Rule:   who comes gets the list, the others who came; every change raises the version; who was
///         removed sees a forbidden group and keeps what it had, who left sees one it left.
/// Source: 20-telegram-api-service §2.2, `messages.addChatUser`, `deleteChatUser`,
///         `editChatTitle`.
#[tokio::test]
async fn people_come_and_go() {
    let mut group = Group::new().await;
    let (peer, chat_id) = (group.peer(), group.chat_id);
    let add = |user_id| AddChatUser { chat_id, user_id, fwd_limit: 0 };
    let remove = |user_id| DeleteChatUser { revoke_history: false, chat_id, user_id };
    let dan = user(&mut group.bob, 3).await;
    let added = updates(group.bob.ask(add(dan)).await.unwrap().updates);
    let told = group.ada.pushed().await;
    for heard in [&added.updates[1..], &told.updates[..]] {
        let [Update::UpdateChatParticipantAdd(new), Update::UpdateNewMessage(_)] = heard else {
            panic!("not who came")
        };
        let expected = (group.ids[3], group.ids[1], 2);
        assert_eq!((new.user_id, new.inviter_id, new.version), expected);
    }
    let told = group.dan.pushed().await;
    assert!(matches!(
        &told.updates[..],
        [Update::UpdateChatParticipants(_), Update::UpdateNewMessage(_)]
    ));
    group.cy.pushed().await;
    // Dan was not there when it began.
    assert_eq!(history(&mut group.dan, window(&peer)).await.0.len(), 1);

    group.dan.ask(EditChatTitle { chat_id, title: "Mills".into() }).await.unwrap();
    let told = group.cy.pushed().await;
    assert!(matches!(&told.chats[..], [types::Chat::Chat(chat)] if chat.version == 3));
    assert!(matches!(action(&told.updates[0]), MessageAction::MessageActionChatEditTitle(_)));
    group.ada.pushed().await;
    group.bob.pushed().await;

    let dan = user(&mut group.bob, 3).await;
    group.bob.ask(remove(dan)).await.unwrap();
    let told = group.dan.pushed().await;
    assert!(matches!(
        &told.updates[..],
        [Update::UpdateChatParticipantDelete(gone), Update::UpdateNewMessage(_)]
            if (gone.user_id, gone.version) == (group.ids[3], 4)
    ));
    assert!(matches!(&told.chats[..], [types::Chat::ChatForbidden(_)]));
    group.cy.pushed().await;
    group.cy.ask(remove(types::InputUser::InputUserSelf)).await.unwrap();
    let found = group.cy.ask(GetChats { id: vec![chat_id] }).await.unwrap();
    let types::messages::Chats::Chats(found) = found else { panic!("a slice") };
    assert!(matches!(&found.chats[..], [types::Chat::Chat(chat)] if chat.left));

    group.ada.ask(say(&peer, "alone with Bob", 1)).await.unwrap();
    for (client, kept) in [(&mut group.dan, 3), (&mut group.cy, 5)] {
        assert_eq!(history(client, window(&peer)).await.0.len(), kept);
        let forbidden = (403, "CHAT_WRITE_FORBIDDEN".to_owned());
        assert_eq!(client.fail(say(&peer, "still here", 2)).await, forbidden);
        let action = types::SendMessageAction::SendMessageTypingAction;
        let typing = SetTyping { peer: peer.clone(), top_msg_id: None, action };
        assert_eq!(client.fail(typing).await, forbidden);
        let title = EditChatTitle { chat_id, title: "Ours".into() };
        assert_eq!(client.fail(title).await, forbidden);
        let full = client.ask(GetFullChat { chat_id }).await.unwrap();
        let types::ChatFull::ChatFull(full) = full.full_chat else { panic!("another kind") };
        assert!(matches!(full.participants, types::ChatParticipants::ChatParticipantsForbidden(_)));
        assert!(client.take_pushed().is_empty());
    }
    let full = group.ada.ask(GetFullChat { chat_id }).await.unwrap();
    let types::ChatFull::ChatFull(full) = full.full_chat else { panic!("another kind") };
    let types::ChatParticipants::ChatParticipants(all) = full.participants else {
        panic!("closed")
    };
    assert_eq!((all.participants.len(), all.version), (2, 5));
}

/// Rule:   who was away is told a group's messages with the group, and who is in it.
/// Source: 20-telegram-api-service §3.4; API-09.
#[tokio::test]
async fn difference_tells_of_groups() {
    let mut group = Group::new().await;
    let peer = group.peer();
    group.ada.ask(say(&peer, "hello", 1)).await.unwrap();
    let ask = GetDifference { pts: 1, ..chappe_tl::blank() };
    let Difference::Difference(all) = group.cy.ask(ask).await.unwrap() else { panic!("not all") };
    assert_eq!(texts(&all.new_messages[1..]), ["hello"]);
    assert!(matches!(&all.other_updates[..], [Update::UpdateChatParticipants(_)]));
    assert!(matches!(&all.chats[..], [types::Chat::Chat(chat)] if chat.id == group.chat_id));
    assert_eq!(user_ids(&all.users), group.ids[..3]);
}

/// Rule:   a group has two hundred people at most.
/// Source: 20-telegram-api-service §7.1, `chat_size_max`.
#[tokio::test]
async fn group_is_full_at_two_hundred() {
    let mut home = Home::open(test_numbers()).await;
    let mut ada = home.client().await;
    enter(&mut ada, &number(0)).await;
    let admin = home.admin().await;
    let mut users = Vec::new();
    for place in 1..=200 {
        admin.add_user(&number(place), ("Somebody", ""), None, 1).await.unwrap();
        users.push(user(&mut ada, place).await);
    }
    let last = users.pop().unwrap();
    let made = updates(ada.ask(create(users.clone(), "Full")).await.unwrap().updates);
    let [types::Chat::Chat(chat)] = &made.chats[..] else { panic!("no group") };
    assert_eq!(chat.participants_count, 200);
    let too_much = (400, "USERS_TOO_MUCH".to_owned());
    let add = AddChatUser { chat_id: chat.id, user_id: last.clone(), fwd_limit: 0 };
    assert_eq!(ada.fail(add).await, too_much);
    users.push(last);
    assert_eq!(ada.fail(create(users, "Overfull")).await, too_much);
}

/// Rule:   a bot hears of a group what concerns it: commands, its name, answers to it, and who
///         comes and goes.
/// Source: 20-telegram-api-service §2.1, bot message visibility.
#[tokio::test]
async fn bot_hears_what_concerns_it() {
    let mut group = Group::new().await;
    let (peer, chat_id) = (group.peer(), group.chat_id);
    let mut admin = group.home.admin().await;
    let token = admin.create_bot("Echo", "echo_bot", 1).await.unwrap();
    let mut bot = group.home.client().await;
    let call = chappe_api::functions::auth::ImportBotAuthorization {
        flags: 0,
        api_id: 1,
        api_hash: "any".into(),
        bot_auth_token: token.as_str().into(),
    };
    bot.ask(call).await.unwrap();
    bot.ask(GetState {}).await.unwrap();
    let username = "echo_bot".into();
    let find = chappe_api::functions::contacts::ResolveUsername { username, referer: None };
    let found = group.ada.ask(find).await.unwrap();
    let user_id = input(&found.users[0]);
    group.ada.ask(AddChatUser { chat_id, user_id, fwd_limit: 0 }).await.unwrap();
    bot.pushed().await;
    let said = ["/start", "hello", "hello @echo_bot", "/stop@other_bot", "/stop@echo_bot"];
    for (random_id, text) in said.into_iter().enumerate() {
        group.ada.ask(say(&peer, text, random_id as i64 + 1)).await.unwrap();
    }
    for expected in ["/start", "hello @echo_bot", "/stop@echo_bot"] {
        let (heard, ..) = new_message(&bot.pushed().await.updates[0]);
        assert_eq!(heard.message.as_str(), Ok(expected));
    }
    // A history is for people; what is in the bot's box it finds by ids.
    let id = |id| types::InputMessage::InputMessageId(ctors::InputMessageId { id });
    let call = GetMessages { id: (1..10).map(id).collect() };
    let types::messages::Messages::Messages(found) = bot.ask(call).await.unwrap() else {
        panic!("not all")
    };
    let is_there = |message: &&types::Message| !matches!(message, types::Message::MessageEmpty(_));
    assert_eq!(found.messages.iter().filter(is_there).count(), 4);
}

pub(crate) fn number(place: usize) -> String {
    format!("999662{place:04}")
}

/// Somebody of a place, as a client names them.
pub(crate) async fn user(client: &mut Client, place: usize) -> types::InputUser {
    let types::InputPeer::InputPeerUser(user) = find(client, &number(place)).await else {
        panic!("nobody")
    };
    let ctors::InputPeerUser { user_id, access_hash } = user;
    types::InputUser::InputUser(ctors::InputUser { user_id, access_hash })
}

fn input(user: &types::User) -> types::InputUser {
    let types::User::User(user) = user else { panic!("nobody") };
    let (user_id, access_hash) = (user.id, user.access_hash.unwrap());
    types::InputUser::InputUser(ctors::InputUser { user_id, access_hash })
}

pub(crate) fn create(users: Vec<types::InputUser>, title: &str) -> CreateChat {
    CreateChat { users, title: title.into(), ttl_period: None }
}

pub(crate) fn reply(id: i32) -> types::InputReplyTo {
    let to = ctors::InputReplyToMessage { reply_to_msg_id: id, ..chappe_tl::blank() };
    types::InputReplyTo::InputReplyToMessage(Box::new(to))
}

/// What the service says in a new message.
pub(crate) fn action(update: &Update) -> &MessageAction {
    let Update::UpdateNewMessage(new) = update else { panic!("no new message") };
    let types::Message::MessageService(message) = &new.message else { panic!("not service") };
    &message.action
}

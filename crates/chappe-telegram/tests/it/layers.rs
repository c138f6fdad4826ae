//! What is said to clients of older layers is what their schemas have.

use std::sync::LazyLock;

use bytes::Bytes;
use chappe_api::functions::contacts::ResolvePhone;
use chappe_api::functions::help::GetNearestDc;
use chappe_api::functions::messages::SendMessage;
use chappe_api::functions::users::GetUsers;
use chappe_api::{ctors, functions, types};
use chappe_crypto::Rng;
use chappe_telegram::Config;
use chappe_telegram::layers::Layers;
use chappe_tl::schema::{Definition, Param, Schema, Type};
use chappe_tl::transcode::TranscodeError;
use chappe_tl::{Raw, dynamic};
use serde_json::{Value, json};

use crate::client::{Client, Home};
use crate::sign_in::{enter, test_numbers};

/// Layers that clients of today announce.
pub(crate) const SPOKEN: &[i32] =
    &[158, 190, 193, 198, 212, 214, 216, 220, 222, 223, 225, 227, 228, 229, 230, 232];

/// The functions of the first tier, and a few more: what has a handler, or will have one.
pub(crate) const FUNCTIONS: &[&str] = &[
    "account.checkUsername",
    "account.getAuthorizations",
    "account.getContactSignUpNotification",
    "account.getNotifySettings",
    "account.getPassword",
    "account.getPasswordSettings",
    "account.getPrivacy",
    "account.updateProfile",
    "account.updateUsername",
    "auth.exportLoginToken",
    "auth.importBotAuthorization",
    "auth.resendCode",
    "auth.sendCode",
    "auth.signIn",
    "auth.signUp",
    "bots.getBotCommands",
    "bots.getBotInfo",
    "channels.getChannels",
    "channels.getFullChannel",
    "channels.getMessages",
    "channels.getParticipants",
    "channels.inviteToChannel",
    "channels.joinChannel",
    "contacts.addContact",
    "contacts.getBlocked",
    "contacts.getContacts",
    "contacts.getTopPeers",
    "contacts.importContacts",
    "contacts.resolvePhone",
    "contacts.resolveUsername",
    "contacts.search",
    "help.getAppConfig",
    "help.getConfig",
    "help.getCountriesList",
    "help.getNearestDc",
    "langpack.getLangPack",
    "messages.addChatUser",
    "messages.createChat",
    "messages.deleteMessages",
    "messages.editMessage",
    "messages.exportChatInvite",
    "messages.forwardMessages",
    "messages.getAllDrafts",
    "messages.getAvailableReactions",
    "messages.getBotCallbackAnswer",
    "messages.getDialogFilters",
    "messages.getDialogs",
    "messages.getFullChat",
    "messages.getHistory",
    "messages.getInlineBotResults",
    "messages.getMessages",
    "messages.getPeerDialogs",
    "messages.getPeerSettings",
    "messages.getPinnedDialogs",
    "messages.getStickerSet",
    "messages.getWebPagePreview",
    "messages.importChatInvite",
    "messages.readHistory",
    "messages.search",
    "messages.searchGlobal",
    "messages.sendMedia",
    "messages.sendMessage",
    "messages.sendMultiMedia",
    "messages.uploadMedia",
    "photos.getUserPhotos",
    "photos.uploadProfilePhoto",
    "updates.getChannelDifference",
    "updates.getDifference",
    "updates.getState",
    "upload.getFile",
    "upload.getFileHashes",
    "users.getFullUser",
    "users.getUsers",
];

/// Rule:   LAY-13, LAY-14: an answer holds no constructor that the client's layer does not have,
///         and reads to its end there; so for whatever the newest schema lets functions answer.
/// Source: docs/spec/20-telegram-api-service.md §4.3.
#[test]
fn random_answers_read_as_the_layer_has_them() {
    for layer in SPOKEN {
        let parsed = schema_of(*layer);
        for name in FUNCTIONS {
            let function = NEWEST.function(name).unwrap();
            // Old clients call it by the id that they have for it.
            let called = parsed.function(name).map_or(function.id, |called| called.id);
            let result = parsed.function(name).map_or(&function.result, |called| &called.result);
            for seed in 0..4 {
                let answer = Random::new(*layer, seed).value(&function.result);
                let said = Layers::get().answer(*layer, called, &answer);
                let said = said.unwrap_or_else(|fault| panic!("{name} for {layer}: {fault}"));
                let read = dynamic::decode(&parsed, result, said);
                assert!(read.is_ok(), "{name} for {layer}, seed {seed}: {}", read.unwrap_err());
            }
        }
    }
}

/// Functions that are answered as of nothing.
const OF_NOTHING: &[&str] = &[
    "account.getAutoDownloadSettings",
    "account.getAutoSaveSettings",
    "account.getChannelDefaultEmojiStatuses",
    "account.getChannelRestrictedStatusEmojis",
    "account.getChatThemes",
    "account.getCollectibleEmojiStatuses",
    "account.getContactSignUpNotification",
    "account.getContentSettings",
    "account.getDefaultBackgroundEmojis",
    "account.getDefaultEmojiStatuses",
    "account.getDefaultGroupPhotoEmojis",
    "account.getDefaultProfilePhotoEmojis",
    "account.getGlobalPrivacySettings",
    "account.getNotifySettings",
    "account.getPaidMessagesRevenue",
    "account.getReactionsNotifySettings",
    "account.getRecentEmojiStatuses",
    "account.getSavedMusicIds",
    "account.getSavedRingtones",
    "account.getThemes",
    "account.getWallPapers",
    "account.getWebBrowserSettings",
    "account.registerDevice",
    "account.unregisterDevice",
    "channels.getAdminedPublicChannels",
    "contacts.getBirthdays",
    "contacts.getSaved",
    "contacts.getTopPeers",
    "help.acceptTermsOfService",
    "help.getCdnConfig",
    "help.getPeerColors",
    "help.getPeerProfileColors",
    "help.getPremiumPromo",
    "help.getPromoData",
    "help.getTermsOfServiceUpdate",
    "help.getTimezonesList",
    "help.saveAppLog",
    "messages.getAllStickers",
    "messages.getAttachMenuBots",
    "messages.getAvailableEffects",
    "messages.getAvailableReactions",
    "messages.getDefaultTagReactions",
    "messages.getDocumentByHash",
    "messages.getEmojiKeywords",
    "messages.getEmojiKeywordsDifference",
    "messages.getEmojiKeywordsLanguages",
    "messages.getEmojiStickers",
    "messages.getFavedStickers",
    "messages.getFeaturedEmojiStickers",
    "messages.getFeaturedStickers",
    "messages.getMaskStickers",
    "messages.getPaidReactionPrivacy",
    "messages.getQuickReplies",
    "messages.getRecentReactions",
    "messages.getRecentStickers",
    "messages.getSavedGifs",
    "messages.getSavedReactionTags",
    "messages.getTopReactions",
    "payments.getStarsStatus",
    "stories.getAllStories",
    "stories.getPeerMaxIDs",
    "stories.getStoriesArchive",
];

/// Rule:   LAY-13: that there is nothing of something is said to every layer that can ask for it, in
///         its own words.
/// Source: docs/spec/20-telegram-api-service.md §1.4, §4.3.
#[tokio::test]
async fn nothing_reads_as_the_layer_has_it() {
    let (_home, mut client) = Client::stranger(test_numbers()).await;
    enter(&mut client, "9996620001").await;
    for layer in SPOKEN {
        client.announce(*layer).await;
        let parsed = schema_of(*layer);
        for function in OF_NOTHING.iter().filter_map(|name| parsed.function(name)) {
            let (name, mut call) = (&function.name, Vec::new());
            let mut small = Random { depth: DEPTH_MAX, ..Random::of(&parsed, *layer, 1) };
            small.definition(function, &mut call);
            let said = client.call(&Raw(call.into())).await;
            let said = said.unwrap_or_else(|fault| panic!("{name} for {layer}: {fault:?}"));
            let read = dynamic::decode(&parsed, &function.result, said);
            assert!(read.is_ok(), "{name} for {layer}: {}", read.unwrap_err());
        }
    }
}

/// Rule:   LAY-13, UPD-12: an update is said in words of the layer, or left out; if it counts, what
///         comes in its place counts as much.
/// Source: docs/spec/20-telegram-api-service.md §3, §4.3.
#[test]
fn random_updates_read_as_the_layer_has_them() {
    for layer in SPOKEN {
        let parsed = schema_of(*layer);
        let updates = Type::Boxed { name: "Updates".into(), args: Vec::new() };
        for update in NEWEST.constructors_of("Update") {
            let mut random = Random::new(*layer, update.id.into());
            let mut update_bytes = Vec::new();
            random.definition(update, &mut update_bytes);
            let mut body = Vec::new();
            for word in [0x74ae_4240, 0x1cb5_c415, 1] {
                body.extend(u32::to_le_bytes(word));
            }
            body.extend(&update_bytes);
            for _ in 0..2 {
                body.extend([0x1cb5_c415_u32.to_le_bytes(), [0; 4]].concat());
            }
            body.extend([0; 8]);
            let said = Layers::get().push(*layer, &body.into()).unwrap();
            let read = dynamic::decode(&parsed, &updates, said);
            let read = read.unwrap_or_else(|fault| panic!("{} for {layer}: {fault}", update.name));
            let text = format!("{read:?}");
            if update.param("pts").is_some() && update.param("pts_count").is_some() {
                assert!(text.contains("pts_count"), "{} for {layer} is left out", update.name);
            }
        }
    }
}

/// Rule:   LAY-02: where a change is more than new conditional fields, there is a rule; so of the
///         definitions that changed since layer 158 none is left out in any layer.
/// Source: docs/spec/20-telegram-api-service.md §4.2, §4.3.
#[test]
fn nothing_of_the_first_tier_is_left_out() {
    for layer in Layers::get().history().layers() {
        let lowering = Layers::get().lowering(layer.cast_signed()).unwrap();
        let left_out = lowering.uncovered(FUNCTIONS, &["Updates"]);
        for name in CHANGED {
            assert!(NEWEST.constructor(name).is_some(), "{name} is not in the newest layer");
            assert!(!left_out.iter().any(|other| other == name), "{name} in layer {layer}");
        }
    }
}

/// Constructors of the first and second tier that some layer after 158 changed.
const CHANGED: &[&str] = &[
    "botCommand",
    "botInfo",
    "channel",
    "channelFull",
    "channelParticipant",
    "channelParticipantBanned",
    "channelParticipantSelf",
    "chatFull",
    "chatParticipant",
    "dialog",
    "dialogFilter",
    "documentAttributeVideo",
    "draftMessage",
    "keyboardButton",
    "keyboardInlineButton",
    "keyboardInlineButtonRow",
    "message",
    "messageEntityBlockquote",
    "messageFwdHeader",
    "messageMediaDocument",
    "messageMediaPhoto",
    "messageMediaPoll",
    "messageMediaWebPage",
    "messageReactions",
    "messageReplyHeader",
    "messageService",
    "messages.messages",
    "messages.messagesSlice",
    "peerNotifySettings",
    "peerSettings",
    "poll",
    "pollAnswer",
    "pollResults",
    "replyInlineMarkup",
    "updateDraftMessage",
    "updateMessageReactions",
    "updateReadHistoryInbox",
    "updateUserTyping",
    "user",
    "userFull",
    "userStatusRecently",
    "webPageEmpty",
    "webPagePending",
];

/// What handlers never answer: payments for codes, web views before joining, communities.
const UNSAID: &[&str] = &[
    "auth.sentCodePaymentRequired",
    "communityFull",
    "dialogCommunity",
    "messages.chatInviteJoinResultWebView",
];

/// Rule:   LAY-14, LAY-11: what is said otherwise in older layers, a row of the table each.
/// Source: docs/spec/20-telegram-api-service.md §4.2.
#[test]
fn changes_beyond_conditional_fields_are_said_in_old_words() {
    let answer = |layer, function: &str, newest: Value, expected: Value| {
        let old = schema_of(layer);
        let called = old.function(function).unwrap();
        let result = &NEWEST.function(function).unwrap().result;
        let value = dynamic::from_json(&NEWEST, result, &newest).unwrap();
        let answer = dynamic::encode(&NEWEST, result, &value).unwrap();
        let said = Layers::get().answer(layer, called.id, &answer).unwrap();
        let said = dynamic::decode(&old, &called.result, said).unwrap();
        assert_eq!(dynamic::to_json(&said), expected, "{function} for {layer}");
    };
    let messages = |message: Value| {
        json!({"_": "messages.messages", "messages": [message], "topics": [], "chats": [],
            "users": []})
    };
    let old_messages = |message: Value| json!({"_": "messages.messages", "messages": [message], "chats": [], "users": []});
    let message = |more: Value| {
        let mut message = json!({"_": "message", "id": 1, "date": 2, "message": "text",
            "peer_id": {"_": "peerUser", "user_id": 7}});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message
    };
    for (newest, old) in [
        // A message of today among messages of today: flags, topics.
        (message(json!({"from_rank": "boss"})), message(json!({}))),
        // A reply to nothing that layer 158 could name.
        (
            message(json!({"reply_to": {"_": "messageReplyHeader", "quote": true}})),
            message(json!({"reply_to": {"_": "messageReplyHeader", "reply_to_msg_id": 0}})),
        ),
        // Unknown media, and an unknown entity beside one that is known.
        (
            message(json!({"media": {"_": "messageMediaToDo", "todo": {"_": "todoList",
                "title": {"_": "textWithEntities", "text": "x", "entities": []}, "list": []}}})),
            message(json!({"media": {"_": "messageMediaUnsupported"}})),
        ),
        (
            message(json!({"entities": [
                {"_": "messageEntityTonAddress", "offset": 0, "length": 1},
                {"_": "messageEntityBold", "offset": 0, "length": 1}]})),
            message(json!({"entities": [{"_": "messageEntityBold", "offset": 0, "length": 1}]})),
        ),
        // Text without entities, voters without their kind.
        (
            message(json!({"media": {"_": "messageMediaPoll",
                "poll": {"_": "poll", "id": 5, "hash": 9, "answers": [],
                    "question": {"_": "textWithEntities", "text": "why?", "entities": []}},
                "results": {"_": "pollResults", "recent_voters": [
                    {"_": "peerUser", "user_id": 8}, {"_": "peerChannel", "channel_id": 9}]}}})),
            message(json!({"media": {"_": "messageMediaPoll",
                "poll": {"_": "poll", "id": 5, "answers": [], "question": "why?"},
                "results": {"_": "pollResults", "recent_voters": [8]}}})),
        ),
        // A button that says what it does in an object of its own.
        (
            message(json!({"reply_markup": {"_": "replyInlineMarkup", "rows": [
                {"_": "keyboardInlineButtonRow", "buttons": [{"_": "keyboardInlineButton",
                    "text": "go", "type": {"_": "inlineButtonTypeCallback",
                    "requires_password": true, "data": "AQI="}}]}]}})),
            message(json!({"reply_markup": {"_": "replyInlineMarkup", "rows": [
                {"_": "keyboardButtonRow", "buttons": [{"_": "keyboardButtonCallback",
                    "requires_password": true, "text": "go", "data": "AQI="}]}]}})),
        ),
        (
            message(json!({"reply_markup": {"_": "replyKeyboardMarkup", "rows": [
                {"_": "keyboardButtonRow", "buttons": [
                    {"_": "keyboardButton", "text": "a", "type": {"_": "buttonTypeDefault"}},
                    {"_": "keyboardButton", "text": "b",
                        "type": {"_": "buttonTypeRequestPhone"}}]}]}})),
            message(json!({"reply_markup": {"_": "replyKeyboardMarkup", "rows": [
                {"_": "keyboardButtonRow", "buttons": [
                    {"_": "keyboardButton", "text": "a"},
                    {"_": "keyboardButtonRequestPhone", "text": "b"}]}]}})),
        ),
    ] {
        answer(158, "messages.getHistory", messages(newest), old_messages(old));
    }
    // A length that was a whole number of seconds.
    answer(
        158,
        "messages.uploadMedia",
        json!({"_": "messageMediaDocument", "document": {"_": "document", "id": 1,
            "access_hash": 2, "file_reference": "", "date": 3, "mime_type": "video/mp4",
            "size": 4, "dc_id": 2, "attributes": [{"_": "documentAttributeVideo",
            "duration": 2.6, "w": 1, "h": 1, "video_codec": "x"}]}}),
        json!({"_": "messageMediaDocument", "document": {"_": "document", "id": 1,
            "access_hash": 2, "file_reference": "", "date": 3, "mime_type": "video/mp4",
            "size": 4, "dc_id": 2, "attributes": [{"_": "documentAttributeVideo",
            "duration": 3, "w": 1, "h": 1}]}}),
    );
    // The id that was called decides the form of the answer.
    let updates =
        json!({"_": "updates", "updates": [], "users": [], "chats": [], "date": 1, "seq": 0});
    let invited = json!({"_": "messages.invitedUsers", "updates": updates, "missing_invitees": []});
    answer(158, "messages.createChat", invited.clone(), updates.clone());
    answer(190, "messages.createChat", invited.clone(), invited);
    let joined = json!({"_": "messages.chatInviteJoinResultOk", "updates": updates});
    answer(225, "channels.joinChannel", joined.clone(), updates);
    answer(228, "channels.joinChannel", joined.clone(), joined);
    let filters = |title: Value, more: Value| {
        let mut filter = json!({"_": "dialogFilter", "id": 2, "title": title, "pinned_peers": [],
            "include_peers": [], "exclude_peers": []});
        filter.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        filter
    };
    answer(
        158,
        "messages.getDialogFilters",
        json!({"_": "messages.dialogFilters", "filters": [filters(
            json!({"_": "textWithEntities", "text": "work", "entities": []}), json!({"color": 1}))]}),
        json!([filters(json!("work"), json!({}))]),
    );
}

/// Rule:   LAY-10, LAY-12: a call is known by its id, whatever layer was announced; both forms of
///         a reply are taken.
/// Source: docs/spec/20-telegram-api-service.md §4.3.
#[test]
fn calls_of_older_layers_are_lifted() {
    let lift = |layer, old: Value, expected: Value| {
        let schema = schema_of(layer);
        let value = dynamic::from_json(&schema, &dynamic::CALL, &old).unwrap();
        let call = dynamic::encode(&schema, &dynamic::CALL, &value).unwrap();
        let lifted = Layers::get().lift(&call).unwrap();
        let lifted = dynamic::decode(&NEWEST, &dynamic::CALL, lifted).unwrap();
        assert_eq!(dynamic::to_json(&lifted), expected, "layer {layer}");
    };
    let send = |more: Value| {
        let mut call = json!({"_": "messages.sendMessage", "peer": {"_": "inputPeerSelf"},
            "message": "text", "random_id": 1});
        call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call
    };
    lift(158, send(json!({"silent": true})), send(json!({"silent": true})));
    let reply = json!({"reply_to": {"_": "inputReplyToMessage", "reply_to_msg_id": 5}});
    lift(158, send(json!({"reply_to_msg_id": 5})), send(reply.clone()));
    lift(190, send(reply.clone()), send(reply));
    let thread = json!({"reply_to": {"_": "inputReplyToMessage", "reply_to_msg_id": 5,
        "top_msg_id": 6}});
    lift(158, send(json!({"reply_to_msg_id": 5, "top_msg_id": 6})), send(thread));
    // A keyboard of layer 158 in a call that is otherwise as it was.
    let rows = |button: Value, row: &str| {
        json!({"reply_markup": {"_": "replyInlineMarkup",
        "rows": [{"_": row, "buttons": [button]}]}})
    };
    lift(
        158,
        send(rows(json!({"_": "keyboardButtonUrl", "text": "a", "url": "b"}), "keyboardButtonRow")),
        send(rows(
            json!({"_": "keyboardInlineButton", "text": "a",
                "type": {"_": "inlineButtonTypeUrl", "url": "b"}}),
            "keyboardInlineButtonRow",
        )),
    );
    lift(
        222,
        send(json!({"reply_markup": {"_": "replyKeyboardMarkup", "rows": [
            {"_": "keyboardButtonRow", "buttons": [{"_": "keyboardButton", "text": "a"}]}]}})),
        send(json!({"reply_markup": {"_": "replyKeyboardMarkup", "rows": [
            {"_": "keyboardButtonRow", "buttons": [{"_": "keyboardButton", "text": "a",
                "type": {"_": "buttonTypeDefault"}}]}]}})),
    );
    // Whole seconds, plain text; an id that never changed with an argument that did.
    let media = |media: Value| json!({"_": "messages.uploadMedia", "peer": {"_": "inputPeerSelf"}, "media": media});
    let file = json!({"_": "inputFile", "id": 1, "parts": 1, "name": "a", "md5_checksum": ""});
    let document = |attribute: Value| {
        media(json!({"_": "inputMediaUploadedDocument", "file": file, "mime_type": "video/mp4",
            "attributes": [attribute]}))
    };
    lift(
        158,
        document(json!({"_": "documentAttributeVideo", "duration": 3, "w": 1, "h": 2})),
        document(json!({"_": "documentAttributeVideo", "duration": 3.0, "w": 1, "h": 2})),
    );
    lift(
        158,
        json!({"_": "auth.signUp", "phone_number": "1", "phone_code_hash": "2",
            "first_name": "3", "last_name": "4"}),
        json!({"_": "auth.signUp", "phone_number": "1", "phone_code_hash": "2",
            "first_name": "3", "last_name": "4"}),
    );
    lift(
        190,
        json!({"_": "contacts.importContacts", "contacts": [{"_": "inputPhoneContact",
            "client_id": 1, "phone": "2", "first_name": "3", "last_name": "4"}]}),
        json!({"_": "contacts.importContacts", "contacts": [{"_": "inputPhoneContact",
            "client_id": 1, "phone": "2", "first_name": "3", "last_name": "4"}]}),
    );
}

/// Rule: QRK-38: a peer where somebody is meant is who it names; where a peer is wanted it stays one,
///       and a group is nobody.
#[test]
fn peers_are_taken_for_people() {
    let call = |id: u32, peers: &[&[u8]]| {
        let mut bytes =
            [0x0d91_a548_u32, 0x1cb5_c415, peers.len() as u32].map(u32::to_le_bytes).concat();
        bytes[..4].copy_from_slice(&id.to_le_bytes());
        bytes.extend(peers.concat());
        Bytes::from(bytes)
    };
    let (me, in_place) = (0x7da0_7ec9_u32.to_le_bytes(), 0xf7c1_b13f_u32.to_le_bytes());
    let with_fields = |id: u32| [&id.to_le_bytes()[..], &[7; 16]].concat();
    let (peer, user) = (with_fields(0xdde8_a54c), with_fields(0xf211_58c6));
    const GET_USERS: u32 = 0x0d91_a548;
    let lift = |call: &Bytes| Layers::get().lift(call);
    let expected = call(GET_USERS, &[&user, &in_place, &user]);
    assert_eq!(lift(&call(GET_USERS, &[&peer, &me, &user])), Ok(expected));
    let group = [&0x35a9_5cb9_u32.to_le_bytes()[..], &[7; 8]].concat();
    assert!(lift(&call(GET_USERS, &[&group])).is_err());
    let peer = types::InputPeer::InputPeerSelf;
    let read = functions::messages::ReadHistory { peer, max_id: 5 };
    let read = chappe_tl::to_bytes(&read).unwrap();
    assert_eq!(lift(&read), Ok(read));
}

/// Rule:   LAY-10: every call of every layer is lifted, or left to be refused: as the newest layer
///         reads it, it reads to its end.
/// Source: docs/spec/20-telegram-api-service.md §4.3.
#[test]
fn random_calls_of_older_layers_read_as_the_newest() {
    for layer in [158, 190, 198, 222, 228] {
        let old = schema_of(layer);
        let (mut lifted, mut refused) = (0, Vec::new());
        for function in FUNCTIONS.iter().filter_map(|name| old.function(name)) {
            for seed in 0..6 {
                let mut call = Vec::new();
                let mut random = Random::of(&old, layer, seed);
                random.definition(function, &mut call);
                match Layers::get().lift(&call.into()) {
                    Ok(call) => {
                        let read = dynamic::decode(&NEWEST, &dynamic::CALL, call);
                        assert!(read.is_ok(), "{} of {layer}: {read:?}", function.name);
                        lifted += 1;
                    }
                    Err(fault) => refused.push(format!("{}: {fault}", function.name)),
                }
            }
        }
        assert!(refused.len() * 20 < lifted, "{layer}: {lifted} lifted, {refused:#?}");
    }
}

/// Rule:   TL-35, TL-36: whatever a peer sends is lifted or refused; objects nested too deep are
///         refused.
/// Source: docs/spec/01-tl.md.
#[test]
fn damaged_calls_are_refused() {
    let old = schema_of(158);
    for (seed, name) in (0..).zip(FUNCTIONS) {
        let Some(function) = old.function(name) else { continue };
        let mut random = Random::of(&old, 158, seed);
        let mut call = Vec::new();
        random.definition(function, &mut call);
        for cut in (4..call.len()).step_by(4) {
            assert!(Layers::get().lift(&call[..cut].to_vec().into()).is_err(), "{name}, {cut}");
        }
        for _ in 0..50 {
            let mut damaged = call.clone();
            let place = random.below(call.len() as u64) as usize;
            damaged[place] ^= 1 << random.below(8);
            // Whatever comes of it, it comes to an end.
            let _ = Layers::get().lift(&damaged.into());
        }
    }
    let event = [0x6f02_f748_u32, 0x1cb5_c415, 1, 0x1d1b_1245].map(u32::to_le_bytes).concat();
    let mut nested = [event, vec![0; 20]].concat();
    for _ in 0..10_000 {
        nested.extend([0xf744_4763_u32, 0x1cb5_c415, 1].map(u32::to_le_bytes).concat());
    }
    nested.extend(0x3f6d_7b68_u32.to_le_bytes());
    let refused = Layers::get().lift(&nested.into());
    assert!(matches!(refused, Err(TranscodeError::Malformed { .. })), "{refused:?}");
}

/// Rule:   LAY-03: a layer that is not known yet is spoken to as the last that is, one between two that
///         are known as the older of them; one older than all is refused.
/// Source: docs/spec/20-telegram-api-service.md §4.3.
#[test]
fn layers_are_clamped() {
    let history = Layers::get().history();
    assert_eq!(history.nearest(i32::MAX.cast_unsigned()), Some(232));
    assert_eq!(history.nearest(231), Some(history.newest()));
    assert_eq!(history.nearest(219), Some(218));
    assert_eq!(history.nearest(158), Some(158));
    assert_eq!(history.nearest(157), None);
    for layer in SPOKEN {
        assert_eq!(history.nearest(layer.cast_unsigned()), Some(layer.cast_unsigned()));
    }
}

/// Rule:   QRK-43: what is said to layer 232 has the ids that its one client holds.
/// Source: TDLib 1.8.69, whose library was read.
#[test]
fn layer_232_has_the_ids_of_its_client() {
    let layer = schema_of(232);
    for (name, id) in [
        ("channel", 0x7ad1_5240),
        ("channelFull", 0xc4c4_dd40),
        ("messageReplyHeader", 0xddb5_ab75),
        ("userFull", 0xb90c_2afd),
    ] {
        assert_eq!(layer.constructor(name).map(|found| found.id), Some(id), "{name}");
    }
}

/// Rule:   LAY-01, LAY-03, API-03: whoever says no layer is asked for one, and whoever says one
///         that is older than all is told so; layer 57 may sign in and nothing else.
/// Source: docs/spec/20-telegram-api-service.md §1.2, §4.3, §4.5.
#[tokio::test]
async fn unspoken_layers_are_refused() {
    let (mut home, mut silent) = Client::stranger(Config::default()).await;
    silent.is_silent = true;
    assert_eq!(silent.fail(GetNearestDc {}).await, (400, "CONNECTION_NOT_INITED".into()));
    for (layer, error) in [(157, "CONNECTION_LAYER_INVALID"), (-1, "CONNECTION_LAYER_INVALID")] {
        let mut client = home.client().await;
        client.layer = layer;
        assert_eq!(client.fail(GetNearestDc {}).await, (400, error.into()));
    }
    let mut client = home.client().await;
    client.layer = 57;
    client.ask(GetNearestDc {}).await.unwrap();
    let users = GetUsers { id: Vec::new() };
    assert_eq!(client.fail(users).await, (400, "CONNECTION_LAYER_INVALID".into()));
}

/// Rule:   LAY-04, LAY-05, API-02: what is pushed is in the layer of the key that gets it, also to
///         sessions that have not announced it; people of layers 158 and 230 talk.
/// Source: docs/spec/20-telegram-api-service.md §1.2, §4.3.
#[tokio::test]
async fn pushes_are_in_the_layer_of_who_gets_them() {
    let mut home = Home::open(test_numbers()).await;
    let (mut ada, mut bob) = (home.client().await, home.client().await);
    enter(&mut ada, "9996620001").await;
    enter(&mut bob, "9996620002").await;
    bob.announce(158).await;
    let found = ada.ask(ResolvePhone { phone: "9996620002".into() }).await.unwrap();
    let types::User::User(user) = &found.users[0] else { panic!("no user") };
    let peer = types::InputPeer::InputPeerUser(ctors::InputPeerUser {
        user_id: user.id,
        access_hash: user.access_hash.unwrap(),
    });
    ada.ask(SendMessage {
        peer,
        message: "good morning".into(),
        random_id: 1,
        ..chappe_tl::blank()
    })
    .await
    .unwrap();
    let body = bob.told_otherwise().await;
    let said = dynamic::decode(&schema_of(158), &Type::Object, body).unwrap();
    let said = dynamic::to_json(&said);
    assert_eq!(said["updates"][0]["message"]["message"], "good morning");
}

pub(crate) static NEWEST: LazyLock<Schema> =
    LazyLock::new(|| Schema::parse(chappe_api::SCHEMA).unwrap());

pub(crate) fn schema_of(layer: i32) -> Schema {
    Schema::parse(&Layers::get().history().text(layer.cast_unsigned())).unwrap()
}

/// Makes values of a schema.
pub(crate) struct Random<'a> {
    schema: &'a Schema,
    rng: Rng,
    /// Objects inside each other at present.
    depth: u32,
}

/// From here on everything is as small as can be.
const DEPTH_MAX: u32 = 7;

impl Random<'static> {
    pub(crate) fn new(layer: i32, seed: u64) -> Self {
        Self::of(&NEWEST, layer, seed)
    }
}

impl<'a> Random<'a> {
    fn of(schema: &'a Schema, layer: i32, seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..12].copy_from_slice(&layer.to_le_bytes());
        Self { schema, rng: Rng::from_seed(bytes), depth: 0 }
    }

    pub(crate) fn value(&mut self, ty: &Type) -> Bytes {
        let mut out = Vec::new();
        self.put(ty, &mut out);
        out.into()
    }

    fn put(&mut self, ty: &Type, out: &mut Vec<u8>) {
        match ty {
            Type::Int | Type::Nat => out.extend(self.rng.bytes::<4>()),
            Type::Long => out.extend(self.rng.bytes::<8>()),
            Type::Double => out.extend(f64::from(self.rng.u32()).to_le_bytes()),
            Type::Int128 => out.extend(self.rng.bytes::<16>()),
            Type::Int256 => out.extend(self.rng.bytes::<32>()),
            Type::String | Type::Bytes => {
                let len = self.below(6);
                out.push(len as u8);
                out.extend((0..len).map(|_| b'a'));
                out.resize(out.len().next_multiple_of(4), 0);
            }
            Type::Bool => {
                let id = if self.below(2) == 0 { 0x9972_75b5_u32 } else { 0xbc79_9737 };
                out.extend(id.to_le_bytes());
            }
            Type::Vector { item, .. } => {
                let count = if self.depth >= DEPTH_MAX { 0 } else { self.below(4) };
                out.extend([0x1cb5_c415, count as u32].map(u32::to_le_bytes).concat());
                for _ in 0..count {
                    self.put(item, out);
                }
            }
            Type::Boxed { name, .. } => {
                let is_said = |of: &&Definition| !UNSAID.contains(&of.name.as_str());
                let of = self.schema.constructors_of(name).filter(is_said).collect::<Vec<_>>();
                let chosen = if self.depth >= DEPTH_MAX {
                    of.iter().min_by_key(|definition| weight(definition)).unwrap()
                } else {
                    of[self.below(of.len() as u64) as usize..].first().unwrap()
                };
                self.definition(chosen, out);
            }
            other => panic!("{other} is in no answer"),
        }
    }

    fn definition(&mut self, definition: &Definition, out: &mut Vec<u8>) {
        self.depth += 1;
        out.extend(definition.id.to_le_bytes());
        let mut words: Vec<(&str, u32)> = Vec::new();
        for param in &definition.params {
            let name = param.name.as_deref().unwrap();
            if param.ty == Type::Nat {
                let word = self.word(definition, name);
                words.push((name, word));
                out.extend(word.to_le_bytes());
                continue;
            }
            let is_there = param.condition.as_ref().is_none_or(|condition| {
                words.iter().any(|(name, word)| *name == condition.field && condition.holds(*word))
            });
            if is_there && !param.is_flag() {
                self.put(&param.ty, out);
            }
        }
        self.depth -= 1;
    }

    /// Bits that some field has, about half of them.
    fn word(&mut self, definition: &Definition, name: &str) -> u32 {
        let is_of = |param: &&Param| {
            param.condition.as_ref().is_some_and(|condition| condition.field == name)
        };
        let bits = definition.params.iter().filter(is_of);
        let known = bits.fold(0, |word, param| {
            word | 1 << param.condition.as_ref().and_then(|condition| condition.bit).unwrap()
        });
        if self.depth >= DEPTH_MAX { 0 } else { known & self.rng.u64() as u32 }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.rng.u64() % end
    }
}

/// How much an object needs at least, roughly.
fn weight(definition: &Definition) -> usize {
    let needed = definition.params.iter().filter(|param| param.condition.is_none());
    needed
        .map(|param| match &param.ty {
            Type::Boxed { name, .. } if Some(name.as_str()) == definition_type(definition) => 1000,
            Type::Boxed { .. } => 20,
            _ => 1,
        })
        .sum()
}

fn definition_type(definition: &Definition) -> Option<&str> {
    match &definition.result {
        Type::Boxed { name, .. } => Some(name),
        _ => None,
    }
}

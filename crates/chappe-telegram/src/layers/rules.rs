//! What cannot be told from the schemas: rows of 20-telegram-api-service §4.2.

use chappe_tl::transcode::{Fallback, Gather, Nesting, Projection, Rules, Wrap};

pub(super) static RULES: Rules = Rules {
    substitutes: SUBSTITUTES,
    fallbacks: FALLBACKS,
    projections: PROJECTIONS,
    wraps: WRAPS,
    nestings: NESTINGS,
    aliases: ALIASES,
    gathers: GATHERS,
};

/// What stands for what a layer has no word for, and for what it wants and nobody has.
const SUBSTITUTES: &[(&str, &str)] = &[
    ("MessageMedia", "messageMediaUnsupported"),
    ("MessageAction", "messageActionEmpty"),
    ("TextWithEntities", "textWithEntities"),
    ("RichText", "textEmpty"),
    ("PageBlock", "pageBlockUnsupported"),
    ("SendMessageAction", "sendMessageTypingAction"),
    ("InputStickerSet", "inputStickerSetEmpty"),
    ("UserStatus", "userStatusEmpty"),
    ("UserProfilePhoto", "userProfilePhotoEmpty"),
    ("ChatPhoto", "chatPhotoEmpty"),
    ("Photo", "photoEmpty"),
    ("Document", "documentEmpty"),
    ("Reaction", "reactionEmpty"),
    ("EmojiStatus", "emojiStatusEmpty"),
    ("NotificationSound", "notificationSoundDefault"),
    ("BotMenuButton", "botMenuButtonDefault"),
    ("GeoPoint", "geoPointEmpty"),
    ("ButtonType", "buttonTypeDefault"),
    ("PasswordKdfAlgo", "passwordKdfAlgoUnknown"),
    ("SecurePasswordKdfAlgo", "securePasswordKdfAlgoUnknown"),
    ("auth.SentCodeType", "auth.sentCodeTypeSms"),
    ("ExportedChatInvite", "chatInvitePublicJoinRequests"),
    ("PollResults", "pollResults"),
    ("DraftMessage", "draftMessageEmpty"),
    ("JSONValue", "jsonNull"),
];

/// The same, where something of the value can be kept. An update that nobody understands still
/// moves the pts (UPD-12); one that came alone leaves an empty bundle.
const FALLBACKS: &[Fallback] = &[
    Fallback {
        ty: "Update",
        constructor: "updateDeleteChannelMessages",
        needs: &["channel_id", "pts", "pts_count"],
    },
    Fallback { ty: "Update", constructor: "updateDeleteMessages", needs: &["pts", "pts_count"] },
    Fallback { ty: "Updates", constructor: "updates", needs: &["update", "date"] },
    Fallback { ty: "Message", constructor: "messageEmpty", needs: &["id"] },
    Fallback { ty: "User", constructor: "userEmpty", needs: &["id"] },
    Fallback { ty: "Chat", constructor: "chatEmpty", needs: &["id"] },
    Fallback { ty: "WebPage", constructor: "webPageEmpty", needs: &["id"] },
    Fallback { ty: "Document", constructor: "documentEmpty", needs: &["id"] },
    Fallback { ty: "Photo", constructor: "photoEmpty", needs: &["id"] },
];

const PROJECTIONS: &[Projection] = &[
    Projection { from: "TextWithEntities", to: "string", field: "text" },
    Projection { from: "Peer", to: "long", field: "user_id" },
    Projection { from: "PeerColor", to: "int", field: "color" },
    Projection { from: "RecentStory", to: "int", field: "max_id" },
    Projection { from: "messages.InvitedUsers", to: "Updates", field: "updates" },
    Projection { from: "messages.ChatInviteJoinResult", to: "Updates", field: "updates" },
    Projection { from: "messages.WebPagePreview", to: "MessageMedia", field: "media" },
    Projection { from: "messages.DialogFilters", to: "Vector<DialogFilter>", field: "filters" },
];

const WRAPS: &[Wrap] = &[
    Wrap { from: "string", to: "TextWithEntities", constructor: "textWithEntities", field: "text" },
    Wrap { from: "long", to: "Peer", constructor: "peerUser", field: "user_id" },
    Wrap { from: "int", to: "PeerColor", constructor: "peerColor", field: "color" },
];

/// A message is answered by more than its id since layer 160 (LAY-12).
const GATHERS: &[Gather] = &[Gather {
    field: "reply_to",
    ty: "InputReplyTo",
    constructor: "inputReplyToMessage",
    when: "reply_to_msg_id",
}];

/// Rows of inline keyboards have a type of their own since layer 229; and some clients give a peer
/// where somebody is meant (QRK-38).
const ALIASES: &[(&str, &str, &str)] = &[
    ("inputPeerUser", "InputUser", "inputUser"),
    ("inputPeerSelf", "InputUser", "inputUserSelf"),
    ("inputPeerChannel", "InputChannel", "inputChannel"),
    ("keyboardInlineButtonRow", "KeyboardButtonRow", "keyboardButtonRow"),
    ("keyboardButtonRow", "KeyboardInlineButtonRow", "keyboardInlineButtonRow"),
];

/// What a button does is an object of its own since layer 229.
const NESTINGS: &[Nesting] = &[
    reply("keyboardButton", "buttonTypeDefault"),
    reply("keyboardButtonRequestPhone", "buttonTypeRequestPhone"),
    reply("keyboardButtonRequestGeoLocation", "buttonTypeRequestGeoLocation"),
    reply("keyboardButtonRequestPoll", "buttonTypeRequestPoll"),
    reply("keyboardButtonSimpleWebView", "buttonTypeSimpleWebView"),
    reply("keyboardButtonRequestPeer", "buttonTypeRequestPeer"),
    reply("inputKeyboardButtonRequestPeer", "inputButtonTypeRequestPeer"),
    inline("keyboardButtonUrl", "inlineButtonTypeUrl"),
    inline("keyboardButtonCallback", "inlineButtonTypeCallback"),
    inline("keyboardButtonSwitchInline", "inlineButtonTypeSwitchInline"),
    inline("keyboardButtonGame", "inlineButtonTypeGame"),
    inline("keyboardButtonBuy", "inlineButtonTypeBuy"),
    inline("keyboardButtonUrlAuth", "inlineButtonTypeUrlAuth"),
    inline("inputKeyboardButtonUrlAuth", "inputInlineButtonTypeUrlAuth"),
    inline("keyboardButtonUserProfile", "inlineButtonTypeUserProfile"),
    inline("inputKeyboardButtonUserProfile", "inputInlineButtonTypeUserProfile"),
    inline("keyboardButtonWebView", "inlineButtonTypeWebView"),
    inline("keyboardButtonCopy", "inlineButtonTypeCopy"),
];

const fn reply(flat: &'static str, inner: &'static str) -> Nesting {
    Nesting { flat, outer: "keyboardButton", field: "type", inner }
}

const fn inline(flat: &'static str, inner: &'static str) -> Nesting {
    Nesting { flat, outer: "keyboardInlineButton", field: "type", inner }
}

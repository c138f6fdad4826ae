//! What bots may do and people may not, and the other way round (API-07).

use std::collections::HashSet;
use std::sync::LazyLock;

use chappe_proto::rpc::RpcError;

use crate::Service;
use crate::error::{Failure, bad};
use crate::store::{Account, Peer};

/// Namespaces that bots may call all of.
const OPEN_TO_BOTS: &[&str] = &[
    "auth", "bots", "channels", "help", "langpack", "photos", "stickers", "updates", "upload",
    "users",
];

/// What bots may call in the other namespaces.
const FOR_BOTH: &[&str] = &[
    "account.updateStatus",
    "contacts.resolveUsername",
    "messages.deleteChatUser",
    "messages.deleteMessages",
    "messages.editChatAbout",
    "messages.editChatDefaultBannedRights",
    "messages.editChatPhoto",
    "messages.editChatTitle",
    "messages.editExportedChatInvite",
    "messages.editMessage",
    "messages.exportChatInvite",
    "messages.forwardMessages",
    "messages.getChats",
    "messages.getCustomEmojiDocuments",
    "messages.getDocumentByHash",
    "messages.getFullChat",
    "messages.getGameHighScores",
    "messages.getMessages",
    "messages.getStickerSet",
    "messages.hideChatJoinRequest",
    "messages.sendMedia",
    "messages.sendMessage",
    "messages.sendMultiMedia",
    "messages.sendReaction",
    "messages.setGameScore",
    "messages.setTyping",
    "messages.unpinAllMessages",
    "messages.updatePinnedMessage",
    "messages.uploadMedia",
    "payments.exportInvoice",
    "payments.refundStarsCharge",
];

/// What bots alone may call.
const FOR_BOTS: &[&str] = &[
    "bots.answerWebhookJSONQuery",
    "bots.getBotCommands",
    "bots.resetBotCommands",
    "bots.sendCustomRequest",
    "bots.setBotBroadcastDefaultAdminRights",
    "bots.setBotCommands",
    "bots.setBotGroupDefaultAdminRights",
    "help.setBotUpdatesStatus",
    "messages.editInlineBotMessage",
    "messages.getInlineGameHighScores",
    "messages.savePreparedInlineMessage",
    "messages.sendWebViewResultMessage",
    "messages.setBotCallbackAnswer",
    "messages.setBotPrecheckoutResults",
    "messages.setBotShippingResults",
    "messages.setInlineBotResults",
    "messages.setInlineGameScore",
];

/// Names are compared once: a call is judged by its id.
static IDS_FOR_PEOPLE: LazyLock<HashSet<u32>> = LazyLock::new(|| {
    let is_open = |name: &str| {
        let namespace = name.split_once('.').map_or("", |(namespace, _)| namespace);
        OPEN_TO_BOTS.contains(&namespace) || FOR_BOTH.contains(&name) || FOR_BOTS.contains(&name)
    };
    let closed = chappe_api::FUNCTIONS.iter().filter(|function| !is_open(function.name));
    closed.map(|function| function.id).collect()
});
static IDS_FOR_BOTS: LazyLock<HashSet<u32>> = LazyLock::new(|| {
    let own = chappe_api::FUNCTIONS.iter().filter(|function| FOR_BOTS.contains(&function.name));
    own.map(|function| function.id).collect()
});

/// Whether bots may not call a function.
pub(crate) fn is_for_people(function: u32) -> bool {
    IDS_FOR_PEOPLE.contains(&function)
}

/// Whether people may not call a function.
pub(crate) fn is_for_bots(function: u32) -> bool {
    IDS_FOR_BOTS.contains(&function)
}

impl Service {
    /// Sees whether `me` may write to somebody whom they may [reach](Self::check_may_reach): bots
    /// write to those alone who have written to them, and not to each other. What goes for a group
    /// is its own matter.
    pub(crate) async fn check_may_write(&self, me: i64, peer: Peer) -> Result<(), Failure> {
        let are_bots = self.check_may_reach(me, peer).await?;
        let Peer::Account(peer) = peer else { return Ok(()) };
        match are_bots {
            (false, false) => Ok(()),
            (false, true) => Ok(self.store.acquaint(peer, me).await?),
            (true, true) => Err(bad("USER_IS_BOT")),
            (true, false) if self.store.is_acquainted(me, peer).await? => Ok(()),
            (true, false) => Err(bad("PEER_ID_INVALID")),
        }
    }

    /// Sees whether anything that `me` does in a dialog may be seen by somebody: nothing is where
    /// one of the two has blocked the other. Which of the two, oneself first, are bots.
    pub(crate) async fn check_may_reach(
        &self,
        me: i64,
        peer: Peer,
    ) -> Result<(bool, bool), Failure> {
        let peer = match peer {
            Peer::Account(peer) if peer != me => peer,
            Peer::Account(_) | Peer::Chat(_) => return Ok((false, false)),
        };
        let between = self.store.between(me, peer).await?;
        if between.has_blocked {
            return Err(bad("YOU_BLOCKED_USER"));
        }
        if between.is_blocked {
            return Err(bad("USER_IS_BLOCKED"));
        }
        Ok(between.are_bots)
    }

    /// The bot that somebody means.
    pub(super) async fn meant_bot(
        &self,
        me: i64,
        bot: &chappe_api::types::InputUser,
    ) -> Result<Account, Failure> {
        let found = self.meant(me, bot).await?.filter(|found| found.is_bot);
        found.ok_or_else(|| Failure::Rpc(RpcError::bad_request("BOT_INVALID")))
    }
}

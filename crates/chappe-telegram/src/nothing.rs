//! What clients ask after signing in for things that this service has none of: stickers, themes,
//! stories, gifts (20-telegram-api-service §1.4). Anything but an empty answer makes some ask again.

use chappe_api::functions::{account, channels, contacts, help, messages, payments, stories};
use chappe_api::{ctors, types};
use chappe_proto::rpc::RpcError;
use chappe_server::{Caller, Router, State};
use chappe_tl::{Function, blank};

use crate::Service;
use crate::error::Failure;

/// Of lists that clients keep by a hash that is not 0: they are empty, and stay so.
const HASH: i32 = 1;
/// Seconds until clients ask for news of the operator again.
const NEWS: i32 = 86_400;
/// Of the list of stories, which is the same at all times.
const STATE: &str = "0";

/// One row for each function: its answer, by the call and the second.
macro_rules! table {
    ($router:ident; $($function:path: $call:pat, $now:pat => $answer:expr;)+) => {{
        $(let $router = answered($router, |$call: &$function, $now: i32| $answer);)+
        $router
    }};
}

/// Answers all of these.
pub(crate) fn answer(router: Router<Service>) -> Router<Service> {
    use types::account as a;
    use types::help as h;
    use types::messages as m;
    table! { router;
        help::GetTermsOfServiceUpdate: _, now => h::TermsOfServiceUpdate::TermsOfServiceUpdateEmpty(
            ctors::help::TermsOfServiceUpdateEmpty { expires: now.saturating_add(NEWS) });
        help::GetPromoData: _, now => h::PromoData::PromoDataEmpty(
            ctors::help::PromoDataEmpty { expires: now.saturating_add(NEWS) });
        help::GetPeerColors: call, _ => peer_colors(call.hash);
        help::GetPeerProfileColors: call, _ => peer_colors(call.hash);
        help::GetTimezonesList: call, _ => match call.hash {
            HASH => h::TimezonesList::TimezonesListNotModified,
            _ => h::TimezonesList::TimezonesList(
                ctors::help::TimezonesList { timezones: Vec::new(), hash: HASH }),
        };
        help::GetPremiumPromo: _, _ => blank();
        help::GetCdnConfig: _, _ => blank();
        help::SaveAppLog: _, _ => true;
        help::AcceptTermsOfService: _, _ => true;

        account::GetContentSettings: _, _ => blank();
        account::GetGlobalPrivacySettings: _, _ => blank();
        account::GetReactionsNotifySettings: _, _ => types::ReactionsNotifySettings {
            sound: types::NotificationSound::NotificationSoundDefault, ..blank() };
        account::GetAutoDownloadSettings: _, _ => blank();
        account::GetAutoSaveSettings: _, _ => blank();
        account::GetContactSignUpNotification: _, _ => false;
        account::GetNotifySettings: _, _ => blank();
        account::RegisterDevice: _, _ => true;
        account::UnregisterDevice: _, _ => true;

        account::GetSavedRingtones: _, _ => a::SavedRingtones::SavedRingtones(blank());
        account::GetDefaultEmojiStatuses: _, _ => a::EmojiStatuses::EmojiStatuses(blank());
        account::GetRecentEmojiStatuses: _, _ => a::EmojiStatuses::EmojiStatuses(blank());
        account::GetChannelDefaultEmojiStatuses: _, _ => a::EmojiStatuses::EmojiStatuses(blank());
        account::GetCollectibleEmojiStatuses: _, _ => a::EmojiStatuses::EmojiStatuses(blank());
        account::GetChatThemes: _, _ => a::Themes::Themes(blank());
        account::GetThemes: _, _ => a::Themes::Themes(blank());
        account::GetWallPapers: _, _ => a::WallPapers::WallPapers(blank());
        account::GetDefaultProfilePhotoEmojis: _, _ => types::EmojiList::EmojiList(blank());
        account::GetDefaultGroupPhotoEmojis: _, _ => types::EmojiList::EmojiList(blank());
        account::GetDefaultBackgroundEmojis: _, _ => types::EmojiList::EmojiList(blank());
        account::GetChannelRestrictedStatusEmojis: _, _ => types::EmojiList::EmojiList(blank());
        account::GetSavedMusicIds: _, _ => a::SavedMusicIds::SavedMusicIds(blank());
        account::GetWebBrowserSettings: _, _ => a::WebBrowserSettings::WebBrowserSettings(blank());
        account::GetPaidMessagesRevenue: _, _ => blank();

        messages::GetAllStickers: _, _ => m::AllStickers::AllStickers(blank());
        messages::GetMaskStickers: _, _ => m::AllStickers::AllStickers(blank());
        messages::GetEmojiStickers: _, _ => m::AllStickers::AllStickers(blank());
        messages::GetFeaturedStickers: _, _ => m::FeaturedStickers::FeaturedStickers(blank());
        messages::GetFeaturedEmojiStickers: _, _ => m::FeaturedStickers::FeaturedStickers(blank());
        messages::GetRecentStickers: _, _ => m::RecentStickers::RecentStickers(blank());
        messages::GetFavedStickers: _, _ => m::FavedStickers::FavedStickers(blank());
        messages::GetSavedGifs: _, _ => m::SavedGifs::SavedGifs(blank());
        messages::GetAvailableReactions: _, _ => m::AvailableReactions::AvailableReactions(blank());
        messages::GetAvailableEffects: _, _ => m::AvailableEffects::AvailableEffects(blank());
        messages::GetTopReactions: _, _ => m::Reactions::Reactions(blank());
        messages::GetRecentReactions: _, _ => m::Reactions::Reactions(blank());
        messages::GetDefaultTagReactions: _, _ => m::Reactions::Reactions(blank());
        messages::GetSavedReactionTags: _, _ => m::SavedReactionTags::SavedReactionTags(blank());
        messages::GetQuickReplies: _, _ => m::QuickReplies::QuickReplies(blank());
        messages::GetAttachMenuBots: _, _ => types::AttachMenuBots::AttachMenuBots(blank());
        messages::GetEmojiKeywords: call, _ => types::EmojiKeywordsDifference {
            lang_code: call.lang_code.clone(), version: 1, ..blank() };
        messages::GetEmojiKeywordsDifference: call, _ => types::EmojiKeywordsDifference {
            lang_code: call.lang_code.clone(), from_version: call.from_version, version: 1, ..blank() };
        messages::GetEmojiKeywordsLanguages: _, _ => Vec::new();
        messages::GetPaidReactionPrivacy: _, now => types::Updates::Updates(
            ctors::Updates { date: now, ..blank() });
        messages::GetDocumentByHash: _, _ => types::Document::DocumentEmpty(blank());

        stories::GetAllStories: _, _ => types::stories::AllStories::AllStories(
            Box::new(ctors::stories::AllStories { state: STATE.into(), ..blank() }));
        stories::GetPeerMaxIDs: _, _ => Vec::new();
        stories::GetStoriesArchive: _, _ => blank();
        channels::GetAdminedPublicChannels: _, _ => m::Chats::Chats(blank());
        payments::GetStarsStatus: call, _ => types::payments::StarsStatus {
            balance: if call.ton {
                types::StarsAmount::StarsTonAmount(blank())
            } else {
                types::StarsAmount::StarsAmount(blank())
            },
            ..blank()
        };
        contacts::GetBirthdays: _, _ => blank();
        contacts::GetTopPeers: _, _ => types::contacts::TopPeers::TopPeersDisabled;
        contacts::GetSaved: _, _ => Vec::new();
    }
}

/// No set is known; a special one neither.
pub(crate) async fn get_sticker_set(
    State(service): State<Service>,
    caller: Caller,
    _call: messages::GetStickerSet,
) -> Result<types::messages::StickerSet, Failure> {
    service.me(&caller).await?;
    Err(Failure::Rpc(RpcError::new(406, "STICKERSET_INVALID")))
}

/// What clients ask for help they ask before they sign in as well: a 401 would be no answer then,
/// and makes TDLib throw its key away (QRK-22).
fn answered<C>(
    router: Router<Service>,
    answer: impl Fn(&C, i32) -> C::Return + Clone + Send + Sync + 'static,
) -> Router<Service>
where
    C: Function + Send + Sync + 'static,
    C::Return: Send,
{
    let is_open = C::NAME.starts_with("help.");
    router.function(move |State(service): State<Service>, caller: Caller, call: C| async move {
        if !is_open {
            service.me(&caller).await?;
        }
        let now = i32::try_from(caller.now.unix_seconds()).unwrap_or(i32::MAX);
        Ok::<_, Failure>(answer(&call, now))
    })
}

fn peer_colors(hash: i32) -> types::help::PeerColors {
    match hash {
        HASH => types::help::PeerColors::PeerColorsNotModified,
        _ => types::help::PeerColors::PeerColors(ctors::help::PeerColors {
            hash: HASH,
            colors: Vec::new(),
        }),
    }
}

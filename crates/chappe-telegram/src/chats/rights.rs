//! What ordinary members may not do, in bits.

use chappe_api::types::ChatBannedRights;

macro_rules! rights {
    ($($bit:literal $name:ident,)+) => {
        /// Rights that are taken away, in the bits of `chatBannedRights`, which keep their places
        /// from layer to layer.
        pub(super) fn bits_of(rights: &ChatBannedRights) -> i64 {
            0 $(| i64::from(rights.$name) << $bit)+
        }

        /// The same as the schema has it, for good.
        pub(super) fn rights_of(bits: i64) -> ChatBannedRights {
            ChatBannedRights { $($name: bits >> $bit & 1 != 0,)+ until_date: i32::MAX }
        }
    };
}

rights! {
    0 view_messages,
    1 send_messages,
    2 send_media,
    3 send_stickers,
    4 send_gifs,
    5 send_games,
    6 send_inline,
    7 embed_links,
    8 send_polls,
    10 change_info,
    15 invite_users,
    17 pin_messages,
    18 manage_topics,
    19 send_photos,
    20 send_videos,
    21 send_roundvideos,
    22 send_audios,
    23 send_voices,
    24 send_docs,
    25 send_plain,
    26 edit_rank,
    27 send_reactions,
    28 manage_linked_peers,
}

pub(super) const VIEW_MESSAGES: i64 = 1;
pub(super) const SEND_MESSAGES: i64 = 1 << 1;
pub(super) const SEND_MEDIA: i64 = 1 << 2;
pub(super) const SEND_GIFS: i64 = 1 << 4;
pub(super) const SEND_INLINE: i64 = 1 << 6;
pub(super) const CHANGE_INFO: i64 = 1 << 10;
pub(super) const INVITE_USERS: i64 = 1 << 15;
pub(super) const PIN_MESSAGES: i64 = 1 << 17;
pub(super) const SEND_PHOTOS: i64 = 1 << 19;
pub(super) const SEND_VIDEOS: i64 = 1 << 20;
pub(super) const SEND_ROUND_VIDEOS: i64 = 1 << 21;
pub(super) const SEND_AUDIOS: i64 = 1 << 22;
pub(super) const SEND_VOICES: i64 = 1 << 23;
pub(super) const SEND_DOCS: i64 = 1 << 24;
pub(super) const SEND_PLAIN: i64 = 1 << 25;

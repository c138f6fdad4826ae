//! What a text is dressed in: as clients say it, as it is kept, as clients hear it.

use chappe_api::{ctors, types};
use chappe_tl::Str;

use crate::Service;
use crate::error::{Failure, bad, text};
use crate::store::{Content, Entity, EntityKind};

/// Longest text, in UTF-16 units.
const TEXT_MAX: usize = 4096;
/// Longest text beside what is shown.
const CAPTION_MAX: usize = 1024;
/// Entities of one text.
const ENTITIES_MAX: usize = 100;

impl Service {
    /// What somebody wants to say: its end trimmed, entities clipped to it.
    pub(crate) async fn content(
        &self,
        me: i64,
        said: &Str,
        entities: &[types::MessageEntity],
    ) -> Result<Content, Failure> {
        if text(said)?.trim().is_empty() {
            return Err(bad("MESSAGE_EMPTY"));
        }
        self.unfinished(me, said, entities).await
    }

    /// The same of what may be empty still.
    pub(super) async fn unfinished(
        &self,
        me: i64,
        said: &Str,
        entities: &[types::MessageEntity],
    ) -> Result<Content, Failure> {
        self.dressed(me, said, entities, (TEXT_MAX, "MESSAGE_TOO_LONG")).await
    }

    /// What somebody says beside what is shown, perhaps nothing.
    pub(super) async fn caption(
        &self,
        me: i64,
        said: &Str,
        entities: &[types::MessageEntity],
    ) -> Result<Content, Failure> {
        self.dressed(me, said, entities, (CAPTION_MAX, "MEDIA_CAPTION_TOO_LONG")).await
    }

    async fn dressed(
        &self,
        me: i64,
        said: &Str,
        entities: &[types::MessageEntity],
        (max, too_long): (usize, &str),
    ) -> Result<Content, Failure> {
        let said = text(said)?.trim_end();
        let units = said.encode_utf16().count();
        if units > max {
            return Err(bad(too_long));
        }
        if entities.len() > ENTITIES_MAX {
            return Err(bad("ENTITIES_TOO_LONG"));
        }
        let units = i32::try_from(units).unwrap_or(i32::MAX);
        let mut kept = Vec::with_capacity(entities.len());
        for entity in entities {
            let Some((offset, length, kind)) = self.kind(me, entity).await? else { continue };
            if offset < 0 || length < 0 {
                return Err(bad("ENTITY_BOUNDS_INVALID"));
            }
            let length = length.min(units.saturating_sub(offset));
            if length > 0 {
                kept.push(Entity { offset, length, kind });
            }
        }
        Ok(Content { text: said.to_owned(), entities: kept, ..Content::default() })
    }

    /// Place and kind of an entity; `None` of those that mean nothing here.
    async fn kind(
        &self,
        me: i64,
        entity: &types::MessageEntity,
    ) -> Result<Option<(i32, i32, EntityKind)>, Failure> {
        use types::MessageEntity as E;
        macro_rules! plain {
            ($entity:ident, $kind:expr) => {
                ($entity.offset, $entity.length, $kind)
            };
        }
        Ok(Some(match entity {
            E::MessageEntityMention(e) => plain!(e, EntityKind::Mention),
            E::MessageEntityHashtag(e) => plain!(e, EntityKind::Hashtag),
            E::MessageEntityBotCommand(e) => plain!(e, EntityKind::BotCommand),
            E::MessageEntityUrl(e) => plain!(e, EntityKind::Url),
            E::MessageEntityEmail(e) => plain!(e, EntityKind::Email),
            E::MessageEntityBold(e) => plain!(e, EntityKind::Bold),
            E::MessageEntityItalic(e) => plain!(e, EntityKind::Italic),
            E::MessageEntityCode(e) => plain!(e, EntityKind::Code),
            E::MessageEntityPre(e) => {
                plain!(e, EntityKind::Pre { language: text(&e.language)?.to_owned() })
            }
            E::MessageEntityTextUrl(e) => {
                plain!(e, EntityKind::TextUrl { url: text(&e.url)?.to_owned() })
            }
            E::InputMessageEntityMentionName(e) => match self.meant(me, &e.user_id).await? {
                Some(account) => plain!(e, EntityKind::MentionName { account: account.id }),
                None => return Ok(None),
            },
            E::MessageEntityPhone(e) => plain!(e, EntityKind::Phone),
            E::MessageEntityCashtag(e) => plain!(e, EntityKind::Cashtag),
            E::MessageEntityUnderline(e) => plain!(e, EntityKind::Underline),
            E::MessageEntityStrike(e) => plain!(e, EntityKind::Strike),
            E::MessageEntityBankCard(e) => plain!(e, EntityKind::BankCard),
            E::MessageEntitySpoiler(e) => plain!(e, EntityKind::Spoiler),
            E::MessageEntityCustomEmoji(e) => {
                plain!(e, EntityKind::CustomEmoji { document: e.document_id })
            }
            E::MessageEntityBlockquote(e) => {
                plain!(e, EntityKind::Blockquote { collapsed: e.collapsed })
            }
            _ => return Ok(None),
        }))
    }
}

/// Entities as clients hear them.
pub(crate) fn shown(content: &Content) -> Option<Vec<types::MessageEntity>> {
    if content.entities.is_empty() {
        return None;
    }
    Some(content.entities.iter().map(entity).collect())
}

fn entity(entity: &Entity) -> types::MessageEntity {
    use types::MessageEntity as E;
    let (offset, length) = (entity.offset, entity.length);
    macro_rules! plain {
        ($name:ident) => {
            E::$name(ctors::$name { offset, length })
        };
    }
    match &entity.kind {
        EntityKind::Unknown => plain!(MessageEntityUnknown),
        EntityKind::Mention => plain!(MessageEntityMention),
        EntityKind::Hashtag => plain!(MessageEntityHashtag),
        EntityKind::BotCommand => plain!(MessageEntityBotCommand),
        EntityKind::Url => plain!(MessageEntityUrl),
        EntityKind::Email => plain!(MessageEntityEmail),
        EntityKind::Bold => plain!(MessageEntityBold),
        EntityKind::Italic => plain!(MessageEntityItalic),
        EntityKind::Code => plain!(MessageEntityCode),
        EntityKind::Pre { language } => {
            let language = language.as_str().into();
            E::MessageEntityPre(ctors::MessageEntityPre { offset, length, language })
        }
        EntityKind::TextUrl { url } => {
            let url = url.as_str().into();
            E::MessageEntityTextUrl(ctors::MessageEntityTextUrl { offset, length, url })
        }
        EntityKind::MentionName { account } => {
            let user_id = *account;
            E::MessageEntityMentionName(ctors::MessageEntityMentionName { offset, length, user_id })
        }
        EntityKind::Phone => plain!(MessageEntityPhone),
        EntityKind::Cashtag => plain!(MessageEntityCashtag),
        EntityKind::Underline => plain!(MessageEntityUnderline),
        EntityKind::Strike => plain!(MessageEntityStrike),
        EntityKind::BankCard => plain!(MessageEntityBankCard),
        EntityKind::Spoiler => plain!(MessageEntitySpoiler),
        EntityKind::CustomEmoji { document } => {
            let document_id = *document;
            E::MessageEntityCustomEmoji(ctors::MessageEntityCustomEmoji {
                offset,
                length,
                document_id,
            })
        }
        EntityKind::Blockquote { collapsed } => {
            let collapsed = *collapsed;
            E::MessageEntityBlockquote(ctors::MessageEntityBlockquote { collapsed, offset, length })
        }
    }
}

//! A group while it is changed or written to, and what its members may do there.

use std::collections::BTreeSet;

use chappe_proto::rpc::RpcError;

use super::rights::{
    CHANGE_INFO, INVITE_USERS, PIN_MESSAGES, SEND_AUDIOS, SEND_DOCS, SEND_GIFS, SEND_INLINE,
    SEND_MEDIA, SEND_MESSAGES, SEND_PHOTOS, SEND_PLAIN, SEND_ROUND_VIDEOS, SEND_VIDEOS,
    SEND_VOICES,
};
use crate::error::{Failure, bad};
use crate::store::{Change, Chat, Content, Member, NewMessage, Role, Standing, Store, kinds};

/// A group and everybody who is or was in it, as of a change that holds it.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) chat: Chat,
    pub(crate) members: Vec<Member>,
}

impl Room {
    /// The group in which `me` wants to do something: `None` where there is none that it ever was
    /// in, so that nobody finds groups by trying numbers.
    pub(crate) async fn open(
        change: &mut Change<'_>,
        me: i64,
        chat: i64,
    ) -> Result<Option<Self>, Failure> {
        Ok(Self::of(change, chat).await?.filter(|room| room.member(me).is_some()))
    }

    /// The same of a group that nobody can change at the time.
    pub(crate) async fn as_it_is(
        store: &Store,
        me: i64,
        chat: i64,
    ) -> Result<Option<Self>, Failure> {
        let Some(chat) = store.chat(chat).await? else { return Ok(None) };
        let members = store.members(chat.id).await?;
        Ok(Some(Self { chat, members }).filter(|room| room.member(me).is_some()))
    }

    /// The same, whoever wants it.
    pub(super) async fn of(change: &mut Change<'_>, chat: i64) -> Result<Option<Self>, Failure> {
        let Some(chat) = change.chat(chat).await? else { return Ok(None) };
        let members = change.members(chat.id).await?;
        Ok(Some(Self { chat, members }))
    }

    /// The same, for who is in it.
    pub(super) async fn enter(
        change: &mut Change<'_>,
        me: i64,
        chat: i64,
    ) -> Result<Self, Failure> {
        let room = Self::open(change, me, chat).await?.ok_or_else(|| bad("CHAT_ID_INVALID"))?;
        room.check_inside(me)?;
        Ok(room)
    }

    pub(crate) fn member(&self, account: i64) -> Option<&Member> {
        self.members.iter().find(|member| member.account == account)
    }

    pub(crate) fn standing(&self, account: i64) -> Option<Standing> {
        self.member(account).map(|member| member.standing)
    }

    /// Who is in it.
    pub(crate) fn inside(&self) -> BTreeSet<i64> {
        let inside = self.members.iter().filter(|member| member.standing.is_in());
        inside.map(|member| member.account).collect()
    }

    /// Who is or was in it.
    pub(crate) fn ever(&self) -> BTreeSet<i64> {
        self.members.iter().map(|member| member.account).collect()
    }

    /// Who hears a message: everybody, but of bots only those that it concerns.
    pub(crate) fn hearers(&self, new: &NewMessage, replied_to: Option<i64>) -> BTreeSet<i64> {
        let text = &new.content.text;
        let command = text.split_whitespace().next().filter(|word| word.starts_with('/'));
        let is_to_any_bot = command.is_some_and(|word| !word.contains('@'));
        let hears = |member: &&Member| {
            let account = member.account;
            !member.is_bot
                || new.content.action.is_some()
                || is_to_any_bot
                || account == new.sender
                || new.mentioned.contains(&account)
                || replied_to == Some(account)
        };
        let inside = self.members.iter().filter(|member| member.standing.is_in());
        inside.filter(hears).map(|member| member.account).collect()
    }

    pub(super) fn check_inside(&self, me: i64) -> Result<(), Failure> {
        match self.standing(me) {
            Some(standing) if standing.is_in() => Ok(()),
            _ => Err(forbidden("CHAT_WRITE_FORBIDDEN")),
        }
    }

    /// Whether `me` may say this here.
    pub(crate) fn check_write(&self, me: i64, content: &Content) -> Result<(), Failure> {
        self.check_inside(me)?;
        if self.lacks(me, SEND_MESSAGES) {
            return Err(forbidden("CHAT_WRITE_FORBIDDEN"));
        }
        if content.via_bot.is_some() && self.lacks(me, SEND_INLINE) {
            return Err(forbidden("CHAT_SEND_INLINE_FORBIDDEN"));
        }
        let (right, message) = right_to_show(content);
        if self.lacks(me, right) { Err(forbidden(message)) } else { Ok(()) }
    }

    pub(super) fn check_invite(&self, me: i64) -> Result<(), Failure> {
        self.check(me, INVITE_USERS)
    }

    pub(super) fn check_change_info(&self, me: i64) -> Result<(), Failure> {
        self.check(me, CHANGE_INFO)
    }

    pub(crate) fn check_pin(&self, me: i64) -> Result<(), Failure> {
        self.check_inside(me)?;
        self.check(me, PIN_MESSAGES)
    }

    pub(super) fn check_admin(&self, me: i64) -> Result<(), Failure> {
        match self.standing(me) {
            Some(standing) if standing.is_admin() => Ok(()),
            _ => Err(admin_required()),
        }
    }

    pub(super) fn check_creator(&self, me: i64) -> Result<(), Failure> {
        match self.standing(me) {
            Some(standing) if standing.is_in() && standing.role == Role::Creator => Ok(()),
            _ => Err(admin_required()),
        }
    }

    /// Whether `me` may remove somebody: creators everybody, administrators ordinary members,
    /// these whom they brought.
    pub(super) fn check_remove(&self, me: i64, other: &Member) -> Result<(), Failure> {
        let Some(standing) = self.standing(me).filter(|standing| standing.is_in()) else {
            return Err(admin_required());
        };
        let is_allowed = match standing.role {
            Role::Creator => true,
            Role::Admin => other.standing.role == Role::Member,
            Role::Member => other.standing.role == Role::Member && other.inviter == me,
        };
        if is_allowed { Ok(()) } else { Err(admin_required()) }
    }

    fn check(&self, me: i64, right: i64) -> Result<(), Failure> {
        if self.lacks(me, right) { Err(admin_required()) } else { Ok(()) }
    }

    /// What is taken from members is not taken from administrators.
    fn lacks(&self, me: i64, right: i64) -> bool {
        let is_admin = self.standing(me).is_some_and(Standing::is_admin);
        !is_admin && self.chat.banned & right != 0
    }
}

/// What kinds of files need, each with the error of who may not show them.
const FILES: [(i64, i64, &str); 7] = [
    (kinds::PHOTO, SEND_PHOTOS, "CHAT_SEND_PHOTOS_FORBIDDEN"),
    (kinds::VIDEO, SEND_VIDEOS, "CHAT_SEND_VIDEOS_FORBIDDEN"),
    (kinds::ROUND, SEND_ROUND_VIDEOS, "CHAT_SEND_ROUNDVIDEOS_FORBIDDEN"),
    (kinds::GIF, SEND_GIFS, "CHAT_SEND_GIFS_FORBIDDEN"),
    (kinds::MUSIC, SEND_AUDIOS, "CHAT_SEND_AUDIOS_FORBIDDEN"),
    (kinds::VOICE, SEND_VOICES, "CHAT_SEND_VOICES_FORBIDDEN"),
    (kinds::FILE, SEND_DOCS, "CHAT_SEND_DOCS_FORBIDDEN"),
];

/// The right without which something cannot be said, by what it shows. Links are but text: those
/// who may not embed them have no previews, and nobody has.
fn right_to_show(content: &Content) -> (i64, &'static str) {
    if content.media.is_none() {
        return (SEND_PLAIN, "CHAT_SEND_PLAIN_FORBIDDEN");
    }
    let shown = content.kinds();
    let file = FILES.iter().find(|(kind, ..)| shown & kind != 0);
    file.map_or((SEND_MEDIA, "CHAT_SEND_MEDIA_FORBIDDEN"), |(_, right, message)| {
        (SEND_MEDIA | right, message)
    })
}

pub(crate) fn admin_required() -> Failure {
    forbidden("CHAT_ADMIN_REQUIRED")
}

fn forbidden(message: &str) -> Failure {
    Failure::Rpc(RpcError::new(403, message))
}

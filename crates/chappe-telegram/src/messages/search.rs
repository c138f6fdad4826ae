//! `messages.search`, `messages.searchGlobal` and `messages.getSearchCounters`.
//!
//! A search is a walk over one's own box, newest first: nothing is kept for it but the text in
//! lower case. Words have to occur in their order, each anywhere.

use std::collections::BTreeSet;

use chappe_api::functions::messages::{
    GetSearchCounters, GetUnreadMentions, ReadMentions, Search, SearchGlobal,
};
use chappe_api::types::MessagesFilter as Filter;
use chappe_api::{ctors, types};
use chappe_server::{Caller, Pusher, State};

use super::history::MESSAGES_MAX;
use super::view::{Named, Shown};
use crate::Service;
use crate::error::{Failure, bad, text};
use crate::store::{Peer, Sieve, Window, kinds};

/// Characters of a query that count.
const QUERY_MAX: usize = 128;
/// Words of a query that count.
const WORDS_MAX: usize = 8;
/// Filters of one call.
const FILTERS_MAX: usize = 32;

pub(crate) async fn search(
    State(service): State<Service>,
    caller: Caller,
    call: Search,
) -> Result<types::messages::Messages, Failure> {
    let me = service.me(&caller).await?;
    let words = words_of(text(&call.q)?);
    let sender = match &call.from_id {
        Some(from) => match service.peer(me, from).await? {
            Peer::Account(account) => Some(account),
            Peer::Chat(_) => return Err(bad("PEER_ID_INVALID")),
        },
        None => None,
    };
    // Nothing is saved from anybody, and nobody reacts.
    if call.saved_peer_id.is_some() || call.saved_reaction.is_some_and(|it| !it.is_empty()) {
        return Ok(types::messages::Messages::Messages(chappe_tl::blank()));
    }
    if words.is_empty()
        && sender.is_none()
        && matches!(call.filter, Filter::InputMessagesFilterEmpty)
        && (call.min_date, call.max_date) == (0, 0)
    {
        return Err(bad("SEARCH_QUERY_EMPTY"));
    }
    // With nobody in particular it is a search of everything.
    if matches!(call.peer, types::InputPeer::InputPeerEmpty) {
        let Some(sieve) = sieve_of(&call.filter) else { return Ok(nothing()) };
        let sieve = Sieve { words, sender, ..sieve }.between(call.min_date, call.max_date);
        let page = (call.offset_id, call.limit);
        return service.everywhere(&caller, me, page, EVERYBODY, &sieve).await;
    }
    let peer = service.peer(me, &call.peer).await?;
    let Some(sieve) = sieve_of(&call.filter) else { return Ok(nothing()) };
    let window = Window {
        peer,
        offset_id: call.offset_id,
        offset_date: 0,
        add_offset: call.add_offset,
        limit: call.limit,
        max_id: call.max_id,
        min_id: call.min_id,
        sieve: Sieve { words, sender, ..sieve }.between(call.min_date, call.max_date),
    };
    service.page(&caller, me, window, call.hash).await
}

/// People are above zero and groups below.
const EVERYBODY: (Peer, Peer) = (Peer::Chat(i64::MAX), Peer::Account(i64::MAX));

pub(crate) async fn search_global(
    State(service): State<Service>,
    caller: Caller,
    call: SearchGlobal,
) -> Result<types::messages::Messages, Failure> {
    let me = service.me(&caller).await?;
    let words = words_of(text(&call.q)?);
    if words.is_empty() && matches!(call.filter, Filter::InputMessagesFilterEmpty) {
        return Err(bad("SEARCH_QUERY_EMPTY"));
    }
    let range = match (call.users_only, call.groups_only, call.broadcasts_only) {
        (true, ..) => (Peer::Account(0), Peer::Account(i64::MAX)),
        (_, true, _) => (Peer::Chat(i64::MAX), Peer::Chat(1)),
        (.., true) => return Ok(nothing()),
        _ => EVERYBODY,
    };
    // Nothing is archived.
    if call.folder_id.is_some_and(|folder| folder != 0) {
        return Ok(nothing());
    }
    let Some(sieve) = sieve_of(&call.filter) else { return Ok(nothing()) };
    let sieve = Sieve { words, ..sieve }.between(call.min_date, call.max_date);
    service.everywhere(&caller, me, (call.offset_id, call.limit), range, &sieve).await
}

pub(crate) async fn get_search_counters(
    State(service): State<Service>,
    caller: Caller,
    call: GetSearchCounters,
) -> Result<Vec<types::messages::SearchCounter>, Failure> {
    let me = service.me(&caller).await?;
    let peer = service.peer(me, &call.peer).await?;
    if call.filters.len() > FILTERS_MAX {
        return Err(bad("INPUT_FILTER_INVALID"));
    }
    let mut counters = Vec::with_capacity(call.filters.len());
    for filter in call.filters {
        let count = match sieve_of(&filter) {
            Some(sieve) => service.store.count_messages(me, peer, &sieve).await?,
            None => 0,
        };
        counters.push(types::messages::SearchCounter { inexact: false, filter, count });
    }
    Ok(counters)
}

pub(crate) async fn get_unread_mentions(
    State(service): State<Service>,
    caller: Caller,
    call: GetUnreadMentions,
) -> Result<types::messages::Messages, Failure> {
    let me = service.me(&caller).await?;
    let window = Window {
        peer: service.peer(me, &call.peer).await?,
        offset_id: call.offset_id,
        offset_date: 0,
        add_offset: call.add_offset,
        limit: call.limit,
        max_id: call.max_id,
        min_id: call.min_id,
        sieve: unread_mentions(),
    };
    service.page(&caller, me, window, 0).await
}

pub(crate) async fn read_mentions(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: ReadMentions,
) -> Result<types::messages::AffectedHistory, Failure> {
    let me = service.me(&caller).await?;
    let window = Window {
        peer: service.peer(me, &call.peer).await?,
        offset_id: 0,
        offset_date: 0,
        add_offset: 0,
        limit: MESSAGES_MAX,
        max_id: 0,
        min_id: 0,
        sieve: unread_mentions(),
    };
    let found = service.store.history(me, &window).await?;
    let ids: Vec<i32> = found.into_iter().map(|message| message.id).collect();
    let heeded = service.heed(&caller, &pusher, me, &ids).await?;
    let left = service.store.count_messages(me, window.peer, &window.sieve).await?;
    let (pts, pts_count) = heeded;
    Ok(types::messages::AffectedHistory { pts, pts_count, offset: left })
}

fn unread_mentions() -> Sieve {
    Sieve { is_mention: true, is_unheeded: true, ..Sieve::default() }
}

fn nothing() -> types::messages::Messages {
    types::messages::Messages::Messages(chappe_tl::blank())
}

fn words_of(query: &str) -> Vec<String> {
    let query: String = query.chars().take(QUERY_MAX).collect();
    query.to_lowercase().split_whitespace().take(WORDS_MAX).map(str::to_owned).collect()
}

/// What a filter lets through; `None` of what no message is.
fn sieve_of(filter: &Filter) -> Option<Sieve> {
    let of_kinds = |kinds| Some(Sieve { kinds, ..Sieve::default() });
    match filter {
        Filter::InputMessagesFilterEmpty => Some(Sieve::default()),
        Filter::InputMessagesFilterUrl => of_kinds(kinds::URL),
        Filter::InputMessagesFilterPhotos => of_kinds(kinds::PHOTO),
        Filter::InputMessagesFilterVideo => of_kinds(kinds::VIDEO),
        Filter::InputMessagesFilterPhotoVideo => of_kinds(kinds::PHOTO | kinds::VIDEO),
        Filter::InputMessagesFilterDocument => of_kinds(kinds::FILE),
        Filter::InputMessagesFilterGif => of_kinds(kinds::GIF),
        Filter::InputMessagesFilterMusic => of_kinds(kinds::MUSIC),
        Filter::InputMessagesFilterVoice => of_kinds(kinds::VOICE),
        Filter::InputMessagesFilterRoundVideo => of_kinds(kinds::ROUND),
        Filter::InputMessagesFilterRoundVoice => of_kinds(kinds::ROUND | kinds::VOICE),
        Filter::InputMessagesFilterContacts => of_kinds(kinds::CONTACT),
        Filter::InputMessagesFilterGeo => of_kinds(kinds::PLACE),
        Filter::InputMessagesFilterPinned => Some(Sieve { is_pinned: true, ..Sieve::default() }),
        Filter::InputMessagesFilterMyMentions => {
            Some(Sieve { is_mention: true, ..Sieve::default() })
        }
        _ => None,
    }
}

impl Sieve {
    /// Between two seconds, 0 for no bound.
    fn between(self, after: i32, before: i32) -> Self {
        Self { after: after.into(), before: before.into(), ..self }
    }
}

impl Service {
    /// A page of what is found in all dialogs.
    async fn everywhere(
        &self,
        caller: &Caller,
        me: i64,
        (offset_id, limit): (i32, i32),
        range: (Peer, Peer),
        sieve: &Sieve,
    ) -> Result<types::messages::Messages, Failure> {
        let limit = limit.clamp(0, MESSAGES_MAX);
        let (found, count) = self.store.search(me, (offset_id, limit), range, sieve).await?;
        let now = caller.now.unix_seconds();
        let mut named = Named::default();
        let messages: Vec<_> =
            found.iter().map(|found| self.shown_message(now, found, &mut named)).collect();
        let Shown { users, chats } = self.named(caller.now.unix_seconds(), me, named).await?;
        if usize::try_from(count) == Ok(messages.len()) {
            let all = ctors::messages::Messages { messages, users, chats, ..chappe_tl::blank() };
            return Ok(types::messages::Messages::Messages(all));
        }
        let next_rate = found.last().map(|last| i32::try_from(last.date).unwrap_or(i32::MAX));
        let slice = ctors::messages::MessagesSlice {
            count,
            next_rate,
            messages,
            users,
            chats,
            ..chappe_tl::blank()
        };
        Ok(types::messages::Messages::MessagesSlice(Box::new(slice)))
    }

    /// Notes that `me` has looked at messages.
    pub(super) async fn heed(
        &self,
        caller: &Caller,
        pusher: &Pusher,
        me: i64,
        ids: &[i32],
    ) -> Result<(i32, i32), Failure> {
        let meant = self.store.headings(me, ids).await?;
        let mut owners = BTreeSet::from([me]);
        owners.extend(meant.iter().map(|heading| heading.sender));
        let turn = self.lines.turn_of(self.lines.gate().await, &owners).await;
        let mut change = self.store.change_apart().await?;
        let now = caller.now.unix_seconds();
        // What has come under one of these ids meanwhile was not looked at.
        let ids: Vec<i32> = meant.iter().map(|heading| heading.id).collect();
        let heeded = self.store.heed(&mut change, (me, &ids), now).await?;
        self.announce(turn, change, pusher, (me, caller)).await?;
        Ok(heeded)
    }
}

//! `contacts.search`: people by name, or by how their username begins.

use chappe_api::functions::contacts::Search;
use chappe_api::types;
use chappe_server::{Caller, State};

use crate::Service;
use crate::error::{Failure, bad, text};
use crate::messages::{Named, peer_of};
use crate::store::Peer;

/// People of one answer, of each kind.
const FOUND_MAX: i32 = 50;
/// Characters of a username from which on it is looked for among those of strangers.
const USERNAME_MIN: usize = 3;

pub(crate) async fn search(
    State(service): State<Service>,
    caller: Caller,
    call: Search,
) -> Result<types::contacts::Found, Failure> {
    let me = service.me(&caller).await?;
    let words = text(&call.q)?.trim().trim_start_matches('@').to_lowercase();
    if words.is_empty() {
        return Err(bad("SEARCH_QUERY_EMPTY"));
    }
    let limit = call.limit.clamp(1, FOUND_MAX);
    let known: Vec<i64> =
        service.store.contacts(me).await?.iter().map(|contact| contact.account).collect();
    let mut own = Vec::new();
    for (account, name) in service.store.accounts_seen(me, &known).await? {
        let (first, last) = match &name {
            Some(name) => (&name.first_name, &name.last_name),
            None => (&account.first_name, &account.last_name),
        };
        let username = account.username.as_deref().unwrap_or_default().to_lowercase();
        if format!("{first} {last}").to_lowercase().contains(&words) || username.starts_with(&words)
        {
            own.push(account.id);
        }
    }
    own.truncate(usize::try_from(limit).unwrap_or(0));
    let mut others = Vec::new();
    if words.len() >= USERNAME_MIN
        && words.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        others = service.store.accounts_of_usernames(&words, limit).await?;
        others.retain(|account| *account != me && !known.contains(account));
    }
    let mut named = Named::default();
    own.iter().chain(&others).for_each(|account| named.account(*account));
    let users = service.users(&caller, me, named).await?;
    let peers = |accounts: Vec<i64>| {
        accounts.into_iter().map(|account| peer_of(Peer::Account(account))).collect()
    };
    let (my_results, results) = (peers(own), peers(others));
    Ok(types::contacts::Found { my_results, results, chats: Vec::new(), users })
}

//! Finding what was said.

use chappe_api::ctors;
use chappe_api::functions::messages::{
    DeleteMessages, EditMessage, GetSearchCounters, Search, SearchGlobal,
};
use chappe_api::types::{self, MessagesFilter as Filter};

use crate::groups::Group;
use crate::messages::{Pair, say, wrong};
use crate::pins::found;

/// Rule:   words are found in their order, whatever their case and script, and signs of patterns
///         mean themselves; what was edited is found by what it says now, what is gone not at all.
/// Source: 20-telegram-api-service §2.1, `messages.search`.
#[tokio::test]
async fn words_are_found_in_their_order() {
    let mut pair = Pair::new().await;
    let to_bob = pair.to_bob.clone();
    let said =
        ["Grüße aus KÖLN", "ПРИВЕТ мир", "100% of a_b", "1000 of aXb", "back\\slash", "早上好"];
    for (place, text) in said.into_iter().enumerate() {
        pair.say(text, place as i64 + 1).await;
    }
    for (q, expected) in [
        ("köln", vec![1]),
        ("GRÜSSE", vec![]),
        ("grüße köl", vec![1]),
        ("köln grüße", vec![]),
        ("привет МИР", vec![2]),
        ("100%", vec![3]),
        ("a_b", vec![3]),
        ("of", vec![4, 3]),
        ("back\\slash", vec![5]),
        ("上", vec![6]),
        ("nowhere", vec![]),
    ] {
        assert_eq!(found(&mut pair.ada, search(&to_bob, q)).await, expected, "{q}");
    }
    let message = Some("Sunday".into());
    let edit = EditMessage { peer: to_bob.clone(), id: 4, message, ..chappe_tl::blank() };
    pair.ada.ask(edit).await.unwrap();
    pair.ada.ask(DeleteMessages { revoke: true, id: vec![3] }).await.unwrap();
    assert!(found(&mut pair.bob, search(&pair.to_ada, "of")).await.is_empty());
    assert_eq!(found(&mut pair.bob, search(&pair.to_ada, "SUN")).await, [4]);
    let empty = (400, "SEARCH_QUERY_EMPTY".to_owned());
    assert_eq!(pair.ada.fail(search(&to_bob, " ")).await, empty);
    let invalid = (400, "PEER_ID_INVALID".to_owned());
    assert_eq!(pair.ada.fail(search(&wrong(&to_bob), "x")).await, invalid);
    // A box has nothing of anybody else.
    assert!(
        found(&mut pair.ada, search(&types::InputPeer::InputPeerSelf, "köln")).await.is_empty()
    );
}

/// Rule:   searches have pages as histories do, and go by sender, date and kind; counters say how
///         many there are.
/// Source: 20-telegram-api-service §2.1, `messages.search`, `getSearchCounters`.
#[tokio::test]
async fn searches_have_pages_and_filters() {
    let mut group = Group::new().await;
    let peer = group.peer();
    for number in 1..=3 {
        group.ada.ask(say(&peer, &format!("mill {number}"), number)).await.unwrap();
        group.bob.ask(say(&peer, &format!("Mill {number}"), number)).await.unwrap();
    }
    let mut link = say(&peer, "see this", 9);
    let url = "https://example.org".into();
    link.entities =
        Some(vec![types::MessageEntity::MessageEntityTextUrl(ctors::MessageEntityTextUrl {
            offset: 0,
            length: 3,
            url,
        })]);
    group.ada.ask(link).await.unwrap();
    let ada = &mut group.ada;
    assert_eq!(found(ada, search(&peer, "mill")).await, [7, 6, 5, 4, 3, 2]);
    let page = Search { limit: 2, offset_id: 6, ..search(&peer, "mill") };
    assert_eq!(found(ada, page).await, [5, 4]);
    let page = Search { limit: 2, offset_id: 6, add_offset: -1, ..search(&peer, "mill") };
    assert_eq!(found(ada, page).await, [6, 5]);
    let page = Search { max_id: 5, min_id: 2, ..search(&peer, "mill") };
    assert_eq!(found(ada, page).await, [4, 3]);
    let mine = || Some(types::InputPeer::InputPeerSelf);
    let of_ada = Search { from_id: mine(), ..search(&peer, "mill") };
    assert_eq!(found(ada, of_ada).await, [6, 4, 2]);
    let old = Search { max_date: 1, ..search(&peer, "mill") };
    assert!(found(ada, old).await.is_empty());
    let new = Search { min_date: 1, from_id: mine(), ..search(&peer, "3") };
    assert_eq!(found(ada, new).await, [6]);
    let links = Search { filter: Filter::InputMessagesFilterUrl, ..search(&peer, "") };
    assert_eq!(found(ada, links).await, [8]);
    let songs = Search { filter: Filter::InputMessagesFilterMusic, ..search(&peer, "") };
    assert!(found(ada, songs).await.is_empty());
    let filters = vec![Filter::InputMessagesFilterUrl, Filter::InputMessagesFilterPinned];
    let call =
        GetSearchCounters { peer: peer.clone(), saved_peer_id: None, top_msg_id: None, filters };
    let counters = ada.ask(call).await.unwrap();
    assert_eq!(counters.iter().map(|counter| counter.count).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(group.dan.fail(search(&peer, "mill")).await, (400, "PEER_ID_INVALID".to_owned()));
}

/// Rule:   a search of everything finds what one's own box has, with people, with groups, or both,
///         page by page.
/// Source: 20-telegram-api-service §2.1, `messages.searchGlobal`.
#[tokio::test]
async fn everything_is_searched_by_page() {
    let mut group = Group::new().await;
    let (peer, myself) = (group.peer(), types::InputPeer::InputPeerSelf);
    group.ada.ask(say(&peer, "mill one", 1)).await.unwrap();
    group.ada.ask(say(&myself, "mill two", 2)).await.unwrap();
    group.ada.ask(say(&peer, "mill three", 3)).await.unwrap();
    let all = |q: &str| SearchGlobal {
        q: q.into(),
        filter: Filter::InputMessagesFilterEmpty,
        offset_peer: types::InputPeer::InputPeerEmpty,
        limit: 10,
        ..chappe_tl::blank()
    };
    assert_eq!(found(&mut group.ada, all("MILL")).await, [4, 3, 2]);
    let people = SearchGlobal { users_only: true, ..all("mill") };
    assert_eq!(found(&mut group.ada, people).await, [3]);
    let groups = SearchGlobal { groups_only: true, ..all("mill") };
    assert_eq!(found(&mut group.ada, groups).await, [4, 2]);
    let channels = SearchGlobal { broadcasts_only: true, ..all("mill") };
    assert!(found(&mut group.ada, channels).await.is_empty());
    let page = SearchGlobal { limit: 1, ..all("mill") };
    let types::messages::Messages::MessagesSlice(page) = group.ada.ask(page).await.unwrap() else {
        panic!("all of it")
    };
    assert!(page.count == 3 && page.next_rate.is_some());
    let next = SearchGlobal { limit: 1, offset_id: 4, ..all("mill") };
    assert_eq!(found(&mut group.ada, next).await, [3]);
    assert!(found(&mut group.dan, all("mill")).await.is_empty());
    let empty = (400, "SEARCH_QUERY_EMPTY".to_owned());
    assert_eq!(group.ada.fail(all("")).await, empty);
    let nowhere = Search { peer: types::InputPeer::InputPeerEmpty, ..search(&peer, "mill") };
    assert_eq!(found(&mut group.bob, nowhere).await.len(), 2);
}

fn search(peer: &types::InputPeer, q: &str) -> Search {
    Search {
        peer: peer.clone(),
        q: q.into(),
        filter: Filter::InputMessagesFilterEmpty,
        limit: 10,
        ..chappe_tl::blank()
    }
}

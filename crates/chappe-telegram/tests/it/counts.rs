//! How many messages a dialog has, which every page of it says.

use chappe_api::functions::messages::{
    DeleteHistory, DeleteMessages, EditMessage, GetHistory, Search,
};
use chappe_api::types;
use chappe_backend::sql::sql;
use chappe_backend::{Database, Migrations};

use crate::client::Home;
use crate::engine;
use crate::groups::Group;
use crate::messages::{Pair, history, say, window};
use crate::statements::Statements;

/// Rule:   the count of a dialog is that of its messages, whatever is said, edited, deleted for one
///         or for all, or emptied, with a person, with oneself and in a group.
/// Source: 20-telegram-api-service §2.1, `messages.getHistory`.
#[tokio::test]
async fn counts_stay_true() {
    let mut pair = Pair::new().await;
    let (to_bob, to_ada) = (pair.to_bob.clone(), pair.to_ada.clone());
    let myself = types::InputPeer::InputPeerSelf;
    for number in 1..=6 {
        pair.ada.ask(say(&to_bob, "to Bob", number)).await.unwrap();
        pair.bob.ask(say(&to_ada, "to Ada", number)).await.unwrap();
        pair.ada.ask(say(&myself, "a note", 100 + number)).await.unwrap();
        // A repeat is no other message.
        pair.ada.ask(say(&myself, "a note", 100 + number)).await.unwrap();
    }
    assert_eq!(count(&mut pair.ada, &to_bob).await, 12);
    assert_eq!(count(&mut pair.ada, &myself).await, 6);
    check(&pair.home).await;
    let ids = history(&mut pair.ada, window(&to_bob)).await.0;
    let edit =
        EditMessage { peer: to_bob.clone(), message: Some("else".into()), ..chappe_tl::blank() };
    let own = pair.ada.ask(say(&to_bob, "last", 7)).await.unwrap();
    let id = crate::messages::new_message(&crate::messages::updates(own).updates[1]).0.id;
    pair.ada.ask(EditMessage { id, ..edit }).await.unwrap();
    pair.ada.ask(DeleteMessages { revoke: false, id: ids[..2].to_vec() }).await.unwrap();
    pair.ada.ask(DeleteMessages { revoke: true, id: ids[1..5].to_vec() }).await.unwrap();
    assert_eq!(count(&mut pair.ada, &to_bob).await, 13 - 5);
    assert_eq!(count(&mut pair.bob, &to_ada).await, 13 - 3);
    check(&pair.home).await;
    let clear = DeleteHistory { peer: to_bob.clone(), max_id: ids[7], ..chappe_tl::blank() };
    pair.ada.ask(clear).await.unwrap();
    check(&pair.home).await;
    let clear = DeleteHistory { peer: to_ada.clone(), revoke: true, ..chappe_tl::blank() };
    pair.bob.ask(clear).await.unwrap();
    check(&pair.home).await;
    assert_eq!(count(&mut pair.bob, &to_ada).await, 0);
    // It begins anew.
    pair.ada.ask(say(&to_bob, "again", 8)).await.unwrap();
    assert_eq!(count(&mut pair.bob, &to_ada).await, 1);
    check(&pair.home).await;

    let mut group = Group::new().await;
    let peer = group.peer();
    for number in 1..=5 {
        group.ada.ask(say(&peer, "to all", number)).await.unwrap();
    }
    check(&group.home).await;
    let ids = history(&mut group.ada, window(&peer)).await.0;
    group.ada.ask(DeleteMessages { revoke: true, id: ids[..2].to_vec() }).await.unwrap();
    group.ada.ask(DeleteMessages { revoke: false, id: ids[2..3].to_vec() }).await.unwrap();
    check(&group.home).await;
}

/// Rule:   a page of a history costs no walk through its dialog, and a search of which a page shows
///         everything no second one.
/// Source: 20-telegram-api-service §2.1, `messages.getHistory`, `messages.search`.
#[tokio::test]
async fn pages_do_not_count_their_dialog() {
    let mut pair = Pair::new().await;
    let to_bob = pair.to_bob.clone();
    for number in 1..=5 {
        let text = if number < 4 { "odd" } else { "even" };
        pair.ada.ask(say(&to_bob, text, number)).await.unwrap();
    }
    let (statements, _guard) = Statements::listen().await;
    for limit in [2, 100] {
        let call = GetHistory { limit, ..window(&to_bob) };
        let (ids, count) = history(&mut pair.ada, call).await;
        assert_eq!((ids.len(), count.unwrap_or(5)), (5.min(limit as usize), 5));
    }
    assert_eq!(statements.take("count(*) FROM message"), 0);
    let search = |peer: &types::InputPeer, limit, offset_id| Search {
        peer: peer.clone(),
        q: "odd".into(),
        filter: types::MessagesFilter::InputMessagesFilterEmpty,
        limit,
        offset_id,
        ..chappe_tl::blank()
    };
    for peer in [&to_bob, &types::InputPeer::InputPeerEmpty] {
        for (limit, offset_id, counts) in [(4, 0, 0), (3, 0, 1), (2, 0, 1), (4, 3, 1)] {
            let found = pair.ada.ask(search(peer, limit, offset_id)).await.unwrap();
            let (len, count) = match found {
                types::messages::Messages::Messages(all) => (all.messages.len(), 3),
                types::messages::Messages::MessagesSlice(slice) => {
                    (slice.messages.len(), slice.count)
                }
                _ => panic!("another answer"),
            };
            let expected = if offset_id > 0 { 2 } else { 3.min(limit as usize) };
            assert_eq!((len, count), (expected, 3));
            assert_eq!(statements.take("count(*) FROM message"), counts, "{limit} {offset_id}");
        }
    }
}

/// Rule:   a database of before has true counts once it is opened, and its drafts and blocks are
///         told by the date that they have.
/// Source: UPD-08, 20-telegram-api-service §5.
#[tokio::test]
async fn older_database_is_counted() {
    let (backend, _folder) = engine::backend(None).await;
    let database = backend.database().unwrap();
    let steps = Migrations { component: "chappe-telegram", steps: BEFORE };
    database.migrate(&steps).await.unwrap();
    let mut transaction = database.begin().await.unwrap();
    for statement in [
        "INSERT INTO message (owner, id, peer, sender, origin, date, content) VALUES
             (1, 1, 2, 1, 1, 5, ''), (1, 2, 2, 1, 2, 5, ''), (1, 3, -4, 1, 3, 5, ''),
             (2, 1, 1, 1, 1, 5, '')",
        "INSERT INTO dialog (owner, peer, top_message) VALUES (1, 2, 2), (1, -4, 3), (2, 1, 1)",
        "INSERT INTO draft (owner, peer, date, no_webpage, content) VALUES (1, -4, 7, 0, '')",
        "INSERT INTO block (owner, account, date) VALUES (1, 2, 8)",
    ] {
        transaction.run(sql(statement)).await.unwrap();
    }
    transaction.commit().await.unwrap();
    chappe_telegram::Admin::open(&backend, chappe_crypto::Rng::from_seed([3; 32])).await.unwrap();
    check_all(database).await;
    let query = sql("SELECT kind, peer, changed FROM quiet_change WHERE owner = 1 ORDER BY kind");
    let mut found = Vec::<(i64, i64, i64)>::new();
    for mut row in database.rows(query).await.unwrap() {
        found.push((row.read().unwrap(), row.read().unwrap(), row.read().unwrap()));
    }
    assert_eq!(found, [(1, -4, 7), (4, 2, 8)]);
}

/// What made the tables before counts were kept.
const BEFORE: &[&str] = &[
    include_str!("../../src/store/migrations/0001-accounts.sql"),
    include_str!("../../src/store/migrations/0002-messages.sql"),
    include_str!("../../src/store/migrations/0003-passwords.sql"),
    include_str!("../../src/store/migrations/0004-names.sql"),
    include_str!("../../src/store/migrations/0005-files.sql"),
    include_str!("../../src/store/migrations/0006-groups.sql"),
    include_str!("../../src/store/migrations/0007-bots.sql"),
    include_str!("../../src/store/migrations/0008-devices-menus.sql"),
    include_str!("../../src/store/migrations/0009-unread.sql"),
];

/// What a page says that its dialog has.
async fn count(client: &mut crate::client::Client, peer: &types::InputPeer) -> i32 {
    let (ids, count) = history(client, GetHistory { limit: 1, ..window(peer) }).await;
    count.unwrap_or(ids.len() as i32)
}

async fn check(home: &Home) {
    check_all(home.database()).await;
}

/// Every dialog of everybody has as many messages as it says, and at least one.
async fn check_all(database: &Database) {
    let query = sql("SELECT owner, peer, messages, (SELECT count(*) FROM message
             WHERE message.owner = dialog.owner AND message.peer = dialog.peer) FROM dialog");
    let mut all = 0;
    for mut row in database.rows(query).await.unwrap() {
        let (owner, peer): (i64, i64) = (row.read().unwrap(), row.read().unwrap());
        let (said, true_count): (i64, i64) = (row.read().unwrap(), row.read().unwrap());
        assert!(said == true_count && said > 0, "{owner} {peer}: {said} of {true_count}");
        all += said;
    }
    let query = sql("SELECT count(*) FROM message");
    let messages: i64 = database.row(query).await.unwrap().unwrap().read().unwrap();
    assert_eq!(all, messages);
}

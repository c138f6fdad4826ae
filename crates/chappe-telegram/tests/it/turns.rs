//! Changes beside each other.

use std::time::Duration;

use bytes::Bytes;
use chappe_api::functions::messages::{
    DeleteHistory, DeleteMessages, EditMessage, ReadMessageContents, SendMessage, UnpinAllMessages,
    UpdatePinnedMessage,
};
use chappe_api::functions::updates::GetState;
use chappe_api::types;
use chappe_backend::sql::sql;
use chappe_tl::{Encode, Raw};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::groups::Group;
use crate::messages::{new_message, say, updates};

/// Rule:   what becomes of messages, edits, pins, deletions and marks, keeps those off alone in whose
///         boxes it is done: who has nothing to do with it does not wait for it.
/// Source: UPD-01, UPD-02, docs/decisions/0021.
#[tokio::test]
async fn change_of_a_box_stops_nobody_else() {
    let mut group = Group::new().await;
    let (peer, myself) = (group.peer(), types::InputPeer::InputPeerSelf);
    let mut ids = Vec::new();
    for random_id in 1..=3 {
        let sent = group.ada.ask(say(&peer, "hello", random_id)).await.unwrap();
        ids.push(new_message(&updates(sent).updates[1]).0.id);
    }
    let [edited, pinned, deleted] = ids[..] else { panic!("not three") };
    let edit = EditMessage {
        peer: peer.clone(),
        id: edited,
        message: Some("good day".into()),
        ..chappe_tl::blank()
    };
    let pin = UpdatePinnedMessage { peer: peer.clone(), id: pinned, ..chappe_tl::blank() };
    let send: SendMessage = say(&peer, "and more", 4);
    let calls = [
        bytes(&send),
        bytes(&edit),
        bytes(&pin),
        bytes(&UnpinAllMessages { peer: peer.clone(), ..chappe_tl::blank() }),
        bytes(&ReadMessageContents { id: vec![edited] }),
        bytes(&DeleteMessages { revoke: true, id: vec![deleted] }),
        bytes(&DeleteHistory { peer: myself, ..chappe_tl::blank() }),
    ];
    let mut devices = Vec::new();
    for session in 20..20 + calls.len() as i64 {
        let mut device = group.ada.beside(&group.home, session).await;
        device.ask(GetState {}).await.unwrap();
        devices.push(device);
    }

    // Somebody else holds what all of them have to write to.
    let mut rival = group.home.database().begin().await.unwrap();
    rival.run(sql("UPDATE account SET qts = qts + 1 WHERE id > 0")).await.unwrap();
    let mut under_way = JoinSet::new();
    for (mut device, call) in devices.into_iter().zip(calls) {
        under_way.spawn(async move { device.call(&Raw(call)).await.map(drop) });
    }
    sleep(Duration::from_millis(300)).await;
    // It takes its turn, too, and is told no before it has to write.
    let all = DeleteHistory { revoke: true, peer, ..chappe_tl::blank() };
    let refused = timeout(Duration::from_secs(10), group.cy.fail(all)).await;
    assert_eq!(refused, Ok((403, "CHAT_ADMIN_REQUIRED".to_owned())));
    while let Some(done) = under_way.try_join_next() {
        done.unwrap().unwrap();
    }
    assert!(!under_way.is_empty(), "what is held keeps nobody waiting");
    drop(rival);
    while let Some(done) = under_way.join_next().await {
        done.unwrap().unwrap();
    }
}

fn bytes(call: &impl Encode) -> Bytes {
    chappe_tl::to_bytes(call).unwrap()
}

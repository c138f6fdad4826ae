//! What people begin to write.

use chappe_api::functions::messages::{
    ClearAllDrafts, GetAllDrafts, GetDialogs, SaveDraft, SendMessage,
};
use chappe_api::functions::updates::GetState;
use chappe_api::types::{self, DraftMessage, Update};

use crate::messages::{Pair, say, updates, wrong};
use crate::sign_in::enter;

/// Rule:   a draft shows on one's other devices and in the dialog, until it is emptied, or the
///         message is sent; nobody else hears of it, and it moves no pts.
/// Source: 20-telegram-api-service §2.1, `messages.saveDraft`, `getAllDrafts`, `clearAllDrafts`;
///         LAY-12, UPD-03, API-15, QRK-71.
#[tokio::test]
async fn draft_shows_on_other_devices() {
    let mut pair = Pair::new().await;
    let mut second = pair.home.client().await;
    enter(&mut second, "9996620001").await;
    second.ask(GetState {}).await.unwrap();
    let (mine, _) = pair.say("question", 1).await;
    second.pushed().await;
    let to_bob = pair.to_bob.clone();
    let begin = |text: &str| SaveDraft {
        peer: to_bob.clone(),
        message: text.into(),
        reply_to: (!text.is_empty()).then(|| crate::groups::reply(mine.id)),
        ..chappe_tl::blank()
    };
    assert!(pair.ada.ask(begin("an answ")).await.unwrap());
    let told = second.pushed().await;
    let [Update::UpdateDraftMessage(new)] = &told.updates[..] else { panic!("no draft") };
    let DraftMessage::DraftMessage(draft) = &new.draft else { panic!("empty") };
    assert_eq!(draft.message.as_str(), Ok("an answ"));
    assert!(matches!(
        &draft.reply_to,
        Some(types::InputReplyTo::InputReplyToMessage(to)) if to.reply_to_msg_id == mine.id
    ));
    assert_eq!(told.users.len(), 1);
    let all = updates(pair.ada.ask(GetAllDrafts {}).await.unwrap());
    assert!(matches!(&all.updates[..], [Update::UpdateDraftMessage(_)]));
    assert!(drafted(&mut pair).await);
    assert!(pair.ada.ask(begin("")).await.unwrap());
    let told = second.pushed().await;
    assert!(is_empty(&told.updates[0]) && !drafted(&mut pair).await);
    // Emptied again it is no news.
    assert!(pair.ada.ask(begin("")).await.unwrap());

    pair.ada.ask(begin("an answer")).await.unwrap();
    second.pushed().await;
    let send = SendMessage { clear_draft: true, ..say(&to_bob, "an answer", 2) };
    pair.ada.ask(send).await.unwrap();
    let told = [second.pushed().await, second.pushed().await];
    assert!(told.iter().any(|told| is_empty(&told.updates[0])));
    assert!(!drafted(&mut pair).await);

    pair.ada.ask(begin("more")).await.unwrap();
    assert!(pair.ada.ask(ClearAllDrafts {}).await.unwrap());
    assert!(!drafted(&mut pair).await);
    let peer = wrong(&to_bob);
    let invalid = (400, "PEER_ID_INVALID".to_owned());
    assert_eq!(pair.ada.fail(SaveDraft { peer, ..begin("x") }).await, invalid);
    assert_eq!(pair.ada.ask(GetState {}).await.unwrap().pts, 3);
    pair.bob.pushed().await;
    assert!(pair.bob.take_pushed().is_empty());
}

fn is_empty(update: &Update) -> bool {
    matches!(
        update,
        Update::UpdateDraftMessage(new) if matches!(
            &new.draft,
            DraftMessage::DraftMessageEmpty(empty) if empty.date.is_some()
        )
    )
}

/// Whether Ada's only dialog has a draft.
async fn drafted(pair: &mut Pair) -> bool {
    let asked = GetDialogs { limit: 10, ..chappe_tl::blank() };
    let types::messages::Dialogs::Dialogs(found) = pair.ada.ask(asked).await.unwrap() else {
        panic!("a slice")
    };
    let [types::Dialog::Dialog(dialog)] = &found.dialogs[..] else { panic!("not one") };
    dialog.draft.is_some()
}

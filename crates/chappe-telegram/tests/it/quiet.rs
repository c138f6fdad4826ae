//! What a device that was away is told of what moves no pts.

use std::time::Duration;

use chappe_api::ctors;
use chappe_api::functions::contacts::{Block, Unblock};
use chappe_api::functions::messages::{
    ClearAllDrafts, MarkDialogUnread, ReadHistory, ReorderPinnedDialogs, SaveDraft, SendMessage,
    ToggleDialogPin,
};
use chappe_api::functions::updates::{GetDifference, GetState};
use chappe_api::types::updates::{Difference, State};
use chappe_api::types::{self, DraftMessage, Update};
use chappe_backend::sql::sql;

use crate::client::Client;
use crate::dialogs::dialog;
use crate::groups::number;
use crate::messages::{Pair, find, say, updates, user_ids};
use crate::sign_in::enter;

/// Rule:   a device that has every event, and missed what moves no pts, is told how that is now,
///         each thing once, with everybody in it; what it knows of events stays as it was.
/// Source: UPD-08, API-09, QRK-71, 20-telegram-api-service §3.4.
#[tokio::test]
async fn difference_tells_what_moves_no_pts() {
    let mut away = Away::new().await;
    let (to_bob, to_eve) = (away.pair.to_bob.clone(), away.to_eve.clone());
    let own = InputPeerSelf;
    away.ada(draft(&to_bob, "an answ")).await;
    let [Update::UpdateDraftMessage(told)] = &away.missed().await[..] else { panic!("no draft") };
    let DraftMessage::DraftMessage(new) = &told.draft else { panic!("it is empty") };
    assert_eq!(new.message, "an answ");

    // Written again, emptied, and sent, each time it is told as it is by then.
    away.ada(draft(&to_bob, "an answer")).await;
    away.ada(draft(&own, "a note")).await;
    away.ada(draft(&to_bob, "")).await;
    let now = away.second.ask(GetState {}).await.unwrap().date;
    let [Update::UpdateDraftMessage(first), Update::UpdateDraftMessage(second)] =
        &away.missed().await[..]
    else {
        panic!("not two drafts")
    };
    let is_empty = |draft: &DraftMessage| match draft {
        DraftMessage::DraftMessageEmpty(empty) => (now - 20..=now).contains(&empty.date.unwrap()),
        DraftMessage::DraftMessage(_) => false,
    };
    assert!(is_empty(&first.draft) != is_empty(&second.draft));
    away.ada(ClearAllDrafts {}).await;
    let missed = away.missed().await;
    assert!(!missed.is_empty() && missed.iter().all(|update| is_empty(&drafted(update).draft)));

    away.ada(ToggleDialogPin { pinned: true, peer: dialog(&to_bob) }).await;
    away.ada(ToggleDialogPin { pinned: true, peer: dialog(&to_eve) }).await;
    assert_eq!(away.pins().await, [away.eve, away.pair.ids.1]);
    let order = vec![dialog(&to_bob), dialog(&to_eve)];
    away.ada(ReorderPinnedDialogs { force: true, folder_id: 0, order }).await;
    assert_eq!(away.pins().await, [away.pair.ids.1, away.eve]);
    let order = Vec::new();
    away.ada(ReorderPinnedDialogs { force: true, folder_id: 0, order }).await;
    assert!(away.pins().await.is_empty());

    let mark = |unread| MarkDialogUnread { unread, parent_peer: None, peer: dialog(&to_eve) };
    for unread in [true, false] {
        away.ada(mark(unread)).await;
        let [Update::UpdateDialogUnreadMark(told)] = &away.missed().await[..] else {
            panic!("not one mark")
        };
        assert_eq!(told.unread, unread);
    }
    away.ada(mark(true)).await;
    let read = ReadHistory { peer: to_eve.clone(), max_id: 0 };
    away.pair.ada.ask(read).await.unwrap();
    let [Update::UpdateDialogUnreadMark(told)] = &away.missed().await[..] else {
        panic!("not one mark")
    };
    assert!(!told.unread, "it was read");

    let id = to_eve.clone();
    away.ada(Block { my_stories_from: false, id: id.clone() }).await;
    let [Update::UpdatePeerBlocked(told)] = &away.missed().await[..] else { panic!("no block") };
    assert!(told.blocked);
    away.ada(Unblock { my_stories_from: false, id }).await;
    let [Update::UpdatePeerBlocked(told)] = &away.missed().await[..] else { panic!("no block") };
    assert!(!told.blocked);
}

/// Rule:   a draft that is gone because its message was sent is told as gone, with that message.
/// Source: UPD-08, 20-telegram-api-service §2.1, `messages.sendMessage`.
#[tokio::test]
async fn sent_draft_is_told_as_gone() {
    let mut away = Away::new().await;
    let to_bob = away.pair.to_bob.clone();
    away.ada(draft(&to_bob, "an answer")).await;
    away.missed().await;
    away.next_second().await;
    let send = SendMessage { clear_draft: true, ..say(&to_bob, "an answer", 7) };
    away.pair.ada.ask(send).await.unwrap();
    let missed = away.difference().await;
    assert_eq!(missed.new_messages.len(), 1);
    let [told] = &missed.other_updates[..] else { panic!("not one") };
    assert!(matches!(drafted(told).draft, DraftMessage::DraftMessageEmpty(_)));
    // Without a draft nothing of that kind happens.
    away.next_second().await;
    let send = SendMessage { clear_draft: true, ..say(&to_bob, "more", 8) };
    away.pair.ada.ask(send).await.unwrap();
    assert!(away.difference().await.other_updates.is_empty());
}

/// Rule:   a device is told for as long as the date that it names is that of the change, and by the
///         date of the answer no more; one that names no date, or one to come, is not told at all.
/// Source: UPD-08, QRK-70, 20-telegram-api-service §3.4.
#[tokio::test]
async fn nothing_is_told_for_ever() {
    let mut away = Away::new().await;
    away.ada(draft(&away.pair.to_bob.clone(), "an answ")).await;
    let State { pts, date, qts, .. } = away.state;
    for date in [0, -1, i32::MIN, i32::MAX, date + 1000] {
        let call = GetDifference { pts, date, qts, ..chappe_tl::blank() };
        let answer = away.second.ask(call).await.unwrap();
        assert!(matches!(answer, Difference::DifferenceEmpty(_)), "{date}");
    }
    tokio::time::sleep(Duration::from_millis(1050)).await;
    assert_eq!(away.missed().await.len(), 1);
    away.is_up_to_date().await;
    // Of the second of the change itself nobody knows whether it was before or after.
    away.ada(draft(&away.pair.to_bob.clone(), "an answer")).await;
    let mut told = 0;
    while let Some(missed) = away.ask().await {
        told += 1;
        assert_eq!(missed.other_updates.len(), 1);
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    assert!((1..=4).contains(&told), "{told}");
    away.is_up_to_date().await;
}

/// Rule:   a change that is made while a device asks is found by the date of that answer, however
///         long it takes.
/// Source: UPD-08.
#[tokio::test]
async fn change_under_way_is_not_passed_over() {
    let mut away = Away::new().await;
    let (to_bob, ada) = (away.pair.to_bob.clone(), away.pair.ids.0);
    let mut saving = away.pair.ada.beside(&away.pair.home, 9).await;
    saving.ask(GetState {}).await.unwrap();
    let database = away.pair.home.database().clone();
    // Keeps the change from going on.
    let mut transaction = database.begin().await.unwrap();
    let hold = sql("INSERT INTO quiet_change (owner, kind, peer, changed) VALUES ($1, 1, $2, 1)");
    let hold = hold.bind(ada).bind(away.pair.ids.1);
    transaction.run(hold).await.unwrap();
    let saving = tokio::spawn(async move { saving.ask(draft(&to_bob, "an answ")).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    for _ in 0..2 {
        away.next_second().await;
        away.is_up_to_date().await;
    }
    drop(transaction);
    assert!(saving.await.unwrap().unwrap());
    let [told] = &away.missed().await[..] else { panic!("it is lost") };
    assert!(matches!(drafted(told).draft, DraftMessage::DraftMessage(_)));
}

/// Rule:   of a difference in parts the last one tells what moves no pts, after its events: what was
///         read and then marked as unread is unread.
/// Source: UPD-08, UPD-04, 20-telegram-api-service §3.4.
#[tokio::test]
async fn last_part_tells_what_moves_no_pts() {
    let mut away = Away::new().await;
    let to_ada = away.pair.to_ada.clone();
    for number in 1..=6 {
        away.pair.bob.ask(say(&to_ada, "text", number)).await.unwrap();
    }
    let to_bob = away.pair.to_bob.clone();
    let read = ReadHistory { peer: to_bob.clone(), max_id: 0 };
    away.pair.ada.ask(read).await.unwrap();
    away.ada(MarkDialogUnread { unread: true, parent_peer: None, peer: dialog(&to_bob) }).await;
    let State { mut pts, date, qts, .. } = away.state;
    let mut parts = 0;
    let last = loop {
        let call = GetDifference { pts, date, qts, pts_limit: Some(3), ..chappe_tl::blank() };
        match away.second.ask(call).await.unwrap() {
            Difference::DifferenceSlice(slice) => {
                assert!(slice.other_updates.is_empty());
                assert_eq!(slice.intermediate_state.date, date);
                pts = slice.intermediate_state.pts;
                parts += 1;
            }
            Difference::Difference(last) => break last,
            _ => panic!("nothing was missed"),
        }
    };
    assert_eq!(parts, 2);
    let [Update::UpdateReadHistoryInbox(_), Update::UpdateDialogUnreadMark(mark)] =
        &last.other_updates[..]
    else {
        panic!("another order")
    };
    assert!(mark.unread && last.state.date >= date);
}

/// Rule:   what is changed while a device asks in parts is pushed to it after the last answer and
///         not between them, so that what it hears last is how it is.
/// Source: UPD-08, UPD-09.
#[tokio::test]
async fn change_waits_for_the_answer() {
    let mut away = Away::new().await;
    let (to_ada, to_bob) = (away.pair.to_ada.clone(), away.pair.to_bob.clone());
    for number in 1..=40 {
        away.pair.bob.ask(say(&to_ada, "text", number)).await.unwrap();
    }
    let State { mut pts, date, qts, .. } = away.state;
    let mut second = away.pair.ada.beside(&away.pair.home, 9).await;
    second.ask(GetState {}).await.unwrap();
    let mut saver = None;
    loop {
        let call = GetDifference { pts, date, qts, pts_limit: Some(4), ..chappe_tl::blank() };
        let answer = second.ask(call).await.unwrap();
        let is_early = |pushed: &types::Updates| match pushed {
            types::Updates::Updates(pushed) => {
                matches!(pushed.updates[..], [Update::UpdateDraftMessage(_)])
            }
            _ => false,
        };
        assert!(!second.take_early().iter().any(is_early), "between the parts");
        match answer {
            Difference::DifferenceSlice(slice) => pts = slice.intermediate_state.pts,
            Difference::Difference(_) => break,
            _ => panic!("nothing was missed"),
        }
        if saver.is_none() {
            let mut ada = away.pair.ada.beside(&away.pair.home, 10).await;
            let to_bob = to_bob.clone();
            saver = Some(tokio::spawn(async move {
                for number in 1..=40 {
                    ada.ask(draft(&to_bob, &number.to_string())).await.unwrap();
                }
            }));
        }
    }
    saver.unwrap().await.unwrap();
    let mut last = 0;
    while last < 40 {
        let pushed = second.pushed().await;
        let DraftMessage::DraftMessage(new) = &drafted(&pushed.updates[0]).draft else {
            panic!("it is empty")
        };
        let number: i32 = new.message.as_str().unwrap().parse().unwrap();
        assert!(number > last);
        last = number;
    }
}

/// Ada's device that asks later for what her other one does, beside Bob and Eve.
struct Away {
    pair: Pair,
    to_eve: types::InputPeer,
    eve: i64,
    second: Client,
    /// What it knows.
    state: State,
}

use types::InputPeer::InputPeerSelf;

impl Away {
    async fn new() -> Self {
        let mut pair = Pair::new().await;
        let mut client = pair.home.client().await;
        let eve = enter(&mut client, &number(5)).await.id;
        let to_eve = find(&mut pair.ada, &number(5)).await;
        for (place, peer) in [&pair.to_bob, &to_eve, &InputPeerSelf].into_iter().enumerate() {
            let sent = pair.ada.ask(say(peer, "hello", 100 + place as i64)).await.unwrap();
            assert_eq!(updates(sent).updates.len(), 2);
        }
        let mut second = pair.ada.beside(&pair.home, 8).await;
        let state = second.ask(GetState {}).await.unwrap();
        Self { pair, to_eve, eve, second, state }
    }

    async fn ada(&mut self, call: impl chappe_tl::Function<Return = bool>) {
        assert!(self.pair.ada.ask(call).await.unwrap());
    }

    /// The difference since it last asked.
    async fn ask(&mut self) -> Option<ctors::updates::Difference> {
        let State { pts, date, qts, .. } = self.state;
        let call = GetDifference { pts, date, qts, ..chappe_tl::blank() };
        match self.second.ask(call).await.unwrap() {
            Difference::Difference(missed) => {
                assert!(missed.state.date >= date);
                self.state = missed.state.clone();
                Some(*missed)
            }
            Difference::DifferenceEmpty(empty) => {
                assert!(empty.date >= date);
                self.state.date = empty.date;
                None
            }
            _ => panic!("another difference"),
        }
    }

    async fn difference(&mut self) -> ctors::updates::Difference {
        self.ask().await.expect("it knows it all")
    }

    /// What it missed without a pts, of the last second.
    async fn missed(&mut self) -> Vec<Update> {
        let pts = self.state.pts;
        let missed = self.difference().await;
        assert!(missed.new_messages.is_empty() && missed.state.pts == pts);
        let named = user_ids(&missed.users);
        let mut all = missed.other_updates;
        for update in &all {
            let peers = match update {
                Update::UpdateDraftMessage(update) => vec![update.peer.clone()],
                Update::UpdatePeerBlocked(update) => vec![update.peer_id.clone()],
                _ => Vec::new(),
            };
            let is_named = |peer: &types::Peer| match peer {
                types::Peer::PeerUser(user) => named.contains(&user.user_id),
                _ => false,
            };
            assert!(peers.iter().all(is_named));
        }
        // What was told in the second of the change before may come again.
        let kind = all.last().map(std::mem::discriminant);
        all.retain(|update| Some(std::mem::discriminant(update)) == kind);
        all
    }

    async fn pins(&mut self) -> Vec<i64> {
        let [Update::UpdatePinnedDialogs(told)] = &self.missed().await[..] else {
            panic!("not one order")
        };
        let peer = |peer: &types::DialogPeer| match peer {
            types::DialogPeer::DialogPeer(dialog) => match &dialog.peer {
                types::Peer::PeerUser(user) => user.user_id,
                _ => panic!("no person"),
            },
            _ => panic!("no dialog"),
        };
        told.order.as_ref().unwrap().iter().map(peer).collect()
    }

    /// Gets a date after that of everything before.
    async fn next_second(&mut self) {
        tokio::time::sleep(Duration::from_millis(1050)).await;
        self.ask().await;
    }

    async fn is_up_to_date(&mut self) {
        assert!(self.ask().await.is_none());
    }
}

fn drafted(update: &Update) -> &ctors::UpdateDraftMessage {
    let Update::UpdateDraftMessage(update) = update else { panic!("no draft") };
    update
}

fn draft(peer: &types::InputPeer, text: &str) -> SaveDraft {
    SaveDraft { peer: peer.clone(), message: text.into(), ..chappe_tl::blank() }
}

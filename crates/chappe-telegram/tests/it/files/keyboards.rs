//! Files that bots send with a keyboard under them.

use chappe_api::functions::messages::{EditMessage, SendMedia};
use chappe_api::types::{InlineButtonType, ReplyMarkup, Update};

use super::{as_document, sent, show, upload};
use crate::bots::{Pair, inline, press};
use crate::messages::new_message;
use crate::sign_in::test_numbers;

/// Rule:   a bot's file has its keyboard under it on both sides; a keyboard that clients could not
///         show is refused before the file is used up; of people it is passed over.
/// Source: 20-telegram-api-service §2.1, `messages.sendMedia`, `REPLY_MARKUP_INVALID`.
#[tokio::test]
async fn file_has_its_keyboard_under_it() {
    let mut pair = Pair::new(test_numbers()).await;
    let to_ada = pair.begin().await;
    let file = as_document(upload(&mut pair.bot, 1, b"a page of it", 512 << 10).await);
    let with = |markup| SendMedia {
        reply_markup: Some(Box::new(markup)),
        ..show(&to_ada, file.clone(), 1)
    };
    let invalid = (400, "REPLY_MARKUP_INVALID".to_owned());
    assert_eq!(pair.bot.fail(with(inline(vec![]))).await, invalid);
    let mine = sent(&mut pair.bot, with(inline(vec![press(b"yes")]))).await;
    let theirs = new_message(&pair.ada.pushed().await.updates[0]).0;
    for message in [&mine, &theirs] {
        assert!(message.media.is_some());
        let Some(ReplyMarkup::ReplyInlineMarkup(shown)) = message.reply_markup.as_deref() else {
            panic!("no keyboard")
        };
        assert!(matches!(
            &shown.rows[0].buttons[0].r#type,
            InlineButtonType::InlineButtonTypeCallback(callback) if callback.data[..] == *b"yes"
        ));
    }
    // Another caption leaves the file, and takes the keyboard away with the edit that names none.
    let message = Some("page one".into());
    let edit = EditMessage { peer: to_ada.clone(), id: mine.id, message, ..chappe_tl::blank() };
    pair.bot.ask(edit).await.unwrap();
    let told = pair.ada.pushed().await;
    let [Update::UpdateEditMessage(edited)] = &told.updates[..] else { panic!("no edit") };
    let chappe_api::types::Message::Message(edited) = &edited.message else { panic!("none") };
    assert!(edited.media.is_some() && edited.reply_markup.is_none());

    let file = as_document(upload(&mut pair.ada, 1, b"of a person", 512 << 10).await);
    let markup = Some(Box::new(inline(vec![press(b"yes")])));
    let call = SendMedia { reply_markup: markup, ..show(&pair.to_bot, file, 2) };
    let plain = sent(&mut pair.ada, call).await;
    assert!(plain.media.is_some() && plain.reply_markup.is_none());
}

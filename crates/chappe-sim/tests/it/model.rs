//! The reference model notices what it is there to notice.

use bytes::Bytes;
use chappe_crypto::AuthKeyId;
use chappe_proto::envelope::encrypted::{Header, Message};
use chappe_proto::session::client::{CallError, Doubt};
use chappe_proto::session::container::{self, Inner};
use chappe_proto::{LinkId, MsgId, SessionId};
use chappe_sim::model::{Model, Rule, Wish};
use chappe_sim::words::{Question, Token, answer, question};
use chappe_tl::Raw;

const KEY: AuthKeyId = AuthKeyId(7);
const SESSION: SessionId = SessionId(9);
const TOKEN: Token = Token(0b111_0011);

fn rule(model: &Model) -> Option<Rule> {
    model.broken().map(|broken| broken.rule)
}

fn message(id: i64, seq_no: i32, body: Bytes) -> Message {
    let id = MsgId(id);
    Message { header: Header { salt: 1, session_id: SESSION, msg_id: id, seq_no }, body }
}

fn called() -> Model {
    called_with(Wish::default())
}

fn called_with(wish: Wish) -> Model {
    let mut model = Model::default();
    model.owns(0, SESSION);
    model.called(0, TOKEN, wish);
    model
}

fn repeatable() -> Model {
    called_with(Wish { is_repeatable: true, ..Wish::default() })
}

/// Rule: MSG-39, SES-12: a message runs once in a life of a node; a call that may run twice once
///       for every excuse, any other as one message
///       alone.
#[test]
fn second_run_is_noticed() {
    for life in [0, 1] {
        let mut model = called();
        model.ran(0, KEY, SESSION, MsgId(4), &question(TOKEN, Question::Plain));
        model.excuse(0);
        assert_eq!(rule(&model), None);
        model.ran(life, KEY, SESSION, MsgId(8), &question(TOKEN, Question::Plain));
        assert_eq!(rule(&model), Some(Rule::OneRunPerCall));
    }
    let mut model = repeatable();
    model.ran(0, KEY, SESSION, MsgId(4), &question(TOKEN, Question::Plain));
    assert_eq!(rule(&model), None);
    model.ran(1, KEY, SESSION, MsgId(4), &question(TOKEN, Question::Plain));
    assert_eq!(rule(&model), None, "in another life it may");
    model.ran(1, KEY, SESSION, MsgId(4), &question(TOKEN, Question::Plain));
    assert_eq!(rule(&model), Some(Rule::OneRunPerMessage));
    let mut model = repeatable();
    model.ran(0, KEY, SESSION, MsgId(4), &question(TOKEN, Question::Plain));
    model.excuse(0);
    model.ran(0, KEY, SESSION, MsgId(8), &question(TOKEN, Question::Plain));
    assert_eq!(rule(&model), None);
    model.ran(0, KEY, SESSION, MsgId(12), &question(TOKEN, Question::Plain));
    assert_eq!(rule(&model), Some(Rule::OneRunPerCall));
}

/// Rule: SVC-44, SVC-45: a call begins when those before it are finished, dropped or given up.
#[test]
fn early_run_is_noticed() {
    let second = Token(TOKEN.0 + 8);
    let ends: [fn(&mut Model); 4] = [
        |_| {},
        |model| model.finished(TOKEN),
        |model| model.dropped(TOKEN),
        |model| model.outcome(TOKEN, &Ok(Raw(answer(TOKEN).unwrap()))),
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let mut model = called();
        model.called(0, second, Wish { after: vec![TOKEN], ..Wish::default() });
        end(&mut model);
        model.ran(0, KEY, SESSION, MsgId(4), &question(second, Question::Plain));
        assert_eq!(rule(&model), (number == 0).then_some(Rule::CallsInOrder));
    }
}

/// Rule: SES-12: only a call that must not run twice ends in doubt, and only where something was
///       forgotten.
#[test]
fn doubt_without_a_reason_is_noticed() {
    let doubt = || Err(CallError::Unknown(Doubt::SessionForgotten));
    let mut model = called();
    model.outcome(TOKEN, &doubt());
    assert_eq!(rule(&model), Some(Rule::RightOutcome));
    for (mut model, broken) in [(called(), None), (repeatable(), Some(Rule::RightOutcome))] {
        model.excuse(0);
        model.outcome(TOKEN, &doubt());
        assert_eq!(rule(&model), broken);
    }
}

/// Rule: a call has one outcome, the right one, and none once it was dropped.
#[test]
fn wrong_outcomes_are_noticed() {
    let right = || Ok(Raw(answer(TOKEN).unwrap()));
    let mut model = called();
    model.outcome(TOKEN, &right());
    assert_eq!(rule(&model), None);
    model.outcome(TOKEN, &right());
    assert_eq!(rule(&model), Some(Rule::OneOutcome));
    let mut model = called();
    model.outcome(TOKEN, &Ok(Raw(question(TOKEN, Question::Plain))));
    assert_eq!(rule(&model), Some(Rule::RightOutcome));
    let mut model = called();
    model.dropped(TOKEN);
    assert_eq!(model.open().count(), 0);
    model.outcome(TOKEN, &right());
    assert_eq!(rule(&model), Some(Rule::OneOutcome));
}

/// Rule: MSG-09, MSG-16, SES-11: ids rise, numbers count, old ids travel in containers.
#[test]
fn wrong_numbers_are_noticed() {
    let check = |messages: &[(i64, i32, Bytes)]| {
        let mut model = called();
        for (id, seq_no, body) in messages {
            model.client_sends(0, SESSION, &message(*id, *seq_no, body.clone()));
        }
        rule(&model)
    };
    let ask = || question(TOKEN, Question::Plain);
    assert_eq!(check(&[(4, 1, ask()), (8, 3, ask())]), None);
    assert_eq!(check(&[(8, 1, ask()), (4, 3, ask())]), Some(Rule::MessageIds));
    assert_eq!(check(&[(5, 1, ask())]), Some(Rule::MessageIds));
    assert_eq!(check(&[(4, 1, ask()), (8, 1, ask())]), Some(Rule::SequenceNumbers));
    assert_eq!(check(&[(4, 1, ask()), (4, 1, ask())]), Some(Rule::OldIdsInContainers));
    let inner = Inner { msg_id: MsgId(4), seq_no: 1, body: ask() };
    let again = container::pack(&[inner]);
    assert_eq!(check(&[(4, 1, ask()), (8, 2, again.clone())]), None);
    assert_eq!(check(&[(4, 1, ask()), (4, 2, again)]), Some(Rule::MessageIds));
}

/// Rule: SES-03, TRN-41: a link carries the session that spoke on it last.
#[test]
fn answer_on_a_foreign_link_is_noticed() {
    let pong = || message(5, 0, Bytes::from_static(&[1; 8]));
    let mut model = called();
    model.opened(LinkId(1), KEY, SESSION);
    model.node_sends(0, KEY, LinkId(1), &pong());
    assert_eq!(rule(&model), None);
    model.opened(LinkId(1), KEY, SessionId(10));
    model.node_sends(0, KEY, LinkId(1), &message(9, 0, Bytes::from_static(&[1; 8])));
    assert_eq!(rule(&model), Some(Rule::OwnSession));
}

/// Rule: what is pushed reaches the client that it is for, once.
#[test]
fn pushes_that_stray_are_noticed() {
    let push = chappe_sim::words::push(Token(3));
    let mut model = called();
    model.pushed(Token(3), SESSION);
    model.heard_push(0, &push);
    assert_eq!(rule(&model), None);
    model.heard_push(0, &push);
    assert_eq!(rule(&model), Some(Rule::OnePush));
    let mut model = called();
    model.pushed(Token(3), SESSION);
    model.heard_push(1, &push);
    assert_eq!(rule(&model), Some(Rule::OnePush));
}

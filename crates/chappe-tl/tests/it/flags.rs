//! Conditional fields, repetition, and how they look in Rust.

use chappe_tl::{Decode, Encode, EncodeError, Reader, blank, from_bytes, to_bytes};
use chappe_tl_fixture::ctors;
use chappe_tl_fixture::types::{self, Flagged};

/// TL-21: a field is on the wire exactly when its bit is set. TL-22: every word is written at its
/// own place, from the fields it governs. TL-24: a bare flag takes no bytes, a `Bool` takes four.
#[test]
fn words_of_flags_follow_from_the_fields() {
    check_words(&Flagged { a: 9, ..blank() }, &[0, 9, 0]);
    check_words(&Flagged { on: true, a: 9, ..blank() }, &[1, 9, 0]);
    check_words(&Flagged { number: Some(5), a: 9, ..blank() }, &[2, 5, 9, 0]);
    check_words(&Flagged { says: Some(false), a: 9, ..blank() }, &[4, 0xbc79_9737, 9, 0]);
    let high = Flagged { text: Some("a".into()), a: 9, ..blank() };
    check_words(&high, &[1 << 31, 0x6101, 9, 0]);
    check_words(&Flagged { middle: Some(3), a: 9, ..blank() }, &[0, 9, 1 << 5, 3]);
}

/// TL-25: fields that share a bit are one option; a `true` that shares it is a question.
#[test]
fn fields_of_one_bit_come_and_go_together() {
    let seen = Flagged { views_and_forwards: Some((7, 8)), a: 9, ..blank() };
    check_words(&seen, &[1 << 10, 7, 8, 9, 0]);
    let apart = Flagged { left_and_right: Some((1, "b".into())), middle: Some(2), a: 9, ..blank() };
    check_words(&apart, &[0, 9, 1 << 3 | 1 << 5, 1, 2, 0x6201]);
    let with_key = Flagged { key: Some("k".into()), a: 9, ..blank() };
    check_words(&with_key, &[1 << 4, 0x6b01, 9, 0]);
    assert!(with_key.has_key() && !apart.has_key());
}

/// TL-25: a value whose bit a flag holds as well is read at its own place, not at the flag's.
#[test]
fn a_value_is_read_where_it_stands_not_where_its_flag_does() {
    let late = types::Late { id: 5 << 32 | 4, version: Some(7), reason: None };
    check_words(&late, &[1 << 1, 4, 5, 7]);
    let late = types::Late { id: 5 << 32 | 4, version: Some(7), reason: Some("a".into()) };
    check_words(&late, &[1 << 1 | 1 << 2, 4, 5, 7, 0x6101]);
}

/// TL-23: a condition without a bit looks at the whole word. TL-25: what does not agree with
/// such a word is refused.
#[test]
fn a_condition_on_a_whole_word_must_agree_with_it() {
    check_words(&types::WholeWord { value: None }, &[0]);
    check_words(&types::WholeWord { value: Some(4) }, &[1, 4]);
    check_words(&types::MixedWord { value: Some(4), on: true }, &[4, 4]);
    let refused = to_bytes(&types::MixedWord { value: None, on: true });
    assert_eq!(refused, Err(EncodeError::FieldsDisagree { within: "mixedWord" }));
}

/// TL-26: unknown bits are ignored when reading and zero when writing.
#[test]
fn unknown_bits_are_ignored_and_never_written() {
    let unknown = words(&[1 << 20 | 1, 9, 0]);
    let flagged: Flagged = decode_bare(&unknown);
    assert!(flagged.on && flagged.a == 9);
    check_words(&flagged, &[1, 9, 0]);
    let reserved: types::Reserved = decode_bare(&words(&[u32::MAX, 5]));
    check_words(&reserved, &[0, 5]);
}

/// TL-06, TL-13: repetitions have their count, a bare constructor has no id, a bare `true` no
/// bytes.
#[test]
fn repetitions_and_bare_values_have_their_form() {
    check_words(&types::Matrix { columns: vec![1, 2] }, &[2, 1, 0, 2, 0]);
    check_words(&types::Quad { field_1: [1, 2, 3, 4] }, &[1, 2, 3, 4]);
    check_words(&types::Tied { four_and_one: Some(([1, 2, 3, 4], 5)) }, &[1, 1, 2, 3, 4, 5]);
    check_words(&types::Truths { list: vec![(); 3] }, &[3]);
    let salt = types::FutureSalt { valid_since: 1, valid_until: 2, salt: 3 };
    let nested = types::Nested { lists: vec![vec![salt]], bare: Flagged { a: 9, ..blank() } };
    check_words(&nested, &[0x1cb5_c415, 1, 1, 1, 2, 3, 0, 0, 9, 0]);
}

/// TL-40: fields of fixed size that are more than one block of bytes keep their order.
#[test]
fn many_fields_of_fixed_size_are_written_in_order() {
    let [a, b, c, d] = [[1; 32], [2; 32], [3; 32], [4; 32]];
    let large = types::Item::ItemLarge(Box::new(ctors::ItemLarge { a, b, c, d }));
    let bytes = to_bytes(&large).unwrap();
    assert_eq!(bytes[4..], [a, b, c, d].concat());
    assert_eq!(from_bytes::<types::Item>(bytes).unwrap(), large);
}

/// TL-09: a type without constructors can be neither read nor written.
#[test]
fn a_type_without_constructors_has_no_values() {
    let id = to_bytes(&types::Impossible::ImpossibleNot).unwrap();
    assert_eq!(from_bytes::<types::Impossible>(id).unwrap(), types::Impossible::ImpossibleNot);
    assert_eq!(blank::<types::Impossible>(), types::Impossible::ImpossibleNot);
    assert!(from_bytes::<types::False>(vec![0; 4]).is_err());
    assert_eq!(to_bytes(&blank::<types::False>()), Err(EncodeError::Uninhabited));
}

/// A struct prints as its schema names it; the enum of a large constructor stays small.
#[test]
fn generated_types_print_by_their_schema_and_stay_small() {
    let keyword = types::Keyword { r#type: 1, self_: 2, r#match: "m".into(), json_value: 3 };
    let printed = "keyword { type: 1, self: 2, match: \"m\", JSONValue: 3 }";
    assert_eq!(format!("{keyword:?}"), printed);
    let chain = types::Chain { next: Some(Box::new(types::Chain { next: None })) };
    assert_eq!(format!("{chain:?}"), "chain { next: chain { } }");
    assert!(size_of::<types::Item>() <= 16);
    assert_eq!(chappe_tl_fixture::LAYER, 7);
}

fn check_words<T: Encode + Decode + PartialEq + std::fmt::Debug>(value: &T, expected: &[u32]) {
    let encoded = to_bytes(value).unwrap();
    assert_eq!(encoded[4..], words(expected), "{value:?}");
    assert_eq!(from_bytes::<T>(encoded).unwrap(), *value);
}

fn decode_bare<T: chappe_tl::Constructor>(fields: &[u8]) -> T {
    T::decode_bare(&mut Reader::new(fields.to_vec().into())).unwrap()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

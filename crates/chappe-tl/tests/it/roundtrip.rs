//! Random values and random bytes.

use chappe_tl::{Bytes, Constructor, Decode, Encode, Raw, from_bytes, to_bytes};
use chappe_tl_fixture::functions::{InitConnection, InvokeWithLayer};
use chappe_tl_fixture::{ctors, types};
use proptest::prelude::*;

/// TL-40: what is decoded encodes to the same bytes, and again to the same value.
#[test]
fn decoded_values_encode_to_the_same_bytes() {
    proptest!(|(value in flagged())| {
        let bytes = to_bytes(&value).unwrap();
        let decoded: types::Flagged = from_bytes(bytes.clone()).unwrap();
        prop_assert_eq!(to_bytes(&decoded).unwrap(), bytes);
    });
    proptest!(|(value in text())| {
        let bytes = to_bytes(&value).unwrap();
        let decoded: types::Text = from_bytes(bytes.clone()).unwrap();
        prop_assert_eq!(to_bytes(&decoded).unwrap(), bytes);
    });
}

/// TL-40, TL-33: bytes of any kind are refused or come to rest after one round.
#[test]
fn any_bytes_are_refused_or_come_to_rest() {
    proptest!(|(bytes in proptest::collection::vec(any::<u8>(), 0..200))| {
        settles::<types::Flagged>(&bytes);
        settles::<types::FutureSalts>(&bytes);
        settles::<types::Nested>(&bytes);
        settles::<InvokeWithLayer<InitConnection<Raw>>>(&bytes);
        settles::<ctors::TextConcat>(&bytes);
    });
}

fn settles<T: Constructor + Encode + Decode>(fields: &[u8]) {
    if let Ok(value) = from_bytes::<T>([&T::ID.to_le_bytes(), fields].concat()) {
        let once = to_bytes(&value).unwrap();
        let again: T = from_bytes(once.clone()).unwrap();
        assert_eq!(to_bytes(&again).unwrap(), once);
    }
}

fn flagged() -> impl Strategy<Value = types::Flagged> {
    let string = || proptest::collection::vec(any::<u8>(), 0..300);
    let first =
        (any::<bool>(), any::<Option<i32>>(), any::<Option<bool>>(), any::<Option<(i32, i32)>>());
    let second = (proptest::option::of(string()), proptest::option::of(string()), any::<i32>());
    let third = (any::<Option<i64>>(), any::<Option<i32>>(), any::<Option<i32>>(), string());
    (first, second, third).prop_map(|(first, second, third)| types::Flagged {
        on: first.0,
        number: first.1,
        says: first.2,
        views_and_forwards: first.3,
        text: second.0.map(|text| text[..].into()),
        key: second.1.map(Bytes::from),
        a: second.2,
        big: third.0,
        middle: third.1,
        left_and_right: third.2.map(|left| (left, third.3[..].into())),
    })
}

fn text() -> impl Strategy<Value = types::Text> {
    let leaf = prop_oneof![
        Just(types::Text::TextEmpty),
        ".{0,40}".prop_map(|text| types::Text::TextPlain(ctors::TextPlain { text: text.into() })),
    ];
    leaf.prop_recursive(8, 64, 5, |inner| {
        let bold = |text| types::Text::TextBold(Box::new(ctors::TextBold { text }));
        let concat = |texts| types::Text::TextConcat(ctors::TextConcat { texts });
        prop_oneof![
            inner.clone().prop_map(bold),
            proptest::collection::vec(inner, 0..5).prop_map(concat),
        ]
    })
}

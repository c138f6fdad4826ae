//! Functions and their wrappers.

use chappe_tl::{
    Bytes, Constructor, Decode, DecodeErrorKind, Encode, Function, Raw, blank, from_bytes, to_bytes,
};
use chappe_tl_fixture::functions::{
    GetUsers, InitConnection, InvokeWithLayer, Ping, WrapTwice, help,
};
use chappe_tl_fixture::{FUNCTIONS, ctors, types};

use crate::vectors::example;

type Wrapped<X> = InvokeWithLayer<InitConnection<X>>;

/// TL-27, TL-08: a wrapped query round-trips, whole or with its inner call left encoded.
#[test]
fn wrapped_queries_round_trip() {
    let body = example("initConnection flags=0 over help.getNearestDc");
    let call: Wrapped<help::GetNearestDc> = from_bytes(body.clone()).unwrap();
    assert_eq!((call.layer, call.query.api_id), (214, 12345));
    assert_eq!(to_bytes(&call).unwrap(), body);
    let peeled: InvokeWithLayer<Raw> = from_bytes(body.clone()).unwrap();
    assert_eq!(peeled.query.id(), Some(<InitConnection<Raw> as Constructor>::ID));
    assert_eq!(to_bytes(&peeled).unwrap(), body);
    let inner: InitConnection<Raw> = from_bytes(peeled.query.0).unwrap();
    assert_eq!(inner.query.id(), Some(<help::GetNearestDc as Function>::ID));
}

/// TL-22, TL-27: so does a wrapper with optional fields, and one with two words of flags.
#[test]
fn wrappers_with_optional_fields_round_trip() {
    let proxy = types::InputClientProxy { address: "::1".into(), port: 443 };
    let init = InitConnection {
        api_id: 1,
        device_model: "a".into(),
        system_version: "b".into(),
        app_version: "c".into(),
        system_lang_code: "d".into(),
        lang_pack: blank(),
        lang_code: "e".into(),
        proxy: Some(proxy),
        params: Some(types::JsonValue::JsonNumber(ctors::JsonNumber { value: 0.5 })),
        query: WrapTwice { quiet: true, note: Some("n".into()), query: Ping { ping_id: 3 } },
    };
    let call = InvokeWithLayer { layer: 7, query: init };
    let decoded = from_bytes(to_bytes(&call).unwrap()).unwrap();
    assert_eq!(call, decoded);
    assert_eq!(decoded.query.query.query.ping_id, 3);
}

/// TL-27: nothing may follow the inner call, and it must be one.
#[test]
fn a_wrapper_with_the_wrong_inside_is_refused() {
    let mut body = example("initConnection flags=0 over help.getNearestDc").to_vec();
    body.extend([0; 4]);
    let error = from_bytes::<Wrapped<help::GetNearestDc>>(body.clone()).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::TrailingBytes { count: 4 });
    body.truncate(body.len() - 8);
    let error = from_bytes::<Wrapped<help::GetNearestDc>>(body.clone()).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::UnexpectedEnd);
    assert!(from_bytes::<Wrapped<Raw>>(body).is_err());
}

/// TL-28: the answer of a wrapper is the answer of what it wraps.
#[test]
fn the_answer_of_a_wrapper_is_that_of_its_query() {
    fn answer<F: Function>(_: &F, bytes: Bytes) -> F::Return {
        from_bytes(bytes).unwrap()
    }
    let call = InvokeWithLayer { layer: 1, query: GetUsers { field_1: vec![3] } };
    let users = vec![types::User::NoUser(ctors::NoUser { id: 3 })];
    assert_eq!(answer(&call, to_bytes(&users).unwrap()), users);
}

/// TL-37: a server finds a function by its id, and learns the id of one it does not know.
#[test]
fn functions_are_found_by_id() {
    assert!(FUNCTIONS.windows(2).all(|pair| pair[0].id < pair[1].id));
    let found = FUNCTIONS.binary_search_by_key(&0x7abe_77ec, |function| function.id).unwrap();
    assert_eq!(FUNCTIONS[found].name, "ping");
    assert_eq!(<Ping as Constructor>::NAME, <Ping as Function>::NAME);
    let error = from_bytes::<Ping>(vec![0xef, 0xbe, 0xad, 0xde]).unwrap_err();
    let expected = DecodeErrorKind::UnknownConstructor { id: 0xdead_beef, expected: "ping" };
    assert_eq!((error.kind, error.offset), (expected, 0));
}

/// A type written by hand takes part: it can be wrapped like any generated function.
#[test]
fn a_function_written_by_hand_can_be_wrapped() {
    #[derive(Debug, PartialEq)]
    struct Echo(i32);
    impl Encode for Echo {
        fn encode(&self, w: &mut chappe_tl::Writer) {
            w.u32(0xec0);
            w.i32(self.0);
        }
    }
    impl Decode for Echo {
        fn decode(r: &mut chappe_tl::Reader) -> Result<Self, chappe_tl::DecodeError> {
            r.expect_id(0xec0, "echo")?;
            Ok(Self(r.i32()?))
        }
    }
    let call = InvokeWithLayer { layer: 1, query: Echo(5) };
    let decoded: InvokeWithLayer<Echo> = from_bytes(to_bytes(&call).unwrap()).unwrap();
    assert_eq!(decoded.query, Echo(5));
}

//! JSON in and out: every form in the table of `chappe_tl::dynamic`, and what is refused.

use chappe_tl::dynamic::{CALL, Reason, Value, decode, encode, example, from_json, to_json};
use chappe_tl::schema::{Schema, Section, Type};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{Maker, boxed, schema, tape};

#[test]
fn value_survives_the_way_to_json_text_and_back() {
    let schema = schema();
    proptest!(|(tape in tape())| {
        let (ty, value) = Maker::new(&schema, tape).any();
        let text = to_json(&value).to_string();
        let back = from_json(&schema, &ty, &serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!(format!("{back:?}"), format!("{value:?}"));
    });
}

#[test]
fn long_is_a_number_while_that_is_exact() {
    const SAFE: i64 = 1 << 53;
    check(Type::Long, Value::Long(SAFE), json!(SAFE));
    check(Type::Long, Value::Long(-SAFE), json!(-SAFE));
    check(Type::Long, Value::Long(SAFE + 1), json!("9007199254740993"));
    check(Type::Long, Value::Long(i64::MIN), json!("-9223372036854775808"));
    check_read(Type::Long, json!("7"), Value::Long(7));
    check_read(Type::Long, json!(i64::MAX), Value::Long(i64::MAX));
    check_refused(Type::Long, json!("0x7"), "expected long, got \"0x7\"");
    check_refused(Type::Long, json!(1.5), "expected long, got 1.5");
}

#[test]
fn numbers_keep_to_their_range() {
    check(Type::Int, Value::Int(i32::MIN), json!(i32::MIN));
    check_refused(Type::Int, json!(1_i64 << 31), "expected int, got 2147483648");
    check(Type::Nat, Value::Nat(u32::MAX), json!(u32::MAX));
    check_refused(Type::Nat, json!(-1), "expected #, got -1");
    check_refused(Type::Int, json!(null), "expected int, got null");
}

#[test]
fn double_that_json_has_no_number_for_is_a_name() {
    check(Type::Double, Value::Double(-0.1), json!(-0.1));
    check(Type::Double, Value::Double(f64::INFINITY), json!("Infinity"));
    check(Type::Double, Value::Double(f64::NEG_INFINITY), json!("-Infinity"));
    assert_eq!(to_json(&Value::Double(f64::NAN)), json!("NaN"));
    check_read(Type::Double, json!(3), Value::Double(3.0));
    check_refused(Type::Double, json!("infinity"), "expected double, got \"infinity\"");
}

/// Rule:   TL-19, a string keeps its bytes, be they UTF-8 or not.
/// Source: docs/spec/01-tl.md §4.
#[test]
fn string_that_is_no_text_is_escaped() {
    check(Type::String, "grüß".into(), json!("grüß"));
    let raw = Value::String((&[0xff, 0xfe][..]).into());
    check(Type::String, raw, json!({"base64": "//4="}));
    check_refused(Type::String, json!({"base46": "//4="}), "expected string, got an object");
}

#[test]
fn bytes_are_base64_with_padding() {
    for (text, bytes) in
        [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob")]
    {
        check(Type::Bytes, Value::Bytes(bytes.into()), json!(text));
    }
    for wrong in ["Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Z\n==", "_-8="] {
        let message = format!("expected bytes as a base64 string, got {}", json!(wrong));
        check_refused(Type::Bytes, json!(wrong), &message);
    }
}

#[test]
fn long_integers_are_hexadecimal_in_the_order_of_the_wire() {
    let bytes = std::array::from_fn(|place| place as u8);
    check(Type::Int128, Value::Int128(bytes), json!("000102030405060708090a0b0c0d0e0f"));
    check(Type::Int256, Value::Int256([0xab; 32]), json!("ab".repeat(32)));
    let message = "expected int128 as 32 hexadecimal digits, got \"+1\"";
    check_refused(Type::Int128, json!("+1"), message);
    let wide = "é".repeat(16);
    let message = format!("expected int128 as 32 hexadecimal digits, got \"{wide}\"");
    check_refused(Type::Int128, json!(wide), &message);
}

#[test]
fn object_is_named_and_in_the_order_of_the_schema() {
    let json = json!({"access_hash": 2, "_": "peerUser", "user_id": 1});
    let value = from_json(&schema(), &boxed("Peer"), &json).unwrap();
    let text = to_json(&value).to_string();
    assert_eq!(text, r#"{"_":"peerUser","user_id":1,"access_hash":2}"#);
}

#[test]
fn name_may_be_left_out_where_only_one_fits() {
    let schema = schema();
    let options = from_json(&schema, &boxed("Options"), &json!({"silent": true})).unwrap();
    assert_eq!(to_json(&options), json!({"_": "options", "silent": true}));
    check_refused(
        boxed("Peer"),
        json!({}),
        "expected Peer, got an object without \"_\"; allowed: peerSelf, peerUser, peerNested",
    );
    check_refused(CALL, json!({}), "expected a call, got an object without \"_\"");
}

#[test]
fn absent_null_and_unset_flags_are_the_same() {
    let bare = from_json(&schema(), &boxed("Options"), &json!({})).unwrap();
    let given = json!({"silent": false, "text": null, "entities": null, "late": null});
    check_read(boxed("Options"), given, bare);
    check_refused(boxed("Options"), json!({"always": 1}), "always: expected Bool, got 1");
    check_refused(boxed("Options"), json!({"silent": 1}), "silent: expected true, got 1");
}

#[test]
fn error_names_the_place_and_what_may_stand_there() {
    let wrapped = |call: Json| json!({"_": "wrap", "layer": 1, "query": call});
    let user = json!({"_": "peerUser", "user_id": "x", "access_hash": 0});
    check_refused(
        CALL,
        wrapped(json!({"_": "getPeer", "peer": user})),
        "query.peer.user_id: expected long, got \"x\"",
    );
    check_refused(
        CALL,
        wrapped(json!({"_": "getAll", "ids": [1, 2, true]})),
        "query.ids[2]: expected long, got true",
    );
    check_refused(
        CALL,
        wrapped(json!({"_": "getPeers"})),
        "query: there is no function getPeers; did you mean getPeer?",
    );
    check_refused(
        CALL,
        wrapped(json!({"_": "getPeer", "pear": {}})),
        "query.pear: getPeer has no such field; did you mean peer?; it has: peer",
    );
    check_refused(CALL, wrapped(json!({"_": "getPeer"})), "query.peer: missing; expected Peer");
    check_refused(CALL, json!({"_": 5}), "_: expected a name, got 5");
    check_refused(
        CALL,
        json!({"_": "wrap", "flags": 1}),
        "flags: follows from the other fields and cannot be given",
    );
}

/// Rule:   TL-35, nesting is bounded for what a person gives, too.
/// Source: docs/spec/01-tl.md §5.
#[test]
fn nested_json_is_refused_beyond_the_limit() {
    let nested = |depth: usize| {
        (1..depth).fold(
            json!({"_": "peerSelf"}),
            |peer, _| json!({"_": "peerNested", "peer": peer, "list": []}),
        )
    };
    assert!(from_json(&schema(), &boxed("Peer"), &nested(64)).is_ok());
    let error = from_json(&schema(), &boxed("Peer"), &nested(65)).unwrap_err();
    assert_eq!(error.reason, Reason::TooDeep);
    assert_eq!(error.path, vec!["peer"; 64].join("."));
}

/// The skeleton of every function of the largest schema there is can be called as it stands.
#[test]
fn example_of_every_function_is_accepted() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../chappe-api/schema/api.tl");
    let telegram = Schema::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    for schema in [&schema(), &telegram] {
        for definition in schema.definitions().iter().filter(|d| !d.builtin) {
            let json = example(schema, definition);
            assert_eq!(json["_"], definition.name.as_str());
            if definition.section == Section::Types && !definition.generics.is_empty() {
                continue; // Open in a type, which nobody has chosen here.
            }
            let ty = match schema.function(&definition.name) {
                Some(_) => CALL,
                None => definition.result.clone(),
            };
            let value = from_json(schema, &ty, &json)
                .unwrap_or_else(|error| panic!("{}: {error}", definition.name));
            let bytes = encode(schema, &ty, &value).unwrap();
            assert_eq!(decode(schema, &ty, bytes).unwrap(), value);
        }
    }
}

#[test]
fn example_of_a_wrapper_holds_a_call_that_only_asks() {
    let schema = Schema::parse(
        "ok = Ok;
         ---functions---
         destroyAll = Ok;
         getAll = Ok;
         wrap {X:Type} query:!X = X;",
    )
    .unwrap();
    let json = example(&schema, schema.function("wrap").unwrap());
    assert_eq!(json, json!({"_": "wrap", "query": {"_": "getAll"}}));
}

/// A type may prefer to hold itself, twice; its example ends all the same.
#[test]
fn example_of_a_type_that_holds_itself_ends() {
    let schema = Schema::parse(
        "branch left:Tree right:Tree = Tree;
         leaf a:int b:int c:int = Tree;
         endless left:Endless right:Endless = Endless;
         more {t:Type} next:More<Vector<t>> = More t;
         start more:More<int> = Start;",
    )
    .unwrap();
    let leaf = json!({"_": "leaf", "a": 0, "b": 0, "c": 0});
    let branch = example(&schema, schema.constructor("branch").unwrap());
    assert_eq!(branch, json!({"_": "branch", "left": leaf, "right": leaf}));
    let endless = example(&schema, schema.constructor("endless").unwrap());
    assert_eq!(endless, json!({"_": "endless", "left": null, "right": null}));
    let start = example(&schema, schema.constructor("start").unwrap());
    assert_eq!(start["more"]["next"]["_"], "more");
}

#[test]
fn forgotten_namespace_is_found() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../chappe-api/schema/api.tl");
    let telegram = Schema::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    let refused =
        |name: &str| from_json(&telegram, &CALL, &json!({"_": name})).unwrap_err().to_string();
    assert_eq!(
        refused("getConfig"),
        "there is no function getConfig; did you mean help.getConfig?"
    );
    assert_eq!(
        refused("help.getconfg"),
        "there is no function help.getconfg; did you mean help.getConfig?"
    );
}

/// A value and its JSON, both ways.
fn check(ty: Type, value: Value, json: Json) {
    assert_eq!(to_json(&value), json);
    check_read(ty, json, value);
}

fn check_read(ty: Type, json: Json, value: Value) {
    assert_eq!(from_json(&schema(), &ty, &json), Ok(value));
}

fn check_refused(ty: Type, json: Json, message: &str) {
    assert_eq!(from_json(&schema(), &ty, &json).unwrap_err().to_string(), message);
}

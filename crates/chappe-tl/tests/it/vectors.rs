//! The vectors of the specification: strings, ids, examples, bodies of service messages.

use chappe_tl::schema::{Schema, crc32, normalise};
use chappe_tl::{
    Bytes, Decode, DecodeErrorKind, Encode, Raw, Reader, Str, Writer, from_bytes, to_bytes,
};
use chappe_tl_fixture::{ctors, functions, types};
use serde_json::Value;

/// TL-17: the short form up to 253 bytes, the long form above, zeros as padding.
/// TL-18, TL-33: what was written is read again.
#[test]
fn strings_encode_as_the_vectors_say() {
    for case in file("tl.json")["strings"].as_array().unwrap() {
        let length = case["length"].as_u64().unwrap() as usize;
        let (value, encoded) = (&case["value"], &case["encoded"]);
        let value = match value.as_str() {
            Some(hex) => hex::decode(hex).unwrap(),
            None => vec![7; length],
        };
        let bytes = to_bytes(&Str::from(&value[..])).unwrap();
        assert_eq!(bytes, to_bytes(&Bytes::from(value.clone())).unwrap());
        assert_eq!(bytes.len() as u64, case["encoded_length"].as_u64().unwrap());
        assert_eq!(hex::encode(&bytes[..4]), case["encoded_prefix"].as_str().unwrap());
        if let Some(encoded) = encoded.as_str() {
            assert_eq!(hex::encode(&bytes), encoded);
        }
        assert_eq!(*from_bytes::<Bytes>(bytes.clone()).unwrap(), value);
        assert_eq!(*from_bytes::<Str>(bytes).unwrap(), value[..]);
    }
}

/// TL-18: `ff`, a cut header, a cut value and cut padding are refused; a long form of a short
/// value and padding that is not zero are accepted.
#[test]
fn malformed_strings_are_refused_and_lenient_ones_accepted() {
    let vectors = file("tl.json");
    for case in vectors["malformed_strings"].as_array().unwrap() {
        let error = from_bytes::<Str>(bytes(&case["hex"])).unwrap_err();
        let expected = match case["name"].as_str().unwrap() {
            "ff_prefix" => DecodeErrorKind::BadLength,
            _ => DecodeErrorKind::UnexpectedEnd,
        };
        assert_eq!((error.kind, error.offset), (expected, 0), "{case}");
    }
    for case in vectors["lenient_strings"].as_array().unwrap() {
        assert_eq!(from_bytes::<Bytes>(bytes(&case["hex"])).unwrap(), bytes(&case["value"]));
    }
}

/// TL-10, TL-12: the id is the CRC-32 of the normalised text, in which a bare flag has no part.
#[test]
fn constructor_ids_follow_from_the_text() {
    for case in file("tl.json")["constructor_ids"].as_array().unwrap() {
        let normalised = normalise(case["declaration"].as_str().unwrap());
        assert_eq!(normalised, case["normalised"].as_str().unwrap());
        assert_eq!(format!("{:08x}", crc32(normalised.as_bytes())), case["id"].as_str().unwrap());
    }
    let before = Schema::parse("a flags:# x:flags.1?int = A;").unwrap();
    let after = Schema::parse("a flags:# new:flags.7?true x:flags.1?int = A;").unwrap();
    assert_eq!(before.definitions()[0].id, after.definitions()[0].id);
}

/// TL-11: ids travel as little-endian words. TL-20: `Bool` has two.
#[test]
fn primitives_encode_as_the_vectors_say() {
    check_example("bool_true", &true);
    check_example("bool_false", &false);
    check_example("double_1.5", &1.5);
    check_example("double_-0.1", &-0.1);
    check_example("int_-1", &-1);
    check_example("long_-2", &-2_i64);
    check_example("int128", &<[u8; 16]>::try_from((0..16).collect::<Vec<u8>>()).unwrap());
    check_example("int256", &<[u8; 32]>::try_from((0..32).collect::<Vec<u8>>()).unwrap());
    check_example("Vector<int> [2,3,4]", &vec![2, 3, 4]);
    check_example("Vector<string> [\"a\",\"bc\"]", &vec![Str::from("a"), Str::from("bc")]);
    assert_eq!(to_bytes(&0x1cb5_c415_u32).unwrap(), [0x15, 0xc4, 0xb5, 0x1c][..]);
    let error = from_bytes::<bool>(vec![1, 0, 0, 0]).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::BadBool { id: 1 });
}

/// TL-15: a vector is boxed as an answer; TL-16: `vector` has no id.
#[test]
fn vectors_are_boxed_in_answers_and_bare_where_written_so() {
    let bare = example("vector<int> [2,3,4]");
    assert_eq!(Reader::new(bare.clone()).bare_vector::<i32>().unwrap(), [2, 3, 4]);
    let mut writer = Writer::new();
    writer.bare_vector(&[2, 3, 4]);
    assert_eq!(writer.finish().unwrap(), bare);
    check_example("getUsers([2,3,4])", &functions::GetUsers { field_1: vec![2, 3, 4] });
    let user = |id, first: &str, last: &str| {
        let (first_name, last_name) = (first.into(), last.into());
        types::User::User(ctors::User { id, first_name, last_name })
    };
    let users = vec![
        user(2, "Peter", "Parker"),
        types::User::NoUser(ctors::NoUser { id: 3 }),
        user(4, "John", "Doe"),
    ];
    check_example("Vector User response", &users);
    let salts = example("future_salts, two bare elements");
    let decoded: types::FutureSalts = from_bytes(salts.clone()).unwrap();
    assert_eq!((decoded.salts.len(), decoded.salts[1].salt), (2, -1));
    assert_eq!(to_bytes(&decoded).unwrap(), salts);
}

/// TL-39, TL-40: every body of a service message is a whole number of words and comes back the
/// same from its type.
#[test]
fn service_bodies_come_back_the_same() {
    for case in file("service_bodies.json")["cases"].as_array().unwrap() {
        let body = bytes(&case["hex"]);
        assert_eq!(body.len() % 4, 0);
        match case["name"].as_str().unwrap() {
            "msgs_ack" => check_same::<types::MsgsAck>(body),
            "bad_msg_notification" | "bad_server_salt" => {
                check_same::<types::BadMsgNotification>(body);
            }
            "msgs_state_req" => check_same::<types::MsgsStateReq>(body),
            "msgs_state_info" => check_same::<types::MsgsStateInfo>(body),
            "msgs_all_info" => check_same::<types::MsgsAllInfo>(body),
            "msg_detailed_info" | "msg_new_detailed_info" => {
                check_same::<types::MsgDetailedInfo>(body);
            }
            "msg_resend_req" | "msg_resend_ans_req" => check_same::<types::MsgResendReq>(body),
            "rpc_result(rpc_error)" | "rpc_result(boolTrue)" => {
                check_same::<types::RpcResult>(body);
            }
            "rpc_drop_answer" => check_same::<functions::RpcDropAnswer>(body),
            "rpc_answer_unknown" | "rpc_answer_dropped_running" | "rpc_answer_dropped" => {
                check_same::<types::RpcDropAnswer>(body);
            }
            "get_future_salts" => check_same::<functions::GetFutureSalts>(body),
            "ping" => check_same::<functions::Ping>(body),
            "pong" => check_same::<types::Pong>(body),
            "ping_delay_disconnect" => check_same::<functions::PingDelayDisconnect>(body),
            "destroy_session" => check_same::<functions::DestroySession>(body),
            "destroy_session_ok" | "destroy_session_none" => {
                check_same::<types::DestroySessionRes>(body);
            }
            "destroy_auth_key" => check_same::<functions::DestroyAuthKey>(body),
            "destroy_auth_key_ok" | "destroy_auth_key_none" | "destroy_auth_key_fail" => {
                check_same::<types::DestroyAuthKeyRes>(body);
            }
            "new_session_created" => check_same::<types::NewSession>(body),
            "http_wait" => check_same::<types::HttpWait>(body),
            // Containers hold bodies cut out by length, which is not TL; see chappe-proto.
            "msg_container(3)" | "msg_container(empty)" | "msg_copy(ping)" => {
                check_same::<Raw>(body);
            }
            other => panic!("no type for {other}"),
        }
    }
}

fn check_example<T: Encode + Decode + PartialEq + std::fmt::Debug>(name: &str, value: &T) {
    let expected = example(name);
    assert_eq!(to_bytes(value).unwrap(), expected, "{name}");
    assert_eq!(from_bytes::<T>(expected).unwrap(), *value, "{name}");
}

fn check_same<T: Encode + Decode>(body: Bytes) {
    assert_eq!(to_bytes(&from_bytes::<T>(body.clone()).unwrap()).unwrap(), body);
}

pub(crate) fn example(name: &str) -> Bytes {
    let vectors = file("tl.json");
    let examples = vectors["examples"].as_array().unwrap();
    bytes(&examples.iter().find(|case| case["name"] == name).unwrap()["hex"])
}

pub(crate) fn file(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/spec/vectors/");
    serde_json::from_str(&std::fs::read_to_string(format!("{folder}{name}")).unwrap()).unwrap()
}

pub(crate) fn bytes(hex: &Value) -> Bytes {
    hex::decode(hex.as_str().unwrap()).unwrap().into()
}

//! Calls as bodies: wrappers, packing, results and errors.

use bytes::Bytes;
use chappe_proto::MsgId;
use chappe_proto::rpc::{CallResult, ResultError, RpcError, gzip_packed, result_body, unwrap};
use chappe_proto::schema::{functions, types};
use chappe_tl::{DecodeErrorKind, Raw, gzip};
use proptest::prelude::*;

use crate::raw::{ack, boxed, ping, query, words};

const MIB: usize = 1 << 20;

fn init(api_id: i32, texts: [&str; 3], query: Bytes) -> Bytes {
    boxed(&functions::InitConnection {
        api_id,
        device_model: texts[0].into(),
        system_version: texts[1].into(),
        app_version: texts[2].into(),
        system_lang_code: "en".into(),
        lang_pack: "".into(),
        lang_code: "en".into(),
        proxy: None,
        params: None,
        query: Raw(query),
    })
}

fn layer(layer: i32, query: Bytes) -> Bytes {
    boxed(&functions::InvokeWithLayer { layer, query: Raw(query) })
}

fn quiet(query: Bytes) -> Bytes {
    boxed(&functions::InvokeWithoutUpdates { query: Raw(query) })
}

fn after(msg_id: i64, query: Bytes) -> Bytes {
    boxed(&functions::InvokeAfterMsg { msg_id, query: Raw(query) })
}

/// A large query that packs well.
fn large() -> Bytes {
    words(&[0xaaaa_0001; 1000])
}

fn packed(query: &Bytes) -> Bytes {
    gzip_packed(&gzip::deflate(query).unwrap())
}

fn refusal(body: Bytes) -> String {
    unwrap(body, MIB).unwrap_err().message
}

/// Rule:   wrappers are taken off in whatever order they stand, and all that they say is kept.
/// Source: 05-service-messages §9, SVC-44, SVC-48, SVC-50, TL-27, API-01.
#[test]
fn wrappers_come_off_in_any_order() {
    let device = ["d", "s", "a"];
    let orders = [
        after(8, layer(230, init(1, device, quiet(query(1))))),
        layer(230, init(1, device, after(8, quiet(query(1))))),
        quiet(layer(230, after(8, init(1, device, query(1))))),
    ];
    for body in orders {
        let call = unwrap(body, MIB).unwrap();
        assert_eq!((call.query.clone(), call.layer), (query(1), Some(230)));
        assert_eq!((call.after.clone(), call.without_updates), (vec![8], true));
        let client = call.client.unwrap();
        assert_eq!(client.api_id, 1);
        assert_eq!(client.device_model.as_str(), Ok("d"));
    }
    let plain = unwrap(query(1), MIB).unwrap();
    assert_eq!((plain.layer, plain.client, plain.without_updates), (None, None, false));
}

/// Rule:   wrappers that mean nothing to a session come off as well, and leave the query.
/// Source: 05-service-messages §9, SVC-51, API-01.
#[test]
fn other_wrappers_come_off() {
    let inside = || Raw(query(1));
    let range = types::MessageRange { min_id: 1, max_id: 2 };
    let bodies = [
        boxed(&functions::InvokeWithMessagesRange { range, query: inside() }),
        boxed(&functions::InvokeWithTakeout { takeout_id: 1, query: inside() }),
        boxed(&functions::InvokeWithBusinessConnection {
            connection_id: "c".into(),
            query: inside(),
        }),
        boxed(&functions::InvokeWithGooglePlayIntegrity {
            nonce: "n".into(),
            token: "t".into(),
            query: inside(),
        }),
        boxed(&functions::InvokeWithApnsSecret {
            nonce: "n".into(),
            secret: "s".into(),
            query: inside(),
        }),
        boxed(&functions::InvokeWithReCaptcha { token: "t".into(), query: inside() }),
    ];
    for body in bodies {
        assert_eq!(unwrap(body, MIB).unwrap().query, query(1));
    }
}

/// Rule:   eight wrappers are taken off, nine are too many; packing is no wrapper.
/// Source: SVC-51, TL-35.
#[test]
fn wrappers_nest_eight_deep() {
    let nest = |depth, query| (0..depth).fold(query, |query, _| quiet(query));
    assert!(unwrap(nest(8, query(1)), MIB).is_ok());
    assert!(unwrap(nest(8, packed(&large())), MIB).is_ok());
    assert_eq!(refusal(nest(9, query(1))), "INPUT_FETCH_ERROR");
    assert_eq!(refusal(nest(10_000, query(1))), "INPUT_FETCH_ERROR");
}

/// Rule:   the query may be packed, outside of its wrappers or inside, as gzip or zlib, once.
/// Source: TL-29, TL-32.
#[test]
fn packed_query_is_unpacked() {
    assert_eq!(unwrap(packed(&large()), MIB).unwrap().query, large());
    assert_eq!(unwrap(layer(1, packed(&large())), MIB).unwrap().query, large());
    assert_eq!(unwrap(packed(&layer(1, large())), MIB).unwrap().layer, Some(1));
    // zlib: header, one stored block, Adler-32 of the 8 bytes.
    let body = query(1);
    let (mut a, mut b) = (1u32, 0u32);
    for byte in &body {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    let mut zlib = vec![0x78, 0x01, 1, 8, 0, 0xf7, 0xff];
    zlib.extend_from_slice(&body);
    zlib.extend_from_slice(&(b << 16 | a).to_be_bytes());
    assert_eq!(unwrap(quiet(gzip_packed(&zlib)), MIB).unwrap().query, query(1));
    assert_eq!(refusal(packed(&packed_twice())), "INPUT_FETCH_ERROR");
    assert_eq!(refusal(gzip_packed(b"no gzip at all")), "INPUT_FETCH_ERROR");
}

/// Something packed that can be packed again.
fn packed_twice() -> Bytes {
    let mut body = packed(&large()).to_vec();
    body.resize(4096, 0);
    body.into()
}

/// Rule:   what unpacks to more than the limit is refused, however small it came.
/// Source: TL-30, SEC-46.
#[test]
fn gzip_bomb_is_refused() {
    let body: Bytes = words(&[0xaaaa_0001]).into_iter().chain(vec![0; MIB - 4]).collect();
    let bomb = packed(&body);
    assert!(bomb.len() < 4096);
    assert!(unwrap(bomb.clone(), MIB).is_ok());
    assert_eq!(unwrap(bomb, MIB - 4).unwrap_err().message, "INPUT_FETCH_ERROR");
}

/// Rule:   a service message is no query: wrapped it is an unknown method, packed it is malformed.
/// Source: SVC-42, TL-29, MSG-23.
#[test]
fn service_message_in_a_wrapper_is_refused() {
    assert_eq!(refusal(quiet(ping(1))), "INPUT_METHOD_INVALID_2059302892");
    assert_eq!(refusal(layer(1, ack(&[]))), "INPUT_METHOD_INVALID_1658238041");
    let container = words(&[&[0x73f1_f8dcu32, 0][..], &[0; 200]].concat());
    let many_acks = ack(&[MsgId(4); 100]);
    for body in [container, many_acks] {
        assert_eq!(refusal(packed(&body)), "INPUT_FETCH_ERROR");
        assert_eq!(refusal(quiet(packed(&body))), "INPUT_FETCH_ERROR");
    }
}

/// Rule:   initConnection stands inside invokeWithLayer and says who is calling.
/// Source: SVC-48.
#[test]
fn init_connection_is_checked() {
    let device = ["d", "s", "a"];
    assert!(unwrap(layer(1, init(1, device, query(1))), MIB).is_ok());
    assert_eq!(refusal(init(1, device, query(1))), "CONNECTION_LAYER_INVALID");
    assert_eq!(refusal(init(1, device, layer(1, query(1)))), "CONNECTION_LAYER_INVALID");
    let in_layer = |api_id, texts| refusal(layer(1, init(api_id, texts, query(1))));
    assert_eq!(in_layer(0, device), "CONNECTION_API_ID_INVALID");
    assert_eq!(in_layer(-1, device), "CONNECTION_API_ID_INVALID");
    assert_eq!(in_layer(1, ["", "s", "a"]), "CONNECTION_DEVICE_MODEL_EMPTY");
    assert_eq!(in_layer(1, ["d", "", "a"]), "CONNECTION_SYSTEM_EMPTY");
    assert_eq!(in_layer(1, ["d", "s", ""]), "CONNECTION_APP_VERSION_EMPTY");
}

/// Rule:   the initConnection of layer 57 says the same in fewer words, and is checked alike.
/// Source: SVC-48, QRK-08; 21, "Layers".
#[test]
fn init_connection_of_layer_57_is_understood() {
    let init = |api_id| {
        let mut writer = chappe_tl::Writer::new();
        writer.u32(0x6979_6de9);
        writer.i32(api_id);
        for text in ["d", "s", "a", "fr"] {
            writer.bytes(text.as_bytes());
        }
        writer.raw(&query(1));
        writer.finish().unwrap()
    };
    let call = unwrap(layer(57, init(1)), MIB).unwrap();
    assert_eq!((call.layer, call.query), (Some(57), query(1)));
    let client = call.client.unwrap();
    let texts = [client.device_model, client.system_version, client.app_version, client.lang_code];
    assert_eq!((client.api_id, texts), (1, ["d", "s", "a", "fr"].map(Into::into)));
    assert_eq!((client.system_lang_code, client.lang_pack), ("fr".into(), "".into()));
    assert_eq!(refusal(init(1)), "CONNECTION_LAYER_INVALID");
    assert_eq!(refusal(layer(57, init(0))), "CONNECTION_API_ID_INVALID");
    assert_eq!(refusal(layer(57, init(1).slice(..20))), "INPUT_FETCH_ERROR");
}

/// Rule:   a wrapper that is cut off, or holds nothing, is a fetch error.
/// Source: TL-27, TL-37.
#[test]
fn cut_wrapper_is_refused() {
    let whole = after(8, query(1));
    for len in (0..=12).step_by(4) {
        assert_eq!(refusal(whole.slice(..len)), "INPUT_FETCH_ERROR", "{len} bytes");
    }
    assert!(unwrap(whole.slice(..16), MIB).is_ok());
}

/// Rule:   decode errors become the errors that clients know.
/// Source: TL-36, TL-37, SVC-26.
#[test]
fn decode_errors_have_their_texts() {
    let check = |kind, offset, text: &str| {
        let error = chappe_tl::DecodeError { kind, offset, within: "" };
        assert_eq!(RpcError::from(&error), RpcError::new(400, text));
    };
    let unknown = |id| DecodeErrorKind::UnknownConstructor { id, expected: "X" };
    check(unknown(0xabc), 0, "INPUT_METHOD_INVALID_2748");
    check(unknown(0xabc), 4, "INPUT_CONSTRUCTOR_INVALID_2748");
    check(DecodeErrorKind::TrailingBytes { count: 4 }, 8, "INPUT_REQUEST_TOO_LONG");
}

fn error(error_code: i32, message: &[u8]) -> Bytes {
    // Built by hand, since a text of ours is always UTF-8.
    let mut body = words(&[0x2144_ca19, error_code as u32]).to_vec();
    body.push(message.len() as u8);
    body.extend_from_slice(message);
    body.resize(body.len().next_multiple_of(4), 0);
    result_body(MsgId(8), &body.into())
}

/// Rule:   codes that make no sense and texts that are no UTF-8 count as 500.
/// Source: SVC-26, SVC-27.
#[test]
fn odd_errors_count_as_internal() {
    let check = |code, text: &[u8], expected| {
        let read = CallResult::read(&error(code, text), MIB).unwrap().result;
        assert_eq!(read.unwrap_err().code, expected, "{code}");
    };
    for code in [303, 400, 401, 403, 404, 406, 420, 500, -503, 9999, -9999] {
        check(code, b"SOME_ERROR", code);
    }
    for code in [0, 10_000, -10_000, i32::MAX, i32::MIN] {
        check(code, b"SOME_ERROR", 500);
    }
    check(400, b"\xff\xfe", 500);
}

/// Rule:   a result is read packed or not; one that cannot be read names the call that fails.
/// Source: SVC-24, TL-29, TL-30, TL-38.
#[test]
fn results_are_read() {
    let id = MsgId(8);
    let read = |result: &Bytes| CallResult::read(&result_body(id, result), MIB);
    let ok = |result: Bytes| Ok(CallResult { call: id, result: Ok(Raw(result)) });
    assert_eq!(read(&query(1)), ok(query(1)));
    assert_eq!(read(&packed(&large())), ok(large()));
    assert_eq!(read(&gzip_packed(b"no gzip")).unwrap_err().call(), Some(id));
    assert_eq!(read(&Bytes::new()), Err(ResultError::Empty(id)));
    assert_eq!(read(&words(&[0x2144_ca19])).unwrap_err().call(), Some(id));
    assert_eq!(CallResult::read(&words(&[0xf35c_6d01, 1]), MIB), Err(ResultError::Truncated));
    let bomb = packed(&vec![0; MIB + 4].into());
    assert_eq!(read(&bomb), Err(ResultError::Gzip(id)));
    let error = RpcError::new(420, "FLOOD_WAIT_3");
    let read = read(&error.to_tl()).unwrap();
    assert_eq!(read.result, Err(error));
}

proptest! {
    /// Rule:   no body makes the reader of calls or of results panic.
    /// Source: TL-33, SEC-46.
    #[test]
    fn garbage_calls_never_panic(body in crate::session_server::garbage(), cut in 0usize..60) {
        let body = body.slice(..cut.min(body.len()));
        let _ = unwrap(body.clone(), MIB);
        let _ = CallResult::read(&body, MIB);
    }
}

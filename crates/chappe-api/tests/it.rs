//! The generated code of the whole schema at its limits. Runs without optimisation, where the
//! stack frames of decoders are largest.
#![allow(clippy::unwrap_used, reason = "the helpers of a test may panic as the test does")]

use chappe_api::{FUNCTIONS, functions, types};
use chappe_tl::{Bytes, Decode, DecodeErrorKind, Function, VECTOR_ID, blank, from_bytes, to_bytes};

const TEXT_BOLD: u32 = 0x6724_abc4;
const TEXT_EMPTY: u32 = 0xdc3d_824f;
const PAGE_BLOCK_COVER: u32 = 0x39f2_3300;
const PAGE_BLOCK_DIVIDER: u32 = 0xdb20_b188;
const PAID_MEDIA: u32 = 0xa885_2491;
const EXTENDED_MEDIA: u32 = 0xee47_9c64;
const MEDIA_EMPTY: u32 = 0x3ded_6320;

/// TL-35: 40 KB of nested `textBold` are an error on a stack of 2 MiB; so is every other way to
/// nest, through the types with the largest decoders.
#[test]
fn nested_objects_never_use_up_the_stack() {
    check_depth::<types::RichText>(&[TEXT_BOLD], &[TEXT_EMPTY], 1);
    check_depth::<types::PageBlock>(&[PAGE_BLOCK_COVER], &[PAGE_BLOCK_DIVIDER], 1);
    let paid = [PAID_MEDIA, 0, 0, VECTOR_ID, 1, EXTENDED_MEDIA];
    check_depth::<types::MessageMedia>(&paid, &[MEDIA_EMPTY], 3);
}

/// TL-27, TL-28, TL-37: the wrappers of the API round-trip around any call, every function has its
/// place in the table.
#[test]
fn wrapped_calls_of_the_api_round_trip() {
    type Call = functions::InvokeWithLayer<functions::InitConnection<functions::help::GetConfig>>;
    let init = functions::InitConnection {
        api_id: 6,
        device_model: "d".into(),
        system_version: "s".into(),
        app_version: "a".into(),
        system_lang_code: "en".into(),
        lang_pack: blank(),
        lang_code: "en".into(),
        proxy: None,
        params: Some(types::JsonValue::JsonNull),
        query: functions::help::GetConfig,
    };
    let call: Call = functions::InvokeWithLayer { layer: chappe_api::LAYER, query: init };
    let bytes = to_bytes(&call).unwrap();
    let decoded: Call = from_bytes(bytes.clone()).unwrap();
    assert_eq!(to_bytes(&decoded).unwrap(), bytes);
    let ids: Vec<u32> = FUNCTIONS.iter().map(|function| function.id).collect();
    assert!(ids.is_sorted() && ids.contains(&<Call as Function>::ID));
    assert!(FUNCTIONS.len() > 700);
}

/// What moves most is small: a message is a pointer in its vector.
#[test]
fn hot_enums_stay_small() {
    assert!(size_of::<types::Message>() <= 24);
    assert!(size_of::<types::User>() <= 16);
    assert!(size_of::<types::Update>() <= 128);
}

/// `depth` levels for each `level`: as many as fit in 64 are read, one more is refused.
fn check_depth<T: Decode + 'static>(level: &[u32], end: &[u32], depth: usize) {
    let nested = |levels: usize| -> Bytes {
        let words = level.repeat(levels).into_iter().chain(end.iter().copied());
        words.flat_map(u32::to_le_bytes).collect()
    };
    let (fits, exceeds, far) = (nested(63 / depth), nested(64 / depth + 1), nested(10_240));
    let decode = move || {
        assert!(from_bytes::<T>(fits).is_ok());
        for bytes in [exceeds, far] {
            assert_eq!(from_bytes::<T>(bytes).err().unwrap().kind, DecodeErrorKind::TooDeep);
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(decode).unwrap().join().unwrap();
}

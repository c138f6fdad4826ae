//! Input made to break the decoder.

use chappe_tl::schema::Schema;
use chappe_tl::{
    Bytes, DecodeErrorKind, EncodeError, Raw, Reader, Str, VECTOR_ID, from_bytes, to_bytes,
};
use chappe_tl_fixture::functions::InvokeWithLayer;
use chappe_tl_fixture::{SCHEMA, ctors, types};

/// TL-35: 64 levels are read, the 65th is refused, and 40 KB of them do not reach the end of a
/// stack of 2 MiB.
#[test]
fn nesting_ends_at_the_limit() {
    let nested = |levels: usize| {
        let bold = crc("textBold text:Text = Text").to_le_bytes();
        let mut bytes = bold.repeat(levels - 1);
        bytes.extend(crc("textEmpty = Text").to_le_bytes());
        Bytes::from(bytes)
    };
    assert!(from_bytes::<types::Text>(nested(64)).is_ok());
    let error = from_bytes::<types::Text>(nested(65)).unwrap_err();
    assert_eq!((error.kind, error.offset), (DecodeErrorKind::TooDeep, 64 * 4));
    let deep = move || from_bytes::<types::Text>(nested(10_240)).unwrap_err().kind;
    assert_eq!(on_a_small_stack(deep), DecodeErrorKind::TooDeep);
}

/// TL-35: objects without an id are levels too.
#[test]
fn bare_objects_count_as_levels() {
    let nested = |levels: usize| {
        let mut link = vec![crc("link flags:# next:flags.0?link = Link")];
        link.extend(vec![1; levels - 1]);
        link.push(0);
        Bytes::from(words(&link))
    };
    assert!(from_bytes::<types::Link>(nested(64)).is_ok());
    let error = from_bytes::<types::Link>(nested(65)).unwrap_err();
    assert_eq!((error.kind, error.offset), (DecodeErrorKind::TooDeep, 65 * 4));
    let deep = move || from_bytes::<types::Link>(nested(10_240)).unwrap_err().kind;
    assert_eq!(on_a_small_stack(deep), DecodeErrorKind::TooDeep);
}

/// TL-35: what an `Object` holds is not read with it, and printing it or naming its fault does not
/// use up the stack either.
#[test]
fn nesting_inside_an_object_ends_at_the_limit_too() {
    for level in [&[VECTOR_ID, 1][..], &[crc("textBold text:Text = Text")]] {
        let result = Raw(words(level).repeat(10_240).into());
        let result = types::RpcResult { req_msg_id: 1, result };
        let bytes = to_bytes(&result).unwrap();
        assert!(on_a_small_stack(move || format!("{result:?}")).ends_with('…'));
        let schema = Schema::parse(SCHEMA).unwrap();
        let path = on_a_small_stack(move || schema.locate(bytes)).unwrap();
        assert!(path.starts_with("rpc_result.result."), "{path}");
    }
}

/// TL-35: vectors and wrappers are levels too.
#[test]
fn vectors_and_wrappers_count_as_levels() {
    let concat = crc("textConcat texts:Vector<Text> = Text");
    let level: Vec<u8> = [concat, VECTOR_ID, 1].iter().flat_map(|w| w.to_le_bytes()).collect();
    let mut texts = level.repeat(32);
    texts.extend(crc("textEmpty = Text").to_le_bytes());
    assert_eq!(from_bytes::<types::Text>(texts).unwrap_err().kind, DecodeErrorKind::TooDeep);
    type Twice<X> = InvokeWithLayer<InvokeWithLayer<X>>;
    type Many<X> = Twice<Twice<Twice<Twice<X>>>>;
    let wrapper: Vec<u8> = [0xda9b_0d0d_u32, 1].iter().flat_map(|w| w.to_le_bytes()).collect();
    let mut call = wrapper.repeat(8);
    call.extend(crc("textBold text:Text = Text").to_le_bytes().repeat(56));
    call.extend(crc("textEmpty = Text").to_le_bytes());
    assert_eq!(from_bytes::<Many<types::Text>>(call).unwrap_err().kind, DecodeErrorKind::TooDeep);
}

/// TL-34: a count that is negative or cannot be there is refused before anything is allocated.
#[test]
fn impossible_counts_are_refused() {
    check_count::<Vec<i64>>(&[VECTOR_ID, 1], DecodeErrorKind::VectorTooLong { count: 1 });
    let huge = DecodeErrorKind::VectorTooLong { count: i32::MAX };
    check_count::<Vec<i32>>(&[VECTOR_ID, i32::MAX as u32, 0], huge);
    check_count::<Vec<i32>>(&[VECTOR_ID, u32::MAX, 0], DecodeErrorKind::BadLength);
    let truths = crc("truths list:vector true = Truths");
    assert!(from_bytes::<types::Truths>(words(&[truths, 65_536])).is_ok());
    let error = DecodeErrorKind::VectorTooLong { count: 65_537 };
    check_count::<types::Truths>(&[truths, 65_537], error);
    // A user takes 8 bytes at least: two of them cannot be in 12.
    let no_user = crc("no_user id:int = User");
    let two = [VECTOR_ID, 2, no_user, 1, no_user];
    check_count::<Vec<types::User>>(&two, DecodeErrorKind::VectorTooLong { count: 2 });
}

/// TL-33: every proper prefix of a value ends unexpectedly, at an offset inside it.
#[test]
fn no_prefix_of_a_value_is_read_past_its_end() {
    let salt = types::FutureSalt { valid_since: 1, valid_until: 2, salt: 3 };
    let salts = types::FutureSalts { req_msg_id: 1, now: 2, salts: vec![salt.clone(), salt] };
    let bytes = to_bytes(&salts).unwrap();
    for length in 0..bytes.len() {
        let error = from_bytes::<types::FutureSalts>(bytes.slice(..length)).unwrap_err();
        let is_end = matches!(
            error.kind,
            DecodeErrorKind::UnexpectedEnd | DecodeErrorKind::VectorTooLong { .. }
        );
        assert!(is_end && error.offset <= length, "{error}");
    }
}

/// TL-33: an error names the definition, and with the schema at hand the field.
#[test]
fn an_error_names_definition_and_field() {
    let user = ctors::User { id: 1, first_name: "a".into(), last_name: "b".into() };
    let bytes = to_bytes(&vec![user]).unwrap();
    let cut = bytes.slice(..bytes.len() - 4);
    let error = from_bytes::<Vec<types::User>>(cut.clone()).unwrap_err();
    assert_eq!((error.within, error.offset), ("user", cut.len()));
    assert_eq!(
        error.to_string(),
        format!("unexpected end of input at offset {} in user", cut.len())
    );
    let schema = Schema::parse(SCHEMA).unwrap();
    assert_eq!(schema.locate(cut).as_deref(), Some("0.user.last_name"));
    assert_eq!(schema.locate(bytes), None);
    // A count that stands for no bytes costs no time.
    let truths = crc("truths list:vector true = Truths");
    assert_eq!(schema.locate(words(&[truths, u32::MAX, 0]).into()), None);
}

/// TL-14: a constructor of another type is as unknown as none. TL-38: the error says which id was
/// met, for the one call that fails.
#[test]
fn a_constructor_of_another_type_is_refused() {
    let pong = to_bytes(&types::Pong { msg_id: 1, ping_id: 2 }).unwrap();
    let error = from_bytes::<types::User>(pong).unwrap_err();
    let unknown = DecodeErrorKind::UnknownConstructor { id: 0x3477_73c5, expected: "User" };
    assert_eq!(error.kind, unknown);
    let error = from_bytes::<Vec<i32>>(words(&[5, 0])).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::UnknownConstructor { id: 5, expected: "Vector" });
}

/// TL-36: what follows a value is an error of its own; a reader that allows it leaves it there.
#[test]
fn trailing_bytes_are_told_apart() {
    let error = from_bytes::<i32>(vec![0; 8]).unwrap_err();
    assert_eq!((error.kind, error.offset), (DecodeErrorKind::TrailingBytes { count: 4 }, 4));
    let mut reader = Reader::new(vec![1, 0, 0, 0, 9].into());
    assert_eq!(reader.i32().unwrap(), 1);
    assert_eq!((reader.remaining(), reader.rest()), (1, Bytes::from_static(&[9])));
}

/// TL-19: a string keeps bytes that are no text. TL-18: it shares the input it was read from.
#[test]
fn strings_keep_their_bytes_and_share_the_input() {
    let broken: Str = from_bytes(vec![2, 0xff, 0xfe, 0]).unwrap();
    assert!(broken.as_str().is_err());
    assert_eq!((&broken[..], broken.to_string_lossy().chars().count()), (&[0xff, 0xfe][..], 2));
    let input = to_bytes(&Bytes::from(vec![7; 100])).unwrap();
    let read: Bytes = from_bytes(input.clone()).unwrap();
    assert_eq!(read.as_ptr(), input[1..].as_ptr());
    let long: Str = from_bytes(input.clone()).unwrap();
    assert_eq!(long.as_ptr(), input[1..].as_ptr());
}

/// TL-17: a string of 2^24 bytes has no encoding; the writer says so at the end.
#[test]
fn a_string_of_16_mib_cannot_be_written() {
    let longest = Bytes::from(vec![0; (1 << 24) - 1]);
    assert_eq!(to_bytes(&longest).unwrap().len(), (1 << 24) + 4);
    let refused = to_bytes(&vec![Bytes::from(vec![0; 1 << 24])]);
    assert_eq!(refused, Err(EncodeError::StringTooLong { length: 1 << 24 }));
}

/// TL-33: after its first error a reader gives that error for ever, and nothing else.
#[test]
fn a_failed_reader_stays_failed() {
    let mut reader = Reader::new(vec![0; 6].into());
    let error = reader.i64().unwrap_err();
    assert_eq!(reader.i32().unwrap_err(), error);
    assert_eq!(reader.take(1).unwrap_err(), error);
    assert!(reader.rest().is_empty() && reader.finish() == Err(error));
    assert!(from_bytes::<Raw>(vec![0; 3]).is_err());
}

/// TL-33: a type written by hand names the place of a wrong id.
#[test]
fn an_unexpected_id_is_met_where_it_stands() {
    let mut reader = Reader::new(words(&[1, 2, 3, 4]).into());
    reader.i64().unwrap();
    assert_eq!(reader.expect_id(3, "three"), Ok(()));
    let error = reader.expect_id(5, "five").unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::UnknownConstructor { id: 4, expected: "five" });
    assert_eq!(error.offset, 12);
}

/// TL-33: a fault is located behind counts and words of flags wherever they stand.
#[test]
fn a_fault_is_located_behind_counts_and_words() {
    let schema =
        Schema::parse("m n:# k:# a:n*[ int ] b:k*[ x:k.0?int y:k.1?int ] c:int = M;").unwrap();
    let id = schema.constructor("m").unwrap().id;
    let whole = words(&[id, 3, 2, 10, 11, 12, 20, 21, 30]);
    assert_eq!(schema.locate(whole.clone().into()), None);
    let cut = |length: usize| schema.locate(whole[..4 * length].to_vec().into()).unwrap();
    assert_eq!([cut(1), cut(4), cut(7), cut(8)], ["m.n", "m.a._", "m.b.y", "m.c"]);
}

fn on_a_small_stack<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap()
}

fn check_count<T: chappe_tl::Decode + std::fmt::Debug>(input: &[u32], expected: DecodeErrorKind) {
    assert_eq!(from_bytes::<T>(words(input)).unwrap_err().kind, expected);
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn crc(normalised: &str) -> u32 {
    chappe_tl::schema::crc32(chappe_tl::schema::normalise(normalised).as_bytes())
}

//! TL values, by generated types and by the schema at run time: the two agree on what is one, and
//! what was read is written back the same.

use std::sync::LazyLock;

use bytes::Bytes;
use chappe_api::{functions, types};
use chappe_tl::dynamic::{self, CALL};
use chappe_tl::schema::{Schema, Type};
use chappe_tl::{Decode, Encode, Raw, from_bytes, to_bytes};

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::parse(chappe_api::SCHEMA).unwrap());

/// Reads bytes as one type and writes the value back.
type Read = fn(Bytes) -> Option<Bytes>;

/// Types with deep, wide and conditional contents.
const STATIC: &[(&str, Read)] = &[
    ("Updates", again::<types::Updates>),
    ("Update", again::<types::Update>),
    ("Message", again::<types::Message>),
    ("MessageMedia", again::<types::MessageMedia>),
    ("MessageAction", again::<types::MessageAction>),
    ("RichText", again::<types::RichText>),
    ("PageBlock", again::<types::PageBlock>),
    ("Page", again::<types::Page>),
    ("User", again::<types::User>),
    ("Chat", again::<types::Chat>),
    ("Config", again::<types::Config>),
    ("JSONValue", again::<types::JsonValue>),
    ("InputMedia", again::<types::InputMedia>),
    ("ReplyMarkup", again::<types::ReplyMarkup>),
    ("messages.Messages", again::<types::messages::Messages>),
    ("help.AppUpdate", again::<types::help::AppUpdate>),
];

pub(crate) fn run(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let bytes = Bytes::copy_from_slice(rest);
    match usize::from(*choice) % (STATIC.len() + 4) {
        at if at < STATIC.len() => {
            let (name, read) = STATIC[at];
            let ty = Type::Boxed { name: name.to_owned(), args: Vec::new() };
            compare(&ty, bytes, read);
        }
        at if at == STATIC.len() => compare(&CALL, bytes, call),
        at if at == STATIC.len() + 1 => {
            let item = Box::new(Type::Long);
            compare(&Type::Vector { boxed: true, item }, bytes, again::<Vec<i64>>);
        }
        at if at == STATIC.len() + 2 => {
            let _ = chappe_tl::gzip::inflate(&bytes, 1 << 16).map(|out| {
                assert!(out.len() <= 1 << 16);
            });
        }
        _ => drop(dynamically(&Type::Object, bytes)),
    }
}

/// Calls that the generated types can read: some, for there are hundreds.
fn call(bytes: Bytes) -> Option<Bytes> {
    type Wrapped = functions::InvokeWithLayer<functions::InitConnection<Raw>>;
    again::<functions::messages::SendMessage>(bytes.clone())
        .or_else(|| again::<functions::messages::SendMedia>(bytes.clone()))
        .or_else(|| again::<functions::updates::GetDifference>(bytes.clone()))
        .or_else(|| again::<functions::upload::SaveFilePart>(bytes.clone()))
        .or_else(|| again::<Wrapped>(bytes).map(|_| Bytes::new()))
}

/// What is read is written back in one form, which is read as the same.
fn again<T: Decode + Encode>(bytes: Bytes) -> Option<Bytes> {
    let value = from_bytes::<T>(bytes).ok()?;
    let written = to_bytes(&value).expect("what was read can be written");
    let value = from_bytes::<T>(written.clone()).expect("what was written can be read");
    assert_eq!(to_bytes(&value).unwrap(), written);
    Some(written)
}

fn dynamically(ty: &Type, bytes: Bytes) -> Option<Bytes> {
    let value = dynamic::decode(&SCHEMA, ty, bytes).ok()?;
    let written = dynamic::encode(&SCHEMA, ty, &value).expect("what was read can be written");
    let again = dynamic::decode(&SCHEMA, ty, written.clone()).expect("and read again");
    assert_eq!(dynamic::encode(&SCHEMA, ty, &again).unwrap(), written);
    Some(written)
}

/// What the generated types read the schema reads as well, and writes back the same.
fn compare(ty: &Type, bytes: Bytes, read: Read) {
    let by_type = read(bytes.clone());
    let by_schema = dynamically(ty, bytes);
    match (&by_type, &by_schema) {
        (Some(by_type), Some(by_schema)) if !by_type.is_empty() => assert_eq!(by_type, by_schema),
        // The types of a call that are not tried here.
        (None, Some(_)) if *ty == CALL => {}
        // A wrapper around anything.
        (Some(_), _) if *ty == CALL => {}
        _ => assert_eq!(by_type.is_some(), by_schema.is_some()),
    }
}

//! Files: up, in messages, down, and gone.

mod downloads;
mod groups;
mod keyboards;
mod media;
mod pictures;
mod profiles;
mod repeats;
mod sweeps;
mod uploads;

use bytes::Bytes;
use chappe_api::functions::messages::{GetHistory, SendMedia};
use chappe_api::functions::upload::{GetFile, SaveBigFilePart, SaveFilePart};
use chappe_api::{ctors, types};
use chappe_proto::rpc::RpcError;

use crate::client::Client;
use crate::messages::{new_message, updates};

/// Bytes that are not the same anywhere.
fn content(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut content = Vec::with_capacity(length + 8);
    while content.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        content.extend_from_slice(&(state >> 16).to_le_bytes()[..6]);
    }
    content.truncate(length);
    content
}

/// Says a small file in parts.
async fn upload(
    client: &mut Client,
    file_id: i64,
    content: &[u8],
    part: usize,
) -> types::InputFile {
    for (at, bytes) in content.chunks(part).enumerate() {
        assert!(client.ask(small(file_id, at as i32, bytes)).await.unwrap());
    }
    named(file_id, content.len().div_ceil(part) as i32, "notes.bin")
}

fn small(file_id: i64, file_part: i32, bytes: &[u8]) -> SaveFilePart {
    SaveFilePart { file_id, file_part, bytes: Bytes::copy_from_slice(bytes) }
}

fn big(file_id: i64, file_part: i32, file_total_parts: i32, bytes: &[u8]) -> SaveBigFilePart {
    let bytes = Bytes::copy_from_slice(bytes);
    SaveBigFilePart { file_id, file_part, file_total_parts, bytes }
}

fn named(id: i64, parts: i32, name: &str) -> types::InputFile {
    let (name, md5_checksum) = (name.into(), "".into());
    types::InputFile::InputFile(ctors::InputFile { id, parts, name, md5_checksum })
}

fn named_big(id: i64, parts: i32) -> types::InputFile {
    let name = "film.mp4".into();
    types::InputFile::InputFileBig(ctors::InputFileBig { id, parts, name })
}

fn as_document(file: types::InputFile) -> types::InputMedia {
    types::InputMedia::InputMediaUploadedDocument(Box::new(ctors::InputMediaUploadedDocument {
        file,
        mime_type: "Application/X-Notes".into(),
        ..chappe_tl::blank()
    }))
}

/// A file of a few bytes, said and not shown yet.
pub(crate) async fn few_bytes(client: &mut Client) -> types::InputMedia {
    as_document(upload(client, 1, &content(1000, 1), 512 << 10).await)
}

fn as_photo(file: types::InputFile) -> types::InputMedia {
    let photo = ctors::InputMediaUploadedPhoto { file, ..chappe_tl::blank() };
    types::InputMedia::InputMediaUploadedPhoto(Box::new(photo))
}

pub(crate) fn show(peer: &types::InputPeer, media: types::InputMedia, random_id: i64) -> SendMedia {
    SendMedia { peer: peer.clone(), media, random_id, ..chappe_tl::blank() }
}

/// Sends and gives what the sender sees.
async fn sent(client: &mut Client, call: SendMedia) -> ctors::Message {
    let sent = updates(client.ask(call).await.unwrap());
    new_message(&sent.updates[1]).0
}

fn document(message: &ctors::Message) -> ctors::Document {
    let Some(types::MessageMedia::MessageMediaDocument(media)) = message.media.as_deref() else {
        panic!("no document")
    };
    let Some(types::Document::Document(document)) = &media.document else { panic!("none") };
    (**document).clone()
}

fn photo(message: &ctors::Message) -> ctors::Photo {
    let Some(types::MessageMedia::MessageMediaPhoto(media)) = message.media.as_deref() else {
        panic!("no photo")
    };
    let Some(types::Photo::Photo(photo)) = media.photo.as_deref() else { panic!("none") };
    photo.clone()
}

fn at_document(document: &ctors::Document, thumb_size: &str) -> types::InputFileLocation {
    let location = ctors::InputDocumentFileLocation {
        id: document.id,
        access_hash: document.access_hash,
        file_reference: document.file_reference.clone(),
        thumb_size: thumb_size.into(),
    };
    types::InputFileLocation::InputDocumentFileLocation(location)
}

fn at_photo(photo: &ctors::Photo, thumb_size: &str) -> types::InputFileLocation {
    let location = ctors::InputPhotoFileLocation {
        id: photo.id,
        access_hash: photo.access_hash,
        file_reference: photo.file_reference.clone(),
        thumb_size: thumb_size.into(),
    };
    types::InputFileLocation::InputPhotoFileLocation(location)
}

fn part(location: &types::InputFileLocation, offset: i64, limit: i32) -> GetFile {
    GetFile { location: location.clone(), offset, limit, ..chappe_tl::blank() }
}

async fn fetch(client: &mut Client, call: GetFile) -> Result<ctors::upload::File, RpcError> {
    let types::upload::File::File(file) = client.ask(call).await? else { panic!("elsewhere") };
    Ok(file)
}

/// A whole file, in parts of this size, until one is short.
async fn download(
    client: &mut Client,
    location: &types::InputFileLocation,
    limit: i32,
) -> Result<Vec<u8>, RpcError> {
    let mut content = Vec::new();
    loop {
        let file = fetch(client, part(location, content.len() as i64, limit)).await?;
        content.extend_from_slice(&file.bytes);
        if file.bytes.len() < limit as usize {
            return Ok(content);
        }
    }
}

/// The messages that somebody sees with a peer, newest first.
async fn history(client: &mut Client, peer: &types::InputPeer) -> Vec<ctors::Message> {
    let asked = GetHistory { peer: peer.clone(), limit: 100, ..chappe_tl::blank() };
    let types::messages::Messages::Messages(all) = client.ask(asked).await.unwrap() else {
        panic!("not all")
    };
    let message = |message: &types::Message| {
        let types::Message::Message(message) = message else { panic!("no message") };
        (**message).clone()
    };
    all.messages.iter().map(message).collect()
}

fn bad(message: &str) -> (i32, String) {
    (400, message.to_owned())
}

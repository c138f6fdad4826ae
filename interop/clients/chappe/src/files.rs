//! A file goes up and comes down again.

use anyhow::{Context, Result, bail, ensure};
use chappe_api::functions::auth::{SendCode, SignIn, SignUp};
use chappe_api::functions::messages::UploadMedia;
use chappe_api::functions::upload::{GetFile, SaveFilePart};
use chappe_api::{ctors, types};
use chappe_client::RawClient;
use chappe_crypto::{Rng, sha256};
use chappe_tl::Bytes;

use crate::report::Report;
use crate::{Target, connect};

/// Bytes of the file, and of a part of it.
const FILE: usize = 5 << 20;
const PART: usize = 512 << 10;
/// Digits of a test account's code: the number of the data centre, so many times.
const CODE_LEN: usize = 5;

/// Signs in as a test account, shows itself a file, and fetches that.
pub(crate) async fn send_and_fetch(
    target: &Target,
    account: u32,
    report: &mut Report,
) -> Result<()> {
    let begun = report.begin("connect");
    let client = connect(target).await?;
    sign_in(&client, target.dc, account).await?;
    report.end("connect", begun);

    let begun = report.begin("file");
    let mut bytes = vec![0; FILE];
    Rng::from_seed(sha256(&[&account.to_le_bytes()])).fill(&mut bytes);
    let document = send(&client, &bytes, account.into()).await?;
    let fetched = fetch(&client, &document).await?;
    ensure!(sha256(&[&fetched]) == sha256(&[&bytes]), "another file came down than went up");
    report.end("file", begun);
    client.close().await;
    Ok(())
}

async fn sign_in(client: &RawClient, dc: i32, account: u32) -> Result<()> {
    let phone = format!("99966{dc}{account:04}");
    let ask = SendCode {
        phone_number: phone.as_str().into(),
        api_id: 1,
        api_hash: "any".into(),
        settings: chappe_tl::blank(),
    };
    let types::auth::SentCode::SentCode(sent) =
        client.invoke(&ask).await.context("auth.sendCode")?
    else {
        bail!("auth.sendCode: no code was sent");
    };
    let enter = SignIn {
        phone_number: phone.as_str().into(),
        phone_code_hash: sent.phone_code_hash.clone(),
        phone_code: Some(dc.to_string().repeat(CODE_LEN).as_str().into()),
        email_verification: None,
    };
    let entered = client.invoke(&enter).await.context("auth.signIn")?;
    if let types::auth::Authorization::AuthorizationSignUpRequired(_) = entered {
        let register = SignUp {
            phone_number: phone.as_str().into(),
            phone_code_hash: sent.phone_code_hash.clone(),
            first_name: "Interop".into(),
            ..chappe_tl::blank()
        };
        client.invoke(&register).await.context("auth.signUp")?;
    }
    Ok(())
}

/// Says the file in parts, and has the server make a document of it.
async fn send(client: &RawClient, bytes: &[u8], file_id: i64) -> Result<ctors::Document> {
    for (file_part, bytes) in (0..).zip(bytes.chunks(PART)) {
        let part = SaveFilePart { file_id, file_part, bytes: Bytes::copy_from_slice(bytes) };
        client.invoke(&part).await.context("upload.saveFilePart")?;
    }
    let file = ctors::InputFile {
        id: file_id,
        parts: i32::try_from(bytes.len().div_ceil(PART))?,
        name: "numbers.bin".into(),
        md5_checksum: "".into(),
    };
    let document = ctors::InputMediaUploadedDocument {
        file: types::InputFile::InputFile(file),
        mime_type: "application/octet-stream".into(),
        ..chappe_tl::blank()
    };
    let show = UploadMedia {
        peer: types::InputPeer::InputPeerSelf,
        media: types::InputMedia::InputMediaUploadedDocument(Box::new(document)),
        ..chappe_tl::blank()
    };
    let shown = client.invoke(&show).await.context("messages.uploadMedia")?;
    match shown {
        types::MessageMedia::MessageMediaDocument(media) => match media.document {
            Some(types::Document::Document(document)) => Ok(*document),
            _ => bail!("messages.uploadMedia: no document in it"),
        },
        _ => bail!("messages.uploadMedia: it is no document"),
    }
}

async fn fetch(client: &RawClient, document: &ctors::Document) -> Result<Vec<u8>> {
    let location = ctors::InputDocumentFileLocation {
        id: document.id,
        access_hash: document.access_hash,
        file_reference: document.file_reference.clone(),
        thumb_size: "".into(),
    };
    let mut fetched = Vec::new();
    while fetched.len() < usize::try_from(document.size)? {
        let ask = GetFile {
            location: types::InputFileLocation::InputDocumentFileLocation(location.clone()),
            offset: i64::try_from(fetched.len())?,
            limit: i32::try_from(PART)?,
            ..chappe_tl::blank()
        };
        let types::upload::File::File(part) =
            client.invoke(&ask).await.context("upload.getFile")?
        else {
            bail!("upload.getFile: it is elsewhere");
        };
        ensure!(!part.bytes.is_empty(), "upload.getFile: the file ends early");
        fetched.extend_from_slice(&part.bytes);
    }
    Ok(fetched)
}

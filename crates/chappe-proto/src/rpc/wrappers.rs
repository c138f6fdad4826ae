//! What stands around a query: layers, client data, order, packing (05-service-messages §9).

use bytes::Bytes;
use chappe_tl::{Constructor, Decode, DecodeError, Raw, Reader, Str, gzip};

use super::{GZIP_PACKED, RpcError};
use crate::schema::functions;
use crate::session::kind;

/// Deepest nesting of wrappers (SVC-51).
const DEPTH_MAX: usize = 8;

/// `initConnection` of layer 57. Not in the schema: a name stands there once.
const INIT_CONNECTION_OLD: u32 = 0x6979_6de9;

/// A query, and everything that its wrappers said.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Unwrapped {
    /// Messages of the same session that must have finished first (`invokeAfterMsg(s)`).
    pub after: Vec<i64>,
    /// Layer of `invokeWithLayer`.
    pub layer: Option<i32>,
    /// What the client says of itself in `initConnection`.
    pub client: Option<ClientInfo>,
    /// `invokeWithoutUpdates`: this session gets no updates because of this call (SVC-50).
    pub without_updates: bool,
    /// The query itself: function id, then its arguments.
    pub query: Bytes,
}

/// What `initConnection` says of a client; kept with its auth key (SVC-48).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// Identifier of the application, positive.
    pub api_id: i32,
    /// Device, as text for people; not empty.
    pub device_model: Str,
    /// Operating system; not empty.
    pub system_version: Str,
    /// Version of the application; not empty.
    pub app_version: Str,
    /// Language of the operating system.
    pub system_lang_code: Str,
    /// Language pack of the application.
    pub lang_pack: Str,
    /// Language chosen in the application.
    pub lang_code: Str,
}

impl Unwrapped {
    /// Constructor id of the query.
    pub fn id(&self) -> u32 {
        kind::id_of(&self.query)
    }
}

/// Takes the wrappers off a call, in whatever order they stand, and unpacks it.
///
/// A packed query is unpacked to at most `inflated_max` bytes and holds no other (TL-29).
pub fn unwrap(body: Bytes, inflated_max: usize) -> Result<Unwrapped, RpcError> {
    let fetch_error = || RpcError::bad_request("INPUT_FETCH_ERROR");
    let mut call = Unwrapped { query: body, ..Unwrapped::default() };
    let mut depth = 0;
    let mut is_inflated = false;
    loop {
        let id = call.id();
        if id == GZIP_PACKED {
            if is_inflated {
                return Err(fetch_error());
            }
            is_inflated = true;
            call.query = inflate(&call.query, inflated_max).ok_or_else(fetch_error)?;
            // Never packed, not even behind wrappers (TL-29).
            if kind::is_never_packed(call.id()) {
                return Err(fetch_error());
            }
        } else if let Some(query) = call.take_wrapper()? {
            depth += 1;
            if depth > DEPTH_MAX {
                return Err(fetch_error());
            }
            call.query = query;
        } else if call.query.len() < 4 {
            return Err(fetch_error());
        } else if kind::is_service(id) {
            // A wrapped service message is no query (SVC-42).
            return Err(RpcError::unknown_method(id));
        } else {
            return Ok(call);
        }
    }
}

impl Unwrapped {
    /// Reads the outermost wrapper; gives what is inside, `None` when there is no wrapper.
    fn take_wrapper(&mut self) -> Result<Option<Bytes>, RpcError> {
        use functions::*;
        let body = &self.query;
        let query = match self.id() {
            InvokeAfterMsg::<Raw>::ID => {
                let wrapper: InvokeAfterMsg<Raw> = read(body)?;
                self.after.push(wrapper.msg_id);
                wrapper.query
            }
            InvokeAfterMsgs::<Raw>::ID => {
                let wrapper: InvokeAfterMsgs<Raw> = read(body)?;
                self.after.extend(wrapper.msg_ids);
                wrapper.query
            }
            InvokeWithLayer::<Raw>::ID => {
                let wrapper: InvokeWithLayer<Raw> = read(body)?;
                self.layer = Some(wrapper.layer);
                wrapper.query
            }
            InitConnection::<Raw>::ID => {
                let wrapper = read(body)?;
                self.introduce(wrapper)?
            }
            INIT_CONNECTION_OLD => {
                let wrapper = renewed(body).map_err(|error| RpcError::from(&error))?;
                self.introduce(wrapper)?
            }
            InvokeWithoutUpdates::<Raw>::ID => {
                let wrapper: InvokeWithoutUpdates<Raw> = read(body)?;
                self.without_updates = true;
                wrapper.query
            }
            InvokeWithMessagesRange::<Raw>::ID => read::<InvokeWithMessagesRange<Raw>>(body)?.query,
            InvokeWithTakeout::<Raw>::ID => read::<InvokeWithTakeout<Raw>>(body)?.query,
            InvokeWithBusinessConnection::<Raw>::ID => {
                read::<InvokeWithBusinessConnection<Raw>>(body)?.query
            }
            InvokeWithGooglePlayIntegrity::<Raw>::ID => {
                read::<InvokeWithGooglePlayIntegrity<Raw>>(body)?.query
            }
            InvokeWithApnsSecret::<Raw>::ID => read::<InvokeWithApnsSecret<Raw>>(body)?.query,
            InvokeWithReCaptcha::<Raw>::ID => read::<InvokeWithReCaptcha<Raw>>(body)?.query,
            _ => return Ok(None),
        };
        Ok(Some(query.0))
    }

    /// Keeps what a client says of itself.
    fn introduce(&mut self, wrapper: functions::InitConnection<Raw>) -> Result<Raw, RpcError> {
        let (client, query) = client_info(wrapper)?;
        if self.layer.is_none() {
            return Err(RpcError::bad_request("CONNECTION_LAYER_INVALID"));
        }
        self.client = Some(client);
        Ok(query)
    }
}

/// `initConnection#69796de9` of layer 57 in today's words (QRK-08).
///
/// Shape:  `api_id:int device_model:string system_version:string app_version:string
///         lang_code:string query:!X`.
fn renewed(body: &Bytes) -> Result<functions::InitConnection<Raw>, DecodeError> {
    let mut reader = Reader::new(body.slice(4..));
    let api_id = reader.i32()?;
    let device_model = reader.str()?;
    let system_version = reader.str()?;
    let app_version = reader.str()?;
    let lang_code = reader.str()?;
    Ok(functions::InitConnection {
        api_id,
        device_model,
        system_version,
        app_version,
        system_lang_code: lang_code.clone(),
        lang_pack: Str::default(),
        lang_code,
        proxy: None,
        params: None,
        query: Raw(reader.rest()),
    })
}

/// The contents of a boxed `gzip_packed`, at most `max` bytes of them.
pub(crate) fn inflate(body: &Bytes, max: usize) -> Option<Bytes> {
    let mut reader = Reader::new(body.slice(4..));
    let packed = reader.bytes().ok()?;
    reader.finish().ok()?;
    gzip::inflate(&packed, max).ok()
}

fn read<T: Decode>(body: &Bytes) -> Result<T, RpcError> {
    chappe_tl::from_bytes(body.clone()).map_err(|error| RpcError::from(&error))
}

fn client_info(wrapper: functions::InitConnection<Raw>) -> Result<(ClientInfo, Raw), RpcError> {
    let functions::InitConnection {
        api_id,
        device_model,
        system_version,
        app_version,
        system_lang_code,
        lang_pack,
        lang_code,
        query,
        ..
    } = wrapper;
    if api_id <= 0 {
        return Err(RpcError::bad_request("CONNECTION_API_ID_INVALID"));
    }
    for (value, error) in [
        (&device_model, "CONNECTION_DEVICE_MODEL_EMPTY"),
        (&system_version, "CONNECTION_SYSTEM_EMPTY"),
        (&app_version, "CONNECTION_APP_VERSION_EMPTY"),
    ] {
        if value.is_empty() {
            return Err(RpcError::bad_request(error));
        }
    }
    let client = ClientInfo {
        api_id,
        device_model,
        system_version,
        app_version,
        system_lang_code,
        lang_pack,
        lang_code,
    };
    Ok((client, query))
}

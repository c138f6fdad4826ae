//! Calls and their results as bodies of messages.

use std::fmt;

use bytes::Bytes;
use chappe_tl::{Constructor, DecodeError, DecodeErrorKind, Encode, Raw, Writer};

use crate::ids::MsgId;
use crate::schema::{functions, types};
use crate::session::kind;

mod wrappers;
pub(crate) use wrappers::inflate;
pub use wrappers::{ClientInfo, Unwrapped, unwrap};

/// An error as the answer to a call.
///
/// Shape:  `rpc_error#2144ca19 error_code:int error_message:string = RpcError`.
/// Units:  codes are those of HTTP where such a one exists; texts are `[A-Z0-9_]+`, a number
///         that belongs to one stands at its end after `_`.
/// Source: SVC-26.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} {message}")]
pub struct RpcError {
    /// 303, 400, 401, 403, 404, 406, 420, 500, or −503.
    pub code: i32,
    /// The text that clients compare.
    pub message: String,
}

impl RpcError {
    /// An error of this code and text.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// 400: the call is at fault.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// 401: the caller has to sign in first.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(401, message)
    }

    /// 500: we are at fault.
    pub fn internal() -> Self {
        Self::new(500, "INTERNAL")
    }

    /// The boxed `rpc_error`.
    pub fn to_tl(&self) -> Bytes {
        boxed(&types::RpcError {
            error_code: self.code,
            error_message: self.message.as_str().into(),
        })
    }
}

impl From<&DecodeError> for RpcError {
    /// What a server answers to a call that it cannot read (TL-36, TL-37).
    fn from(error: &DecodeError) -> Self {
        match error.kind {
            DecodeErrorKind::UnknownConstructor { id, .. } if error.offset == 0 => {
                Self::unknown_method(id)
            }
            DecodeErrorKind::UnknownConstructor { id, .. } => {
                Self::bad_request(format!("INPUT_CONSTRUCTOR_INVALID_{id}"))
            }
            DecodeErrorKind::TrailingBytes { .. } => Self::bad_request("INPUT_REQUEST_TOO_LONG"),
            _ => Self::bad_request("INPUT_FETCH_ERROR"),
        }
    }
}

impl RpcError {
    /// 400 for a function that nobody knows.
    pub fn unknown_method(id: u32) -> Self {
        Self::bad_request(format!("INPUT_METHOD_INVALID_{id}"))
    }
}

/// The id of an `rpc_result`.
pub const RESULT: u32 = 0xf35c_6d01;
/// The id of `gzip_packed`.
pub const GZIP_PACKED: u32 = 0x3072_cfa1;

/// Body of the `rpc_result` of `call`: `rpc_result#f35c6d01 req_msg_id:long result:Object`.
pub fn result_body(call: MsgId, result: &Bytes) -> Bytes {
    let mut writer = Writer::with_capacity(12 + result.len());
    writer.u32(RESULT);
    writer.i64(call.0);
    writer.raw(result);
    finish(writer)
}

/// Whether a body is the `rpc_result` of a call that failed.
pub fn is_error_result(body: &[u8]) -> bool {
    body.starts_with(&RESULT.to_le_bytes())
        && body.get(12..16).is_some_and(|id| id == types::RpcError::ID.to_le_bytes())
}

/// `gzip_packed` around packed bytes.
pub fn gzip_packed(packed_data: &[u8]) -> Bytes {
    let mut writer = Writer::with_capacity(12 + packed_data.len());
    writer.u32(GZIP_PACKED);
    writer.bytes(packed_data);
    finish(writer)
}

/// Bytes that [`after`] puts before a query.
pub(crate) fn after_len(calls: usize) -> usize {
    match calls {
        0 => 0,
        1 => 12,
        _ => 12 + 8 * calls,
    }
}

/// A query that the server begins when these calls are finished (SVC-44).
pub(crate) fn after(calls: &[MsgId], query: &Bytes) -> Bytes {
    match calls {
        [] => query.clone(),
        [MsgId(msg_id)] => {
            boxed(&functions::InvokeAfterMsg { msg_id: *msg_id, query: Raw(query.clone()) })
        }
        _ => {
            let msg_ids = calls.iter().map(|id| id.0).collect();
            boxed(&functions::InvokeAfterMsgs { msg_ids, query: Raw(query.clone()) })
        }
    }
}

/// A constructor with its id before it.
pub(crate) fn boxed<T: Constructor>(object: &T) -> Bytes {
    let mut writer = Writer::new();
    writer.u32(T::ID);
    object.encode_bare(&mut writer);
    finish(writer)
}

/// The encoding of a value of ours.
pub(crate) fn encoded<T: Encode>(value: &T) -> Bytes {
    let mut writer = Writer::new();
    value.encode(&mut writer);
    finish(writer)
}

/// Encoding fails only for strings of 16 MiB, which no service message of ours holds.
fn finish(writer: Writer) -> Bytes {
    writer.finish().expect("service messages hold no string of 16 MiB")
}

/// What is inside `rpc_result`, once unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallResult {
    /// The call that it answers.
    pub call: MsgId,
    /// The boxed result, or the error.
    pub result: Result<Raw, RpcError>,
}

impl CallResult {
    /// Reads the body of an `rpc_result`, unpacking at most `inflated_max` bytes.
    ///
    /// Errors of odd codes or texts become 500 (SVC-27).
    pub fn read(body: &Bytes, inflated_max: usize) -> Result<Self, ResultError> {
        let (_, rest) = body.split_first_chunk::<4>().ok_or(ResultError::Truncated)?;
        let (id, _) = rest.split_first_chunk::<8>().ok_or(ResultError::Truncated)?;
        let call = MsgId(i64::from_le_bytes(*id));
        let mut result = body.slice(12..);
        if kind::id_of(&result) == GZIP_PACKED {
            result = inflate(&result, inflated_max).ok_or(ResultError::Gzip(call))?;
        }
        if result.len() < 4 {
            return Err(ResultError::Empty(call));
        }
        if kind::id_of(&result) != types::RpcError::ID {
            return Ok(Self { call, result: Ok(Raw(result)) });
        }
        let error: types::RpcError =
            chappe_tl::from_bytes(result).map_err(|error| ResultError::Error(call, error))?;
        let error = match (error.error_code, error.error_message.as_str()) {
            (code, Ok(text)) if code != 0 && code.unsigned_abs() < 10_000 => {
                RpcError::new(code, text)
            }
            (_, text) => RpcError::new(500, text.unwrap_or("INTERNAL")),
        };
        Ok(Self { call, result: Err(error) })
    }
}

/// Why an `rpc_result` cannot be read. Only the call that it names fails (TL-38).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResultError {
    /// Too short to name a call.
    #[error("rpc_result is cut off")]
    Truncated,
    /// It names a call and holds nothing.
    #[error("result of call {0} is empty")]
    Empty(MsgId),
    /// It does not unpack within the limit.
    #[error("result of call {0} does not unpack")]
    Gzip(MsgId),
    /// The error in it cannot be read.
    #[error("error of call {0}: {1}")]
    Error(MsgId, DecodeError),
}

impl ResultError {
    /// The call that has no result because of this, if its id could be read.
    pub fn call(&self) -> Option<MsgId> {
        match self {
            Self::Truncated => None,
            Self::Empty(call) | Self::Gzip(call) | Self::Error(call, _) => Some(*call),
        }
    }
}

impl fmt::Display for Unwrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {:08x} of {} bytes", self.id(), self.query.len())
    }
}

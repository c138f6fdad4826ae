//! Values by schema at run time: for command lines, logs and tests, where no generated type is at
//! hand.
//!
//! A [`Value`] is any TL value. [`decode`] and [`encode`] turn bytes into values and back by a
//! [`Schema`](crate::schema::Schema); with the feature `json`, [`from_json`] and [`to_json`] do the
//! same for JSON. [`functions`] and [`describe`] tell a person what can be called, and with what.
//!
//! What to read or write is said by a [`Type`]: [`CALL`] for any call,
//! `Type::Object` for any boxed value or call, [`answer_type`] for the answer to a call.
//!
//! Words of flags and counts are no fields of an [`Object`]: they follow from the fields present.
//! So bits that the schema does not know are lost in decoding.
//!
//! # JSON
//!
//! | TL | JSON |
//! | --- | --- |
//! | constructor, call | `{"_": "name", "field": …}`; `"_"` may be left out where only one fits |
//! | field that is absent | left out; `null` in input is the same |
//! | flag (`flags.N?true`) | `true`, or left out; `false` in input is the same |
//! | word of flags, count | never there: it follows from the other fields |
//! | `int`, `#` | number |
//! | `long` | number up to 2^53 either way, else a string of digits; in input any of the two |
//! | `double` | number; `"NaN"`, `"Infinity"`, `"-Infinity"` (the payload of a NaN is lost) |
//! | `string` | string; `{"base64": "…"}` when it is not UTF-8 |
//! | `bytes` | string, base64 (RFC 4648 §4) with padding |
//! | `int128`, `int256` | string of 32 or 64 hexadecimal digits, in the order of the wire |
//! | `Bool` | `true`, `false` |
//! | vector, repetition | array |

mod decode;
mod describe;
mod encode;
mod error;
mod fields;
#[cfg(feature = "json")]
mod json;
mod value;

pub use decode::decode;
pub use describe::{Description, FieldHelp, Presence, answer_type, describe, functions, outline};
pub use encode::encode;
pub use error::{Error, Reason};
#[cfg(feature = "json")]
pub use json::{example, from_json, to_json};
pub use value::{Object, Value};

use crate::schema::Type;

/// The type of any call, for a client that sends it or a server that reads it.
pub const CALL: Type = Type::Query(String::new());

/// Most values one decoding or one JSON text may make. A packet of a few bytes can stand for many
/// values (flags, elements without bytes); this bounds the memory they take to some 100 MB.
pub const VALUES_MAX: usize = 1 << 20;

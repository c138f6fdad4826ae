//! Telegram's API schema as Rust types: generated when the crate is built, read by nobody.
//!
//! - [`types`]: `messages.Messages` is `types::messages::Messages`. A type with one constructor is
//!   a struct, any other an enum of its constructors.
//! - [`ctors`]: the constructors of those enums. Large ones are boxed inside the enum.
//! - [`functions`]: `messages.sendMessage` is `functions::messages::SendMessage`.
//!
//! Fields are in snake case. A conditional field is an `Option`, a conditional `true` a `bool`.
//! Fields that share a bit are one `Option` of a tuple, named `views_and_forwards` and the like.
//! `..chappe_tl::blank()` fills the fields of a struct that do not matter. `chappe tl show
//! messages.sendMessage` prints a definition.
//!
//! The feature `traits` gives every type `Debug`, `PartialEq` and `Default`. It is off because
//! the schema is large: without it the crate takes two thirds of the time to compile.

chappe_tl::include_schema!("api");

/// What older layers say otherwise than the next newer one: a text for each, for
/// `chappe_tl::history::History`.
pub const OLDER_LAYERS: &[&str] = include!(concat!(env!("OUT_DIR"), "/layers.rs"));

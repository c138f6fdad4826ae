//! The service as a client meets it: a server on a real socket.

// A test fails by panicking, its helpers as well.
#![allow(clippy::unwrap_used)]

mod client;
mod devices;
mod dialogs;
mod drafts;
mod engine;
mod files;
mod forwards;
mod groups;
mod groups_rights;
mod messages;
mod password;
mod people;
mod pins;
mod rivals;
mod search;
mod sign_in;
mod strangers;
mod temporary;

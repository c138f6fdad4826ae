//! The service as a client meets it: a server on a real socket.

// A test fails by panicking, its helpers as well.
#![allow(clippy::unwrap_used)]

mod client;
mod devices;
mod files;
mod messages;
mod password;
mod people;
mod sign_in;
mod strangers;
mod temporary;

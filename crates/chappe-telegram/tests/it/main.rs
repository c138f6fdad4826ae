//! The service as a client meets it: a server on a real socket.

// A test fails by panicking, its helpers as well.
#![allow(clippy::unwrap_used)]

mod acquaintances;
mod bots;
mod bots_in_groups;
mod boundaries;
mod client;
mod counts;
mod devices;
mod dialogs;
mod drafts;
mod engine;
mod exports;
mod files;
mod forwards;
mod groups;
mod groups_rights;
mod inline;
mod kept;
mod layers;
mod links;
mod messages;
mod nothing;
mod notices;
mod password;
mod people;
mod pins;
mod push;
mod quiet;
mod rivals;
mod search;
mod sign_in;
mod statements;
mod strangers;
mod temporary;
mod turns;

//! Sessions: the numbers, debts and memories that two ends share over any number of links.
//!
//! The server's and the client's session are two types over the same parts, since they decide
//! differently on nearly every rule: the server judges and notifies, the client obeys and
//! recovers. What both compute alike stands in the files beside them.

pub mod acks;
pub mod client;
pub mod container;
pub mod inbox;
pub mod kind;
pub mod msg_id;
pub mod outbox;
pub mod salts;
pub mod seq_no;
pub mod server;
pub mod time;
mod window;

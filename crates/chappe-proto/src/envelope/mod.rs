//! What stands around a message on the wire: nothing but lengths before a key exists, encryption
//! afterwards.

pub mod encrypted;
pub mod plain;
pub mod version;

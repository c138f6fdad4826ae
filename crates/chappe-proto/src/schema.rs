//! The service schema of MTProto, generated from `schema/mtproto.tl`.

chappe_tl::include_schema!("mtproto");

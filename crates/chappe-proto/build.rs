//! Turns the service schema into Rust.

fn main() {
    chappe_tl::codegen::build("schema/mtproto.tl");
}

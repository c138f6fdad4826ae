//! Turns the schema into Rust.

fn main() {
    chappe_tl::codegen::build("schema/weather.tl");
}

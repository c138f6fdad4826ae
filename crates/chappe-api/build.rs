//! Compiles the schema; what comes out stays in `OUT_DIR`.

fn main() {
    let api = chappe_tl::codegen::Builder::new("schema/api.tl");
    let has_traits = std::env::var_os("CARGO_FEATURE_TRAITS").is_some();
    if has_traits { api.build() } else { api.without_traits().build() }
}

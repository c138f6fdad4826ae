//! Compiles the schema; what comes out stays in `OUT_DIR`. Lists the files of older layers, too.

use std::fmt::Write;
use std::path::Path;

fn main() {
    let api = chappe_tl::codegen::Builder::new("schema/api.tl");
    let has_traits = std::env::var_os("CARGO_FEATURE_TRAITS").is_some();
    if has_traits {
        api.build()
    } else {
        api.without_traits().build()
    }
    list_older_layers(Path::new("schema/layers")).expect("schema/layers holds the older layers");
}

/// Writes `layers.rs`: the texts of `folder`, included.
fn list_older_layers(folder: &Path) -> std::io::Result<()> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let files = std::fs::read_dir(folder)?.map(|entry| entry?.path().canonicalize());
    let mut files = files.collect::<Result<Vec<_>, _>>()?;
    files.sort();
    let mut rust = String::from("&[\n");
    for file in files {
        writeln!(rust, "    include_str!({file:?}),").expect("a String takes everything");
    }
    rust.push_str("]\n");
    let out = std::env::var_os("OUT_DIR").expect("cargo sets it");
    std::fs::write(Path::new(&out).join("layers.rs"), rust)
}

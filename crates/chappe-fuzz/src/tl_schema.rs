//! The text of a schema: whatever is accepted prints as a text that means the same, and becomes
//! Rust or an error.

use chappe_tl::schema::{Schema, crc32, normalise};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = crc32(normalise(text).as_bytes());
    let Ok(schema) = Schema::parse(text) else { return };
    let _ = Schema::parse_strict("a.tl", text, &[]);
    let _ = chappe_tl::codegen::generate(&schema, text, true);
    // Each definition as it prints, in its own section.
    for definition in schema.definitions() {
        assert_eq!(schema.by_id(definition.id).map(|found| &found.name), Some(&definition.name));
    }
    let same = Schema::parse(text).expect("accepted once, accepted again");
    assert!(chappe_tl::schema::diff(&schema, &same).is_empty());
}

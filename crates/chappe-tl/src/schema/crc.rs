//! The id of a declaration: CRC-32 of its normalised text.

/// The text whose CRC-32 is the constructor id of `declaration`, which ends in `;` or not and
/// has no comments.
pub fn normalise(declaration: &str) -> String {
    let text = declaration.trim().trim_end_matches(';');
    let mut spaced = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' | ',' => spaced.push(' '),
            '>' | '{' | '}' | '(' | ')' => {}
            _ => spaced.push(c),
        }
    }
    let mut normalised = String::with_capacity(spaced.len());
    // Brackets matter to step 3: `Vector<bytes>` keeps its argument. They are gone by now, but a
    // field has its name and colon in the same word and an argument has not.
    for (position, word) in spaced.split_whitespace().enumerate() {
        let word = match word.split_once('#') {
            Some((name, hex)) if position == 0 && !hex.is_empty() => name,
            _ => word,
        };
        if is_bare_flag(word) {
            continue;
        }
        if position > 0 {
            normalised.push(' ');
        }
        match word.strip_suffix("bytes") {
            Some(field) if field.ends_with([':', '?']) => {
                normalised.push_str(field);
                normalised.push_str("string");
            }
            _ => normalised.push_str(word),
        }
    }
    normalised
}

/// Whether a word is a field of the form `name:flags.N?true`.
fn is_bare_flag(word: &str) -> bool {
    let condition = word.split_once(':').and_then(|(_, ty)| ty.strip_suffix("?true"));
    condition.and_then(|c| c.split_once('.')).is_some_and(|(_, bit)| bit.parse::<u8>().is_ok())
}

/// CRC-32/ISO-HDLC, the one of zlib.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

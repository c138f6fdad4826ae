//! One declaration of a schema: its parts, its normal spelling and its constructor id.
//!
//! Only what ordering and verifying needs; `chappe_tl::schema` is the compiler.

use anyhow::{Context, Result, ensure};

/// A line such as `inputUser#f21158c6 user_id:long access_hash:long = InputUser;`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declaration {
    /// Full name with its namespace.
    pub(crate) name: String,
    /// Constructor id as the source spells it.
    pub(crate) id: u32,
    /// Fields as written, single spaces between them; empty where there are none.
    pub(crate) fields: String,
    /// Result type as written.
    pub(crate) result: String,
}

impl Declaration {
    /// Takes a declaration without its `;` and checks its id against its CRC-32.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (left, result) =
            text.split_once('=').with_context(|| format!("no result type in `{text}`"))?;
        let mut words = left.split_whitespace();
        let head = words.next().with_context(|| format!("no name in `{text}`"))?;
        let (name, hex) =
            head.split_once('#').with_context(|| format!("no explicit id in `{text}`"))?;
        let id = u32::from_str_radix(hex, 16).with_context(|| format!("bad id in `{text}`"))?;
        let declaration = Self {
            name: name.to_owned(),
            id,
            fields: words.collect::<Vec<_>>().join(" "),
            result: result.split_whitespace().collect::<Vec<_>>().join(" "),
        };
        let computed = crc32fast::hash(declaration.normalised().as_bytes());
        ensure!(
            computed == id || HAND_ASSIGNED.contains(&(name, id)),
            "`{name}` has id {id:08x}, its declaration gives {computed:08x}: \
             a spelling is wrong, or it belongs on the list of hand-assigned ids"
        );
        Ok(declaration)
    }

    /// Namespace of the name; empty for the root.
    pub(crate) fn namespace(&self) -> &str {
        self.name.split_once('.').map_or("", |(namespace, _)| namespace)
    }

    /// The spelling whose CRC-32 is the id (docs/spec/01-tl.md §2).
    fn normalised(&self) -> String {
        let mut words = vec![self.name.clone()];
        for field in self.fields.split_whitespace() {
            match field.split_once(':') {
                Some((_, kind)) if kind.ends_with("?true") => {}
                Some((label, "bytes")) => words.push(format!("{label}:string")),
                Some((label, kind)) if kind.ends_with("?bytes") => {
                    words.push(format!("{label}:{}string", kind.trim_end_matches("bytes")));
                }
                _ => words.push(field.to_owned()),
            }
        }
        words.push("=".to_owned());
        words.push(self.result.clone());
        let spelled: String = words
            .join(" ")
            .chars()
            .filter(|c| !matches!(c, '>' | '{' | '}' | '(' | ')'))
            .map(|c| if matches!(c, '<' | ',') { ' ' } else { c })
            .collect();
        spelled.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl std::fmt::Display for Declaration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{:08x} ", self.name, self.id)?;
        if !self.fields.is_empty() {
            write!(f, "{} ", self.fields)?;
        }
        write!(f, "= {};", self.result)
    }
}

/// Ids that are not the CRC-32 of their declaration and are right all the same.
///
/// Layer 230 has none. An entry names the declaration and the id seen on the wire.
const HAND_ASSIGNED: &[(&str, u32)] = &[];

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule:   TL-10, the id is the CRC-32 of the normalised declaration; TL-12, conditional
    ///         `true` fields do not count.
    /// Source: docs/spec/01-tl.md §2.
    #[test]
    fn id_is_the_checksum_of_the_normal_spelling() {
        check("vector#1cb5c415 {t:Type} # [ t ] = Vector t", "vector t:Type # [ t ] = Vector t");
        check(
            "help.peerColorSet#26219a58 colors:Vector<int> = help.PeerColorSet",
            "help.peerColorSet colors:Vector int = help.PeerColorSet",
        );
        check(
            "wallet.tonConnectCloseSession#d63f61ce flags:# session_id:long body:flags.0?bytes = Bool",
            "wallet.tonConnectCloseSession flags:# session_id:long body:flags.0?string = Bool",
        );
        check(
            "inputMediaPhoto#e3af4434 flags:# spoiler:flags.1?true live_photo:flags.2?true \
             id:InputPhoto ttl_seconds:flags.0?int video:flags.2?InputDocument = InputMedia",
            "inputMediaPhoto flags:# id:InputPhoto ttl_seconds:flags.0?int \
             video:flags.2?InputDocument = InputMedia",
        );
    }

    #[test]
    fn id_that_does_not_fit_is_refused_with_both_values() {
        let error = Declaration::parse("true#3fedd33a = True").unwrap_err().to_string();
        assert!(error.contains("3fedd33a") && error.contains("3fedd339"), "{error}");
    }

    fn check(text: &str, normal: &str) {
        let declaration = Declaration::parse(text).unwrap();
        assert_eq!(declaration.normalised(), normal);
        assert_eq!(declaration.to_string(), format!("{text};"));
    }
}

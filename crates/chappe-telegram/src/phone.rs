//! Phone numbers, and those of test accounts.

use chappe_proto::rpc::RpcError;

/// A phone number: digits with the country code, nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Phone(String);

/// Digits of a number (E.164 has no longer ones).
const DIGITS: std::ops::RangeInclusive<usize> = 5..=15;

impl Phone {
    /// Reads a number as people write it.
    pub(crate) fn parse(text: &str) -> Result<Self, RpcError> {
        let is_filler = |c: char| matches!(c, '+' | ' ' | '-' | '(' | ')' | '.');
        let digits: String = text.chars().filter(|c| !is_filler(*c)).collect();
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || !DIGITS.contains(&digits.len()) || digits.starts_with('0') {
            return Err(RpcError::bad_request("PHONE_NUMBER_INVALID"));
        }
        Ok(Self(digits))
    }

    pub(crate) fn digits(&self) -> &str {
        &self.0
    }

    /// The data centre that a test number belongs to (ACC-01): `99966XYYYY` to X.
    pub(crate) fn test_dc(&self) -> Option<u8> {
        let digits = self.0.strip_prefix("99966").filter(|digits| digits.len() == 5)?;
        match digits.as_bytes().first()? - b'0' {
            0 => None,
            dc => Some(dc),
        }
    }

    /// What a person without a name of their own is called after.
    pub(crate) fn last_digits(&self) -> &str {
        &self.0[self.0.len() - 4..]
    }
}

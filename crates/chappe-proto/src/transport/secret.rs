//! The secret of an obfuscated endpoint.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{Framing, Transport};

/// Sixteen bytes that client and endpoint share and mix into the keys of the obfuscation.
///
/// Zeroed on drop, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; 16]);

impl Secret {
    pub(super) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for Secret {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A secret as `dcOption.secret` and proxy links carry it, with the transport it demands.
///
/// Shape:  16 bytes; or `DD` and 16 bytes for padded framing; or `EE`, 16 bytes and a host name
///         of at most 182 for fake TLS.
/// Text:   hexadecimal, or base64 of either alphabet, padded or not (PRX-01).
/// Source: MTProto transports, "Transport obfuscation"; `dcOption.secret` of the API schema.
#[derive(Clone, Debug)]
pub struct EndpointSecret {
    /// What goes into the keys.
    pub secret: Secret,
    /// How the endpoint wants to be spoken to.
    pub transport: Transport,
}

/// A secret of no use here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointSecretError {
    /// The endpoint hides behind TLS, which this transport does not imitate.
    #[error(
        "the secret demands fake TLS (it begins with ee), which is not to be had before our proxy is"
    )]
    FakeTls,
    /// None of the three shapes.
    #[error("secret of {0} bytes, expected 16, or 17 of which the first is dd")]
    Shape(usize),
    /// Neither hexadecimal nor base64.
    #[error("the secret is neither hexadecimal nor base64")]
    Text,
}

impl TryFrom<&[u8]> for EndpointSecret {
    type Error = EndpointSecretError;

    fn try_from(raw: &[u8]) -> Result<Self, Self::Error> {
        let shape = EndpointSecretError::Shape(raw.len());
        let (bytes, framing) = match raw {
            [0xdd, rest @ ..] if rest.len() == 16 => (rest, Framing::Padded),
            [0xee, rest @ ..] if (17..=16 + DOMAIN_MAX).contains(&rest.len()) => {
                return Err(EndpointSecretError::FakeTls);
            }
            bytes => (bytes, Framing::Intermediate),
        };
        let bytes: [u8; 16] = bytes.try_into().map_err(|_| shape.clone())?;
        let transport = Transport::obfuscated(framing).ok_or(shape)?;
        Ok(Self { secret: bytes.into(), transport })
    }
}

impl FromStr for EndpointSecret {
    type Err = EndpointSecretError;

    /// Hexadecimal first: what can be read in both ways is meant so.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let raw = hex::decode(text)
            .or_else(|_| BASE64_URL.decode(text))
            .or_else(|_| BASE64.decode(text))
            .map_err(|_| EndpointSecretError::Text)?;
        Self::try_from(&*raw)
    }
}

/// Longest host name in a secret.
const DOMAIN_MAX: usize = 182;

const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

//! The secret of an obfuscated endpoint.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chappe_crypto::sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

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

    /// Tells secrets apart without giving them away.
    pub fn fingerprint(&self) -> [u8; 16] {
        let hash = sha256(&[b"fingerprint of a secret", &self.0]);
        std::array::from_fn(|at| hash[at])
    }

    /// Whether it is one of those that people write when they want none: all bytes alike or but
    /// the last, counted up, or digits in their order (PRX-04).
    pub fn is_weak(&self) -> bool {
        let bytes = &self.0;
        let step = bytes[1].wrapping_sub(bytes[0]);
        let counted = |pair: &[u8]| pair[1].wrapping_sub(pair[0]) == step;
        let is_alike = bytes[1..15].iter().all(|byte| *byte == bytes[0]);
        is_alike || bytes.windows(2).all(counted) || hex::encode(bytes).starts_with(DIGITS)
    }
}

/// How a secret begins that was typed along the keyboard.
const DIGITS: &str = "0123456789abcdef";

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
    /// The host name that the endpoint seems to be, where the transport is to travel in fake TLS.
    pub domain: Option<Arc<str>>,
}

/// A secret of no use here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointSecretError {
    /// What stands behind `EE` and the secret is no host name.
    #[error("the secret demands fake TLS (it begins with ee) for something that is no host name")]
    Domain,
    /// None of the three shapes.
    #[error(
        "secret of {0} bytes, expected 16, 17 of which the first is dd, or more of which it is ee"
    )]
    Shape(usize),
    /// Neither hexadecimal nor base64.
    #[error("the secret is neither hexadecimal nor base64")]
    Text,
}

impl EndpointSecret {
    /// The text of links: hexadecimal, or base64 where a host name is part of it.
    ///
    /// It gives the secret away: for whoever may use the endpoint, and for no log.
    pub fn reveal(&self) -> String {
        let raw = self.raw();
        if self.domain.is_some() { BASE64_URL.encode(&*raw) } else { hex::encode(&*raw) }
    }

    /// The same in hexadecimal always, for clients that misread base64.
    pub fn reveal_hex(&self) -> String {
        hex::encode(&*self.raw())
    }

    fn raw(&self) -> Zeroizing<Vec<u8>> {
        let (prefix, domain): (&[u8], _) = match &self.domain {
            Some(domain) => (&[TLS], domain.as_bytes()),
            None if self.transport.framing() == Framing::Padded => (&[PADDED], &[][..]),
            None => (&[], &[][..]),
        };
        Zeroizing::new([prefix, &self.secret.0, domain].concat())
    }
}

/// First bytes of the longer shapes.
const PADDED: u8 = 0xdd;
const TLS: u8 = 0xee;

impl TryFrom<&[u8]> for EndpointSecret {
    type Error = EndpointSecretError;

    fn try_from(raw: &[u8]) -> Result<Self, Self::Error> {
        let shape = EndpointSecretError::Shape(raw.len());
        let (bytes, framing, domain) = match raw {
            [PADDED, rest @ ..] if rest.len() == 16 => (rest, Framing::Padded, None),
            [TLS, rest @ ..] if (17..=16 + DOMAIN_MAX).contains(&rest.len()) => {
                let (bytes, domain) = rest.split_at(16);
                (bytes, Framing::Padded, Some(host_name(domain)?))
            }
            bytes => (bytes, Framing::Intermediate, None),
        };
        let bytes: [u8; 16] = bytes.try_into().map_err(|_| shape.clone())?;
        let transport = Transport::obfuscated(framing).ok_or(shape)?;
        Ok(Self { secret: bytes.into(), transport, domain })
    }
}

/// What a hello can ask for; whether there is such a host, the proxy knows.
fn host_name(bytes: &[u8]) -> Result<Arc<str>, EndpointSecretError> {
    let text = std::str::from_utf8(bytes).map_err(|_| EndpointSecretError::Domain)?;
    if !bytes.iter().all(u8::is_ascii_graphic) {
        return Err(EndpointSecretError::Domain);
    }
    Ok(text.into())
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
const ANY_PADDING: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_encode_padding(false)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);

//! RSA keys as PEM text: PKCS#1, which names RSA in its label, and the general forms SPKI and
//! PKCS#8 around it.

use crypto_bigint::{U1024, U2048};
use pkcs1::der::asn1::{BitStringRef, OctetStringRef, UintRef};
use pkcs1::der::pem::PemLabel;
use pkcs1::der::{self, Decode, Encode, SecretDocument};
use pkcs1::{LineEnding, RsaPrivateKeyRef, RsaPublicKeyRef};
use pkcs8::PrivateKeyInfoRef;
use pkcs8::spki::SubjectPublicKeyInfoRef;
use zeroize::Zeroizing;

use super::{KeyError, PrivateKey, PublicKey, prime_from_bytes};

/// Why a text is not a key we can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// The text is not one PEM block, or its contents are not the DER they should be.
    #[error("not a PEM file with an RSA key")]
    Syntax,
    /// A PEM block of another kind.
    #[error("expected an RSA key, found a PEM block named {0:?}")]
    Label(String),
    /// The block is well-formed and the key is not acceptable.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl From<der::Error> for PemError {
    fn from(_: der::Error) -> Self {
        Self::Syntax
    }
}

impl PublicKey {
    /// Reads a key in PKCS#1 (`RSA PUBLIC KEY`) or SPKI (`PUBLIC KEY`) form.
    pub fn from_pem(text: &str) -> Result<Self, PemError> {
        let (label, document) = SecretDocument::from_pem(text.trim())?;
        match label {
            RsaPublicKeyRef::PEM_LABEL => Self::from_pkcs1(document.as_bytes()),
            SubjectPublicKeyInfoRef::PEM_LABEL => {
                let info = SubjectPublicKeyInfoRef::from_der(document.as_bytes())
                    .map_err(|_| PemError::Syntax)?;
                check_algorithm(info.algorithm.oid)?;
                Self::from_pkcs1(info.subject_public_key.as_bytes().ok_or(PemError::Syntax)?)
            }
            other => Err(PemError::Label(other.to_owned())),
        }
    }

    /// The key as PKCS#1 text.
    #[must_use]
    pub fn to_pem(&self) -> String {
        to_pem(RsaPublicKeyRef::PEM_LABEL, &self.to_pkcs1()).to_string()
    }

    /// The key as SPKI text.
    #[must_use]
    pub fn to_spki_pem(&self) -> String {
        let pkcs1 = self.to_pkcs1();
        let subject_public_key = BitStringRef::from_bytes(pkcs1.as_bytes()).expect(FITS);
        let info = SubjectPublicKeyInfoRef { algorithm: algorithm(), subject_public_key };
        to_pem(SubjectPublicKeyInfoRef::PEM_LABEL, &encode(&info)).to_string()
    }

    fn from_pkcs1(bytes: &[u8]) -> Result<Self, PemError> {
        let key = RsaPublicKeyRef::from_der(bytes)?;
        Ok(Self::new(key.modulus.as_bytes(), key.public_exponent.as_bytes())?)
    }

    fn to_pkcs1(&self) -> SecretDocument {
        let (modulus, exponent) = (self.modulus(), self.exponent().to_be_bytes());
        encode(&RsaPublicKeyRef { modulus: uint(&modulus), public_exponent: uint(&exponent) })
    }
}

impl PrivateKey {
    /// Reads a key in PKCS#1 (`RSA PRIVATE KEY`) or PKCS#8 (`PRIVATE KEY`) form.
    ///
    /// Takes the modulus, the public exponent and the primes, and computes the rest.
    pub fn from_pem(text: &str) -> Result<Self, PemError> {
        let (label, document) = SecretDocument::from_pem(text.trim())?;
        match label {
            RsaPrivateKeyRef::PEM_LABEL => Self::from_pkcs1(document.as_bytes()),
            PrivateKeyInfoRef::PEM_LABEL => {
                let info = PrivateKeyInfoRef::from_der(document.as_bytes())?;
                check_algorithm(info.algorithm.oid)?;
                Self::from_pkcs1(info.private_key.as_bytes())
            }
            other => Err(PemError::Label(other.to_owned())),
        }
    }

    /// The key as PKCS#1 text.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        to_pem(RsaPrivateKeyRef::PEM_LABEL, &self.to_pkcs1())
    }

    /// The key as PKCS#8 text.
    #[must_use]
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        let pkcs1 = self.to_pkcs1();
        let private_key = OctetStringRef::new(pkcs1.as_bytes()).expect(FITS);
        let info = PrivateKeyInfoRef::new(algorithm(), private_key);
        to_pem(PrivateKeyInfoRef::PEM_LABEL, &encode(&info))
    }

    fn from_pkcs1(bytes: &[u8]) -> Result<Self, PemError> {
        let key = RsaPrivateKeyRef::from_der(bytes)?;
        if key.other_prime_infos.is_some() {
            return Err(KeyError::Private.into());
        }
        let p = prime_from_bytes(key.prime1.as_bytes())?;
        let q = prime_from_bytes(key.prime2.as_bytes())?;
        Ok(Self::new(key.modulus.as_bytes(), key.public_exponent.as_bytes(), &p, &q)?)
    }

    fn to_pkcs1(&self) -> SecretDocument {
        let (modulus, exponent) = (self.public.modulus(), self.public.exponent().to_be_bytes());
        let secret = |number: &U1024| Zeroizing::new(number.to_be_bytes().as_ref().to_vec());
        let (p, q) = (secret(self.p.value()), secret(self.q.value()));
        let (exponent_p, exponent_q) = (secret(&self.exponent_p), secret(&self.exponent_q));
        let q_inverse = secret(&self.q_inverse);
        let private_exponent = self.private_exponent();
        let private_exponent = Zeroizing::new(private_exponent.to_be_bytes().as_ref().to_vec());
        encode(&RsaPrivateKeyRef {
            modulus: uint(&modulus),
            public_exponent: uint(&exponent),
            private_exponent: uint(&private_exponent),
            prime1: uint(&p),
            prime2: uint(&q),
            exponent1: uint(&exponent_p),
            exponent2: uint(&exponent_q),
            coefficient: uint(&q_inverse),
            other_prime_infos: None,
        })
    }

    /// Inverse of the public exponent modulo (p − 1)(q − 1): for other programs, since our own
    /// arithmetic needs only its halves.
    fn private_exponent(&self) -> Zeroizing<U2048> {
        let less_one = |prime: &U1024| Zeroizing::new(prime.wrapping_sub(&U1024::ONE));
        let order: U2048 = less_one(self.p.value()).concatenating_mul(&*less_one(self.q.value()));
        let order = order.to_nz().expect("primes of 1024 bits are above 1");
        let inverse = U2048::from(self.public.exponent()).invert_mod(&order);
        Zeroizing::new(inverse.expect("there is one modulo each factor"))
    }
}

fn check_algorithm(found: pkcs1::ObjectIdentifier) -> Result<(), PemError> {
    if found == pkcs1::ALGORITHM_OID { Ok(()) } else { Err(PemError::Syntax) }
}

fn algorithm() -> pkcs8::spki::AlgorithmIdentifierRef<'static> {
    pkcs1::ALGORITHM_ID
}

fn uint(bytes: &[u8]) -> UintRef<'_> {
    UintRef::new(bytes).expect(FITS)
}

fn encode(value: &impl Encode) -> SecretDocument {
    SecretDocument::encode_msg(value).expect(FITS)
}

fn to_pem(label: &'static str, document: &SecretDocument) -> Zeroizing<String> {
    document.to_pem(label, LineEnding::LF).expect(FITS)
}

const FITS: &str = "keys of 2048 bits are far below every limit of DER and PEM";

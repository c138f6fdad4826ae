//! TLS from the side of a client: whom to believe that a server is who it says.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::{TlsConnector, rustls};

/// The authorities whose word a client takes for the name of a server.
#[derive(Clone)]
pub struct Authorities {
    config: Arc<ClientConfig>,
}

/// Authorities that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthoritiesError {
    /// There is no certificate in it.
    #[error("no certificate in PEM form (BEGIN CERTIFICATE)")]
    None,
    /// One of the certificates cannot be read.
    #[error("a certificate cannot be read: {0}")]
    Unreadable(String),
}

/// Why there is no TLS with a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// No certificate can be for it.
    #[error("`{0}` is no name that a certificate could be for")]
    Name(String),
    /// The server speaks no TLS, or its certificate is not believed.
    #[error("TLS: {0}")]
    Handshake(#[source] io::Error),
}

impl Authorities {
    /// Those that browsers believe.
    pub fn public() -> Self {
        Self::of(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    /// Those in `pem` and no others: one certificate or several.
    ///
    /// # Errors
    ///
    /// There is none in it, or one cannot be read.
    pub fn from_pem(pem: &[u8]) -> Result<Self, AuthoritiesError> {
        let mut roots = RootCertStore::empty();
        let unreadable = |error: &dyn fmt::Display| AuthoritiesError::Unreadable(error.to_string());
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            roots.add(certificate).map_err(|error| unreadable(&error))?;
        }
        if roots.is_empty() {
            return Err(AuthoritiesError::None);
        }
        Ok(Self::of(roots))
    }

    /// None: whoever answers is believed to be who it says. For nothing that matters to anybody.
    pub fn unasked() -> Self {
        let mut config = config(RootCertStore::empty());
        config.dangerous().set_certificate_verifier(Arc::new(Unasked));
        Self { config: Arc::new(config) }
    }

    fn of(roots: RootCertStore) -> Self {
        Self { config: Arc::new(config(roots)) }
    }

    /// Speaks TLS over `stream` with the server called `name`, a host name or an address.
    ///
    /// # Errors
    ///
    /// See [`TlsError`].
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        name: &str,
        stream: S,
    ) -> Result<TlsStream<S>, TlsError> {
        let server = ServerName::try_from(name.to_owned());
        let server = server.map_err(|_| TlsError::Name(name.to_owned()))?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector.connect(server, stream).await.map_err(TlsError::Handshake)
    }
}

fn config(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider speaks the versions of today")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // All that we say inside is HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// Takes every certificate.
#[derive(Debug)]
struct Unasked;

impl ServerCertVerifier for Unasked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorities(..)")
    }
}

//! TLS in front of everything else: HTTPS, WSS, and every transport of ours inside.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The text is not PEM, or an item in it is cut short.
    #[error("the {0} cannot be read: {1}")]
    Pem(&'static str, pem::Error),
    /// There is no certificate in the text.
    #[error("no certificate (BEGIN CERTIFICATE) is in the file of certificates")]
    NoCertificate,
    /// The two do not fit each other, or are of a kind that is not supported.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// A certificate with its private key, which may be replaced while it is used. Clones are one.
#[derive(Clone, Debug)]
pub struct Certificate {
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Certificate {
    /// Reads a chain of certificates, the own one first, and the private key of that, in PEM.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        Ok(Self { config: Arc::new(RwLock::new(read(chain, key)?)) })
    }

    /// Puts another in its place, for handshakes that begin from now on.
    ///
    /// # Errors
    ///
    /// What is wrong with it; the old one stays.
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> Result<(), CertificateError> {
        let config = read(chain, key)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Shakes hands with a client. It may take for ever: the deadline is the caller's.
    ///
    /// # Errors
    ///
    /// The client does not speak TLS as we do, or is gone.
    pub async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream).await
    }
}

fn read(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, CertificateError> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| CertificateError::Pem("certificate", error))?;
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key);
    let key = key.map_err(|error| CertificateError::Pem("key", error))?;
    let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

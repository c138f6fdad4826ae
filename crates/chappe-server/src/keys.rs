//! The server's RSA identities, and auth keys as the server holds them.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chappe_backend::{ConnectionInfo, StoredKey};
use chappe_crypto::rsa::{PemError, PrivateKey, PublicKey};
use chappe_crypto::{AuthKey, AuthKeyId, Rng};
use chappe_proto::rpc::ClientInfo;
use chappe_proto::session::salts::FirstSalt;
use chappe_tl::{DecodeError, Reader, Writer};
use zeroize::Zeroizing;

use crate::error::IdentityError;

/// An RSA key by which clients know a server.
pub struct RsaIdentity(pub(crate) PrivateKey);

impl RsaIdentity {
    /// From the PEM text of a 2048-bit private key, PKCS#1 or PKCS#8.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    pub fn from_pem(text: &str) -> Result<Self, PemError> {
        Ok(Self(PrivateKey::from_pem(text)?))
    }

    /// From a file that holds such a text.
    ///
    /// # Errors
    ///
    /// [`IdentityError`], naming the file.
    pub fn from_pem_file(path: impl AsRef<Path>) -> Result<Self, IdentityError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|error| IdentityError::Unreadable { path: path.to_owned(), error })?;
        Self::from_pem(&text)
            .map_err(|error| IdentityError::Unusable { path: path.to_owned(), error })
    }

    /// A new key: some tenths of a second.
    pub fn generate(rng: &mut Rng) -> Self {
        Self(PrivateKey::generate(rng))
    }

    /// The half that clients are given.
    pub fn public(&self) -> &PublicKey {
        self.0.public()
    }

    /// The private key as PEM text, to be kept.
    pub fn to_pem(&self) -> Zeroizing<String> {
        self.0.to_pem()
    }
}

impl fmt::Debug for RsaIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaIdentity({:016x})", self.public().fingerprint())
    }
}

/// An auth key with what its sessions share.
pub(crate) struct KeyRecord {
    pub(crate) key: Arc<AuthKey>,
    pub(crate) first_salt: FirstSalt,
    /// Unix second at which a temporary key dies.
    expires: Option<u64>,
    connection: Mutex<Option<Connection>>,
    destroyed: AtomicBool,
}

/// What the client of a key said of itself (SVC-48).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) layer: i32,
    pub(crate) client: Arc<ClientInfo>,
}

impl KeyRecord {
    pub(crate) fn new(stored: StoredKey, connection: Option<Connection>) -> Self {
        let StoredKey { mut key, created, first_salt, expires, .. } = stored;
        key.forget_client_part();
        let created = i64::try_from(created).unwrap_or(i64::MAX / 2);
        Self {
            key: Arc::new(key),
            first_salt: FirstSalt { value: first_salt, created },
            expires,
            connection: Mutex::new(connection),
            destroyed: AtomicBool::new(false),
        }
    }

    pub(crate) fn id(&self) -> AuthKeyId {
        self.key.id()
    }

    /// Whether messages under the key are still taken at this Unix second.
    pub(crate) fn is_alive(&self, unix: i64) -> bool {
        let expires = self.expires.map_or(i64::MAX, |at| i64::try_from(at).unwrap_or(i64::MAX));
        unix < expires && !self.is_destroyed()
    }

    pub(crate) fn is_destroyed(&self) -> bool {
        self.destroyed.load(Ordering::Acquire)
    }

    /// The key is no more.
    pub(crate) fn destroy(&self) {
        self.destroyed.store(true, Ordering::Release);
    }

    /// What is saved with the key.
    pub(crate) fn connection(&self) -> Option<Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces it; whether that changed anything.
    pub(crate) fn set_connection(&self, new: Connection) -> bool {
        let mut saved = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if saved.as_ref() == Some(&new) {
            return false;
        }
        *saved = Some(new);
        true
    }
}

impl Connection {
    /// As the store keeps it.
    ///
    /// Shape: `api_id:int`, then the six texts of `initConnection` in its order, as TL strings.
    pub(crate) fn to_stored(&self) -> Option<ConnectionInfo> {
        let mut writer = Writer::new();
        writer.i32(self.client.api_id);
        let client = &*self.client;
        for text in [
            &client.device_model,
            &client.system_version,
            &client.app_version,
            &client.system_lang_code,
            &client.lang_pack,
            &client.lang_code,
        ] {
            writer.bytes(&text.to_bytes());
        }
        Some(ConnectionInfo { layer: self.layer, data: writer.finish().ok()? })
    }

    pub(crate) fn from_stored(stored: &ConnectionInfo) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(Bytes::clone(&stored.data));
        let client = ClientInfo {
            api_id: reader.i32()?,
            device_model: reader.str()?,
            system_version: reader.str()?,
            app_version: reader.str()?,
            system_lang_code: reader.str()?,
            lang_pack: reader.str()?,
            lang_code: reader.str()?,
        };
        reader.finish()?;
        Ok(Self { layer: stored.layer, client: Arc::new(client) })
    }
}

//! The server's RSA identities, and auth keys as the server holds them.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    temporary: Option<Temporary>,
    connection: Mutex<Option<Connection>>,
    destroyed: AtomicBool,
}

/// What a temporary key has that a permanent one has not.
struct Temporary {
    /// Unix second at which its agreed life ends.
    expires: i64,
    /// Unix second at which it dies, which a binding may have made earlier.
    end: AtomicI64,
    is_media: bool,
    bond: Mutex<Option<Bond>>,
}

/// What a temporary key is bound to.
#[derive(Clone)]
struct Bond {
    permanent: Arc<KeyRecord>,
    /// `initConnection` has come since (PFS-13).
    initialised: bool,
}

/// In whose name the calls under a key are made.
pub(crate) enum Standing {
    /// In that of the key itself.
    Permanent,
    /// In nobody's: the key is temporary and not bound (PFS-04).
    Unbound,
    /// In that of the permanent key.
    Bound {
        permanent: Arc<KeyRecord>,
        /// `initConnection` has come since the binding (PFS-13).
        initialised: bool,
    },
}

/// What the client of a key said of itself (SVC-48).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) layer: i32,
    pub(crate) client: Arc<ClientInfo>,
}

impl KeyRecord {
    pub(crate) fn new(stored: StoredKey, connection: Option<Connection>) -> Self {
        let StoredKey { mut key, created, first_salt, expires, dc } = stored;
        key.forget_client_part();
        Self {
            key: Arc::new(key),
            first_salt: FirstSalt { value: first_salt, created: seconds(created) },
            temporary: expires.map(seconds).map(|expires| Temporary {
                expires,
                end: AtomicI64::new(expires),
                is_media: dc < 0,
                bond: Mutex::default(),
            }),
            connection: Mutex::new(connection),
            destroyed: AtomicBool::new(false),
        }
    }

    pub(crate) fn id(&self) -> AuthKeyId {
        self.key.id()
    }

    /// Whether messages under the key are still taken at this Unix second.
    pub(crate) fn is_alive(&self, unix: i64) -> bool {
        self.has_time(unix) && !self.is_destroyed()
    }

    /// Whether the time of a temporary key is not over at this Unix second.
    pub(crate) fn has_time(&self, unix: i64) -> bool {
        self.end().is_none_or(|end| unix < end)
    }

    /// When a temporary key dies, in Unix seconds.
    pub(crate) fn end(&self) -> Option<i64> {
        self.temporary.as_ref().map(|temporary| temporary.end.load(Ordering::Acquire))
    }

    /// When the agreed life of a temporary key ends, in Unix seconds.
    pub(crate) fn expires(&self) -> Option<i64> {
        self.temporary.as_ref().map(|temporary| temporary.expires)
    }

    /// Whether it is a temporary key for a media data centre (PFS-12).
    pub(crate) fn is_media(&self) -> bool {
        self.temporary.as_ref().is_some_and(|temporary| temporary.is_media)
    }

    pub(crate) fn is_destroyed(&self) -> bool {
        self.destroyed.load(Ordering::Acquire)
    }

    /// The key is no more.
    pub(crate) fn destroy(&self) {
        self.destroyed.store(true, Ordering::Release);
        self.unbind();
    }

    pub(crate) fn standing(&self) -> Standing {
        let Some(temporary) = &self.temporary else { return Standing::Permanent };
        match &*lock(&temporary.bond) {
            Some(Bond { permanent, initialised }) if !permanent.is_destroyed() => {
                Standing::Bound { permanent: Arc::clone(permanent), initialised: *initialised }
            }
            _ => Standing::Unbound,
        }
    }

    /// The permanent key that a temporary one is bound to.
    pub(crate) fn permanent(&self) -> Option<Arc<Self>> {
        match self.standing() {
            Standing::Bound { permanent, .. } => Some(permanent),
            Standing::Permanent | Standing::Unbound => None,
        }
    }

    /// Binds a temporary key, which dies at `end` from now on. Bound to the same key again, it
    /// stays initialised; otherwise it is as `initialised` says.
    pub(crate) fn bind(&self, permanent: &Arc<Self>, end: i64, initialised: bool) {
        let Some(temporary) = &self.temporary else { return };
        let mut bond = lock(&temporary.bond);
        let was = bond.as_ref().filter(|bond| bond.permanent.id() == permanent.id());
        let initialised = was.map_or(initialised, |bond| bond.initialised);
        *bond = Some(Bond { permanent: Arc::clone(permanent), initialised });
        temporary.end.store(end, Ordering::Release);
    }

    /// Unbinds a temporary key: what it may call is little (PFS-04).
    pub(crate) fn unbind(&self) {
        if let Some(temporary) = &self.temporary {
            *lock(&temporary.bond) = None;
        }
    }

    /// Notes that `initConnection` has come since the binding; whether that is news.
    pub(crate) fn set_initialised(&self) -> bool {
        let Some(temporary) = &self.temporary else { return false };
        let mut bond = lock(&temporary.bond);
        bond.as_mut().is_some_and(|bond| !std::mem::replace(&mut bond.initialised, true))
    }

    /// What is saved with the key.
    pub(crate) fn connection(&self) -> Option<Connection> {
        lock(&self.connection).clone()
    }

    /// Replaces it; whether that changed anything.
    pub(crate) fn set_connection(&self, new: Connection) -> bool {
        let mut saved = lock(&self.connection);
        if saved.as_ref() == Some(&new) {
            return false;
        }
        *saved = Some(new);
        true
    }
}

/// No step under these locks panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A time as the store has it; one beyond all clocks is as good as any.
pub(crate) fn seconds(unix: u64) -> i64 {
    i64::try_from(unix).unwrap_or(i64::MAX / 2)
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

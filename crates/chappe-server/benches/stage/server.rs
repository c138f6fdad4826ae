//! The server that benches measure: many keys, and one function.

use chappe_backend::{Backend, StoredKey};
use chappe_crypto::{AuthKey, Rng};
use chappe_net::Clock;
use chappe_proto::Now;
use chappe_server::{Builder, Router, RpcError, RsaIdentity, Server, ServerConfig};
use chappe_tl::{Decode, DecodeError, Encode, Function, Reader, Writer};

/// `double#10000001 number:long = long`, written by hand.
#[derive(Clone)]
pub(crate) struct Double {
    pub(crate) number: i64,
}

impl Encode for Double {
    fn encode(&self, w: &mut Writer) {
        w.u32(Self::ID);
        w.i64(self.number);
    }
}

impl Decode for Double {
    fn decode(r: &mut Reader) -> Result<Self, DecodeError> {
        r.expect_id(Self::ID, Self::NAME)?;
        Ok(Self { number: r.i64()? })
    }
}

impl Function for Double {
    const ID: u32 = 0x1000_0001;
    const NAME: &'static str = "double";
    type Return = i64;
}

async fn double(call: Double) -> Result<i64, RpcError> {
    Ok(call.number.wrapping_mul(2))
}

/// The first salt of every key.
pub(crate) const SALT: i64 = 7;

/// One of the keys.
pub(crate) fn key(index: usize) -> AuthKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(index as u64).to_le_bytes());
    AuthKey::new(Rng::from_seed(seed).bytes())
}

pub(crate) fn now() -> Now {
    Clock::system().now()
}

/// A server that knows so many keys.
pub(crate) async fn server(keys: usize, config: ServerConfig) -> Builder {
    let backend = Backend::memory();
    let created = now().unix.as_secs();
    for index in 0..keys {
        let key = key(index);
        let stored = StoredKey { key, created, first_salt: SALT, expires: None, dc: 2 };
        backend.store().insert_key(stored, created).await.expect("there is room");
    }
    Server::builder()
        .identity(RsaIdentity::generate(&mut Rng::from_seed([1; 32])))
        .backend(backend)
        .router(Router::new(()).function(double))
        .config(config)
}

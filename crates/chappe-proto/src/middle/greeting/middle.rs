//! The greeting as a middle server, which answers it.

use std::sync::Arc;

use chappe_crypto::Rng;

use super::{GreetingError, Handshake, Nonce, ProcessId, flags};
use crate::middle::frames::Checksum;
use crate::middle::keys::{Keys, Nonces, Path, ProxySecret};
use crate::now::Now;

/// Nothing has come as yet.
#[derive(Debug)]
pub struct AwaitNonce {
    secrets: Arc<[ProxySecret]>,
    path: Path,
    own: ProcessId,
    offer: Checksum,
}

/// The nonces are exchanged.
#[derive(Debug)]
pub struct AwaitHandshake {
    own: ProcessId,
    offer: Checksum,
}

/// A peer that means a secret of ours; its handshake will show whether it knows it.
#[derive(Debug)]
pub struct Greeted {
    /// To be sent in clear.
    pub nonce: Vec<u8>,
    /// The keys of the link, for everything after that.
    pub keys: Keys,
}

/// A peer that knows the secret.
#[derive(Debug)]
pub struct Agreed {
    /// To be sent, guarded as before.
    pub handshake: Vec<u8>,
    /// What guards everything that follows.
    pub checksum: Checksum,
}

impl AwaitNonce {
    /// Waits for a proxy. `own` is this process, `offer` the best checksum it knows; which secret of
    /// `secrets` is meant the proxy says.
    pub fn new(secrets: Arc<[ProxySecret]>, path: Path, own: ProcessId, offer: Checksum) -> Self {
        Self { secrets, path, own, offer }
    }

    /// The proxy's nonce in, ours out (MPX-03).
    ///
    /// # Errors
    ///
    /// The link is to be closed without a word.
    pub fn handle(
        self,
        now: Now,
        payload: &[u8],
        rng: &mut Rng,
    ) -> Result<(AwaitHandshake, Greeted), GreetingError> {
        let Self { secrets, path, own, offer } = self;
        let asked = Nonce::decode(now, payload)?;
        let secret = secrets.iter().find(|secret| secret.selector() == asked.selector);
        let secret = secret.ok_or(GreetingError::UnknownSecret(asked.selector))?;
        let time = now.unix_seconds() as u32;
        let answer = Nonce { selector: asked.selector, time, nonce: rng.bytes() };
        let nonces = Nonces { proxy: asked.nonce, middle: answer.nonce, proxy_time: asked.time };
        let keys = Keys::derive(secret, &path, &nonces);
        Ok((AwaitHandshake { own, offer }, Greeted { nonce: answer.encode(), keys }))
    }
}

impl AwaitHandshake {
    /// The proxy's handshake in, ours out (MPX-03, MPX-04). Unless `any_process`, the proxy has to
    /// mean this one.
    ///
    /// # Errors
    ///
    /// The link is to be closed once the code of the error was sent, if it has one.
    pub fn handle(self, payload: &[u8], any_process: bool) -> Result<Agreed, GreetingError> {
        let Self { own, offer } = self;
        let asked = Handshake::decode(payload)?;
        if !any_process && !own.matches(&asked.peer) {
            return Err(GreetingError::Process);
        }
        let offered = asked.checksum()?;
        let checksum = if offered == offer { offer } else { Checksum::Crc32 };
        let answer = Handshake { flags: flags(checksum), sender: own, peer: asked.sender };
        Ok(Agreed { handshake: answer.encode(), checksum })
    }
}

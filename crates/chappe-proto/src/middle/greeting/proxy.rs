//! The greeting as a proxy, which begins it.

use std::sync::Arc;

use chappe_crypto::Rng;

use super::{GreetingError, Handshake, Nonce, ProcessId, flags};
use crate::middle::frames::Checksum;
use crate::middle::keys::{Keys, Nonces, Path, ProxySecret};
use crate::now::Now;

/// The proxy has sent its nonce.
#[derive(Debug)]
pub struct AwaitNonce {
    secret: Arc<ProxySecret>,
    path: Path,
    own: ProcessId,
    offer: Checksum,
    sent: Nonce,
}

/// The proxy has sent its handshake.
#[derive(Debug)]
pub struct AwaitHandshake {
    own: ProcessId,
    offer: Checksum,
}

/// The middle server answered as one that knows the secret may.
#[derive(Debug)]
pub struct Greeted {
    /// The keys of the link, for everything after the nonces.
    pub keys: Keys,
    /// To be sent first of all under them.
    pub handshake: Vec<u8>,
}

impl AwaitNonce {
    /// Begins a greeting; what has to be sent. `own` is this process, `offer` the best checksum it
    /// knows.
    pub fn new(
        now: Now,
        secret: Arc<ProxySecret>,
        path: Path,
        own: ProcessId,
        offer: Checksum,
        rng: &mut Rng,
    ) -> (Self, Vec<u8>) {
        let time = now.unix_seconds() as u32;
        let sent = Nonce { selector: secret.selector(), time, nonce: rng.bytes() };
        let nonce = sent.encode();
        (Self { secret, path, own, offer, sent }, nonce)
    }

    /// The middle server's nonce in, the handshake out (MPX-02).
    ///
    /// # Errors
    ///
    /// The link is to be closed without a word.
    pub fn handle(
        self,
        now: Now,
        payload: &[u8],
    ) -> Result<(AwaitHandshake, Greeted), GreetingError> {
        let Self { secret, path, own, offer, sent } = self;
        let answer = Nonce::decode(now, payload)?;
        if answer.selector != secret.selector() {
            return Err(GreetingError::UnknownSecret(answer.selector));
        }
        let nonces = Nonces { proxy: sent.nonce, middle: answer.nonce, proxy_time: sent.time };
        let keys = Keys::derive(&secret, &path, &nonces);
        let peer = ProcessId::at(path.middle());
        let handshake = Handshake { flags: flags(offer), sender: own, peer }.encode();
        Ok((AwaitHandshake { own, offer }, Greeted { keys, handshake }))
    }
}

impl AwaitHandshake {
    /// The middle server's handshake in; the checksum of everything that follows out (MPX-02,
    /// MPX-04).
    ///
    /// # Errors
    ///
    /// The link is to be closed once the code of the error was sent, if it has one.
    pub fn handle(self, payload: &[u8]) -> Result<Checksum, GreetingError> {
        let answer = Handshake::decode(payload)?;
        if !self.own.matches(&answer.peer) {
            return Err(GreetingError::Process);
        }
        let chosen = answer.checksum()?;
        if chosen == Checksum::Crc32c && self.offer != chosen {
            return Err(GreetingError::Checksum);
        }
        Ok(chosen)
    }
}

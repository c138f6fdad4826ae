//! Whom a call is about.

use chappe_api::{ctors, types};

use crate::Service;
use crate::error::{Failure, bad};
use crate::store::Peer;

impl Service {
    /// Whom an `inputPeer` of `me` means: somebody whose hash is right, or a group that `me` is or
    /// was in.
    pub(crate) async fn peer(&self, me: i64, peer: &types::InputPeer) -> Result<Peer, Failure> {
        let user = match peer {
            types::InputPeer::InputPeerSelf => types::InputUser::InputUserSelf,
            types::InputPeer::InputPeerUser(ctors::InputPeerUser { user_id, access_hash }) => {
                let (user_id, access_hash) = (*user_id, *access_hash);
                types::InputUser::InputUser(ctors::InputUser { user_id, access_hash })
            }
            types::InputPeer::InputPeerChat(ctors::InputPeerChat { chat_id }) => {
                let member = self.store.member(*chat_id, me).await?;
                return match member {
                    Some(_) => Ok(Peer::Chat(*chat_id)),
                    None => Err(bad("PEER_ID_INVALID")),
                };
            }
            _ => return Err(bad("PEER_ID_INVALID")),
        };
        let account = self.meant(me, &user).await?.ok_or_else(|| bad("PEER_ID_INVALID"))?;
        Ok(Peer::Account(account.id))
    }
}

pub(crate) fn peer_of(peer: Peer) -> types::Peer {
    match peer {
        Peer::Account(user_id) => types::Peer::PeerUser(ctors::PeerUser { user_id }),
        Peer::Chat(chat_id) => types::Peer::PeerChat(ctors::PeerChat { chat_id }),
    }
}

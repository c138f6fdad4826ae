//! Whom a call is about.

use chappe_api::{ctors, types};

use crate::Service;
use crate::error::{Failure, bad};
use crate::store::Account;

impl Service {
    /// The account that an `inputPeer` of `me` means.
    pub(crate) async fn peer(&self, me: i64, peer: &types::InputPeer) -> Result<Account, Failure> {
        let user = match peer {
            types::InputPeer::InputPeerSelf => types::InputUser::InputUserSelf,
            types::InputPeer::InputPeerUser(ctors::InputPeerUser { user_id, access_hash }) => {
                let (user_id, access_hash) = (*user_id, *access_hash);
                types::InputUser::InputUser(ctors::InputUser { user_id, access_hash })
            }
            _ => return Err(bad("PEER_ID_INVALID")),
        };
        self.meant(me, &user).await?.ok_or_else(|| bad("PEER_ID_INVALID"))
    }
}

pub(crate) fn peer_of(account: i64) -> types::Peer {
    types::Peer::PeerUser(ctors::PeerUser { user_id: account })
}

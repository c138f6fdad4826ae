//! What an account changes of its own without moving its pts: drafts, pinned dialogs, unread marks,
//! blocks. It is pushed at once, and found by `updates.getDifference` by the date (UPD-08).

use std::collections::BTreeMap;

use chappe_api::types;
use chappe_server::{Caller, Mark, Pusher};

use crate::Service;
use crate::contacts::block_update;
use crate::error::Failure;
use crate::messages::{Named, draft_update, pins_update, unread_mark_update};
use crate::store::{Dialog, Draft, Peer, Quiet};

/// Changes of one answer. Of more, which no person makes by hand, the latest are told.
const CHANGES_MAX: i64 = 1000;

impl Service {
    /// Tells the other sessions of `me` something that moves no pts. One that asks for the
    /// difference meanwhile hears of it after the answer, which may tell how it was before: no
    /// answer tells the place that it is pushed under, so it always follows.
    pub(crate) async fn push_quiet(
        &self,
        (me, caller): (i64, &Caller),
        pusher: &Pusher,
        update: types::Update,
        named: Named,
    ) -> Result<(), Failure> {
        let updates = self.updates(me, vec![update], named, caller.now.unix_seconds()).await?;
        let Ok(body) = chappe_tl::to_bytes(&updates) else { return Ok(()) };
        let own = (caller.auth_key_id, caller.session_id);
        let keys = self.store.keys_of(me).await?;
        let mark = Mark { line: me, at: i32::MAX };
        pusher.to_keys_in_line(keys, |session| session != own, mark, body).await;
        Ok(())
    }

    /// What changed since a second or in it, as it is now; in the order in which it changed.
    pub(super) async fn quiet_updates(
        &self,
        me: i64,
        since: i64,
        named: &mut Named,
    ) -> Result<Vec<types::Update>, Failure> {
        let changes = self.store.quiet_since(me, since, CHANGES_MAX).await?;
        let now = self.as_it_is(me, &changes).await?;
        let mut updates = Vec::with_capacity(changes.len());
        for (quiet, changed) in changes {
            updates.push(match quiet {
                Quiet::Draft(peer) => {
                    named.peer(peer);
                    draft_update(peer, now.drafts.get(&peer), changed)
                }
                Quiet::Pins => {
                    now.pinned.iter().for_each(|peer| named.peer(*peer));
                    pins_update(&now.pinned)
                }
                Quiet::UnreadMark(peer) => {
                    named.peer(peer);
                    let dialog = now.dialogs.get(&peer);
                    unread_mark_update(peer, dialog.is_some_and(|dialog| dialog.unread_mark))
                }
                Quiet::Block(account) => {
                    named.account(account);
                    block_update(account, now.blocked.contains(&account))
                }
            });
        }
        Ok(updates)
    }

    /// Reads at once what changes are about.
    async fn as_it_is(&self, me: i64, changes: &[(Quiet, i64)]) -> Result<AsItIs, Failure> {
        let (mut drafts, mut marks, mut blocks) = (Vec::new(), Vec::new(), Vec::new());
        let mut has_pins = false;
        for (quiet, _) in changes {
            match quiet {
                Quiet::Draft(peer) => drafts.push(*peer),
                Quiet::Pins => has_pins = true,
                Quiet::UnreadMark(peer) => marks.push(*peer),
                Quiet::Block(account) => blocks.push(*account),
            }
        }
        let pinned = match has_pins {
            true => self.store.pinned_dialogs(me).await?,
            false => Vec::new(),
        };
        Ok(AsItIs {
            drafts: self.store.drafts_to(me, &drafts).await?,
            pinned: pinned.into_iter().map(|dialog| dialog.peer).collect(),
            dialogs: self.store.dialogs_with(me, &marks).await?,
            blocked: self.store.blocked_of(me, &blocks).await?,
        })
    }
}

/// How it is now, whatever it was when it changed.
struct AsItIs {
    drafts: BTreeMap<Peer, Draft>,
    /// In their order.
    pinned: Vec<Peer>,
    dialogs: BTreeMap<Peer, Dialog>,
    blocked: Vec<i64>,
}

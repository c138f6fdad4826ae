//! The people whom somebody knows: `contacts.getContacts` and what changes them.

use std::collections::BTreeMap;

use chappe_api::functions::contacts::{AddContact, DeleteContacts, GetContacts, ImportContacts};
use chappe_api::{ctors, types};
use chappe_crypto::sha256;
use chappe_server::{Caller, Pusher, State};

use crate::Service;
use crate::auth::NAME_MAX;
use crate::error::{Failure, bad, text};
use crate::messages::Named;
use crate::phone::Phone;
use crate::store::Contact;

/// People of one call.
const PEOPLE_MAX: usize = 1000;

pub(crate) async fn get_contacts(
    State(service): State<Service>,
    caller: Caller,
    call: GetContacts,
) -> Result<types::contacts::Contacts, Failure> {
    let me = service.me(&caller).await?;
    let known = service.store.contacts(me).await?;
    if call.hash != 0 && call.hash == hash_of(&known) {
        return Ok(types::contacts::Contacts::ContactsNotModified);
    }
    let mut named = Named::default();
    let mut contacts = Vec::with_capacity(known.len());
    for Contact { account, is_mutual: mutual } in &known {
        named.account(*account);
        contacts.push(types::Contact { user_id: *account, mutual: *mutual });
    }
    let saved_count = i32::try_from(known.len()).unwrap_or(i32::MAX);
    let users = service.users(&caller, me, named).await?;
    let list = ctors::contacts::Contacts { contacts, saved_count, users };
    Ok(types::contacts::Contacts::Contacts(list))
}

/// Those of an address book that are here.
pub(crate) async fn import_contacts(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: ImportContacts,
) -> Result<types::contacts::ImportedContacts, Failure> {
    let me = service.me(&caller).await?;
    if call.contacts.len() > PEOPLE_MAX {
        return Err(bad("LIMIT_INVALID"));
    }
    service.count_lookups(&caller, me, call.contacts.len())?;
    let mut asked = Vec::with_capacity(call.contacts.len());
    for contact in &call.contacts {
        let Ok(phone) = Phone::parse(text(&contact.phone)?) else { continue };
        let name = (text(&contact.first_name)?.trim(), text(&contact.last_name)?.trim());
        if is_name(name) {
            asked.push((phone.digits().to_owned(), name, contact.client_id));
        }
    }
    let phones: Vec<&str> = asked.iter().map(|(phone, ..)| &**phone).collect();
    let found = service.store.accounts_of_phones(&phones).await?;
    let (mut named, mut kept, mut imported) = (Named::default(), BTreeMap::new(), Vec::new());
    for (phone, name, client_id) in &asked {
        let Some(user_id) = found.get(phone).copied().filter(|found| *found != me) else {
            continue;
        };
        kept.insert(user_id, *name);
        named.account(user_id);
        imported.push(types::ImportedContact { user_id, client_id: *client_id });
    }
    service.store.keep_contacts(me, &kept).await?;
    let changed = imported.iter().map(|imported| imported.user_id).collect();
    service.changed((me, &caller), &pusher, changed).await?;
    let users = service.users(&caller, me, named).await?;
    let (popular_invites, retry_contacts) = (Vec::new(), Vec::new());
    Ok(types::contacts::ImportedContacts { imported, popular_invites, retry_contacts, users })
}

pub(crate) async fn add_contact(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: AddContact,
) -> Result<types::Updates, Failure> {
    let me = service.me(&caller).await?;
    let found = service.meant(me, &call.id).await?.filter(|found| found.id != me);
    let found = found.ok_or_else(|| bad("CONTACT_ID_INVALID"))?;
    let name = (text(&call.first_name)?.trim(), text(&call.last_name)?.trim());
    if !is_name(name) {
        return Err(bad("CONTACT_NAME_EMPTY"));
    }
    service.store.keep_contacts(me, &[(found.id, name)].into()).await?;
    service.changed((me, &caller), &pusher, vec![found.id]).await
}

pub(crate) async fn delete_contacts(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: DeleteContacts,
) -> Result<types::Updates, Failure> {
    let me = service.me(&caller).await?;
    if call.id.len() > PEOPLE_MAX {
        return Err(bad("LIMIT_INVALID"));
    }
    let mut forgotten = Vec::new();
    for user in &call.id {
        if let Some(found) = service.meant(me, user).await? {
            service.store.forget_contact(me, found.id).await?;
            forgotten.push(found.id);
        }
    }
    service.changed((me, &caller), &pusher, forgotten).await
}

impl Service {
    /// Tells the other devices of `me` of people whom it knows by another name now; its own is told
    /// by the answer.
    async fn changed(
        &self,
        (me, caller): (i64, &Caller),
        pusher: &Pusher,
        accounts: Vec<i64>,
    ) -> Result<types::Updates, Failure> {
        let is_any = !accounts.is_empty();
        let mut named = Named::default();
        let mut updates = Vec::with_capacity(accounts.len());
        for user_id in accounts {
            named.account(user_id);
            updates.push(types::Update::UpdateUser(ctors::UpdateUser { user_id }));
        }
        let updates = self.updates(me, updates, named, caller.now.unix_seconds()).await?;
        if is_any {
            let own = Some((caller.auth_key_id, caller.session_id));
            self.push(pusher, me, &updates, own).await?;
        }
        Ok(updates)
    }
}

/// By which clients say what they have: the same for the same people, and never 0.
fn hash_of(known: &[Contact]) -> i64 {
    let mut ids = Vec::with_capacity(known.len() * 9);
    for Contact { account, is_mutual } in known {
        ids.extend_from_slice(&account.to_le_bytes());
        ids.push(u8::from(*is_mutual));
    }
    let hash = sha256(&[&ids]);
    hash.first_chunk().map_or(1, |bytes| i64::from_le_bytes(*bytes) | 1)
}

fn is_name((first_name, last_name): (&str, &str)) -> bool {
    let fits = |name: &str| name.chars().count() <= NAME_MAX;
    !(first_name.is_empty() && last_name.is_empty()) && fits(first_name) && fits(last_name)
}

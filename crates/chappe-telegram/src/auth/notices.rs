//! What the devices of an account are told when somebody signs in to it, or wants to.

use chappe_api::{ctors, types};
use chappe_server::{Caller, Pusher};

use crate::Service;
use crate::error::Failure;
use crate::messages::Named;
use crate::phone::Phone;
use crate::store::{Account, Content};

impl Service {
    /// Tells a person's devices the code by which another is about to sign in.
    pub(super) async fn tell_code(
        &self,
        caller: &Caller,
        pusher: &Pusher,
        account: i64,
        code: &str,
    ) -> Result<(), Failure> {
        let text = format!(
            "Login code: {code}. Tell it to nobody, whoever asks. If you are not signing in \
             anywhere, do nothing: nobody can sign in without it."
        );
        self.tell_devices(caller, pusher, account, text).await
    }

    /// Tells a person's other devices that this one has signed in. The code of a test account is
    /// known to everybody, and nobody has to be warned.
    pub(crate) async fn tell_of_sign_in(
        &self,
        caller: &Caller,
        pusher: &Pusher,
        account: &Account,
    ) -> Result<(), Failure> {
        let phone = account.phone.as_deref().map(Phone::parse).and_then(Result::ok);
        let Some(phone) = phone.filter(|phone| !self.is_test(phone)) else { return Ok(()) };
        let sessions = self.store.sessions_of(account.id).await?;
        let is_own = |key| key == caller.auth_key_id;
        let Some(new) = sessions.iter().find(|session| is_own(session.key)) else { return Ok(()) };
        if sessions.len() < 2 {
            return Ok(());
        }
        let now = caller.now.unix_seconds();
        let device = format!("{}, {}", new.device_model, new.app_version);
        let date = i32::try_from(now).unwrap_or(i32::MAX);
        let place = new.ip.as_str().into();
        let update = types::Update::UpdateNewAuthorization(ctors::UpdateNewAuthorization {
            hash: new.hash,
            date_and_device_and_location: Some((date, device.as_str().into(), place)),
        });
        let updates = self.updates(account.id, vec![update], Named::default(), now).await?;
        let but = Some((caller.auth_key_id, caller.session_id));
        self.push(pusher, account.id, &updates, but).await?;
        let text = format!(
            "{}, your account {} was signed in to with a new device: {device}, from {}. If that \
             was not you, end it in the list of your devices.",
            account.first_name,
            phone.digits(),
            new.ip,
        );
        self.tell_devices(caller, pusher, account.id, text).await
    }

    async fn tell_devices(
        &self,
        caller: &Caller,
        pusher: &Pusher,
        account: i64,
        text: String,
    ) -> Result<(), Failure> {
        let content = Content { text, ..Content::default() };
        let turn = self.lines.turn_of(self.lines.gate().await, &[account].into()).await;
        let mut change = self.store.change_apart().await?;
        self.store.notify(&mut change, account, content, caller.now.unix_seconds()).await?;
        self.announce(turn, change, pusher, (account, caller)).await
    }
}

//! What the devices of an account are told when somebody signs in to it, or wants to.

use chappe_api::{ctors, types};
use chappe_server::{Caller, Pusher};
use tracing::warn;

use crate::Service;
use crate::error::Failure;
use crate::messages::Named;
use crate::phone::Phone;
use crate::store::{Account, Content};

impl Service {
    /// Tells a person's devices the code by which another is about to sign in. The answer to whoever
    /// wanted it does not wait, nor is the code sent again where this is undone.
    pub(super) fn tell_code(&self, caller: &Caller, pusher: &Pusher, account: i64, code: &str) {
        let text = format!(
            "Login code: {code}. Tell it to nobody, whoever asks. If you are not signing in \
             anywhere, do nothing: nobody can sign in without it."
        );
        let (service, caller, pusher) = (self.clone(), caller.clone(), pusher.clone());
        tokio::spawn(async move { service.tell_devices(&caller, &pusher, account, &text).await });
    }

    /// Tells a person's other devices that this one has signed in, beside the answer to it: it has,
    /// whatever befalls the news. The code of a test account is known to everybody, and nobody has
    /// to be warned.
    pub(crate) fn tell_of_sign_in(&self, caller: &Caller, pusher: &Pusher, account: &Account) {
        let phone = account.phone.as_deref().map(Phone::parse).and_then(Result::ok);
        let Some(phone) = phone.filter(|phone| !self.is_test(phone)) else { return };
        let (service, caller, pusher) = (self.clone(), caller.clone(), pusher.clone());
        let account = account.clone();
        tokio::spawn(async move {
            if let Err(failure) = service.warn_of(&caller, &pusher, &account, &phone).await {
                warn!(?failure, account = account.id, "nobody could be told of a sign-in");
            }
        });
    }

    async fn warn_of(
        &self,
        caller: &Caller,
        pusher: &Pusher,
        account: &Account,
        phone: &Phone,
    ) -> Result<(), Failure> {
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
        self.tell_devices(caller, pusher, account.id, &text).await;
        Ok(())
    }

    async fn tell_devices(&self, caller: &Caller, pusher: &Pusher, account: i64, text: &str) {
        let told = self.until_done(|| async {
            let content = Content { text: text.to_owned(), ..Content::default() };
            let turn = self.lines.turn().await;
            let mut change = self.store.change().await?;
            self.store.notify(&mut change, account, content, caller.now.unix_seconds()).await?;
            self.announce(turn, change, pusher, (account, caller)).await
        });
        if let Err(failure) = told.await {
            warn!(?failure, account, "a message of the service could not be written");
        }
    }
}

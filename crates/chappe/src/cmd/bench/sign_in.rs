//! One user comes in: a connection, a key, a code, an account.

use anyhow::{Context, Result, bail};
use chappe_api::functions::auth::{SendCode, SignIn, SignUp};
use chappe_api::types;
use chappe_client::{RawClient, Target};
use chappe_crypto::rsa::PublicKey;
use chappe_proto::schema::functions::{InitConnection, InvokeWithLayer};
use chappe_tl::{Bytes, Raw};

/// Where all users go.
pub(super) struct Door {
    pub(super) target: Target,
    pub(super) key: PublicKey,
    pub(super) dc: i32,
    pub(super) pfs: bool,
}

impl Door {
    /// The test number of a user.
    pub(super) fn phone(&self, user: usize) -> String {
        format!("99966{}{user:04}", self.dc)
    }

    /// Connects a device and signs it in; the account is made if it does not exist.
    pub(super) async fn enter(&self, user: usize) -> Result<RawClient> {
        let client = RawClient::builder("", [self.key.clone()])
            .target(self.target.clone())
            .dc(self.dc)
            .pfs(self.pfs)
            .init(introduced)
            .connect()
            .await?;
        let phone = self.phone(user);
        let (api_id, api_hash) = (1, "any".into());
        let settings = chappe_tl::blank();
        let ask = SendCode { phone_number: phone.as_str().into(), api_id, api_hash, settings };
        let types::auth::SentCode::SentCode(sent) =
            client.invoke(&ask).await.context("auth.sendCode")?
        else {
            bail!("auth.sendCode: no code was sent");
        };
        let enter = SignIn {
            phone_number: phone.as_str().into(),
            phone_code_hash: sent.phone_code_hash.clone(),
            phone_code: Some(self.dc.to_string().repeat(CODE_LEN).as_str().into()),
            email_verification: None,
        };
        let entered = client.invoke(&enter).await.context("auth.signIn")?;
        if let types::auth::Authorization::AuthorizationSignUpRequired(_) = entered {
            let register = SignUp {
                phone_number: phone.as_str().into(),
                phone_code_hash: sent.phone_code_hash.clone(),
                first_name: "Bench".into(),
                last_name: format!("{user}").as_str().into(),
                ..chappe_tl::blank()
            };
            client.invoke(&register).await.context("auth.signUp")?;
        }
        Ok(client)
    }
}

/// A call that says who calls, as the first one of a client does.
fn introduced(call: Bytes) -> Bytes {
    let init = InitConnection {
        api_id: 1,
        device_model: "chappe bench".into(),
        system_version: std::env::consts::OS.into(),
        app_version: env!("CARGO_PKG_VERSION").into(),
        system_lang_code: "en".into(),
        lang_pack: "".into(),
        lang_code: "en".into(),
        proxy: None,
        params: None,
        query: Raw(call),
    };
    let call = InvokeWithLayer { layer: chappe_api::LAYER, query: init };
    chappe_tl::to_bytes(&call).expect("a call of ours is far from too long")
}

/// Digits of a test account's code: the number of the data centre, so many times.
const CODE_LEN: usize = 5;

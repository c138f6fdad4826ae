//! Signing in by a QR code, which grammers has the calls for and nothing else.

use base64::prelude::{Engine, BASE64_URL_SAFE_NO_PAD};
use grammers_client::session::updates::UpdatesLike;
use grammers_client::tl::{enums, functions};
use person::Failure;

use crate::{hash, Grammers, API_ID};

const LINK: &str = "tg://login?token=";

impl Grammers {
    pub async fn ask_qr(&mut self) -> Result<String, Failure> {
        self.open().await?;
        match self.ask_token().await? {
            enums::auth::LoginToken::Token(token) => {
                Ok(format!("{LINK}{}", BASE64_URL_SAFE_NO_PAD.encode(token.token)))
            }
            _ => Err("signed in without a token".into()),
        }
    }

    pub async fn await_qr(&mut self) -> Result<(), Failure> {
        let updates =
            self.line.as_mut().and_then(|line| line.updates.as_mut()).ok_or("not connected")?;
        while !is_accepted(&updates.recv().await.ok_or("the line has ended")?) {}
        let enums::auth::LoginToken::Success(done) = self.ask_token().await? else {
            return Err("the token was not accepted".into());
        };
        match done.authorization {
            enums::auth::Authorization::Authorization(authorization) => {
                self.signed_in(authorization.user).await
            }
            enums::auth::Authorization::SignUpRequired(_) => {
                Err("nobody is behind the token".into())
            }
        }
    }

    pub async fn accept_qr(&self, link: &str) -> Result<(), Failure> {
        let token = BASE64_URL_SAFE_NO_PAD
            .decode(link.strip_prefix(LINK).ok_or("another kind of link")?)?;
        self.client()?.invoke(&functions::auth::AcceptLoginToken { token }).await?;
        Ok(())
    }

    async fn ask_token(&self) -> Result<enums::auth::LoginToken, Failure> {
        let ask = functions::auth::ExportLoginToken {
            api_id: API_ID,
            api_hash: hash(),
            except_ids: Vec::new(),
        };
        Ok(self.client()?.invoke(&ask).await?)
    }
}

fn is_accepted(said: &UpdatesLike) -> bool {
    match said {
        UpdatesLike::Updates(enums::Updates::UpdateShort(short)) => {
            matches!(short.update, enums::Update::LoginToken)
        }
        _ => false,
    }
}

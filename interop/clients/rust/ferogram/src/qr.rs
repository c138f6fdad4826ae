//! Signing in by a QR code.

use std::time::Duration;

use base64::prelude::{Engine, BASE64_URL_SAFE_NO_PAD};
use ferogram::tl::functions;
use person::Failure;
use tokio::time::sleep;

use crate::Ferogram;

const LINK: &str = "tg://login?token=";

impl Ferogram {
    pub async fn ask_qr(&mut self) -> Result<String, Failure> {
        self.open().await?;
        let (token, _) = self.client()?.export_login_token().await?;
        Ok(format!("{LINK}{}", BASE64_URL_SAFE_NO_PAD.encode(token)))
    }

    pub async fn await_qr(&mut self) -> Result<(), Failure> {
        while !self.seen.lock().is_accepted {
            sleep(Duration::from_millis(50)).await;
        }
        // There is none any more for who is signed in.
        let (token, _) = self.client()?.export_login_token().await?;
        if token.is_empty() {
            Ok(())
        } else {
            Err("the token was not accepted".into())
        }
    }

    pub async fn accept_qr(&self, link: &str) -> Result<(), Failure> {
        let token = BASE64_URL_SAFE_NO_PAD
            .decode(link.strip_prefix(LINK).ok_or("another kind of link")?)?;
        self.client()?.invoke(&functions::auth::AcceptLoginToken { token }).await?;
        Ok(())
    }
}

//! `auth.sendCode` and what may follow while a person waits.

use std::fmt::Write;

use chappe_api::functions::auth::{CancelCode, ReportMissingCode, ResendCode, SendCode};
use chappe_api::{ctors, types};
use chappe_proto::rpc::RpcError;
use chappe_server::{Caller, Pusher, State};
use chappe_tl::Str;
use tracing::warn;

use crate::Service;
use crate::config::TestNumbers;
use crate::error::{Failure, bad, text};
use crate::phone::Phone;
use crate::store::LoginCode;

/// Digits of a code (ACC-03).
pub(super) const CODE_LEN: usize = 5;
/// Codes of a test number that are kept: there are 10,000 such numbers, and nobody pays for a code.
const TEST_CODES_MAX: i64 = 20;
/// Seconds after which a client offers to send another.
const NEXT_CODE_WAIT: i32 = 60;

pub(crate) async fn send_code(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: SendCode,
) -> Result<types::auth::SentCode, Failure> {
    service.check_api_id(call.api_id)?;
    let phone = Phone::parse(text(&call.phone_number)?)?;
    let is_test = service.is_test(&phone);
    if is_test {
        service.count_test_code(&caller, &phone)?;
    } else {
        service.count_code(&caller, &phone)?;
    }
    let now = caller.now.unix_seconds();
    let code = LoginCode {
        hash: service.fresh_name(),
        phone: phone.digits().to_owned(),
        code: service.code_for(&phone),
        expires: now + i64::from(service.config.code_life),
    };
    let before = service.store.keep_code(&code, now, is_test.then_some(TEST_CODES_MAX)).await?;
    if !is_test && before >= i64::from(service.config.codes_max) {
        service.store.use_code(&code.phone, &code.hash).await?;
        return Err(bad("PHONE_NUMBER_FLOOD"));
    }
    if !is_test {
        service.deliver(&code).await?;
    }
    let account = service.store.account_of_phone(phone.digits()).await?;
    let has_session = match &account {
        Some(account) => service.store.has_session(account.id).await?,
        None => false,
    };
    if let Some(account) = account.filter(|_| has_session && !is_test) {
        service.tell_code(&caller, &pusher, account.id, &code.code);
    }
    Ok(sent(&code, has_session))
}

pub(crate) async fn resend_code(
    State(service): State<Service>,
    caller: Caller,
    call: ResendCode,
) -> Result<types::auth::SentCode, Failure> {
    let phone = Phone::parse(text(&call.phone_number)?)?;
    let hash = code_hash(&call.phone_code_hash)?;
    let kept = service.store.code(phone.digits(), hash, caller.now.unix_seconds()).await?;
    let code = kept.ok_or_else(|| bad("PHONE_CODE_EXPIRED"))?;
    if !service.is_test(&phone) {
        service.count_code(&caller, &phone)?;
        service.deliver(&code).await?;
    }
    Ok(sent(&code, false))
}

pub(crate) async fn cancel_code(
    State(service): State<Service>,
    call: CancelCode,
) -> Result<bool, Failure> {
    let phone = Phone::parse(text(&call.phone_number)?)?;
    let hash = code_hash(&call.phone_code_hash)?;
    if service.store.use_code(phone.digits(), hash).await? {
        Ok(true)
    } else {
        Err(bad("PHONE_CODE_EXPIRED"))
    }
}

/// Somebody waits for a code in vain, and the operator is to know.
pub(crate) async fn report_missing_code(
    State(service): State<Service>,
    caller: Caller,
    call: ReportMissingCode,
) -> Result<bool, Failure> {
    let phone = Phone::parse(text(&call.phone_number)?)?;
    let hash = code_hash(&call.phone_code_hash)?;
    let kept = service.store.code(phone.digits(), hash, caller.now.unix_seconds()).await?;
    kept.ok_or_else(|| bad("PHONE_CODE_EXPIRED"))?;
    warn!(phone = phone.digits(), "a login code has not reached whoever waits for it");
    Ok(true)
}

pub(super) fn code_hash(hash: &Str) -> Result<&str, Failure> {
    if hash.is_empty() { Err(bad("PHONE_CODE_HASH_EMPTY")) } else { text(hash) }
}

fn sent(code: &LoginCode, has_session: bool) -> types::auth::SentCode {
    let length = CODE_LEN as i32;
    let r#type = if has_session {
        types::auth::SentCodeType::SentCodeTypeApp(ctors::auth::SentCodeTypeApp { length })
    } else {
        types::auth::SentCodeType::SentCodeTypeSms(ctors::auth::SentCodeTypeSms { length })
    };
    types::auth::SentCode::SentCode(Box::new(ctors::auth::SentCode {
        r#type,
        phone_code_hash: code.hash.as_str().into(),
        next_type: None,
        timeout: Some(NEXT_CODE_WAIT),
    }))
}

impl Service {
    /// Whether everybody knows the code of this number (ACC-01, ACC-02).
    pub(crate) fn is_test(&self, phone: &Phone) -> bool {
        match (self.config.test_numbers, phone.test_dc()) {
            (TestNumbers::Off, _) | (_, None) => false,
            (TestNumbers::Own, Some(dc)) => i32::from(dc) == self.config.dc,
            (TestNumbers::Any, Some(_)) => true,
        }
    }

    fn code_for(&self, phone: &Phone) -> String {
        match phone.test_dc().filter(|_| self.is_test(phone)) {
            Some(dc) => dc.to_string().repeat(CODE_LEN),
            None => {
                let mut code = String::new();
                let number = self.rng().below(10_u32.pow(CODE_LEN as u32));
                // Writing to a string does not fail.
                let _ = write!(code, "{number:0CODE_LEN$}");
                code
            }
        }
    }

    async fn deliver(&self, code: &LoginCode) -> Result<(), Failure> {
        self.config.code_sender.send(&code.phone, &code.code).await.map_err(|error| {
            warn!(%error, "a login code could not be sent");
            Failure::Rpc(RpcError::new(406, "SEND_CODE_UNAVAILABLE"))
        })
    }
}

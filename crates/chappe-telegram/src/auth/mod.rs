//! Signing in and out (20-telegram-api-service §2.1, §6).

mod bot;
mod code;
mod export;
mod log_out;
mod notices;
mod sign_in;
mod token;

pub(crate) use bot::import_bot_authorization;
pub(crate) use code::{cancel_code, report_missing_code, resend_code, send_code};
pub(crate) use export::{Exports, export_authorization, import_authorization};
pub(crate) use log_out::log_out;
pub(crate) use sign_in::{NAME_MAX, sign_in, sign_up};
pub(crate) use token::{LoginTokens, accept_login_token, export_login_token, import_login_token};

//! Bots: what they say of themselves, their keyboards, and what people ask of them
//! (20-telegram-api-service §2.1).
//!
//! What is asked of a bot lives in memory and only while somebody waits for the answer.

mod boundary;
mod callback;
mod commands;
mod info;
mod inline;
mod inline_message;
mod markup;
mod menu;
mod queries;
mod results;
mod start;

pub(crate) use boundary::{is_for_bots, is_for_people};
pub(crate) use callback::{CallbackAnswer, get_callback_answer, set_callback_answer};
pub(crate) use commands::{get_commands, reset_commands, set_commands};
pub(crate) use info::{get_info, set_info};
pub(crate) use inline::{InlineQueries, get_inline_results, set_inline_results};
pub(crate) use inline_message::{edit_inline_message, send_inline_result};
pub(crate) use markup::shown_markup;
pub(crate) use menu::{get_menu_button, set_menu_button};
pub(crate) use queries::Queries;
pub(crate) use results::Results;
pub(crate) use start::start_bot;

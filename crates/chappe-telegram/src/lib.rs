//! The Telegram API as handlers for `chappe-server`.
//!
//! One folder for each namespace of the schema, one file for each task; `store` keeps everything in
//! SQL. People sign in by phone number, sign up and out; to every function that has no handler
//! yet the service says 400 `METHOD_INVALID`, and 401 `AUTH_KEY_UNREGISTERED` to strangers, unless
//! Telegram would answer a stranger.

mod account;
mod admin;
mod auth;
mod bots;
mod chats;
mod codes;
mod config;
mod contacts;
mod error;
mod files;
mod floods;
mod help;
mod langpack;
pub mod layers;
mod media;
mod messages;
mod nothing;
mod password;
mod phone;
mod photos;
mod repeat;
mod service;
mod store;
mod updates;
mod users;

use chappe_api::functions::help::{GetConfig, GetNearestDc};
use chappe_backend::{Backend, Database, StoreError};
use chappe_crypto::Rng;
use chappe_proto::rpc::RpcError;
use chappe_server::{Request, Router};
use chappe_tl::FunctionInfo;
use futures_util::future::{BoxFuture, FutureExt};

pub use admin::{Admin, AdminError, User};
pub use codes::{CodeError, CodeLog, CodeSender};
pub use config::{Config, SignUp, TestNumbers};
pub use files::{Blobs, BlobsError};
use layers::{Layers, Lowering};
pub use service::Service;

/// The whole API as one router, over tables in the database of `backend`, which are made where
/// they are absent. `rng` is for codes and secrets.
///
/// # Errors
///
/// [`StoreError::Unusable`] where `backend` has no database, else what befell it.
pub async fn router(
    config: Config,
    backend: &Backend,
    rng: Rng,
) -> Result<Router<Service>, StoreError> {
    let service = Service::open(config, database(backend)?, rng).await?;
    let known = service.clone();
    Ok(nothing::answer(Router::new(service))
        .function(account::check_username)
        .function(account::get_authorizations)
        .function(account::reset_authorization)
        .function(account::reset_authorizations)
        .function(account::update_profile)
        .function(account::update_status)
        .function(account::update_username)
        .function(auth::accept_login_token)
        .function(auth::cancel_code)
        .function(auth::export_authorization)
        .function(auth::export_login_token)
        .function(auth::import_authorization)
        .function(auth::import_bot_authorization)
        .function(auth::import_login_token)
        .function(auth::log_out)
        .function(auth::report_missing_code)
        .function(auth::resend_code)
        .function(auth::send_code)
        .function(auth::sign_in)
        .function(auth::sign_up)
        .function(bots::edit_inline_message)
        .function(bots::get_callback_answer)
        .function(bots::get_commands)
        .function(bots::get_info)
        .function(bots::get_inline_results)
        .function(bots::get_menu_button)
        .function(bots::reset_commands)
        .function(bots::send_inline_result)
        .function(bots::set_callback_answer)
        .function(bots::set_commands)
        .function(bots::set_info)
        .function(bots::set_inline_results)
        .function(bots::set_menu_button)
        .function(bots::start_bot)
        .function(chats::add_chat_user)
        .function(chats::check_chat_invite)
        .function(chats::create_chat)
        .function(chats::delete_chat)
        .function(chats::delete_chat_user)
        .function(chats::delete_exported_chat_invite)
        .function(chats::edit_chat_about)
        .function(chats::edit_chat_admin)
        .function(chats::edit_chat_default_banned_rights)
        .function(chats::edit_chat_photo)
        .function(chats::edit_chat_title)
        .function(chats::edit_exported_chat_invite)
        .function(chats::export_chat_invite)
        .function(chats::get_chat_invite_importers)
        .function(chats::get_chats)
        .function(chats::get_common_chats)
        .function(chats::get_exported_chat_invite)
        .function(chats::get_exported_chat_invites)
        .function(chats::get_full_chat)
        .function(chats::import_chat_invite)
        .function(contacts::add_contact)
        .function(contacts::block)
        .function(contacts::delete_contacts)
        .function(contacts::get_blocked)
        .function(contacts::get_contacts)
        .function(contacts::get_statuses)
        .function(contacts::import_contacts)
        .function(contacts::resolve_phone)
        .function(contacts::resolve_username)
        .function(contacts::search)
        .function(contacts::unblock)
        .function(help::get_config)
        .function(help::get_countries_list)
        .function(help::get_nearest_dc)
        .function(help::get_app_config)
        .function(help::get_support)
        .function(langpack::get_lang_pack)
        .function(langpack::get_difference)
        .function(langpack::get_strings)
        .function(langpack::get_languages)
        .function(langpack::get_language)
        .function(messages::clear_all_drafts)
        .function(messages::delete_history)
        .function(messages::delete_messages)
        .function(messages::edit_message)
        .function(messages::forward_messages)
        .function(messages::get_all_drafts)
        .function(messages::get_dialog_unread_marks)
        .function(messages::get_dialogs)
        .function(messages::get_history)
        .function(messages::get_message_read_participants)
        .function(messages::get_messages)
        .function(messages::get_messages_views)
        .function(messages::get_onlines)
        .function(messages::get_outbox_read_date)
        .function(messages::get_peer_dialogs)
        .function(messages::get_peer_settings)
        .function(messages::get_pinned_dialogs)
        .function(messages::get_search_counters)
        .function(messages::get_unread_mentions)
        .function(messages::get_unread_reactions)
        .function(messages::get_web_page)
        .function(messages::get_web_page_preview)
        .function(messages::hide_peer_settings_bar)
        .function(messages::mark_dialog_unread)
        .function(messages::read_history)
        .function(messages::read_mentions)
        .function(messages::read_message_contents)
        .function(messages::read_reactions)
        .function(messages::received_messages)
        .function(messages::reorder_pinned_dialogs)
        .function(messages::save_draft)
        .function(messages::search)
        .function(messages::search_global)
        .function(messages::send_media)
        .function(messages::send_message)
        .function(messages::send_multi_media)
        .function(messages::set_typing)
        .function(messages::toggle_dialog_pin)
        .function(messages::unpin_all_messages)
        .function(messages::update_pinned_message)
        .function(messages::upload_media)
        .function(nothing::get_sticker_set)
        .function(password::check_password)
        .function(password::check_recovery_password)
        .function(password::confirm_password_email)
        .function(password::get_password)
        .function(password::get_password_settings)
        .function(password::get_tmp_password)
        .function(password::recover_password)
        .function(password::request_password_recovery)
        .function(password::update_password_settings)
        .function(photos::delete_photos)
        .function(photos::get_user_photos)
        .function(photos::update_profile_photo)
        .function(photos::upload_profile_photo)
        .function(updates::get_channel_difference)
        .function(updates::get_difference)
        .function(updates::get_state)
        .function(files::get_file)
        .function(files::get_file_hashes)
        .function(files::save_big_file_part)
        .function(files::save_file_part)
        .function(users::get_full_user)
        .function(users::get_users)
        // PFS-04: what clients ask before they know whom they talk to.
        .allow_unbound::<GetConfig>()
        .allow_unbound::<GetNearestDc>()
        .known(chappe_api::FUNCTIONS, answer_without_handler(&known))
        .known(Layers::older_functions(), answer_without_handler(&known))
        .layer(repeat::Repeat(known))
        .layer(Lowering)
        .pushes(|layer, body| Layers::get().push(layer?, body))
        .quiet(is_quiet)
        .asks_for_missed(|function| function == "updates.getDifference")
        .in_place_of_lost_pushes(too_long()))
}

/// Whether a function makes no session a receiver of updates (API-13): what connections for files
/// call, and what is called before anybody is signed in.
fn is_quiet(function: &str) -> bool {
    let namespace = function.split_once('.').map_or("", |(namespace, _)| namespace);
    matches!(namespace, "upload" | "help" | "langpack")
        || (namespace == "auth" && function.ends_with("Authorization"))
}

/// What a session is told that has lost updates (UPD-10).
fn too_long() -> bytes::Bytes {
    chappe_tl::to_bytes(&chappe_api::types::Updates::UpdatesTooLong).expect("it is four bytes")
}

/// What a function says that has no handler.
fn answer_without_handler(
    service: &Service,
) -> impl Fn(Request, &'static FunctionInfo) -> BoxFuture<'static, RpcError> + Send + Sync + use<> {
    let service = service.clone();
    move |request, function| {
        let service = service.clone();
        async move { service.without_handler(&request.caller, function).await }.boxed()
    }
}

fn database(backend: &Backend) -> Result<Database, StoreError> {
    backend.database().cloned().ok_or_else(|| StoreError::Unusable {
        place: "the backend".to_owned(),
        problem: "it has no database, and people and messages have to be kept".to_owned(),
        mend: "use Backend::embedded or Backend::postgres",
    })
}

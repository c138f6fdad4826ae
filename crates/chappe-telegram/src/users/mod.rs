//! People and bots as others see them.

mod get_full_user;
mod get_users;
mod view;

pub(crate) use get_full_user::get_full_user;
pub(crate) use get_users::get_users;

//! `help.*`: what a client asks before it knows anything else.

mod app_config;
mod config;
mod countries;
mod nearest_dc;
mod support;

pub(crate) use app_config::get_app_config;
pub(crate) use config::get_config;
pub(crate) use countries::get_countries_list;
pub(crate) use nearest_dc::get_nearest_dc;
pub(crate) use support::get_support;

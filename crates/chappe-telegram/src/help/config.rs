//! `help.getConfig`: where the service is, and its limits (20-telegram-api-service §7.1).

use std::net::SocketAddr;

use chappe_api::functions::help::GetConfig;
use chappe_api::types;
use chappe_proto::rpc::RpcError;
use chappe_server::{Caller, State};

use crate::Service;

/// Seconds for which a client may keep the answer; equal `date` and `expires` make some ask for ever.
const LIFE: i32 = 3600;

pub(crate) async fn get_config(
    State(service): State<Service>,
    caller: Caller,
    _call: GetConfig,
) -> Result<types::Config, RpcError> {
    let config = &service.config;
    let address = config.advertise.unwrap_or(caller.local);
    let date = caller.now.unix_seconds() as i32;
    Ok(types::Config {
        revoke_pm_inbox: true,
        date,
        expires: date + LIFE,
        test_mode: config.test_mode,
        this_dc: config.dc,
        dc_options: vec![dc_option(config.dc, address)],
        chat_size_max: 200,
        megagroup_size_max: 200_000,
        forwarded_count_max: 100,
        online_update_period_ms: 210_000,
        offline_blur_timeout_ms: 5000,
        offline_idle_timeout_ms: 30_000,
        online_cloud_timeout_ms: 300_000,
        notify_cloud_delay_ms: 30_000,
        notify_default_delay_ms: 1500,
        push_chat_period_ms: 60_000,
        push_chat_limit: 2,
        edit_time_limit: 172_800,
        revoke_time_limit: i32::MAX,
        revoke_pm_time_limit: i32::MAX,
        rating_e_decay: 2_419_200,
        stickers_recent_limit: 200,
        channels_read_media_period: 604_800,
        call_receive_timeout_ms: 20_000,
        call_ring_timeout_ms: 90_000,
        call_connect_timeout_ms: 30_000,
        call_packet_timeout_ms: 10_000,
        me_url_prefix: "https://t.me/".into(),
        caption_length_max: 1024,
        message_length_max: 4096,
        webfile_dc_id: config.dc,
        ..chappe_tl::blank()
    })
}

/// One reachable address. `static`: some clients take no other (QRK-12).
fn dc_option(id: i32, address: SocketAddr) -> types::DcOption {
    types::DcOption {
        ipv6: address.is_ipv6(),
        r#static: true,
        id,
        ip_address: address.ip().to_string().into(),
        port: i32::from(address.port()),
        ..chappe_tl::blank()
    }
}

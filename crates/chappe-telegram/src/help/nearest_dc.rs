//! `help.getNearestDc`: there is one data centre, so it is the nearest.

use chappe_api::functions::help::GetNearestDc;
use chappe_api::types;
use chappe_proto::rpc::RpcError;
use chappe_server::State;

use crate::Service;

pub(crate) async fn get_nearest_dc(
    State(service): State<Service>,
    _call: GetNearestDc,
) -> Result<types::NearestDc, RpcError> {
    let dc = service.config.dc;
    let country = service.config.country.as_str().into();
    Ok(types::NearestDc { country, this_dc: dc, nearest_dc: dc })
}

//! HTTP on a connection that began with it.

use chappe_net::{BoxedIo, Prefixed};

use crate::connection::Connection;

/// Serves requests to the end of the connection; gives the reason of the end, for the counter.
pub(crate) async fn serve(connection: Connection, io: Prefixed<BoxedIo>) -> &'static str {
    chappe_net::ignore(io, connection.shared.clock.instant(connection.deadline)).await.cause()
}

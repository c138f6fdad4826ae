//! HTTP on a connection that began with it: requests for the sessions, and such for a WebSocket.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use chappe_net::http::{HttpOwner, Outcome};
use chappe_net::listen::Ends;
use chappe_net::shutdown::Stage;
use chappe_net::{BoxedIo, Prefixed};
use chappe_proto::Now;
use chappe_proto::link::Link;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use ipnet::IpNet;
use tracing::{Instrument, debug};

use crate::config::contains;
use crate::connection::Connection;
use crate::link::ServerLink;
use crate::{metrics, ws};

/// Serves requests, until the connection ends or becomes a WebSocket.
pub(crate) async fn serve(connection: Box<Connection>, io: Prefixed<BoxedIo>) {
    let mut connection = connection.begin_http();
    let Connection { shared, deadline, .. } = &*connection;
    let mut config = shared.config.http.clone();
    config.packets &= shared.config.detect.http;
    let link = Link::of_requests(Arc::clone(&shared.link_config), *deadline, shared.rng());
    let mut owner = ServerLink::new(&connection);
    if connection.watcher.stage() > Stage::Running {
        return connection.closed(metrics::OWNER);
    }
    let span = owner.span();
    let serving = async {
        debug!("link opened");
        let settings = (&config, &shared.config.drive);
        let outcome = chappe_net::http::serve(io, link, &mut owner, shared.clock, settings).await;
        match outcome {
            Outcome::Over(end) => {
                let reason = owner.cause(&end);
                debug!(reason, %end, "link closed");
                Err(reason)
            }
            Outcome::Upgraded(io, read) => Ok(Prefixed::new(read, io)),
        }
    };
    match serving.instrument(span).await {
        Ok(io) => {
            let peer = owner.peer();
            drop(owner);
            connection.ends = Arc::new(Ends { peer, ..*connection.ends });
            tokio::spawn(ws::serve(connection, io));
        }
        Err(reason) => connection.closed(reason),
    }
}

impl HttpOwner for ServerLink<'_> {
    fn handle_head(&mut self, now: Now, head: &Parts) {
        let Connection { shared, ends, .. } = self.connection;
        let trusted = &shared.config.forwarded_from;
        let speaks_for = |peer: &SocketAddr| contains(trusted, peer.ip());
        let peer = Some(ends.peer).filter(speaks_for);
        let peer = peer.and_then(|_| forwarded_for(&head.headers, trusted));
        self.speak_for(now, peer.unwrap_or(ends.peer));
    }

    fn upgrade(&mut self, request: &Request<()>) -> Option<Response<()>> {
        let config = &self.connection.shared.config;
        let is_served = config.detect.websocket && ws::is_path(request.uri().path());
        is_served.then(|| ws::upgrade_response(request, &config.websocket))
    }
}

/// Whom a trusted peer says that it speaks for: `X-Real-IP`, with `X-Real-Port` if that is there,
/// or else the nearest address of `X-Forwarded-For` that is not trusted itself (HTP-32).
fn forwarded_for(headers: &HeaderMap, trusted: &[IpNet]) -> Option<SocketAddr> {
    let text = |name| headers.get(name)?.to_str().ok();
    if let Some(address) = text("x-real-ip").and_then(|text| text.trim().parse::<IpAddr>().ok()) {
        let port = text("x-real-port").and_then(|text| text.trim().parse().ok());
        return Some(SocketAddr::new(address.to_canonical(), port.unwrap_or(0)));
    }
    let lists = headers.get_all("x-forwarded-for").into_iter();
    let text: Vec<&str> = lists.filter_map(|list| list.to_str().ok()).collect();
    // The nearer to the end, the nearer to us, and what a client wrote stands at the front.
    let mut addresses = text.iter().flat_map(|list| list.split(',')).rev();
    let address = addresses.find_map(|text| match text.trim().parse::<IpAddr>() {
        Ok(address) if contains(trusted, address) => None,
        other => Some(other.ok()),
    })??;
    Some(SocketAddr::new(address.to_canonical(), 0))
}

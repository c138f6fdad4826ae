//! HTTP on a connection that began with it.

use std::convert::Infallible;
use std::future::ready;
use std::sync::{Arc, Mutex};

use chappe_net::{BoxedIo, Prefixed};
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::connection::Connection;
use crate::{metrics, ws};

/// Largest head of a request (WSK-07).
const HEAD_MAX: usize = 16 << 10;

/// Serves requests to the end of the connection; gives the reason of the end, for the counter.
pub(crate) async fn serve(connection: Connection, io: Prefixed<BoxedIo>) -> &'static str {
    let upgrade = Arc::new(Mutex::new(None::<OnUpgrade>));
    let (shared, asked) = (Arc::clone(&connection.shared), Arc::clone(&upgrade));
    let service = service_fn(move |mut request: Request<Incoming>| {
        let settings = &shared.config.websocket;
        let mut response = if ws::is_path(request.uri().path()) {
            ws::upgrade_response(&request, settings)
        } else {
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        } else if let Ok(mut upgrade) = asked.lock() {
            *upgrade = Some(hyper::upgrade::on(&mut request));
        }
        ready(Ok::<_, Infallible>(response.map(|()| Empty::<Bytes>::new())))
    });
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_MAX);
    let serving = builder.serve_connection(TokioIo::new(io), service).with_upgrades();
    if connection.in_time(serving).await.is_none() {
        return metrics::SILENT;
    }
    let Some(upgrade) = upgrade.lock().ok().and_then(|mut upgrade| upgrade.take()) else {
        return "eof";
    };
    let Ok(upgraded) = upgrade.await else { return "io" };
    let Ok(parts) = upgraded.downcast::<TokioIo<Prefixed<BoxedIo>>>() else { return "other" };
    ws::serve(connection, Prefixed::new(parts.read_buf.into(), parts.io.into_inner())).await
}

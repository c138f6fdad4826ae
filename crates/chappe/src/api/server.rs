//! Connections of operators, within bounds, and who of them may ask.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::HeaderValue;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use chappe_net::Stream;
use chappe_net::listen::Listener;
use chappe_proxy::{Charge, Handle, Seldom};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::Service;
use tracing::{debug, warn};

use super::answer::Problem;
use super::{Api, routes};
use crate::cmd::proxy::live::Live;
use crate::config::listen::ListenAddress;

/// The interface, about to be served.
pub(crate) struct Server {
    listener: Listener,
    address: ListenAddress,
}

/// Who asks.
#[derive(Clone, Copy)]
struct Peer(SocketAddr);

/// Connections served at once; more wait.
const CONNECTIONS_MAX: usize = 32;
/// Longest wait for the head of a request, and so for the next one on a connection.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(10);
/// Longest time that one request takes, its body included.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// Longest time that one connection takes, whatever is asked over it.
const LIFE_MAX: Duration = Duration::from_secs(300);
/// Longest head, and body: a user takes some hundred bytes.
const HEAD_MAX: usize = 16 << 10;
const BODY_MAX: usize = 64 << 10;

impl Server {
    /// At a listener, and where that is.
    pub(crate) fn on((listener, address): (Listener, ListenAddress)) -> Self {
        Self { listener, address }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Serves it for ever.
    pub(crate) async fn serve(self, live: Arc<Live>) {
        let handle = live.handle().clone();
        let router = router(live);
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            // Never closed.
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            let (stream, ends) = self.listener.accept().await;
            let router = router.clone().layer(Extension(Peer(ends.peer)));
            let handle = handle.clone();
            tokio::spawn(async move {
                let served = timeout(LIFE_MAX, answer(stream.into(), router, handle)).await;
                if let Ok(Err(error)) = served {
                    debug!(peer = %ends.peer, %error, "a connection of an operator broke");
                }
                drop(permit);
            });
        }
    }
}

async fn answer(stream: Stream, router: Router, handle: Handle) -> hyper::Result<()> {
    let service = service_fn(move |request| router.clone().call(request));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WAIT_MAX)
            .max_buf_size(HEAD_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        served = &mut connection => return served,
        // What is asked next is for the process that has taken over.
        () = handle.reached(Charge::HandedOver) => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

fn router(live: Arc<Live>) -> Router {
    let (router, description) = routes();
    let description = description.to_json().expect("it consists of names and texts");
    let (seldom, begun) = (Seldom::default(), Instant::now());
    let api = Arc::new(Api { live, description, seldom, begun });
    router
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(async || Problem::no_method())
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(Arc::clone(&api), guard))
        .with_state(api)
}

/// Lets those pass who hold the token, for a time.
async fn guard(
    State(api): State<Arc<Api>>,
    peer: Option<Extension<Peer>>,
    request: Request,
    next: Next,
) -> Response {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split_once(' '));
    let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let in_use = api.live.in_use();
    // The interface may have gone from the settings, but not from this process.
    let token = in_use.settings.api.as_ref().map(|api| &api.token);
    let knows = |(_, text): (_, &str)| token.is_some_and(|token| token.is(text.trim()));
    if !given.is_some_and(knows) {
        let peer = peer.map(|Extension(Peer(peer))| peer);
        if let Some(left_out) = api.seldom.admit("token", api.begun.elapsed()) {
            warn!(?peer, left_out, "somebody without the token asks the interface for operators");
        }
        return Problem::unknown().into_response();
    }
    let answered = timeout(REQUEST_MAX, next.run(request)).await;
    let mut response = answered.unwrap_or_else(|_| Problem::slow().into_response());
    // Some give secrets away.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

//! Calls whose transaction was undone run again, from the beginning.
//!
//! What undoes one, another transaction or a lost connection, has left nothing behind, and a
//! handler bears to run twice: a client that hears nothing makes its calls again as well. One that
//! has used something up would not find it again: what it does after that is repeated by itself
//! ([`Service::until_done`](crate::Service::until_done)).

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use chappe_backend::StoreError;
use chappe_proto::rpc::RpcError;
use chappe_server::Request;
use futures_util::future::BoxFuture;
use tower::{Layer, Service};
use tracing::warn;

use crate::error::Failure;

/// Stands around all handlers.
pub(crate) struct Repeat(pub(crate) crate::Service);

#[derive(Clone)]
pub(crate) struct Repeated<S> {
    calls: S,
    service: crate::Service,
}

impl<S> Layer<S> for Repeat {
    type Service = Repeated<S>;

    fn layer(&self, calls: S) -> Self::Service {
        Repeated { calls, service: self.0.clone() }
    }
}

impl<S> Service<Request> for Repeated<S>
where
    S: Service<Request, Response = Bytes, Error = RpcError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Bytes;
    type Error = RpcError;
    type Future = BoxFuture<'static, Result<Bytes, RpcError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), RpcError>> {
        self.calls.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The one that is ready, and a copy for next time, as of [`Service`].
        let next = self.calls.clone();
        let mut calls = std::mem::replace(&mut self.calls, next);
        let service = self.service.clone();
        Box::pin(async move {
            for tries in 0..TRIES_MAX {
                service.pause(tries).await;
                let outcome = calls.call(request.clone()).await;
                if outcome.as_ref().err() != Some(&undone()) {
                    return outcome;
                }
                std::future::poll_fn(|context| calls.poll_ready(context)).await?;
            }
            warn!(function = request.id(), "a call was undone each of {TRIES_MAX} times");
            Err(RpcError::internal())
        })
    }
}

impl crate::Service {
    /// Makes a change until nothing undoes it, as often as a call is run: the rest of a call that
    /// has used something up, or what no call waits for.
    pub(crate) async fn until_done<T, E, F>(&self, make: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, E>>,
        E: Into<Failure>,
    {
        for tries in 0..TRIES_MAX {
            self.pause(tries).await;
            match make().await.map_err(Into::into) {
                Err(Failure::Store(StoreError::Undone { .. })) => {}
                outcome => return outcome,
            }
        }
        warn!("a change was undone each of {TRIES_MAX} times");
        Err(RpcError::internal().into())
    }

    /// The wait before the next time: by chance, so that rivals come apart.
    async fn pause(&self, tries: u32) {
        if tries > 0 {
            let micros = self.rng().below(PAUSE_MICROS << tries);
            tokio::time::sleep(Duration::from_micros(micros.into())).await;
        }
    }
}

/// How a handler says that its transaction was undone; no client hears it.
pub(crate) fn undone() -> RpcError {
    RpcError::new(500, "TRANSACTION_UNDONE")
}

/// Half the longest wait before the second time; it doubles each time.
const PAUSE_MICROS: u32 = 2000;
/// Times that a call is run. A rival that undoes it has got through, so somebody always does.
const TRIES_MAX: u32 = 8;

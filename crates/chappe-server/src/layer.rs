//! What stands around all handlers: `tower` layers.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use chappe_proto::rpc::RpcError;
use futures_util::future::BoxFuture;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt};

use crate::request::Request;

/// The service that layers wrap: takes a call, gives the boxed result.
#[derive(Clone)]
pub struct Calls(Inner);

#[derive(Clone)]
enum Inner {
    /// Handlers without layers: no clone and no second box for each call.
    Bare(Arc<dyn Dispatch>),
    Layered(BoxCloneSyncService<Request, Bytes, RpcError>),
}

/// Where a call ends up once all layers let it pass.
pub(crate) trait Dispatch: Send + Sync {
    fn dispatch(&self, request: Request) -> BoxFuture<'static, Result<Bytes, RpcError>>;
}

impl Calls {
    pub(crate) fn new(dispatch: Arc<dyn Dispatch>) -> Self {
        Self(Inner::Bare(dispatch))
    }

    pub(crate) fn layered<L>(self, layer: &L) -> Self
    where
        L: Layer<Self>,
        L::Service: Service<Request, Response = Bytes> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Error: Into<RpcError> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        let service = layer.layer(self).map_err(Into::into);
        Self(Inner::Layered(BoxCloneSyncService::new(service)))
    }

    /// Runs one call.
    pub(crate) fn run(&self, request: Request) -> BoxFuture<'static, Result<Bytes, RpcError>> {
        match &self.0 {
            Inner::Bare(dispatch) => dispatch.dispatch(request),
            Inner::Layered(service) => Box::pin(service.clone().oneshot(request)),
        }
    }
}

impl Service<Request> for Calls {
    type Response = Bytes;
    type Error = RpcError;
    type Future = BoxFuture<'static, Result<Bytes, RpcError>>;

    /// Always ready: each call waits for the layers it goes through.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), RpcError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.run(request)
    }
}

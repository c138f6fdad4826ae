//! Around all handlers: calls are lifted, answers lowered.

use std::task::{Context, Poll};

use chappe_proto::rpc::RpcError;
use chappe_server::{Calls, Request};
use chappe_tl::Bytes;
use chappe_tl::transcode::TranscodeError;
use futures_util::future::{BoxFuture, FutureExt, ready};
use tower::{Layer, Service};
use tracing::{error, warn};

use super::{Layers, fifty_seven};

/// The `tower` layer that does it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lowering;

impl Layer<Calls> for Lowering {
    type Service = Lowered;

    fn layer(&self, calls: Calls) -> Lowered {
        Lowered { calls, layers: Layers::get() }
    }
}

#[derive(Clone)]
pub(crate) struct Lowered {
    calls: Calls,
    layers: &'static Layers,
}

impl Service<Request> for Lowered {
    type Response = Bytes;
    type Error = RpcError;
    type Future = BoxFuture<'static, Result<Bytes, RpcError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), RpcError>> {
        self.calls.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let (layers, id) = (self.layers, request.id());
        if request.caller.layer == Some(fifty_seven::LAYER) {
            return self.call_of_layer_57(id, request);
        }
        let (layer, lifted) = match self.admit(&request) {
            Ok(admitted) => admitted,
            Err(error) => return ready(Err(error)).boxed(),
        };
        request.call = lifted;
        let answer = self.calls.call(request);
        if !layers.changes_answer(layer, id) {
            return answer;
        }
        Box::pin(async move {
            let answer = answer.await?;
            layers.answer(layer, id, &answer).map_err(|fault| {
                error!(layer, id = format_args!("{id:08x}"), %fault, "an answer cannot be said");
                RpcError::new(406, "UPDATE_APP_REQUIRED")
            })
        })
    }
}

impl Lowered {
    fn call_of_layer_57(
        &mut self,
        id: u32,
        mut request: Request,
    ) -> BoxFuture<'static, Result<Bytes, RpcError>> {
        match fifty_seven::lift(id, &request.call) {
            Ok(lifted) => request.call = lifted,
            Err(error) => return ready(Err(error)).boxed(),
        }
        let answer = self.calls.call(request);
        async move { fifty_seven::lower(id, &answer.await?) }.boxed()
    }

    /// The layer to answer in, and the call as the newest has it.
    fn admit(&self, request: &Request) -> Result<(i32, Bytes), RpcError> {
        let Some(layer) = request.caller.layer else {
            return Err(RpcError::bad_request("CONNECTION_NOT_INITED"));
        };
        if self.layers.lowering(layer).is_none() {
            return Err(RpcError::bad_request("CONNECTION_LAYER_INVALID"));
        }
        if self.layers.is_news(layer) {
            warn!(layer, "a client of a layer that is not known yet gets the last that is");
        }
        let call = self.layers.lift(&request.call).map_err(|fault| match fault {
            TranscodeError::Unknown { id } => {
                RpcError::bad_request(format!("INPUT_CONSTRUCTOR_INVALID_{id}"))
            }
            TranscodeError::Inexpressible { .. } => {
                RpcError::bad_request("INPUT_CONSTRUCTOR_INVALID")
            }
            _ => RpcError::bad_request("INPUT_FETCH_ERROR"),
        })?;
        Ok((layer, call))
    }
}

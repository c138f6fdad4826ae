//! Async functions as handlers of calls.

use bytes::Bytes;
use chappe_proto::rpc::RpcError;
use chappe_tl::{Encode, Function};
use futures_util::future::BoxFuture;
use tracing::error;

use crate::extract::Extract;
use crate::request::Request;

/// An `async fn` whose last argument is a function of a schema and whose others are extracted.
///
/// `Arguments` only tells the implementations apart; the compiler finds it.
pub trait Handler<Arguments, S>: Clone + Send + Sync + 'static {
    /// The function it answers; its id is the route.
    type Call: Function;

    /// Reads the call, runs the function and writes the result.
    fn handle(self, request: Request, state: S) -> BoxFuture<'static, Result<Bytes, RpcError>>;
}

macro_rules! handlers {
    ($($extracted:ident),*) => {
        impl<F, Fut, E, S, C, $($extracted,)*> Handler<($($extracted,)* C,), S> for F
        where
            F: FnOnce($($extracted,)* C) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = Result<C::Return, E>> + Send + 'static,
            E: Into<RpcError>,
            S: Send + Sync + 'static,
            C: Function + Send + 'static,
            $($extracted: Extract<S>,)*
        {
            type Call = C;

            #[allow(unused_variables, reason = "a handler may extract nothing")]
            fn handle(
                self,
                request: Request,
                state: S,
            ) -> BoxFuture<'static, Result<Bytes, RpcError>> {
                let future = (|| {
                    let call = chappe_tl::from_bytes::<C>(request.call.clone())
                        .map_err(|error| RpcError::from(&error))?;
                    Ok(self($($extracted::extract(&request, &state)?,)* call))
                })();
                match future {
                    Ok(future) => Box::pin(async move {
                        encode::<C>(&future.await.map_err(Into::into)?)
                    }),
                    Err(error) => Box::pin(std::future::ready(Err(error))),
                }
            }
        }
    };
}

handlers!();
handlers!(A);
handlers!(A, B);
handlers!(A, B, D);
handlers!(A, B, D, G);
handlers!(A, B, D, G, H);
handlers!(A, B, D, G, H, I);

fn encode<C: Function>(result: &C::Return) -> Result<Bytes, RpcError> {
    let mut writer = chappe_tl::Writer::new();
    result.encode(&mut writer);
    writer.finish().map_err(|error| {
        error!(function = C::NAME, %error, "a handler's result has no encoding");
        RpcError::internal()
    })
}

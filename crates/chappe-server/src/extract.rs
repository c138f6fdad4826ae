//! What a handler may ask for beside the call itself.

use crate::cancel::Cancellation;
use crate::push::Pusher;
use crate::question::Question;
use crate::request::{Caller, Request};
use crate::revoke::Revoker;
use chappe_proto::rpc::RpcError;

/// An argument of a handler that is taken from the request or the router's state `S`.
pub trait Extract<S>: Sized {
    /// Takes it.
    ///
    /// # Errors
    ///
    /// The answer, where the request does not have what the handler needs.
    fn extract(request: &Request, state: &S) -> Result<Self, RpcError>;
}

/// The state that the router was made with.
#[derive(Clone, Copy, Debug)]
pub struct State<S>(pub S);

impl<S: Clone> Extract<S> for State<S> {
    fn extract(_: &Request, state: &S) -> Result<Self, RpcError> {
        Ok(Self(state.clone()))
    }
}

impl<S> Extract<S> for Caller {
    fn extract(request: &Request, _: &S) -> Result<Self, RpcError> {
        Ok(request.caller.clone())
    }
}

impl<S> Extract<S> for Request {
    fn extract(request: &Request, _: &S) -> Result<Self, RpcError> {
        Ok(request.clone())
    }
}

impl<S> Extract<S> for Cancellation {
    fn extract(request: &Request, _: &S) -> Result<Self, RpcError> {
        Ok(request.cancellation.clone())
    }
}

impl<S> Extract<S> for Pusher {
    fn extract(request: &Request, _: &S) -> Result<Self, RpcError> {
        Ok(request.pusher.clone())
    }
}

impl<S> Extract<S> for Question {
    fn extract(request: &Request, _: &S) -> Result<Self, RpcError> {
        Ok(request.question.clone())
    }
}

impl<S> Extract<S> for Revoker {
    fn extract(request: &Request, _: &S) -> Result<Self, RpcError> {
        Ok(request.pusher.revoker())
    }
}

//! Function id → handler.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use chappe_proto::rpc::RpcError;
use chappe_tl::{Function, FunctionInfo};
use futures_util::future::{BoxFuture, FutureExt};
use tower::{Layer, Service};

use crate::handler::Handler;
use crate::layer::{Calls, Dispatch};
use crate::request::Request;

/// The functions a server answers.
///
/// A call without a handler gets what [`known`](Self::known) says of its function, else what the
/// [`fallback`](Self::fallback) says, by default 400 `INPUT_METHOD_INVALID_<ID>`.
pub struct Router<S> {
    state: S,
    routes: HashMap<u32, Route<S>>,
    known: Vec<Known>,
    fallback: Fallback,
    layers: Vec<Box<dyn FnOnce(Calls) -> Calls + Send>>,
    policy: Policy,
    names: HashMap<u32, &'static str>,
    pushes: Option<Translate>,
}

/// What becomes of pushes, by the layer of those who get them.
pub(crate) type Translate = Arc<dyn Fn(Option<i32>, &Bytes) -> Option<Bytes> + Send + Sync>;

/// A router as a server holds it.
pub(crate) struct Routed {
    /// What runs calls.
    pub(crate) calls: Calls,
    /// What is decided of them before.
    pub(crate) policy: Policy,
    pub(crate) pushes: Option<Translate>,
}

/// What is decided of functions before they run.
#[derive(Default)]
pub(crate) struct Policy {
    /// A temporary key may call them before it is bound (PFS-04).
    pub(crate) unbound: HashSet<u32>,
    /// Whoever makes no other calls wants no updates (API-13).
    pub(crate) quiet: HashSet<u32>,
    /// Their answers tell what was missed of a line of events.
    pub(crate) missed: HashSet<u32>,
    /// Told in the place of pushes that were given up (SES-07).
    pub(crate) loss: Option<Bytes>,
}

type Route<S> =
    Box<dyn Fn(Request, S) -> BoxFuture<'static, Result<Bytes, RpcError>> + Send + Sync>;
type Fallback = Box<dyn Fn(Request) -> BoxFuture<'static, Result<Bytes, RpcError>> + Send + Sync>;

struct Known {
    functions: HashMap<u32, &'static FunctionInfo>,
    answer:
        Box<dyn Fn(Request, &'static FunctionInfo) -> BoxFuture<'static, RpcError> + Send + Sync>,
}

impl<S: Clone + Send + Sync + 'static> Router<S> {
    /// No functions yet; handlers get clones of `state`.
    pub fn new(state: S) -> Self {
        Self {
            state,
            routes: HashMap::new(),
            known: Vec::new(),
            fallback: Box::new(|request| {
                Box::pin(std::future::ready(Err(RpcError::unknown_method(request.id()))))
            }),
            layers: Vec::new(),
            policy: Policy::default(),
            names: HashMap::new(),
            pushes: None,
        }
    }

    /// Answers the function that is the last argument of `handler`.
    ///
    /// # Panics
    ///
    /// If that function has a handler: one of the two would never run.
    #[must_use]
    pub fn function<A, H: Handler<A, S>>(mut self, handler: H) -> Self {
        let route: Route<S> =
            Box::new(move |request, state| handler.clone().handle(request, state));
        let old = self.routes.insert(<H::Call as Function>::ID, route);
        assert!(old.is_none(), "two handlers for {}", <H::Call as Function>::NAME);
        self.names.insert(<H::Call as Function>::ID, <H::Call as Function>::NAME);
        self
    }

    /// Lets a temporary key call `C` before it is bound to a permanent one; every other call gets
    /// 401 `AUTH_KEY_PERM_EMPTY` then (PFS-04). Default: none. Nobody is known to be behind such a
    /// call. A server that wants temporary keys alone answers these under permanent keys, too.
    #[must_use]
    pub fn allow_unbound<C: Function>(mut self) -> Self {
        self.policy.unbound.insert(C::ID);
        self
    }

    /// Takes those of the functions answered or [known](Self::known) so far whose name `is_quiet`
    /// for calls that make no session a receiver of updates: what a second connection makes, for
    /// files say. Default: none; whoever calls anything hears of everything.
    #[must_use]
    pub fn quiet(mut self, is_quiet: impl Fn(&str) -> bool) -> Self {
        let quiet = self.names.iter().filter(|(_, name)| is_quiet(name)).map(|(id, _)| *id);
        self.policy.quiet.extend(quiet);
        self
    }

    /// Takes those of the functions answered or [known](Self::known) so far whose name `asks` for
    /// calls that ask what was missed of a line of events: see [`Question`](crate::Question).
    /// Default: none.
    #[must_use]
    pub fn asks_for_missed(mut self, asks: impl Fn(&str) -> bool) -> Self {
        let missed = self.names.iter().filter(|(_, name)| asks(name)).map(|(id, _)| *id);
        self.policy.missed.extend(missed);
        self
    }

    /// Pushes this boxed object to a session in the place of pushes that it did not acknowledge
    /// and that were given up (SES-07): it is to ask for what it missed. Default: none.
    #[must_use]
    pub fn in_place_of_lost_pushes(mut self, body: Bytes) -> Self {
        self.policy.loss = Some(body);
        self
    }

    /// Answers those of `functions` that have no handler with an error of `answer`.
    #[must_use]
    pub fn known<F, Fut>(mut self, functions: &'static [FunctionInfo], answer: F) -> Self
    where
        F: Fn(Request, &'static FunctionInfo) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = RpcError> + Send + 'static,
    {
        self.names.extend(functions.iter().map(|function| (function.id, function.name)));
        let functions = functions.iter().map(|function| (function.id, function)).collect();
        let answer = move |request, function| answer(request, function).boxed();
        self.known.push(Known { functions, answer: Box::new(answer) });
        self
    }

    /// Answers everything else.
    #[must_use]
    pub fn fallback<F, Fut>(mut self, fallback: F) -> Self
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Bytes, RpcError>> + Send + 'static,
    {
        self.fallback = Box::new(move |request| Box::pin(fallback(request)));
        self
    }

    /// Wraps everything: all handlers, those added later too, and the fallback. The layer added
    /// last is the outermost.
    #[must_use]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Calls> + Send + 'static,
        L::Service: Service<Request, Response = Bytes> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Error: Into<RpcError> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        self.layers.push(Box::new(move |calls| calls.layered(&layer)));
        self
    }

    /// Says everything that is pushed in other words, by the layer that was saved with the key;
    /// what has none is not sent. Layers see to calls and answers.
    #[must_use]
    pub fn pushes<F>(mut self, translate: F) -> Self
    where
        F: Fn(Option<i32>, &Bytes) -> Option<Bytes> + Send + Sync + 'static,
    {
        self.pushes = Some(Arc::new(translate));
        self
    }

    /// The functions that are answered by name, by id.
    pub(crate) fn names(&self) -> HashMap<u32, &'static str> {
        self.names.clone()
    }

    pub(crate) fn into_routed(self) -> Routed {
        let Self { state, routes, known, fallback, layers, policy, pushes, .. } = self;
        let routes = Calls::new(Arc::new(Routes { state, routes, known, fallback }));
        let calls = layers.into_iter().fold(routes, |calls, layer| layer(calls));
        Routed { calls, policy, pushes }
    }
}

/// The router without its layers.
struct Routes<S> {
    state: S,
    routes: HashMap<u32, Route<S>>,
    known: Vec<Known>,
    fallback: Fallback,
}

impl<S: Clone + Send + Sync + 'static> Dispatch for Routes<S> {
    fn dispatch(&self, mut request: Request) -> BoxFuture<'static, Result<Bytes, RpcError>> {
        let id = request.id();
        request.caller.function = id;
        if let Some(route) = self.routes.get(&id) {
            return route(request, self.state.clone());
        }
        for Known { functions, answer } in &self.known {
            if let Some(function) = functions.get(&id) {
                return answer(request, function).map(Err).boxed();
            }
        }
        (self.fallback)(request)
    }
}

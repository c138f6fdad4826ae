//! The calls of a client from the question to the answer, over as many sessions as that takes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use chappe_proto::rpc::RpcError;
use chappe_proto::session::client::{CallError, CallId, ClientSession};
use chappe_tl::Raw;

use crate::client::NewCall;
use crate::error::InvokeError;

/// Wraps an encoded call into what introduces the client to the server.
pub(crate) type Init = Arc<dyn Fn(Bytes) -> Bytes + Send + Sync>;

/// Every call without an answer.
#[derive(Default)]
pub(crate) struct Calls {
    open: BTreeMap<u64, Open>,
    by_call: BTreeMap<CallId, u64>,
    init: Option<Init>,
    /// The server has answered a call that introduced us, under the key in use (SVC-49).
    is_introduced: bool,
}

struct Open {
    call: NewCall,
    /// What it is to the session, and whether it introduces us.
    placed: Option<(CallId, bool)>,
}

impl Calls {
    pub(crate) fn new(init: Option<Init>) -> Self {
        Self { init, ..Self::default() }
    }

    /// Takes a call and hands it to the session, if there is one.
    pub(crate) fn add(&mut self, id: u64, call: NewCall, session: Option<&mut ClientSession>) {
        self.open.insert(id, Open { call, placed: None });
        if let Some(session) = session {
            self.place(id, session);
        }
    }

    /// The caller does not wait any more.
    pub(crate) fn give_up(&mut self, id: u64, session: Option<&mut ClientSession>) {
        let Some(Open { placed: Some((call, _)), .. }) = self.open.remove(&id) else { return };
        self.by_call.remove(&call);
        if let Some(session) = session {
            session.drop_call(call);
        }
    }

    /// A session under a new key: the server knows nothing of us, and all calls go out again.
    pub(crate) fn begin_anew(&mut self, session: &mut ClientSession) {
        self.is_introduced = false;
        self.by_call.clear();
        let ids: Vec<u64> = self.open.keys().copied().collect();
        for id in ids {
            self.place(id, session);
        }
    }

    /// Passes an answer on. The error that the server gave, if it gave one.
    pub(crate) fn answer(
        &mut self,
        call: CallId,
        result: Result<Raw, CallError>,
        session: &mut ClientSession,
    ) -> Option<RpcError> {
        let id = self.by_call.remove(&call)?;
        let introduced = matches!(self.open.get(&id)?.placed, Some((_, true)));
        if let Err(CallError::Rpc(error)) = &result
            && wants_introduction(error)
            && self.init.is_some()
            && !introduced
        {
            self.is_introduced = false;
            self.place(id, session);
            return None;
        }
        if introduced && result.is_ok() {
            self.is_introduced = true;
        }
        let open = self.open.remove(&id)?;
        let result = result.map_err(|error| match error {
            CallError::Rpc(error) => InvokeError::Rpc(error),
            CallError::Refused { code, attempts } => InvokeError::Refused { code, attempts },
            error => InvokeError::Decode(error.to_string()),
        });
        let error = match &result {
            Err(InvokeError::Rpc(error)) => Some(error.clone()),
            _ => None,
        };
        // A caller who left in this moment has no use for it.
        let _ = open.call.answer.send(result);
        error
    }

    /// Fails everything.
    pub(crate) fn fail(&mut self, error: &InvokeError, mut session: Option<&mut ClientSession>) {
        for (_, open) in std::mem::take(&mut self.open) {
            if let (Some((call, _)), Some(session)) = (open.placed, session.as_deref_mut()) {
                session.drop_call(call);
            }
            open.call.refuse(error.clone());
        }
        self.by_call.clear();
    }

    fn place(&mut self, id: u64, session: &mut ClientSession) {
        let Some(open) = self.open.get_mut(&id) else { return };
        let init = self.init.as_ref().filter(|_| !self.is_introduced);
        let body = open.call.body.clone();
        let (body, introduces) = match init {
            Some(init) => (init(body), true),
            None => (body, false),
        };
        let call = session.call(body);
        open.placed = Some((call, introduces));
        self.by_call.insert(call, id);
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls")
            .field("open", &self.open.len())
            .field("is_introduced", &self.is_introduced)
            .finish_non_exhaustive()
    }
}

/// Whether the server asks who we are (SVC-28).
fn wants_introduction(error: &RpcError) -> bool {
    error.code == 400
        && matches!(&*error.message, "CONNECTION_NOT_INITED" | "CONNECTION_LAYER_INVALID")
}

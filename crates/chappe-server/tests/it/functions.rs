//! A schema for tests, small enough to be written by hand: each function takes and gives a text.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chappe_crypto::AuthKeyId;
use chappe_server::{Caller, Router, RpcError, State};
use chappe_tl::{Decode, DecodeError, Encode, Function, Reader, Str, Writer};

macro_rules! functions {
    ($($name:ident = $id:literal;)*) => {$(
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) struct $name {
            pub(crate) text: Str,
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self { text: text.into() }
            }
        }

        impl Encode for $name {
            fn encode(&self, w: &mut Writer) {
                w.u32($id);
                w.bytes(&self.text.to_bytes());
            }
        }

        impl Decode for $name {
            fn decode(r: &mut Reader) -> Result<Self, DecodeError> {
                r.expect_id($id, stringify!($name))?;
                Ok(Self { text: r.str()? })
            }
        }

        impl Function for $name {
            const ID: u32 = $id;
            const NAME: &'static str = stringify!($name);
            type Return = Str;
        }
    )*};
}

functions! {
    Echo = 0x1000_0001;
    Sleep = 0x1000_0002;
    Panic = 0x1000_0003;
    Describe = 0x1000_0004;
    Count = 0x1000_0005;
    Fill = 0x1000_0006;
    Unanswered = 0x1000_0007;
    Open = 0x1000_0008;
    WhoAmI = 0x1000_0009;
    Whence = 0x1000_000a;
}

/// What the handlers share.
#[derive(Clone, Default)]
pub(crate) struct App {
    pub(crate) runs: Arc<AtomicUsize>,
}

pub(crate) fn router(app: App) -> Router<App> {
    Router::new(app)
        .function(echo)
        .function(sleep)
        .function(panic)
        .function(describe)
        .function(count)
        .function(fill)
        .function(open)
        .function(who_am_i)
        .function(whence)
        .allow_unbound::<Open>()
}

async fn echo(call: Echo) -> Result<Str, RpcError> {
    Ok(call.text)
}

/// The one function that needs no bound key.
async fn open(call: Open) -> Result<Str, RpcError> {
    Ok(call.text)
}

/// In whose name the call is made, and under which temporary key.
async fn who_am_i(caller: Caller, _: WhoAmI) -> Result<Str, RpcError> {
    Ok(named(caller.auth_key_id, caller.temporary_key_id).as_str().into())
}

/// From where the call is made.
async fn whence(caller: Caller, _: Whence) -> Result<Str, RpcError> {
    Ok(caller.peer.to_string().as_str().into())
}

/// What [`WhoAmI`] answers.
pub(crate) fn named(identity: AuthKeyId, temporary: Option<AuthKeyId>) -> String {
    format!("{identity} {temporary:?}")
}

/// Answers after as many milliseconds as the text says.
async fn sleep(call: Sleep) -> Result<Str, RpcError> {
    let millis = call.text.to_string_lossy().parse().map_err(|_| RpcError::bad_request("NO"))?;
    tokio::time::sleep(Duration::from_millis(millis)).await;
    tracing::info!("slept");
    Ok(call.text)
}

async fn panic(call: Panic) -> Result<Str, RpcError> {
    if call.text.as_str() == Ok("later") {
        tokio::task::yield_now().await;
    }
    panic!("this handler always does");
}

async fn describe(caller: Caller, _: Describe) -> Result<Str, RpcError> {
    let device = caller.client.map(|client| client.device_model.to_string_lossy().into_owned());
    let layer = caller.layer;
    Ok(format!("{layer:?} {device:?} {}", caller.without_updates).as_str().into())
}

/// Counts how often it ran.
async fn count(State(app): State<App>, _: Count) -> Result<Str, RpcError> {
    let runs = app.runs.fetch_add(1, Ordering::Relaxed) + 1;
    Ok(runs.to_string().as_str().into())
}

/// As many bytes as the text says; random, so that they do not compress.
async fn fill(call: Fill) -> Result<Str, RpcError> {
    let len = call.text.to_string_lossy().parse().map_err(|_| RpcError::bad_request("NO"))?;
    let mut bytes = vec![0; len];
    chappe_crypto::Rng::from_seed([9; 32]).fill(&mut bytes);
    let text: String = bytes.iter().map(|byte| char::from(byte % 94 + 33)).collect();
    Ok(text.as_str().into())
}

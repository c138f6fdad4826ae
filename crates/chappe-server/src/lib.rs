//! An embeddable MTProto server: handlers for the functions of any schema.
//!
//! ```no_run
//! # use chappe_server::{Caller, Router, RpcError, RsaIdentity, Server, State};
//! # use chappe_backend::Backend;
//! # use chappe_proto::schema::functions::Ping as GetForecast;
//! # use chappe_proto::schema::types::Pong as Forecast;
//! # type App = i64;
//! async fn get_forecast(
//!     State(app): State<App>,
//!     caller: Caller,
//!     call: GetForecast,
//! ) -> Result<Forecast, RpcError> {
//!     Ok(Forecast { msg_id: caller.msg_id.0, ping_id: call.ping_id + app })
//! }
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let router = Router::new(7).function(get_forecast); // route = type of the last argument
//! Server::builder()
//!     .identity(RsaIdentity::from_pem_file("server.pem")?)
//!     .backend(Backend::memory())
//!     .router(router)
//!     .build()?
//!     .serve(tokio::net::TcpListener::bind("0.0.0.0:8443").await?)
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! A connection is a link, driven by a task of its own (`link`); a session is another task
//! (`session`), for MTProto lets several links carry one session. The `directory` knows which
//! is where. A link may wait for its session; a session never waits for a link.

mod binding;
mod builder;
mod cancel;
mod config;
mod connection;
mod directory;
mod error;
mod events;
mod exchange;
mod extract;
mod handler;
mod http;
mod keys;
mod layer;
mod link;
mod lookup;
mod memory;
mod metrics;
mod middle;
mod push;
mod question;
mod queue;
mod registry;
mod request;
mod revoke;
mod router;
mod server;
mod session;
mod shared;
mod udp;
mod ws;

pub use builder::Builder;
pub use cancel::{Cancellable, Cancellation, cancellable};
pub use chappe_proto::rpc::{ClientInfo, RpcError};
pub use chappe_proto::session::outbox::Mark;
pub use config::{ServerConfig, SessionLimits, WebSocketSettings};
pub use error::{BuildError, IdentityError, ServeError};
pub use events::Events;
pub use extract::{Extract, State};
pub use handler::Handler;
pub use keys::RsaIdentity;
pub use layer::Calls;
pub use middle::MiddleSettings;
pub use push::{PushError, Pusher};
pub use question::Question;
pub use request::{Caller, Request};
pub use revoke::Revoker;
pub use router::Router;
pub use server::{Serve, Server};

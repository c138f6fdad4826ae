//! One accepted connection: who it is, and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chappe_crypto::Rng;
use chappe_net::limits::Permit;
use chappe_net::listen::Ends;
use chappe_net::proxy_protocol::{self, ProxyProtocolError};
use chappe_net::shutdown::{Stage, Watcher};
use chappe_net::{Clock, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, info, warn};

use crate::front::{Accepted, Broken, Fate, Front, Step, Stranger, fate};
use crate::mask;
use crate::metrics::{Gauged, Rejected};
use crate::policy::Policy;
use crate::relay::End;
use crate::shared::Shared;
use crate::upstream::{self, Client};
use crate::users::User;

/// What is known of a connection from the start.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) ends: Ends,
    pub(crate) watcher: Watcher,
    /// Counts it while it lasts.
    pub(crate) permit: Permit,
    pub(crate) open: Gauged,
}

/// Who a connection turned out to be.
enum Who {
    User(Box<Accepted>),
    Stranger(Stranger, BytesMut),
    /// Gone without a word.
    Nobody,
    Broken(Broken),
}

/// Read at once before it is known who comes.
const FIRST_READ: usize = 2 << 10;

impl Connection {
    /// Serves it to its end. `announced` is one that has to say first on whose behalf it comes.
    pub(crate) async fn serve(mut self, mut stream: Stream, announced: bool) {
        let policy = self.shared.policy();
        let accepted = Instant::now();
        let deadline = accepted + policy.config.access.greeting_wait_max;
        let mut input = BytesMut::new();
        if announced {
            let heard = Box::pin(self.hear_balancer(&mut stream, &policy));
            match timeout_at(deadline, heard).await {
                Ok(Ok(rest)) => input = rest,
                Ok(Err(rejected)) => return self.shared.metrics.rejected(rejected),
                Err(_) => return self.shared.metrics.rejected(Rejected::ProxyProtocol),
            }
        }
        let peer = self.ends.peer;
        let mut rng = self.shared.rng();
        let who = if policy.config.access.admits(peer.ip()) {
            let recognised = self.recognise(&policy, &mut stream, input, deadline, &mut rng);
            Box::pin(recognised).await
        } else {
            self.shared.metrics.rejected(Rejected::Denied);
            if !policy.config.access.mask_denied {
                return;
            }
            Who::Stranger(Stranger::Denied, input)
        };
        match who {
            Who::Nobody => {}
            Who::Broken(broken) => {
                self.shared.metrics.broken();
                debug!(%peer, ?broken, "a user's connection breaks off");
            }
            Who::Stranger(stranger, input) => {
                Box::pin(self.show(policy, stream, stranger, input, deadline, &mut rng)).await;
            }
            Who::User(accepted) => Box::pin(self.pass(policy, stream, accepted, rng)).await,
        }
    }

    /// Reads on whose behalf a balancer comes; what it sent behind that, or why it is not served.
    async fn hear_balancer(
        &mut self,
        stream: &mut Stream,
        policy: &Policy,
    ) -> Result<BytesMut, Rejected> {
        let (shared, balancer) = (Arc::clone(&self.shared), self.ends.peer);
        let (ends, rest) = match proxy_protocol::read(stream).await {
            Ok(heard) => heard,
            // Balancers look in this way whether somebody is here.
            Err(ProxyProtocolError::Io(error)) => {
                debug!(%balancer, %error, "a connection ends before it begins");
                return Err(Rejected::ProxyProtocol);
            }
            Err(error) => {
                if let Some(left_out) = shared.seldom.admit("balancer", shared.clock.now().mono) {
                    warn!(%balancer, %error, left_out, "a connection is refused");
                }
                return Err(Rejected::ProxyProtocol);
            }
        };
        // A connection that is its own is on nobody's behalf.
        if let Some(ends) = ends {
            self.ends = ends;
            let per_second = policy.config.access.per_address_per_second;
            if !shared.rates.admit(ends.peer.ip(), per_second, shared.clock.now().mono) {
                return Err(Rejected::Rate);
            }
        }
        match shared.connections.attribute(&mut self.permit, self.ends.peer.ip()) {
            true => Ok(rest),
            false => Err(Rejected::Connections),
        }
    }

    async fn recognise(
        &mut self,
        policy: &Policy,
        stream: &mut Stream,
        mut input: BytesMut,
        deadline: Instant,
        rng: &mut Rng,
    ) -> Who {
        let shared = Arc::clone(&self.shared);
        let mut front = Front::new();
        loop {
            if !input.is_empty() {
                match front.handle(policy, &shared.seen, shared.clock.now(), &mut input, rng) {
                    Step::More => {}
                    Step::Say(answer, wait) => {
                        if !wait.is_zero() {
                            sleep(wait).await;
                        }
                        if stream.write_all(&answer).await.is_err() {
                            return Who::Nobody;
                        }
                    }
                    Step::Accepted(accepted) => return Who::User(accepted),
                    Step::Stranger(stranger) => return Who::Stranger(stranger, input),
                    Step::Broken(broken) => return Who::Broken(broken),
                }
            }
            input.reserve(FIRST_READ);
            let read = tokio::select! {
                read = timeout_at(deadline, stream.read_buf(&mut input)) => read,
                () = self.watcher.reached(Stage::Draining) => return Who::Nobody,
            };
            match read {
                Ok(Ok(1..)) => {}
                // What was said until then may be for the site, which decides what to make of it.
                Ok(Ok(0)) if !front.has_spoken() && !input.is_empty() => {
                    return Who::Stranger(Stranger::Foreign, input);
                }
                Ok(_) => return Who::Nobody,
                Err(_) if front.has_spoken() => return Who::Nobody,
                Err(_) => return Who::Stranger(Stranger::Slow, input),
            }
        }
    }

    /// A stranger, who is shown what he came for.
    async fn show(
        self,
        policy: Arc<Policy>,
        mut stream: Stream,
        stranger: Stranger,
        input: BytesMut,
        deadline: Instant,
        rng: &mut Rng,
    ) {
        let peer = self.ends.peer;
        self.shared.metrics.stranger(stranger);
        if stranger == Stranger::Replay {
            // Whoever does it watches the line of a user.
            if let Some(left_out) = self.shared.seldom.admit("replay", self.shared.clock.now().mono)
            {
                info!(%peer, left_out, "a greeting that came before comes again");
            }
        } else {
            debug!(%peer, ?stranger, "a stranger");
        }
        match fate(&policy, &input) {
            Fate::Closed(words) => {
                // He may be gone.
                let _ = stream.write_all(words).await;
            }
            Fate::Shown(name) => match policy.domain_or_first(name.as_deref()) {
                Some(domain) => {
                    let visit = mask::Visit { ends: self.ends, input, domain };
                    let watcher = self.watcher.clone();
                    let shown = visit.show(&self.shared, &policy, stream, watcher).await;
                    // A site that is too busy is silent; one that closes at once is none.
                    if let Err(stream) = shown {
                        mask::discard(stream, deadline, rng, self.watcher).await;
                    }
                }
                None => mask::discard(stream, deadline, rng, self.watcher).await,
            },
        }
    }

    /// A user, for whom it goes on.
    async fn pass(
        mut self,
        policy: Arc<Policy>,
        stream: Stream,
        accepted: Box<Accepted>,
        rng: Rng,
    ) {
        let shared = Arc::clone(&self.shared);
        let peer = self.ends.peer;
        shared.metrics.handshake(accepted.mode);
        let listed = &policy.listed[accepted.user];
        let (secret, revoked) = (listed.config.secret.fingerprint(), listed.user.revoked());
        // It came while other settings were in use, perhaps, and nobody would close it later.
        let mut changes = shared.policy.subscribe();
        if !changes.borrow_and_update().serves(&listed.user, &secret) {
            shared.metrics.ended(End::Removed);
            return;
        }
        let unix = shared.clock.now().unix;
        let seat = match listed.user.admit(&listed.config, peer.ip(), unix) {
            Ok(seat) => seat,
            Err(refusal) => {
                shared.metrics.refused(refusal);
                debug!(user = listed.user.name(), ?refusal, "a connection is refused");
                return;
            }
        };
        let user = Arc::clone(&listed.user);
        let client = Client { stream, ends: self.ends, accepted: *accepted, seat };
        let removed = async {
            loop {
                tokio::select! {
                    // The proxy outlives its connections, and so does what says how it is set.
                    changed = changes.changed() => if changed.is_err() { return },
                    () = expired(&user, shared.clock) => return,
                }
                let policy = Arc::clone(&changes.borrow_and_update());
                let is_given_up = policy.config.close_removed || user.revoked() != revoked;
                if is_given_up && !policy.serves(&user, &secret) {
                    return;
                }
            }
        };
        let begun = Instant::now();
        let end = tokio::select! {
            end = upstream::serve(&shared, policy, client, rng) => end,
            () = removed => End::Removed,
            () = self.watcher.reached(Stage::Ending) => End::Stopped,
        };
        shared.metrics.ended(end);
        shared.metrics.duration.record(begun.elapsed().as_secs_f64());
        debug!(user = user.name(), %peer, ?end, "a connection is over");
        drop((self.permit, self.open));
    }
}

/// Ready when a user's time is over, as the settings say now.
async fn expired(user: &User, clock: Clock) {
    // Most have none, and take no memory for it.
    let waiting = || async {
        while let Some(left) = user.time_left(clock.now().unix) {
            if left.is_zero() {
                return;
            }
            sleep(left.min(LOOK_INTERVAL)).await;
        }
    };
    match user.time_left(clock.now().unix) {
        Some(_) => Box::pin(waiting()).await,
        None => std::future::pending().await,
    }
}

/// Time between two looks at whether a user's time is over: the clock may be set meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

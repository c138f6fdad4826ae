//! A server in a few lines, honest unless its hooks say otherwise.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_client::{Builder, RawClient};
use chappe_crypto::dh::{Exponent, Group};
use chappe_crypto::msg_key::AesKeys;
use chappe_crypto::rsa::{PrivateKey, PublicKey, Scheme};
use chappe_crypto::{AuthKey, AuthKeyId, Rng, exchange};
use chappe_net::Clock;
use chappe_proto::envelope::encrypted::{Header, Message};
use chappe_proto::handshake::bind::{self, CameWith};
use chappe_proto::link::{Link, LinkConfig, LinkEvent, Received};
use chappe_proto::rpc::RpcError;
use chappe_proto::schema::{ctors, functions, types};
use chappe_proto::session::salts::{FirstSalt, ServerSalts};
use chappe_proto::session::server::{
    IncomingCall, KeyDestroyed, ServerEvent, ServerSession, SessionConfig,
};
use chappe_proto::transport::{Detect, DetectConfig};
use chappe_proto::{LinkId, MsgId, SessionId};
use chappe_tl::{Decode, Encode, Function, Reader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::web::{self, Pipe};

/// The server's identity in all tests: making one takes seconds.
pub(crate) static IDENTITY: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::generate(&mut Rng::from_seed([7; 32])));

/// The puzzle of every exchange, and its answer.
const PQ: u64 = P as u64 * Q as u64;
const P: u32 = 1_008_949_199;
const Q: u32 = 1_455_403_679;

/// A running server; it ends with the test's runtime.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// What a test looks at and changes while the server runs.
pub(crate) struct State {
    pub(crate) hooks: Hooks,
    pub(crate) seen: Vec<Seen>,
    /// How new links are set up.
    pub(crate) link: LinkConfig,
    pub(crate) detect: DetectConfig,
    /// To be sent on the link heard from last.
    pub(crate) inject: Vec<Inject>,
    pub(crate) keys: HashMap<AuthKeyId, (Arc<AuthKey>, FirstSalt)>,
    pub(crate) sessions: HashMap<SessionId, ServerSession>,
    /// The key of each session.
    session_keys: HashMap<SessionId, Arc<AuthKey>>,
    /// Temporary keys, and the permanent one that each is bound to.
    pub(crate) temporary: HashMap<AuthKeyId, Option<AuthKeyId>>,
    /// What waits for each link.
    outbox: HashMap<u64, Vec<(Arc<AuthKey>, Message)>>,
    /// The secret of the salts; changing it makes every salt wrong.
    pub(crate) salt_secret: [u8; 32],
    /// Speaks TLS first.
    pub(crate) tls: Option<TlsAcceptor>,
    certificate: String,
    /// Heads of the requests that were made.
    pub(crate) heads: Vec<String>,
    /// What becomes of requests that bring packets, by their number.
    pub(crate) requests: Hook<usize, web::Fate>,
    /// No salt is right, the one just given neither.
    pub(crate) salts_drift: bool,
    /// Key and header of the last message heard, and its link.
    pub(crate) last: Option<(Arc<AuthKey>, Header, u64)>,
    /// Calls that wait for [`Server::answer_held`].
    held: Vec<(SessionId, MsgId)>,
    /// Links that are made of requests.
    requesting: HashSet<u64>,
    runs: HashMap<[u8; 16], Run>,
    rng: Rng,
    clock: Clock,
}

/// What a client did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Connected(u64),
    /// A client wanted to hear at once that its packet was taken, and did.
    QuickAckWanted(u64),
    ReqPq {
        link: u64,
        nonce: [u8; 16],
    },
    ReqDh {
        dc: i32,
    },
    /// The same for a temporary key.
    ReqDhTemp {
        dc: i32,
        expires_in: i32,
    },
    /// A request to bind that was right in every byte.
    Bound {
        temporary: AuthKeyId,
        permanent: AuthKeyId,
        expires_at: i32,
    },
    SetDh {
        retry_id: i64,
        expected: i64,
    },
    Message {
        link: u64,
        key: AuthKeyId,
        session: SessionId,
        salt: i64,
        body: Bytes,
    },
    Call(Bytes),
    /// Asked to destroy this key.
    Destroy(AuthKeyId),
    Closed(u64),
}

/// How the server leaves the path of virtue.
pub(crate) struct Hooks {
    pub(crate) accept: Hook<u64, Accept>,
    pub(crate) res_pq: Hook<types::ResPq>,
    pub(crate) inner: Hook<types::ServerDhInnerData>,
    pub(crate) sealed: Hook<Vec<u8>>,
    pub(crate) dh_ok: Hook<ctors::ServerDhParamsOk>,
    /// By attempt, from 0.
    pub(crate) dh_gen: Hook<u32, Gen>,
    pub(crate) dh_gen_nonces: Hook<([u8; 16], [u8; 16])>,
    /// What becomes of `destroy_auth_key`; `None` is no answer.
    pub(crate) destroy: Hook<AuthKeyId, Option<KeyDestroyed>>,
    /// Whether a right request to bind is granted.
    pub(crate) bind: Hook<AuthKeyId, Result<(), RpcError>>,
    /// Instead of `server_DH_params_ok`.
    pub(crate) dh_fail: Hook<u32, Option<bool>>,
    pub(crate) call: Hook<Bytes, Reply>,
    /// Bytes after every object of the exchange.
    pub(crate) tail: usize,
}

pub(crate) type Hook<T, R = ()> = Box<dyn FnMut(&mut T) -> R + Send>;

/// What becomes of a connection.
pub(crate) enum Accept {
    Serve,
    /// Closed at once.
    Close,
    /// The first packet draws this transport error.
    Error(i32),
    /// Heard, never answered.
    Silent,
    /// Heard, and answered with a packet that takes ten seconds to come.
    Trickle,
    /// Closed when something comes, without an answer.
    CutWhenAsked,
    /// Closed after the first words.
    Greet,
}

/// The answer to `set_client_DH_params`: its kind, and which hash stands in it.
pub(crate) enum Gen {
    Ok(u8),
    Retry(u8),
    Fail(u8),
    Other,
}

/// What becomes of a call.
pub(crate) enum Reply {
    Result(Bytes),
    Error(RpcError),
    Nothing,
    /// The link is closed, then the answer given.
    Cut(Bytes),
    /// No answer before [`Server::answer_held`].
    Held,
}

/// Something to send besides.
pub(crate) enum Inject {
    /// An encrypted message; the header of an honest one is changed first.
    Message(Box<dyn FnOnce(&mut Header) + Send>, Bytes),
    Plain(Bytes),
    Error(i32),
    /// An encrypted packet that does not open.
    Garbage,
    Cut,
    Push(Bytes),
}

struct Run {
    server_nonce: [u8; 16],
    new_nonce: [u8; 32],
    keys: Option<AesKeys>,
    exponent: Option<Exponent>,
    group: Group,
    attempts: u32,
    retry_id: i64,
    is_temporary: bool,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            accept: Box::new(|_| Accept::Serve),
            res_pq: Box::new(|_| ()),
            inner: Box::new(|_| ()),
            sealed: Box::new(|_| ()),
            dh_ok: Box::new(|_| ()),
            dh_gen: Box::new(|_| Gen::Ok(1)),
            dh_gen_nonces: Box::new(|_| ()),
            destroy: Box::new(|_| Some(KeyDestroyed::Ok)),
            bind: Box::new(|_| Ok(())),
            dh_fail: Box::new(|_| None),
            call: Box::new(|call| Reply::Result(call.clone())),
            tail: 0,
        }
    }
}

impl Server {
    pub(crate) async fn start(hooks: Hooks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            hooks,
            seen: Vec::new(),
            link: LinkConfig::server(),
            detect: DetectConfig::default(),
            inject: Vec::new(),
            keys: HashMap::new(),
            sessions: HashMap::new(),
            session_keys: HashMap::new(),
            temporary: HashMap::new(),
            outbox: HashMap::new(),
            salt_secret: [1; 32],
            tls: None,
            certificate: String::new(),
            heads: Vec::new(),
            requests: Box::new(|_| web::Fate::Answered),
            salts_drift: false,
            last: None,
            held: Vec::new(),
            requesting: HashSet::new(),
            runs: HashMap::new(),
            rng: chappe_net::entropy::rng().unwrap(),
            clock: Clock::system(),
        }));
        let server = Self { address, state: Arc::clone(&state) };
        tokio::spawn(async move {
            for id in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(Arc::clone(&state), stream, id));
            }
        });
        server
    }

    pub(crate) fn public_key() -> PublicKey {
        IDENTITY.public().clone()
    }

    /// Settings of a client of this server, with temporary keys.
    pub(crate) fn client_with_pfs(&self) -> Builder {
        self.client().pfs(true)
    }

    /// Settings of a client of this server, which uses its permanent key.
    pub(crate) fn client(&self) -> Builder {
        RawClient::builder(self.address, [Self::public_key()]).pfs(false)
    }

    /// Speaks TLS from now on.
    pub(crate) fn use_tls(&self) {
        let (certificate, acceptor) = web::certificate();
        let mut state = self.state();
        (state.certificate, state.tls) = (certificate, Some(acceptor));
    }

    /// Its certificate, in PEM.
    pub(crate) fn certificate(&self) -> String {
        self.state().certificate.clone()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    pub(crate) fn links(&self) -> usize {
        self.count(|seen| matches!(seen, Seen::Connected(_)))
    }

    pub(crate) fn count(&self, what: impl Fn(&Seen) -> bool) -> usize {
        self.state().seen.iter().filter(|seen| what(seen)).count()
    }

    pub(crate) fn inject(&self, what: Inject) {
        self.state().inject.push(what);
    }

    /// Gives the calls that were held their answer.
    pub(crate) fn answer_held(&self, result: &Bytes) {
        let mut state = self.state();
        let now = state.clock.now();
        for (session_id, call) in std::mem::take(&mut state.held) {
            state.sessions.get_mut(&session_id).unwrap().answer(now, call, Ok(result.clone()));
        }
    }

    /// Waits until the server has seen something.
    pub(crate) async fn until(&self, what: impl Fn(&State) -> bool) {
        let wait = async {
            while !what(&self.state()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait)
            .await
            .expect("the server waits in vain");
    }
}

async fn serve(state: Arc<Mutex<State>>, stream: TcpStream, id: u64) {
    let (accept, link, clock, tls) = {
        let mut state = state.lock().unwrap();
        state.seen.push(Seen::Connected(id));
        let accept = (state.hooks.accept)(&mut { id });
        let detect = Arc::new(Detect::new(state.detect.clone()));
        let rng = state.rng.fork();
        let link = Link::server(state.clock.now(), state.link.clone(), detect, rng);
        (accept, link, state.clock, state.tls.clone())
    };
    let pipe = match tls {
        None => Pipe::begin(stream, &accept, &state, id).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => Pipe::begin(stream, &accept, &state, id).await,
            Err(_) => None,
        },
    };
    match pipe {
        Some(Pipe::Http(stream)) => web::serve_requests(&state, stream, accept, id).await,
        Some(pipe) => serve_link(&state, pipe, accept, link, clock, id).await,
        None => {}
    }
    let mut state = state.lock().unwrap();
    state.seen.push(Seen::Closed(id));
    for session in state.sessions.values_mut() {
        session.handle_link_closed(LinkId(id));
    }
}

async fn serve_link(
    state: &Mutex<State>,
    mut pipe: Pipe,
    mut accept: Accept,
    mut link: Link,
    clock: Clock,
    id: u64,
) {
    let mut input = BytesMut::new();
    let mut is_over = matches!(accept, Accept::Close);
    if let Accept::Trickle = accept {
        // The head of a frame of 1 KiB, abridged.
        assert!(pipe.write(&[0x7f, 0, 1, 0]).await);
    }
    while !is_over {
        let mut out = BytesMut::new();
        {
            let mut state = state.lock().unwrap();
            while let Some(event) = link.poll_event() {
                if let Accept::Silent | Accept::Trickle = accept {
                    if let LinkEvent::KeyWanted(key) = event {
                        link.provide_key(clock.now(), key, None);
                    }
                    continue;
                }
                if let Accept::Error(code) = accept {
                    link.fail(clock.now(), code);
                    accept = Accept::Silent;
                    continue;
                }
                is_over |= state.handle(&mut link, id, event);
                is_over |= matches!(accept, Accept::CutWhenAsked);
                link.handle_bytes(clock.now(), &mut input);
            }
            if !matches!(accept, Accept::Silent | Accept::Trickle) {
                is_over |= state.speak(&mut link, id);
            }
            link.poll_transmit(&mut out).unwrap();
            if let Accept::Trickle = accept {
                out.extend_from_slice(&[0]);
            }
        }
        if is_over && matches!(accept, Accept::CutWhenAsked) {
            break;
        }
        is_over |= matches!(accept, Accept::Greet) && !out.is_empty();
        if !pipe.write(&out).await || is_over {
            break;
        }
        tokio::select! {
            is_open = pipe.read(&mut input) => match is_open {
                true => link.handle_bytes(clock.now(), &mut input),
                false => break,
            },
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
    }
}

impl State {
    /// A link is made of requests.
    pub(crate) fn begin_requests(&mut self, id: u64) {
        self.requesting.insert(id);
    }

    pub(crate) fn fork_rng(&mut self) -> Rng {
        self.rng.fork()
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// Whether the connection is over.
    pub(crate) fn handle(&mut self, link: &mut Link, id: u64, event: LinkEvent) -> bool {
        let now = self.clock.now();
        match event {
            LinkEvent::Plain(message) => {
                if let Some(reply) = self.exchange(id, &message.body) {
                    let tail: Vec<u8> = vec![0xaa; self.hooks.tail];
                    link.send_plain(now.unix, &[&reply[..], &tail].concat());
                } else {
                    link.fail(now, 404);
                }
                false
            }
            LinkEvent::KeyWanted(key) => {
                let known = self.keys.get(&key).map(|(key, _)| Arc::clone(key));
                link.provide_key(now, key, known);
                false
            }
            LinkEvent::Message(key_id, Received { message, quick_ack }) => {
                let Message { header, body } = message;
                // The test has taken the key away while the link was open.
                let Some((key, first)) = self.keys.get(&key_id).cloned() else { return true };
                self.seen.push(Seen::Message {
                    link: id,
                    key: key_id,
                    session: header.session_id,
                    salt: header.salt,
                    body: body.clone(),
                });
                self.last = Some((Arc::clone(&key), header, id));
                self.session_keys.insert(header.session_id, key);
                if self.salts_drift {
                    self.salt_secret = self.rng.bytes();
                    self.sessions.clear();
                }
                let salts = ServerSalts::new(&self.salt_secret, key_id, first);
                let rng = &mut self.rng;
                let session = self.sessions.entry(header.session_id).or_insert_with(|| {
                    ServerSession::new(
                        header.session_id,
                        salts,
                        SessionConfig::default(),
                        rng.fork(),
                    )
                });
                let message = Message { header, body };
                if self.requesting.contains(&id) {
                    session.handle_request(now, LinkId(id), message);
                    return false;
                }
                let is_taken = session.handle_message(now, LinkId(id), message);
                if let Some(token) = quick_ack.filter(|_| is_taken) {
                    self.seen.push(Seen::QuickAckWanted(id));
                    link.acknowledge_quickly(token);
                }
                false
            }
            LinkEvent::Closed(_) => true,
            _ => false,
        }
    }

    /// Answers calls, says what is to be said. Whether the connection is over.
    pub(crate) fn speak(&mut self, link: &mut Link, id: u64) -> bool {
        let now = self.clock.now();
        let mut is_over = false;
        let Some((key, header, last_link)) = self.last.clone() else { return false };
        if last_link != id {
            self.send(link, id);
            return false;
        }
        let session_ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        for session_id in session_ids {
            while let Some(event) = self.sessions.get_mut(&session_id).unwrap().poll_event() {
                if let ServerEvent::DestroyAuthKey { request } = event {
                    self.destroy(session_id, request);
                    continue;
                }
                let ServerEvent::Call(incoming) = event else { continue };
                let answer = self.answer_by_key(session_id, &incoming);
                let Self { hooks, seen, sessions, .. } = &mut *self;
                let session = sessions.get_mut(&session_id).unwrap();
                if let Some(result) = answer {
                    session.answer(now, incoming.msg_id, result);
                    continue;
                }
                seen.push(Seen::Call(incoming.call.query.clone()));
                let reply = (hooks.call)(&mut incoming.call.query.clone());
                let result = match reply {
                    Reply::Nothing => continue,
                    Reply::Held => {
                        self.held.push((session_id, incoming.msg_id));
                        continue;
                    }
                    Reply::Result(result) => Ok(result),
                    Reply::Error(error) => Err(error),
                    Reply::Cut(result) => {
                        is_over = true;
                        session.handle_link_closed(LinkId(id));
                        Ok(result)
                    }
                };
                session.answer(now, incoming.msg_id, result);
            }
        }
        for inject in std::mem::take(&mut self.inject) {
            match inject {
                Inject::Message(change, body) => {
                    let next = (now.unix.as_secs() as i64) << 32;
                    let low = i64::from(self.rng.u32() & !3) | 3;
                    let mut header = Header { msg_id: MsgId(next | low), seq_no: 1, ..header };
                    change(&mut header);
                    link.send(Arc::clone(&key), Message { header, body });
                }
                Inject::Plain(body) => link.send_plain(now.unix, &body),
                Inject::Error(code) => link.fail(now, code),
                Inject::Garbage => {
                    let mut bytes = *key.full().unwrap();
                    // The id stays, the key does not: only the stored part is changed.
                    bytes[100] ^= 1;
                    let stored = bytes.first_chunk().unwrap();
                    let other = AuthKey::from_stored(key.id(), key.aux_hash(), stored);
                    let header = Header { msg_id: MsgId(header.msg_id.0 + 1), ..header };
                    link.send(
                        Arc::new(other),
                        Message { header, body: Bytes::from_static(&[0; 4]) },
                    );
                }
                Inject::Cut => is_over = true,
                Inject::Push(body) => {
                    if let Some(session) = self.sessions.get_mut(&header.session_id) {
                        session.push(now, body);
                    }
                }
            }
        }
        if !is_over {
            self.send(link, id);
        }
        is_over
    }

    /// Destroys the permanent key of a session, and all that is bound to it (SVC-37).
    fn destroy(&mut self, session_id: SessionId, request: MsgId) {
        let used = self.session_keys[&session_id].id();
        let permanent = self.temporary.get(&used).copied().flatten().unwrap_or(used);
        let outcome = (self.hooks.destroy)(&mut { permanent });
        self.seen.push(Seen::Destroy(permanent));
        let Some(outcome) = outcome else { return };
        let now = self.clock.now();
        self.sessions.get_mut(&session_id).unwrap().auth_key_destroyed(now, request, outcome);
    }

    /// Gives a link what its sessions have for it.
    fn send(&mut self, link: &mut Link, id: u64) {
        let now = self.clock.now();
        for (session_id, session) in &mut self.sessions {
            let key = &self.session_keys[session_id];
            while let Some((to, message)) = session.poll_transmit(now) {
                self.outbox.entry(to.0).or_default().push((Arc::clone(key), message));
            }
        }
        for (key, message) in self.outbox.remove(&id).unwrap_or_default() {
            link.send(key, message);
        }
    }

    /// What the key of a session has to say to a call: it binds a key, or is not bound (PFS-04).
    fn answer_by_key(
        &mut self,
        session_id: SessionId,
        call: &IncomingCall,
    ) -> Option<Result<Bytes, RpcError>> {
        let temporary = self.session_keys[&session_id].id();
        let bound = *self.temporary.get(&temporary)?;
        let request = match bind::read_request(&call.call.query) {
            Ok(request) => request,
            Err(_) if bound.is_some() => return None,
            Err(_) => return Some(Err(RpcError::unauthorized("AUTH_KEY_PERM_EMPTY"))),
        };
        let permanent = bind::permanent_id(&request);
        let came_with = CameWith { temporary, session_id, msg_id: call.msg_id };
        let key = self.keys.get(&permanent).map(|(key, _)| Arc::clone(key));
        let is_permanent = !self.temporary.contains_key(&permanent);
        let judged = bind::verify(&request, came_with, key.as_deref().filter(|_| is_permanent));
        if let Err(error) = judged {
            return Some(Err(error.to_rpc()));
        }
        let expires_at = request.expires_at;
        self.seen.push(Seen::Bound { temporary, permanent, expires_at });
        if let Err(error) = (self.hooks.bind)(&mut { temporary }) {
            return Some(Err(error));
        }
        for other in self.temporary.values_mut().filter(|other| **other == Some(permanent)) {
            *other = None;
        }
        self.temporary.insert(temporary, Some(permanent));
        Some(Ok(encoded(&true)))
    }

    /// One step of the key exchange; `None` is answered by -404.
    fn exchange(&mut self, link: u64, body: &Bytes) -> Option<Bytes> {
        if let Some(request) = read::<functions::ReqPqMulti>(body) {
            let nonce = request.nonce;
            self.seen.push(Seen::ReqPq { link, nonce });
            let fresh: [u8; 16] = self.rng.bytes();
            let run = self.runs.entry(nonce).or_insert(Run {
                server_nonce: fresh,
                new_nonce: [0; 32],
                keys: None,
                exponent: None,
                group: Group::known(),
                attempts: 0,
                retry_id: 0,
                is_temporary: false,
            });
            let mut answer = types::ResPq {
                nonce,
                server_nonce: run.server_nonce,
                pq: PQ.to_be_bytes().to_vec().into(),
                server_public_key_fingerprints: vec![1, IDENTITY.public().fingerprint()],
            };
            (self.hooks.res_pq)(&mut answer);
            return Some(encoded(&answer));
        }
        if let Some(request) = read::<functions::ReqDhParams>(body) {
            let run = self.runs.get_mut(&request.nonce)?;
            let plain = IDENTITY.decrypt(&request.encrypted_data, &mut self.rng).ok()?;
            let data = Bytes::copy_from_slice(&plain.data);
            let (inner, expires_in) = match front::<types::PQInnerData>(&data)? {
                types::PQInnerData::PQInnerDataDc(inner) => (*inner, None),
                types::PQInnerData::PQInnerDataTempDc(temp) => {
                    let expires_in = temp.expires_in;
                    let ctors::PQInnerDataTempDc {
                        pq,
                        p,
                        q,
                        nonce,
                        server_nonce,
                        new_nonce,
                        dc,
                        ..
                    } = *temp;
                    let inner =
                        ctors::PQInnerDataDc { pq, p, q, nonce, server_nonce, new_nonce, dc };
                    (inner, Some(expires_in))
                }
                _ => return None,
            };
            let is_honest = plain.scheme == Scheme::Padded
                && (inner.nonce, inner.server_nonce) == (request.nonce, run.server_nonce)
                && (&inner.p, &inner.q) == (&request.p, &request.q)
                && *inner.pq == PQ.to_be_bytes()
                && *inner.p == P.to_be_bytes()
                && *inner.q == Q.to_be_bytes()
                && inner.new_nonce != run.new_nonce;
            if !is_honest {
                return None;
            }
            self.seen.push(match expires_in {
                None => Seen::ReqDh { dc: inner.dc },
                Some(expires_in) => Seen::ReqDhTemp { dc: inner.dc, expires_in },
            });
            run.is_temporary = expires_in.is_some();
            run.new_nonce = inner.new_nonce;
            if let Some(is_genuine) = (self.hooks.dh_fail)(&mut 0) {
                let mut new_nonce_hash = exchange::new_nonce_hash(&run.new_nonce);
                new_nonce_hash[0] ^= u8::from(!is_genuine);
                let (nonce, server_nonce) = (request.nonce, run.server_nonce);
                let fail = ctors::ServerDhParamsFail { nonce, server_nonce, new_nonce_hash };
                return Some(encoded(&fail));
            }
            let (exponent, g_a) = run.group.key_pair(&mut self.rng);
            let keys = exchange::tmp_aes(&run.new_nonce, &run.server_nonce);
            let mut inner = types::ServerDhInnerData {
                nonce: request.nonce,
                server_nonce: run.server_nonce,
                g: 3,
                dh_prime: run.group.prime().to_vec().into(),
                g_a: g_a.to_vec().into(),
                server_time: self.clock.now().unix.as_secs() as i32,
            };
            (self.hooks.inner)(&mut inner);
            let mut sealed = exchange::seal_inner(&encoded(&inner), &keys, &mut self.rng);
            (self.hooks.sealed)(&mut sealed);
            run.keys = Some(keys);
            run.exponent = Some(exponent);
            let mut answer = ctors::ServerDhParamsOk {
                nonce: request.nonce,
                server_nonce: run.server_nonce,
                encrypted_answer: sealed.into(),
            };
            (self.hooks.dh_ok)(&mut answer);
            return Some(encoded(&answer));
        }
        let request = read::<functions::SetClientDhParams>(body)?;
        let run = self.runs.get_mut(&request.nonce)?;
        let mut sealed = request.encrypted_data.to_vec();
        let opened = exchange::open_inner(&mut sealed, run.keys.as_ref()?).ok()?;
        let inner = front::<types::ClientDhInnerData>(&Bytes::copy_from_slice(opened.unchecked()))?;
        opened.check(encoded(&inner).len())?;
        let (retry_id, expected) = (inner.retry_id, run.retry_id);
        self.seen.push(Seen::SetDh { retry_id, expected });
        let key = run.group.shared(run.exponent.as_ref()?, &inner.g_b).ok()?;
        let aux = key.aux_hash();
        let kind = (self.hooks.dh_gen)(&mut { run.attempts });
        run.attempts += 1;
        run.retry_id = i64::from_le_bytes(aux);
        let hash = |number| match number {
            1 => exchange::new_nonce_hash1(&run.new_nonce, &aux),
            2 => exchange::new_nonce_hash2(&run.new_nonce, &aux),
            3 => exchange::new_nonce_hash3(&run.new_nonce, &aux),
            _ => [0; 16],
        };
        let mut nonces = (request.nonce, run.server_nonce);
        (self.hooks.dh_gen_nonces)(&mut nonces);
        let (nonce, server_nonce) = nonces;
        Some(match kind {
            Gen::Ok(number) => {
                let value = exchange::first_salt(&run.new_nonce, &run.server_nonce);
                let created = self.clock.now().unix_seconds();
                if run.is_temporary {
                    self.temporary.insert(key.id(), None);
                }
                self.keys.insert(key.id(), (Arc::new(key), FirstSalt { value, created }));
                let new_nonce_hash1 = hash(number);
                encoded(&ctors::DhGenOk { nonce, server_nonce, new_nonce_hash1 })
            }
            Gen::Retry(number) => {
                let new_nonce_hash2 = hash(number);
                encoded(&ctors::DhGenRetry { nonce, server_nonce, new_nonce_hash2 })
            }
            Gen::Fail(number) => {
                let new_nonce_hash3 = hash(number);
                encoded(&ctors::DhGenFail { nonce, server_nonce, new_nonce_hash3 })
            }
            Gen::Other => encoded(&types::Pong { msg_id: 1, ping_id: 1 }),
        })
    }
}

pub(crate) fn encoded<T: Encode>(value: &T) -> Bytes {
    chappe_tl::to_bytes(value).unwrap()
}

fn read<T: Function>(body: &Bytes) -> Option<T> {
    front(body)
}

/// The object at the front of some bytes.
pub(crate) fn front<T: Decode>(body: &Bytes) -> Option<T> {
    T::decode(&mut Reader::new(body.clone())).ok()
}

//! A client that holds a permanent key and a temporary one, and writes under either.

use bytes::Bytes;
use chappe_crypto::Rng;
use chappe_proto::MsgId;
use chappe_proto::envelope::encrypted::Message;
use chappe_proto::handshake::bind::Binding;
use chappe_proto::rpc::{CallResult, RESULT, RpcError};
use chappe_proto::schema::functions::auth::BindTempAuthKey;
use chappe_proto::session::{container, kind};
use chappe_tl::{Decode, Encode, Function, Reader, Str, to_bytes};

use crate::client::{Account, Heard, Scribe, Wire, rng};
use crate::functions::Describe;
use crate::sessions::initialised;
use crate::world::World;

/// Life of the temporary keys, in seconds.
pub(crate) const LIFE: i32 = 1000;

pub(crate) struct Holder {
    pub(crate) permanent: Account,
    pub(crate) wire: Wire,
    /// Writes under the temporary key.
    pub(crate) scribe: Scribe,
    rng: Rng,
}

impl Holder {
    /// With two new keys.
    pub(crate) async fn new(world: &World) -> Self {
        let permanent = connect(world).await.exchange(world).await.unwrap();
        Self::of(world, &permanent, 2).await
    }

    /// With one more temporary key, for this data centre.
    pub(crate) async fn of(world: &World, permanent: &Account, dc: i32) -> Self {
        let mut wire = connect(world).await;
        let temporary = wire.exchange_for(world, dc, Some(LIFE)).await.unwrap();
        let mut scribe = Scribe::new(&temporary);
        scribe.clock = world.clock;
        Self { permanent: permanent.clone(), wire, scribe, rng: rng() }
    }

    pub(crate) fn temporary(&self) -> &Account {
        &self.scribe.account
    }

    pub(crate) fn now(&self) -> i32 {
        i32::try_from(self.wire.clock.now().unix_seconds()).unwrap()
    }

    /// `auth.bindTempAuthKey` to the permanent key.
    pub(crate) async fn bind(&mut self) -> Result<bool, RpcError> {
        self.bind_until(self.now() + LIFE).await
    }

    pub(crate) async fn bind_until(&mut self, expires_at: i32) -> Result<bool, RpcError> {
        self.bind_with(|binding| binding.expires_at = expires_at, |_| {}).await
    }

    /// A request with something wrong: in what both the message under the permanent key and the
    /// arguments say, or in the arguments alone.
    pub(crate) async fn bind_with(
        &mut self,
        change_both: impl FnOnce(&mut Binding),
        change_arguments: impl FnOnce(&mut BindTempAuthKey),
    ) -> Result<bool, RpcError> {
        let message = self.bind_message(change_both, change_arguments);
        self.ask::<BindTempAuthKey>(message).await
    }

    pub(crate) fn bind_message(
        &mut self,
        change_both: impl FnOnce(&mut Binding),
        change_arguments: impl FnOnce(&mut BindTempAuthKey),
    ) -> Message {
        let (expires_at, temporary) = (self.now() + LIFE, self.temporary().key.id());
        let (session_id, permanent) = (self.scribe.session_id, self.permanent.clone());
        let (nonce, random) = (self.rng.u64().cast_signed(), self.rng.bytes());
        self.scribe.write_itself(|msg_id| {
            let mut binding = Binding { nonce, temporary, session_id, msg_id, expires_at };
            change_both(&mut binding);
            let mut request = binding.request(&permanent.key, random);
            change_arguments(&mut request);
            to_bytes(&request).unwrap()
        })
    }

    /// Calls under the temporary key.
    pub(crate) async fn call<F: Function>(&mut self, call: F) -> Result<F::Return, RpcError> {
        self.call_in::<F>(&call).await
    }

    /// Calls something that answers as `F` does.
    pub(crate) async fn call_in<F: Function>(
        &mut self,
        call: &impl Encode,
    ) -> Result<F::Return, RpcError> {
        let message = self.scribe.write(call);
        self.ask::<F>(message).await
    }

    /// `Describe` in `initConnection`.
    pub(crate) async fn initialise(&mut self, device: &str) -> Result<Str, RpcError> {
        self.call_in::<Describe>(&initialised(device)).await
    }

    pub(crate) async fn ask<F: Function>(&mut self, call: Message) -> Result<F::Return, RpcError> {
        let msg_id = call.header.msg_id;
        let key = self.temporary().key.clone();
        self.wire.send(&key, call).await;
        answer::<F>(&mut self.wire, msg_id).await
    }

    /// The next message under the temporary key gets -404: on the connection in use, and on a new
    /// one.
    pub(crate) async fn is_unknown(&mut self, world: &World) {
        let key = self.temporary().key.clone();
        for _ in 0..2 {
            let message = self.scribe.write(&Describe::from(""));
            self.wire.send(&key, message).await;
            errs_at_last(&mut self.wire).await;
            self.wire = connect(world).await;
        }
    }
}

/// A connection that goes by the clock of its server.
pub(crate) async fn connect(world: &World) -> Wire {
    let mut wire = Wire::connect(world.address).await;
    wire.clock = world.clock;
    wire
}

/// Writes under the permanent key.
pub(crate) fn scribe(world: &World, account: &Account) -> Scribe {
    let mut scribe = Scribe::new(account);
    scribe.clock = world.clock;
    scribe
}

/// Calls under a key on a connection of its own.
pub(crate) async fn call_under<F: Function>(
    world: &World,
    account: &Account,
    call: &impl Encode,
) -> Result<F::Return, RpcError> {
    let mut wire = connect(world).await;
    let message = scribe(world, account).write(call);
    let msg_id = message.header.msg_id;
    wire.send(&account.key, message).await;
    answer::<F>(&mut wire, msg_id).await
}

/// Hears -404 after whatever was under way.
pub(crate) async fn errs_at_last(wire: &mut Wire) {
    loop {
        match wire.hear().await {
            Heard::Error(code) => return assert_eq!(code, 404),
            Heard::Message(_) => {}
            heard => panic!("heard {heard:?}"),
        }
    }
}

/// The answer to a call, whatever comes before it.
pub(crate) async fn answer<F: Function>(
    wire: &mut Wire,
    call: MsgId,
) -> Result<F::Return, RpcError> {
    loop {
        for body in heard(wire).await {
            if kind::id_of(&body) != RESULT {
                continue;
            }
            let result = CallResult::read(&body, 1 << 20).unwrap();
            if result.call == call {
                let raw = result.result?;
                return Ok(F::Return::decode(&mut Reader::new(raw.0)).unwrap());
            }
        }
    }
}

/// The bodies of the next message.
pub(crate) async fn heard(wire: &mut Wire) -> Vec<Bytes> {
    let Heard::Message(message) = wire.hear().await else { panic!("no message") };
    if kind::id_of(&message.body) != container::ID {
        return vec![message.body];
    }
    let inners = container::unpack(message.header.msg_id, &message.body).unwrap();
    inners.into_iter().map(|inner| inner.body).collect()
}

/// What the error of a call says.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, RpcError>) -> (i32, String) {
    let error = result.unwrap_err();
    (error.code, error.message)
}

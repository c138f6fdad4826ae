//! Quick acknowledgements of a whole server, over real connections.

use chappe_proto::MsgId;
use chappe_proto::schema::{ctors, types};

use crate::client::{Heard, Scribe, Wire};
use crate::functions::{Echo, Sleep};
use crate::world::World;

/// Rules: TRN-26, TRN-27: what a session took is acknowledged at once to a client that wants to hear it,
///        before anything that follows from it and long before the answer of a slow handler; to one
///        that does not, nothing is said.
#[tokio::test]
async fn taken_message_is_acknowledged_before_its_answer() {
    let world = World::new().await;
    let mut wire = Wire::connect(world.address).await;
    let account = wire.exchange(&world).await.unwrap();
    let mut scribe = Scribe::new(&account);
    for _ in 0..3 {
        let quick = scribe.write(&Echo::from("x"));
        let id = quick.header.msg_id;
        wire.send_with_quick_ack(&account.key, quick).await;
        assert_eq!(told(&mut wire).await, Some(id));
        let Heard::Message(_) = wire.hear().await else { panic!("no answer") };

        wire.send(&account.key, scribe.write(&Echo::from("x"))).await;
        assert_eq!(told(&mut wire).await, None);
    }
    let slow = scribe.write(&Sleep::from("60000"));
    let id = slow.header.msg_id;
    wire.send_with_quick_ack(&account.key, slow).await;
    assert_eq!(told(&mut wire).await, Some(id));
}

/// Rule: TRN-26: no acknowledgement of a message that is refused, for its salt or for its number, nor of
///       one that leads to a transport error.
#[tokio::test]
async fn refused_message_is_not_acknowledged() {
    let world = World::new().await;
    let mut wire = Wire::connect(world.address).await;
    let account = wire.exchange(&world).await.unwrap();
    let mut scribe = Scribe::new(&account);
    let mut salted = scribe.write(&Echo::from("x"));
    salted.header.salt ^= 1;
    wire.send_with_quick_ack(&account.key, salted).await;
    let Heard::Message(refusal) = wire.hear().await else { panic!("it was acknowledged") };
    let id = u32::from_le_bytes(refusal.body[..4].try_into().unwrap());
    assert_eq!(id, <ctors::BadServerSalt as chappe_tl::Constructor>::ID);

    let mut numbered = scribe.write(&Echo::from("x"));
    numbered.header.seq_no += 1;
    wire.send_with_quick_ack(&account.key, numbered).await;
    let Heard::Message(refusal) = wire.hear().await else { panic!("it was acknowledged") };
    let id = u32::from_le_bytes(refusal.body[..4].try_into().unwrap());
    assert_eq!(id, <ctors::BadMsgNotification as chappe_tl::Constructor>::ID);

    let ids = types::MsgsAck { msg_ids: vec![1; 8193] };
    let flood = scribe.write_with(0, chappe_tl::to_bytes(&ids).unwrap());
    wire.send_with_quick_ack(&account.key, flood).await;
    let heard = loop {
        match wire.hear().await {
            // The session was announced meanwhile.
            Heard::Message(_) => {}
            heard => break heard,
        }
    };
    assert!(matches!(heard, Heard::Error(429)), "heard {heard:?}");
    wire.ends().await;
}

/// The message that the next thing heard acknowledges, if it does.
async fn told(wire: &mut Wire) -> Option<MsgId> {
    match wire.hear().await {
        Heard::QuickAck(id) => Some(id),
        _ => None,
    }
}

//! The datagrams of a channel, beside its link: experimental, a definition of this project, and off
//! unless a client is told to use them (UDP-01).

use std::net::SocketAddr;

use bytes::Bytes;
use chappe_net::udp;
use chappe_proto::datagram::{ClientConfig, ClientEndpoint, ClientEvent};
use chappe_proto::keys::Slot;
use chappe_proto::{LinkId, Now};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::debug;

use super::channel::Traffic;
use super::link::{LinkCommand, News};
use super::{Line, Task};

/// A socket for the session of one channel, for as long as its link is open.
#[derive(Debug)]
pub(super) struct Datagrams {
    endpoint: ClientEndpoint,
    outbound: mpsc::UnboundedSender<(SocketAddr, Bytes)>,
    carrying: AbortHandle,
}

impl Datagrams {
    pub(super) fn endpoint(&mut self) -> &mut ClientEndpoint {
        &mut self.endpoint
    }

    pub(super) fn poll_timeout(&self) -> std::time::Duration {
        self.endpoint.poll_timeout()
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

impl Task {
    /// The link of a channel is open, and its session: datagrams are tried beside it.
    pub(super) fn open_datagrams(&mut self, now: Now, slot: Slot, link: LinkId) {
        let Some(config) = self.settings.datagrams.clone() else { return };
        let rng = self.rng.fork();
        let Some(channel) = self.channels.get_mut(&slot) else { return };
        let Some(traffic) = channel.traffic.as_mut().filter(|_| !self.settings.link.mtproto1)
        else {
            return;
        };
        let (outbound, departing) = mpsc::unbounded_channel();
        let carried = carry(config.clone(), link, departing, self.tell.clone());
        let carrying = self.link_tasks.spawn(carried);
        let endpoint = ClientEndpoint::new(now, config, traffic.key.clone(), rng);
        channel.datagrams = Some(Datagrams { endpoint, outbound, carrying });
    }

    /// A datagram came.
    pub(super) fn hear_datagram(
        &mut self,
        now: Now,
        slot: Slot,
        (from, datagram): (SocketAddr, bytes::BytesMut),
    ) {
        let Some(channel) = self.channels.get_mut(&slot) else { return };
        let Some(datagrams) = &mut channel.datagrams else { return };
        datagrams.endpoint.handle_datagram(now, from, datagram);
        self.settle_datagrams(now, slot);
        self.take_events(now, slot);
    }

    /// Does what the datagrams of a channel want, and sends those that are ready.
    pub(super) fn settle_datagrams(&mut self, now: Now, slot: Slot) {
        let Some(channel) = self.channels.get_mut(&slot) else { return };
        let link = channel.open_link().and_then(|link| self.links.get(&link));
        let (Some(datagrams), Some(Traffic { session, key, .. }), Some(Line { commands, .. })) =
            (&mut channel.datagrams, &mut channel.traffic, link)
        else {
            return;
        };
        while let Some(event) = datagrams.endpoint.poll_event() {
            match event {
                ClientEvent::Message(message) => {
                    session.handle_datagram(now, message);
                }
                ClientEvent::Ping => session.keep_alive(),
                ClientEvent::Undelivered(message) => {
                    let _ = commands.send(LinkCommand::Send(key.clone(), message));
                }
                ClientEvent::Hint(code) => debug!(code, "a datagram says that something is wrong"),
            }
        }
        datagrams.endpoint.settle(now, |id| session.is_owed(id));
        session.split_packets(datagrams.endpoint.is_open());
        while let Some(departing) = datagrams.endpoint.poll_transmit() {
            let _ = datagrams.outbound.send(departing);
        }
    }
}

/// Carries datagrams to the socket and from it. Without a socket they are lost, as they may be.
async fn carry(
    config: ClientConfig,
    link: LinkId,
    mut departing: mpsc::UnboundedReceiver<(SocketAddr, Bytes)>,
    tell: mpsc::Sender<(LinkId, News)>,
) {
    let socket = match udp::bind_towards(config.server) {
        Ok(socket) => socket,
        Err(error) => return debug!(%error, "no socket for datagrams"),
    };
    loop {
        tokio::select! {
            came = udp::receive(&socket) => {
                // A task that has ended needs no news; one that is busy makes us lose some.
                let _ = tell.send((link, News::Datagram(came))).await;
            }
            datagram = departing.recv() => match datagram {
                Some((to, datagram)) => udp::send(&socket, to, &datagram).await,
                None => return,
            },
        }
    }
}

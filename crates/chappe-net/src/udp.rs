//! UDP sockets for the experimental datagrams of MTU1.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::BytesMut;
use chappe_proto::datagram::DATAGRAM_MAX;
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tracing::trace;

/// A socket at this address, whose datagrams are never fragmented on their way (UDP-02). The IPv6
/// address `::` takes IPv4 datagrams as well, unless `only_v6`.
///
/// # Errors
/// The address is in use, or not ours.
pub fn bind(address: SocketAddr, only_v6: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    let socket = UdpSocket::from_std(socket.into())?;
    match address {
        SocketAddr::V4(_) => set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DO)?,
        SocketAddr::V6(_) => set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::DO)?,
    }
    Ok(socket)
}

/// A socket that can send to `server`, at whatever port of ours.
///
/// # Errors
/// The system has no more sockets.
pub fn bind_towards(server: SocketAddr) -> io::Result<UdpSocket> {
    let ours: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    bind(SocketAddr::new(ours, 0), true)
}

/// The next datagram. One that is too large is cut, and still too large afterwards.
///
/// Errors of the socket are of datagrams that we sent, and those may be lost. May be dropped
/// without losing a datagram.
pub async fn receive(socket: &UdpSocket) -> (SocketAddr, BytesMut) {
    let mut buffer = [0; DATAGRAM_MAX + 1];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((len, from)) => return (from, BytesMut::from(&buffer[..len])),
            Err(error) => {
                trace!(%error, "a datagram was lost");
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Sends a datagram, or loses it: where the system has no room for it, neither has the network.
pub async fn send(socket: &UdpSocket, to: SocketAddr, datagram: &[u8]) {
    if let Err(error) = socket.send_to(datagram, to).await {
        trace!(%error, %to, "a datagram was lost");
    }
}

"""A SOCKS5 proxy that leads to the server, whatever address it is asked for."""

import asyncio

from link import Link


class Socks:
    """TDLib's way to the server: tells of every connection, and can break them all."""

    kind = {"@type": "proxyTypeSocks5", "username": "", "password": ""}

    def __init__(self, host, port, opened=lambda: None):
        self.server = (host, port)
        self.opened = opened
        self.open = set()

    async def listen(self):
        """Begins to accept connections and returns the port."""
        self.listener = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        return self.listener.sockets[0].getsockname()[1]

    def cut(self):
        for writer in self.open:
            writer.transport.abort()

    async def accept(self, reader, writer):
        ends = {writer}
        try:
            await self.greet(reader, writer)
            server_reader, server_writer = await asyncio.open_connection(*self.server)
            ends.add(server_writer)
            self.opened()
            self.open |= ends
            await asyncio.gather(carry(reader, server_writer), carry(server_reader, writer))
        except (OSError, EOFError, asyncio.CancelledError):
            # It ended, or was cut, or this process ends.
            pass
        finally:
            self.open -= ends
            for end in ends:
                end.transport.abort()

    async def greet(self, reader, writer):
        """RFC 1928: no authentication, CONNECT, and an answer before there is a connection."""
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\5\0")
        address_type = (await reader.readexactly(4))[3]
        address_len = {1: 4, 4: 16}[address_type]
        await reader.readexactly(address_len + 2)
        writer.write(b"\5\0\0\1" + bytes(6))


class Passage(Socks):
    """TDLib's way to an MTProto proxy, which is told of as well; the form is in the secret."""

    def __init__(self, text, opened=lambda: None):
        link = Link(text)
        super().__init__(link.host, link.port, opened)
        self.kind = {"@type": "proxyTypeMtproto", "secret": link.secret}

    async def greet(self, reader, writer):
        """It speaks to the proxy, not to us."""


async def carry(reader, writer):
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.write_eof()

"""A line to the server that is cut when it is told to, in the middle of whatever passes."""

import asyncio
import socket
import struct


class Line:
    """Connections through here are reset, all at once, when so many bytes more have passed, either way."""

    def __init__(self, to):
        host, _, port = to.rpartition(":")
        self.to = host, int(port)
        self.left = []
        self.cuts = 0
        self.open = set()

    async def listen(self):
        """Begins to accept connections and returns the address."""
        self.listener = await asyncio.start_server(self.accept, self.to[0], 0)
        return f"{self.to[0]}:{self.listener.sockets[0].getsockname()[1]}"

    def cut_after(self, *counts):
        """Arms the line: a cut after so many bytes, another so many after that one, and so on."""
        self.left = list(counts)

    def cut(self):
        """Resets whatever is open."""
        for writer in self.open:
            # What is not read by then is lost, and both sides know at once.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self.cuts += 1

    async def accept(self, reader, writer):
        ends = {writer}
        try:
            server_reader, server_writer = await asyncio.open_connection(*self.to)
            ends.add(server_writer)
            self.open |= ends
            await asyncio.gather(self.carry(reader, server_writer), self.carry(server_reader, writer))
        except (OSError, EOFError, asyncio.CancelledError):
            # It was cut, or this process ends.
            pass
        finally:
            self.open -= ends
            for end in ends:
                end.transport.abort()

    async def carry(self, reader, writer):
        while data := await reader.read(1 << 14):
            if self.left:
                self.left[0] -= len(data)
                if self.left[0] < 0:
                    self.left.pop(0)
                    self.cut()
                    return
            writer.write(data)
            await writer.drain()
        writer.write_eof()

#!/usr/bin/env python3
"""A relay that breaks what passes through it, each connection in a way that seed and number decide.

    relay.py --to 127.0.0.1:4430 --seed 7

Prints one line of JSON with its address when it accepts connections, and one with what it did when it is
ended by SIGTERM or Ctrl-C. Every connection is delayed, and after some hundred bytes to some ten thousand, in
one direction or the other and mostly in the middle of a frame, one of these befalls it:

- cut: both sides are reset;
- half-close: the receiver of the bytes is told that they end; what it sends itself still passes for a while;
- stall: nothing passes any more, both sockets stay open; much later they are reset;
- pause: nothing passes for a while, then everything does, until the next of these four.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import os
import random
import signal
import socket
import struct

# Shares of the faults.
FAULTS = {"cut": 5, "half-close": 2, "stall": 2, "pause": 3}
# Bytes before a fault: many small numbers, so that key exchanges are hit too, and some large ones.
BYTES_MIN, BYTES_MAX = 200, 12_000
# Seconds.
DELAY_MAX = 0.03
HALF_CLOSED = (0.2, 2)
STALLED_MIN = 1
PAUSED = (0.2, 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", metavar="HOST:PORT", required=True, help="the server")
    parser.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:0", help="default: a free loopback port")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same faults (default: 1)")
    parser.add_argument("--stall-max", type=float, default=5, metavar="SECONDS",
                        help="longest stall; after it the connection is reset (default: 5)")
    args = parser.parse_args()
    asyncio.run(serve(args))


async def serve(args):
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    counts = collections.Counter()
    to = split(args.to)

    # The loop itself lets go of a task that waits for nothing of its own.
    running = set()

    async def accepted(reader, writer):
        running.add(asyncio.current_task())
        counts["connections"] += 1
        chance = random.Random(f"{args.seed}/{counts['connections']}")
        await Connection(reader, writer, to, chance, args.stall_max, counts).run()
        running.discard(asyncio.current_task())

    server = await asyncio.start_server(accepted, *split(args.listen))
    host, port = server.sockets[0].getsockname()[:2]
    print(json.dumps({"listen": f"{host}:{port}"}), flush=True)
    await stop.wait()
    print(json.dumps(counts), flush=True)
    # Whatever is open ends with the process.
    os._exit(0)


def split(address):
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


class Connection:
    """One connection and its fate."""

    def __init__(self, reader, writer, to, chance, stall_max, counts):
        self.client = (reader, writer)
        self.to = to
        self.chance = chance
        self.stalled = (STALLED_MIN, max(STALLED_MIN, stall_max))
        self.counts = counts
        self.passing = asyncio.Event()
        self.passing.set()
        self.draw()

    def draw(self):
        """Decides what happens next, and when."""
        self.fault = self.chance.choices(list(FAULTS), FAULTS.values())[0]
        self.direction = self.chance.choice(("up", "down"))
        self.bytes_left = int(BYTES_MIN * (BYTES_MAX / BYTES_MIN) ** self.chance.random())
        self.delay = self.chance.uniform(0, DELAY_MAX)

    async def run(self):
        try:
            self.server = await asyncio.open_connection(*self.to)
        except OSError:
            return reset(self.client[1])
        ways = [
            asyncio.create_task(self.carry("up", self.client[0], self.server[1])),
            asyncio.create_task(self.carry("down", self.server[0], self.client[1])),
        ]
        # A way that ends by itself is an end of file, passed on; one that fails ends the connection.
        await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for writer in (self.client[1], self.server[1]):
            reset(writer)

    async def carry(self, direction, reader, writer):
        while data := await reader.read(1 << 14):
            await asyncio.sleep(self.delay)
            await self.passing.wait()
            while direction == self.direction and len(data) >= self.bytes_left:
                head, data = data[: self.bytes_left], data[self.bytes_left :]
                await self.deliver(direction, head, writer)
                await self.strike(writer)
            if direction == self.direction:
                self.bytes_left -= len(data)
            await self.deliver(direction, data, writer)
        writer.write_eof()

    async def deliver(self, direction, data, writer):
        self.counts[f"bytes {direction}"] += len(data)
        writer.write(data)
        await writer.drain()

    async def strike(self, writer):
        """Lets the fault happen; raises when the connection is over."""
        self.counts[self.fault] += 1
        match self.fault:
            case "cut":
                raise ConnectionResetError
            case "half-close":
                writer.write_eof()
                await asyncio.sleep(self.chance.uniform(*HALF_CLOSED))
                raise ConnectionResetError
            case "stall":
                self.passing.clear()
                await asyncio.sleep(self.chance.uniform(*self.stalled))
                raise ConnectionResetError
            case "pause":
                self.passing.clear()
                await asyncio.sleep(self.chance.uniform(*PAUSED))
                self.passing.set()
                self.draw()


def reset(writer):
    """Closes with RST: whatever was not read is lost, and the other side knows at once."""
    # The other side may have been quicker.
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


if __name__ == "__main__":
    main()

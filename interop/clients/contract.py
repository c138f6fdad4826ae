"""What every Python client script has in common: arguments, steps, deadline, the one line of JSON.

A script declares its transports and a `Client` class, and hands both to `main`. The steps are the same for
every library: connect (which makes the auth key), help.getConfig, many calls on one connection, and one
call after the connection was cut. With `--recover` they are others: connect and many calls over a line that
breaks again and again, where whatever fails is done again, and counted; with `--seconds` as many as there is time for,
at a pace that leaves time for others.
"""

import argparse
import asyncio
import ipaddress
import itertools
import json
import os
import sys
import time
import traceback
from dataclasses import dataclass
from datetime import datetime

# With --recover: calls open at once, and how long each may take before it counts as lost.
WORKERS = 16
PATIENCE_S = 45
# With --seconds: the pause after each call of a worker.
PAUSE_S = 0.05


class Failed(Exception):
    """The server answered, but not with what the step asks for."""


@dataclass(frozen=True)
class Target:
    """Where the server is, the key it proves itself with, and the link to a proxy that leads there, if one is to."""

    host: str
    port: int
    dc: int
    key_pem: str
    link: str = ""


class Client:
    """One library, driven through the steps.

    `layer` is the layer of the API it speaks, `connections` counts the TCP connections it opened.
    """

    layer = None

    def __init__(self, target: Target, transport):
        self.target = target
        self.transport = transport
        self.connections = 0

    async def connect(self):
        """Creates an auth key and starts a session, as the library does by itself."""
        raise NotImplementedError

    async def config(self):
        """Calls help.getConfig."""
        raise NotImplementedError

    async def check_config(self):
        """Makes sure that the configuration has come, and is right; what to report of it."""
        return check_config(await self.config(), self.target)

    async def nearest_dc(self):
        """Calls help.getNearestDc."""
        raise NotImplementedError

    def cut(self):
        """Breaks the TCP connection under the library, without telling it."""
        raise NotImplementedError

    async def close(self):
        """Ends the session."""
        raise NotImplementedError

    def trouble(self):
        """What the library says about a step that does not end."""
        return ""


def main(name, version, transports, client_class):
    """Parses the arguments, runs the steps, prints the outcome and exits."""
    parser = argparse.ArgumentParser(description=f"{name} {version} against an MTProto server on this machine")
    parser.add_argument("--list", action="store_true", help="print the transports and exit")
    parser.add_argument("--address", metavar="HOST:PORT", help="loopback address of the server")
    parser.add_argument("--dc", type=int, default=2, help="data centre the server is (default: 2)")
    parser.add_argument("--key", metavar="FILE", help="public key of the server, PKCS#1 PEM")
    parser.add_argument("--transport", choices=transports)
    parser.add_argument("--calls", type=int, default=100, help="calls on one connection (default: 100)")
    parser.add_argument("--no-reconnect", action="store_true", help="do not cut the connection")
    parser.add_argument("--recover", action="store_true", help="the line breaks: repeat what fails")
    parser.add_argument("--seconds", type=float, help="with --recover: calls for so long, however many they are")
    parser.add_argument("--link", default="", help="of an MTProto proxy that leads to the server")
    parser.add_argument("--timeout", type=float, default=30, metavar="SECONDS", help="for all steps (default: 30)")
    args = parser.parse_args()
    if args.list:
        print("\n".join(transports))
        sys.exit(0)
    if not (args.address and args.key and args.transport):
        parser.error("--address, --key and --transport are needed")

    report = {"client": name, "version": version, "transport": args.transport, "ok": False}
    client = client_class(read_target(args), transports[args.transport])
    asyncio.run(finish(client, args, report))


async def finish(client, args, report):
    steps = asyncio.create_task((recover if args.recover else take_steps)(client, args, report))
    await asyncio.wait([steps], timeout=args.timeout)
    if not steps.done():
        print(f"{report['client']}: step '{report['step']}' did not end within {args.timeout} s", client.trouble(),
              sep="\n", file=sys.stderr)
    elif steps.exception():
        traceback.print_exception(steps.exception())
    else:
        report["ok"] = True
    report["layer"] = client.layer
    report["connections"] = client.connections
    print(json.dumps(report), flush=True)
    sys.stderr.flush()
    # The libraries leave threads and tasks behind that would delay an ordinary exit.
    os._exit(0 if report["ok"] else 1)


def read_target(args):
    host, _, port = args.address.rpartition(":")
    host = host.strip("[]")
    if not ipaddress.ip_address(host).is_loopback:
        sys.exit(f"{host} is not a loopback address")
    with open(args.key, encoding="ascii") as file:
        return Target(host, int(port), args.dc, file.read(), getattr(args, "link", ""))


async def take_steps(client, args, report):
    seconds = report["seconds"] = {}

    def begin(step):
        report["step"] = step
        return time.monotonic()

    started = begin("connect")
    await client.connect()
    begin("config")
    report["config"] = await client.check_config()
    # Some libraries make the key in `connect`, some at the first call.
    seconds["connect"] = round(time.monotonic() - started, 3)

    started = begin("calls")
    alone = args.calls // 2
    for _ in range(alone):
        await client.nearest_dc()
    # All at once, so that a library which packs messages into containers does it here.
    await asyncio.gather(*(client.nearest_dc() for _ in range(args.calls - alone)))
    report["calls"] = args.calls
    seconds["calls"] = round(time.monotonic() - started, 3)

    if not args.no_reconnect:
        started = begin("reconnect")
        before = client.connections
        client.cut()
        while client.connections == before:
            await asyncio.sleep(0.01)
        await client.nearest_dc()
        seconds["reconnect"] = round(time.monotonic() - started, 3)

    begin("close")
    await client.close()
    del report["step"]


async def recover(client, args, report):
    seconds = report["seconds"] = {}
    repeated = report["repeated"] = {"failed": 0, "lost": 0}
    open_calls = calls_to_make(args)

    async def insist(work):
        while True:
            try:
                return await asyncio.wait_for(work(), PATIENCE_S)
            except TimeoutError:
                repeated["lost"] += 1
                print("no answer", file=sys.stderr)
            except Exception as error:  # The libraries have no common one.
                repeated["failed"] += 1
                print(f"failed: {error!r}", file=sys.stderr)
                await asyncio.sleep(0.1)

    async def work():
        for number in open_calls:
            await insist(client.nearest_dc)
            report["calls"] = number + 1
            await asyncio.sleep(PAUSE_S if args.seconds else 0)

    report["step"] = "connect"
    started = time.monotonic()
    await insist(client.connect)
    await insist(client.nearest_dc)
    seconds["connect"] = round(time.monotonic() - started, 3)

    report["step"] = "calls"
    started = time.monotonic()
    await asyncio.gather(*(work() for _ in range(WORKERS)))
    seconds["calls"] = round(time.monotonic() - started, 3)
    del report["step"]


def calls_to_make(args):
    """The numbers of calls, until there are enough or the time is over; several take them in turns."""
    begun = time.monotonic()
    for number in itertools.count() if args.seconds else range(args.calls):
        if args.seconds and time.monotonic() - begun > args.seconds:
            return
        yield number


def check_config(config, target):
    """Requires that the configuration names this server as the data centre it is."""
    if config.this_dc != target.dc:
        raise Failed(f"help.getConfig: this_dc is {config.this_dc}, not {target.dc}")
    expires = config.expires
    if (expires.timestamp() if isinstance(expires, datetime) else expires) <= time.time():
        raise Failed("help.getConfig: expires is in the past")
    addresses = [(option.id, option.ip_address, option.port) for option in config.dc_options]
    if (target.dc, target.host, target.port) not in addresses:
        raise Failed(f"help.getConfig: dc_options lacks this server: {addresses}")
    return {"this_dc": config.this_dc, "dc_options": len(addresses)}

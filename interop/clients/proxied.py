"""Libraries through an MTProto proxy: the steps of contract.py, with `--link` to say where it is.

The first argument is the library. What the server says of its own address is not looked at: it is that of the
connection, which is the proxy's.
"""

import asyncio
import pathlib
import sys
from importlib.metadata import version
from urllib.parse import parse_qs, urlsplit

HERE = pathlib.Path(__file__).resolve().parent
LIBRARY = sys.argv.pop(1)
sys.path += [str(HERE), str(HERE / LIBRARY)]

import client as library
import contract

LINK = sys.argv.pop(sys.argv.index("--link") + 1) if "--link" in sys.argv else ""
if LINK:
    sys.argv.remove("--link")
PARAMETERS = {name: values[0] for name, values in parse_qs(urlsplit(LINK).query).items()}
FORMS = ["plain", "padded", "tls"]


class Proxied(library.Client):
    async def check_config(self):
        if LIBRARY == "tdlib":
            return await super().check_config()
        config = await self.config()
        if config.this_dc != self.target.dc:
            raise contract.Failed(f"help.getConfig: this_dc is {config.this_dc}, not {self.target.dc}")
        return {"this_dc": config.this_dc}


class Telethon(Proxied):
    def __init__(self, target, form):
        from telethon.network.connection import tcpmtproxy

        super().__init__(target, {"plain": tcpmtproxy.ConnectionTcpMTProxyIntermediate,
                                  "padded": tcpmtproxy.ConnectionTcpMTProxyRandomizedIntermediate}[form])

    async def connect(self):
        from telethon import TelegramClient
        from telethon.crypto import rsa
        from telethon.sessions import MemorySession

        rsa._server_keys.clear()
        rsa.add_key(self.target.key_pem, old=False)
        session = MemorySession()
        session.set_dc(self.target.dc, self.target.host, self.target.port)
        self.client = TelegramClient(session, api_id=1, api_hash="0" * 32, connection=self.counted(),
                                     proxy=(self.target.host, self.target.port, PARAMETERS["secret"]))
        await self.client.connect()


class Kurigram(Proxied):
    async def connect(self):
        library.trust(self.target.key_pem)
        library.InDc.interop_dc = self.target.dc
        # The form is in the secret.
        self.client = library.InDc("interop", api_id=1, api_hash="0" * 32, in_memory=True, proxy=LINK,
                                   connection_factory=self.pinned())
        await self.client.connect()
        await self.client.session.is_started.wait()


class TdLib(Proxied):
    def __init__(self, target, form):
        # Without perfect forward secrecy; the form is in the secret.
        super().__init__(target, False)

    def line(self):
        return Line(self.target.host, self.target.port, self.opened)


class Line:
    """Leads to the proxy, tells of every connection, and can break them all."""

    kind = {"@type": "proxyTypeMtproto", "secret": PARAMETERS.get("secret", "")}

    def __init__(self, host, port, opened):
        self.proxy, self.opened, self.open = (host, port), opened, set()

    async def listen(self):
        self.listener = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        return self.listener.sockets[0].getsockname()[1]

    def cut(self):
        for writer in self.open:
            writer.transport.abort()

    async def accept(self, reader, writer):
        from socks import carry

        ends = {writer}
        try:
            proxy_reader, proxy_writer = await asyncio.open_connection(*self.proxy)
            ends.add(proxy_writer)
            self.opened()
            self.open |= ends
            await asyncio.gather(carry(reader, proxy_writer), carry(proxy_reader, writer))
        except (OSError, EOFError):
            pass
        finally:
            self.open -= ends
            for end in ends:
                end.transport.abort()


PACKAGES = {"telethon": ("telethon", Telethon), "kurigram": ("kurigram", Kurigram), "tdlib": ("tdjson", TdLib)}

if __name__ == "__main__":
    package, of_library = PACKAGES[LIBRARY]
    contract.main(LIBRARY, version(package), {form: form for form in FORMS}, of_library)

"""Libraries through an MTProto proxy: the steps of contract.py, with `--link` to say where it is.

The first argument is the library. What the server says of its own address is not looked at: it is that of the
connection, which is the proxy's.
"""

import pathlib
import sys
from importlib.metadata import version

HERE = pathlib.Path(__file__).resolve().parent
LIBRARY = sys.argv.pop(1)
sys.path += [str(HERE), str(HERE / LIBRARY)]

import client as library
import contract
from link import telethon_way

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
    async def connect(self):
        from telethon import TelegramClient
        from telethon.crypto import rsa
        from telethon.sessions import MemorySession

        rsa._server_keys.clear()
        rsa.add_key(self.target.key_pem, old=False)
        session = MemorySession()
        session.set_dc(self.target.dc, self.target.host, self.target.port)
        way = telethon_way(self.target.link)
        self.transport = way["connection"]
        self.client = TelegramClient(session, api_id=1, api_hash="0" * 32,
                                     **{**way, "connection": self.counted()})
        await self.client.connect()


class Kurigram(Proxied):
    async def connect(self):
        library.trust(self.target.key_pem)
        library.InDc.interop_dc = self.target.dc
        # The form is in the secret.
        self.client = library.InDc("interop", api_id=1, api_hash="0" * 32, in_memory=True, proxy=self.target.link,
                                   connection_factory=self.pinned())
        await self.client.connect()
        await self.client.session.is_started.wait()


class TdLib(Proxied):
    def __init__(self, target, form):
        # Without perfect forward secrecy; the form is in the secret.
        super().__init__(target, False)

    def line(self):
        from socks import Passage

        return Passage(self.target.link, self.opened)


PACKAGES = {"telethon": ("telethon", Telethon), "kurigram": ("kurigram", Kurigram), "tdlib": ("tdjson", TdLib)}

if __name__ == "__main__":
    package, of_library = PACKAGES[LIBRARY]
    contract.main(LIBRARY, version(package), {form: form for form in FORMS}, of_library)

"""TDLib: key creation and calls, with and without perfect forward secrecy.

Needs a copy of its library that knows the server's key (see library.py), and reaches the server through a
SOCKS5 proxy in this process, since the ports are compiled in, too. It has one framing.
"""

import asyncio
import pathlib
import sys
import tempfile
from importlib.metadata import version

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import contract
from session import Session
from socks import Socks

# The value is TDLib's option `use_pfs`.
TRANSPORTS = {"obfuscated-intermediate": False, "obfuscated-intermediate+pfs": True}

# How much TDLib logs, and lines of that to be told where something does not end.
INFO = 3
TOLD_MAX = 60


class Client(contract.Client):
    async def connect(self):
        self.folder = tempfile.TemporaryDirectory(prefix="chappe-tdlib-")
        self.configured = asyncio.Event()
        self.session = Session(self.target, self.folder.name, self.hear, self.line(), has_pfs=self.transport,
                               verbosity=INFO)
        await self.session.open()
        self.layer = self.session.layer
        await self.session.state("WaitPhoneNumber")

    def line(self):
        return Socks(self.target.host, self.target.port, self.opened)

    def opened(self):
        self.connections += 1

    def hear(self, update):
        # The server's configuration alone tells it.
        if update["@type"] == "updateOption" and update["name"] == "t_me_url":
            self.configured.set()

    async def check_config(self):
        """TDLib keeps the configuration to itself, but for some options."""
        await self.configured.wait()
        settings = await self.session.call("getApplicationConfig")
        return {"app_config": len(settings["members"])}

    async def nearest_dc(self):
        # Its one request is help.getNearestDc.
        await self.session.call("testNetwork")

    def cut(self):
        self.session.line.cut()

    def trouble(self):
        return "\n".join([f"the configuration has {'' if self.configured.is_set() else 'not '}come; TDLib says:",
                          *self.session.lines()[-TOLD_MAX:]])

    async def close(self):
        await self.session.close()
        self.folder.cleanup()


if __name__ == "__main__":
    contract.main("tdlib", version("tdjson"), TRANSPORTS, Client)

"""TDLib: key creation and calls, with and without perfect forward secrecy.

Needs a copy of its library that knows the server's key (see library.py), and reaches the server through a
SOCKS5 proxy in this process, since the ports are compiled in, too. It has one framing.
"""

import asyncio
import itertools
import pathlib
import re
import sys
import tempfile
import threading
from importlib.metadata import version

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import contract
from library import Library, make_copy
from socks import Socks

# The value is TDLib's option `use_pfs`.
TRANSPORTS = {"obfuscated-intermediate": False, "obfuscated-intermediate+pfs": True}


class Client(contract.Client):
    async def connect(self):
        self.loop = asyncio.get_running_loop()
        self.socks = Socks(self.target.host, self.target.port, self.opened)
        self.answers = {}
        self.numbers = itertools.count(1)
        self.configured = asyncio.Event()
        self.states = asyncio.Queue()
        port = await self.socks.listen()
        self.start()
        # Taken before the parameters, these hold for the first connection already.
        here = {"@type": "proxy", "server": "127.0.0.1", "port": port,
                "type": {"@type": "proxyTypeSocks5", "username": "", "password": ""}}
        use_pfs = {"@type": "optionValueBoolean", "value": self.transport}
        await asyncio.gather(
            self.call("setOption", name="use_pfs", value=use_pfs),
            self.call("addProxy", proxy=here, enable=True, comment=""),
            self.call("setTdlibParameters", use_test_dc=False, database_directory=f"{self.folder.name}/db",
                      files_directory=f"{self.folder.name}/files", api_id=1, api_hash="0" * 32,
                      system_language_code="en", device_model="interop", system_version="1",
                      application_version="1"),
        )
        while await self.states.get() != "authorizationStateWaitPhoneNumber":
            pass
        self.layer = int(re.search(r"Create Td with layer (\d+)", self.log.read_text(errors="replace")).group(1))
        self.library.execute({"@type": "setLogVerbosityLevel", "new_verbosity_level": 1})

    def opened(self):
        self.connections += 1

    def start(self):
        self.folder = tempfile.TemporaryDirectory(prefix="chappe-tdlib-")
        folder = pathlib.Path(self.folder.name)
        make_copy(self.target.key_pem, folder / "libtdjson.so")
        self.library = Library(folder / "libtdjson.so")
        self.log = folder / "log"
        stream = {"@type": "logStreamFile", "path": str(self.log), "max_file_size": 1 << 30, "redirect_stderr": False}
        self.library.execute({"@type": "setLogStream", "log_stream": stream})
        # Enough to read the layer there.
        self.library.execute({"@type": "setLogVerbosityLevel", "new_verbosity_level": 3})
        self.id = self.library.new_client()
        threading.Thread(target=self.receive, daemon=True).start()

    def receive(self):
        while True:
            if (message := self.library.receive(1.0)) is not None:
                self.loop.call_soon_threadsafe(self.take, message)

    def take(self, message):
        match message:
            case {"@extra": number}:
                answer = self.answers.pop(number)
                # Nobody waits any more for one that came too late.
                if not answer.done():
                    answer.set_result(message)
            case {"@type": "updateAuthorizationState", "authorization_state": {"@type": state}}:
                self.states.put_nowait(state)
            case {"@type": "updateOption", "name": "t_me_url"}:
                # The server's configuration alone tells it.
                self.configured.set()

    async def call(self, function, **arguments):
        number = next(self.numbers)
        answer = self.answers[number] = self.loop.create_future()
        self.library.send(self.id, {"@type": function, "@extra": number, **arguments})
        result = await answer
        if result["@type"] == "error":
            raise contract.Failed(f"{function}: {result}")
        return result

    async def check_config(self):
        """TDLib keeps the configuration to itself, but for some options."""
        await self.configured.wait()
        settings = await self.call("getApplicationConfig")
        return {"app_config": len(settings["members"])}

    async def nearest_dc(self):
        # Its one request is help.getNearestDc.
        await self.call("testNetwork")

    def cut(self):
        self.socks.cut()

    async def close(self):
        await self.call("close")
        while await self.states.get() != "authorizationStateClosed":
            pass
        self.folder.cleanup()


if __name__ == "__main__":
    contract.main("tdlib", version("tdjson"), TRANSPORTS, Client)

"""One client of a copy of TDLib that knows our server: its calls, its updates, its line."""

import asyncio
import itertools
import pathlib
import re
import threading

from contract import Failed
from library import Library, copy_for
from socks import Socks

# Errors and warnings are logged.
WARNING = 2


class Session:
    """Hands every update to `hear`, and whatever else it says to who called.

    The folder is for its log and for what TDLib keeps. `line` leads to the server.
    """

    def __init__(self, target, folder, hear, line=None, has_pfs=False, verbosity=WARNING):
        self.target, self.folder = target, pathlib.Path(folder)
        self.hear, self.has_pfs, self.verbosity = hear, has_pfs, verbosity
        self.line = line or Socks(target.host, target.port)
        self.states = asyncio.Queue()
        self.answers = {}
        self.numbers = itertools.count(1)
        self.library = None

    async def open(self):
        """Begins a client, the first one or another one, with what is kept in the folder."""
        if self.library is None:
            self.loop = asyncio.get_running_loop()
            self.port = await self.line.listen()
            self.load()
        self.id = self.library.new_client()
        # Taken before the parameters, these hold for the first connection already.
        here = {"@type": "proxy", "server": "127.0.0.1", "port": self.port, "type": self.line.kind}
        has_pfs = {"@type": "optionValueBoolean", "value": self.has_pfs}
        await asyncio.gather(
            self.call("setOption", name="use_pfs", value=has_pfs),
            self.call("addProxy", proxy=here, enable=True, comment=""),
            self.call("setTdlibParameters", use_test_dc=False, database_directory=str(self.folder / "db"),
                      files_directory=str(self.folder / "files"), use_file_database=True, use_chat_info_database=True,
                      use_message_database=True, api_id=1, api_hash="0" * 32, system_language_code="en",
                      device_model="interop", system_version="1", application_version="1"),
        )
        self.layer = int(re.search(r"Create Td with layer (\d+)", self.log.read_text(errors="replace")).group(1))
        self.library.execute({"@type": "setLogVerbosityLevel", "new_verbosity_level": self.verbosity})

    def load(self):
        self.library = Library(copy_for(self.target.key_pem))
        self.log = self.folder / "log"
        stream = {"@type": "logStreamFile", "path": str(self.log), "max_file_size": 1 << 30, "redirect_stderr": False}
        self.library.execute({"@type": "setLogStream", "log_stream": stream})
        # Enough to read the layer there.
        self.library.execute({"@type": "setLogVerbosityLevel", "new_verbosity_level": 3})
        threading.Thread(target=self.receive, daemon=True).start()

    def lines(self):
        """What it has logged."""
        return self.log.read_text(errors="replace").splitlines()

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
            case {"@type": "updateAuthorizationState", "authorization_state": state}:
                self.states.put_nowait(state)
            case _:
                self.hear(message)

    async def call(self, function, **arguments):
        number = next(self.numbers)
        answer = self.answers[number] = self.loop.create_future()
        self.library.send(self.id, {"@type": function, "@extra": number, **arguments})
        result = await answer
        if result["@type"] == "error":
            raise Failed(f"{function}: {result['code']} {result['message']}")
        return result

    async def state(self, *names):
        """Waits until signing in, or out, is at one of these points."""
        while (state := await self.states.get())["@type"].removeprefix("authorizationState") not in names:
            pass
        return state

    async def close(self):
        await self.call("close")
        await self.state("Closed")

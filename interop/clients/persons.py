"""Starts a person's device in a process of its own, and speaks with it; see remote_person.py for what is said."""

import asyncio
import json
import pathlib
import sys
import tempfile

from contract import Failed

HERE = pathlib.Path(__file__).resolve().parent
# Where install.py compiles those in Rust.
RUST = HERE.parent.parent / "target" / "interop" / "debug"
REMOTE = [sys.executable, HERE / "remote_person.py"]

# What starts a device of each library of today.
LIBRARIES = {
    "telethon": [*REMOTE, "telethon"],
    "kurigram": [*REMOTE, "kurigram"],
    "tdlib": [*REMOTE, "tdlib"],
    "mtcute": ["node", HERE / "mtcute/person.mjs"],
    "gramjs": ["node", HERE / "gramjs/person.mjs"],
    "grammers": [RUST / "grammers-person"],
    "ferogram": [RUST / "ferogram-person"],
}

# How long a person waits for what has to be heard.
PATIENCE_S = 30
# The longest line: a thousand texts.
LINE_MAX = 1 << 20


class Person:
    """One device. Every order is a method: `await ada.say(bob, "good morning")`."""

    def __init__(self, library, command, address, args, number, link=""):
        self.name, self.number = library, number
        self.folder = tempfile.TemporaryDirectory(prefix=f"chappe-{library}-", ignore_cleanup_errors=True)
        self.command = [*command, "--address", address, "--dc", str(args.dc), "--key", args.key, "--number", number,
                        "--folder", self.folder.name, *(["--link", link] if link else [])]
        self.heard, self.answers = asyncio.Queue(), asyncio.Queue()
        # Answers to orders that nobody waits for any more.
        self.late = 0

    async def start(self):
        """Returns what it says of itself: `ready` (the layer), `version`, `cannot`."""
        self.process = await asyncio.create_subprocess_exec(
            *self.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE_MAX)
        self.listening = asyncio.create_task(self.listen())
        return await self.answer("start")

    async def listen(self):
        while line := await self.process.stdout.readline():
            # A library may print, too.
            said = json.loads(line) if line.startswith(b"{") else {}
            if "heard" in said:
                await self.heard.put(tuple(said["heard"]))
            elif said and self.late:
                self.late -= 1
            elif said:
                await self.answers.put(said)
        await self.answers.put({"failed": "it has ended"})

    async def answer(self, order):
        answer = await self.answers.get()
        if "failed" in answer:
            raise Failed(f"{self.name} cannot {order}: {answer['failed']}")
        return answer

    def __getattr__(self, order):
        async def do(*words):
            self.process.stdin.write(json.dumps({"do": order, "with": words}).encode() + b"\n")
            try:
                return (await self.answer(order))["did"]
            except asyncio.CancelledError:
                self.late += 1
                raise

        return do

    def end(self):
        if "process" in vars(self) and self.process.returncode is None:
            self.process.kill()
        self.folder.cleanup()

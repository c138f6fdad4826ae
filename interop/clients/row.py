"""What the cells of the table of people have in common: who takes part, what is shown, what has to be heard."""

import asyncio
import hashlib
import pathlib
import random
import struct
import tempfile
import zlib

from contract import Failed
from line import Line
from persons import LIBRARIES, PATIENCE_S, Person

# What may be heard at any time.
MARKS = {"read", "typing", "seen", "sent"}


class Row:
    """One person with the library, one with Telethon, who found each other; further devices as cells want them."""

    def __init__(self, library, args):
        self.library, self.args = library, args
        self.code = str(args.dc) * 5
        self.folder = tempfile.TemporaryDirectory(prefix="chappe-people-")
        self.started, self.number_of_files = [], 0
        self.second = None

    async def begin(self):
        """Starts both; what the library says of itself."""
        self.line = Line(self.args.address)
        address = await self.line.listen()
        self.one = self.device(self.library, self.phone(0), address, self.args.link)
        self.other = self.device("telethon", self.phone(1))
        self.ready, _ = await asyncio.gather(self.one.start(), self.other.start())
        return self.ready

    def phone(self, place):
        return f"99966{self.args.dc}{self.args.number + place:04}"

    def device(self, library, number, address=None, link=""):
        person = Person(library, LIBRARIES[library], address or self.args.address, self.args, number, link)
        self.started.append(person)
        return person

    async def another(self):
        """A second device of the library's person, signed in."""
        device = self.device(self.library, self.one.number)
        await device.start()
        await device.enter(self.code)
        return device

    def end(self):
        for person in self.started:
            person.end()
        self.folder.cleanup()

    def path(self, name):
        """Where a file may be that nobody has written yet."""
        self.number_of_files += 1
        folder = pathlib.Path(self.folder.name, str(self.number_of_files))
        folder.mkdir()
        return str(folder / name)

    def file(self, name, mib):
        """A file of random bytes; the number of files so far is their seed."""
        path = self.path(name)
        with open(path, "wb") as file:
            for place in range(mib):
                file.write(random.Random(f"{self.args.number}/{self.number_of_files}/{place}").randbytes(1 << 20))
        return path

    def picture(self, width, height):
        """A PNG that is red to the left and blue to the right."""
        def chunk(kind, content):
            check = zlib.crc32(kind + content)
            return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

        row = b"\0" + b"\xc8\x14\x14" * (width // 2) + b"\x14\x14\xc8" * (width - width // 2)
        head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        path = self.path(f"{width}.png")
        pathlib.Path(path).write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
                                       + chunk(b"IDAT", zlib.compress(row * height)) + chunk(b"IEND", b""))
        return path


async def hears(person, *expected):
    """Waits for these, in any order; marks, typing and what one's own devices do may come in between."""
    expected = list(expected)
    while expected:
        try:
            heard = await asyncio.wait_for(person.heard.get(), PATIENCE_S)
        except TimeoutError:
            raise Failed(f"{person.name} did not hear {expected}") from None
        if heard in expected:
            expected.remove(heard)
        elif heard[0] not in MARKS:
            raise Failed(f"{person.name} heard {heard}, not {expected}")


async def history_of(person, peer, count):
    """What was said last, newest first; "" for what has no text."""
    return [text or "" for text in await person.history(peer, count)]


def expect(found, expected):
    if found == expected:
        return
    if isinstance(found, list):
        # Of long lists, where they begin to differ.
        place = next((place for place, pair in enumerate(zip(found, expected)) if pair[0] != pair[1]), 0)
        found, expected = (f"{len(texts)}: … {texts[place:place + 5]}" for texts in (found, expected))
    raise Failed(f"found {found}, not {expected}")


def file_hash(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def quiet(person):
    """Forgets what was heard so far."""
    while not person.heard.empty():
        person.heard.get_nowait()

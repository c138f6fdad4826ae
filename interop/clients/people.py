"""Two people who write to each other, each with a library of their own.

Prints one line of JSON: `steps` says of each step "ok", or "-" where the library cannot do it; `step` is the one that
was under way, `ok` whether all of them were done.
"""

import argparse
import asyncio
import hashlib
import importlib.util
import json
import os
import pathlib
import random
import struct
import sys
import tempfile
import traceback
import zlib

from contract import Failed, read_target

LIBRARIES = ["telethon", "kurigram"]
PATIENCE_S = 15
AWAY_MESSAGES = 300
JPEG = b"\xff\xd8\xff"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", metavar="HOST:PORT", required=True, help="loopback address of the server")
    parser.add_argument("--dc", type=int, default=2, help="data centre the server is (default: 2)")
    parser.add_argument("--key", metavar="FILE", required=True, help="public key of the server, PKCS#1 PEM")
    parser.add_argument("--number", type=int, default=1, help="of the first of their two test accounts (default: 1)")
    parser.add_argument("--timeout", type=float, default=90, metavar="SECONDS", help="for all steps (default: 90)")
    parser.add_argument("--large", type=int, default=0, metavar="MIB", help="show a file of this size, too")
    parser.add_argument("libraries", nargs=2, choices=LIBRARIES)
    args = parser.parse_args()
    target = read_target(args)
    numbers = [f"99966{target.dc}{args.number + place:04}" for place in range(2)]
    report = {"ok": False, "step": "-", "steps": {}}

    async def run():
        people = [person_of(library)(target, number) for library, number in zip(args.libraries, numbers)]
        await asyncio.wait_for(talk(*people, str(target.dc) * 5, args.large, report), args.timeout)
        report["ok"] = True

    try:
        asyncio.run(run())
    except BaseException:
        traceback.print_exc()
    print(json.dumps(report), flush=True)
    sys.stderr.flush()
    # The libraries leave threads and tasks behind that would delay an ordinary exit.
    os._exit(0 if report["ok"] else 1)


def picture(width, height):
    """A PNG that is red to the left and blue to the right."""
    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    row = b"\0" + b"\xc8\x14\x14" * (width // 2) + b"\x14\x14\xc8" * (width - width // 2)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row * height)) + chunk(b"IEND", b"")


def file_hash(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def person_of(library):
    path = pathlib.Path(__file__).parent / library / "person.py"
    spec = importlib.util.spec_from_file_location(f"{library}_person", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Person


async def talk(ada, bob, code, large, report):
    def begin(step):
        if report["step"] != "-":
            report["steps"].setdefault(report["step"], "ok")
        report["step"] = step

    def cannot():
        report["steps"][report["step"]] = "-"

    async def hears(person, expected):
        """Waits for one thing; marks and typing may come in between."""
        while (heard := await asyncio.wait_for(person.heard.get(), PATIENCE_S)) != expected:
            if heard[0] not in ("read", "typing"):
                raise Failed(f"{person.name} heard {heard}, not {expected}")

    def expect(found, expected):
        if found != expected:
            raise Failed(f"found {found}, not {expected}")

    begin("sign in")
    await ada.enter(code)
    await bob.enter(code)

    begin("text")
    to_bob, to_ada = await ada.find(bob.number), await bob.find(ada.number)
    first = await ada.say(to_bob, "good morning")
    await hears(bob, ("message", "good morning", False))
    await bob.say(to_ada, "and to you")
    await hears(ada, ("message", "and to you", False))

    begin("reply")
    await ada.say(to_bob, "indeed", reply_to=first)
    await hears(bob, ("message", "indeed", True))

    begin("edit")
    await ada.edit(to_bob, first, "good evening")
    await hears(bob, ("edit", "good evening"))

    begin("read")
    await bob.read(to_ada)
    await hears(ada, ("read",))

    begin("typing")
    await ada.type(to_bob)
    await hears(bob, ("typing",))

    begin("history")
    expect(await bob.history(to_ada), ["indeed", "and to you", "good evening"])
    expect(await bob.dialogs(), [0])

    begin("delete")
    await ada.delete(to_bob, first)
    await hears(bob, ("deletion", 1))
    expect(await bob.history(to_ada), ["indeed", "and to you"])

    begin("file of 5 MiB")
    content = random.Random(1).randbytes(5 << 20)
    await ada.show_file(to_bob, "numbers.bin", content)
    await hears(bob, ("file", "numbers.bin", False))
    expect(hashlib.sha256(await bob.fetch()).hexdigest(), hashlib.sha256(content).hexdigest())

    if large:
        begin(f"file of {large} MiB")
        with tempfile.TemporaryDirectory() as folder:
            there, here = pathlib.Path(folder, "there.bin"), pathlib.Path(folder, "here.bin")
            with open(there, "wb") as file:
                for place in range(large):
                    file.write(random.Random(place).randbytes(1 << 20))
            await ada.show_path(to_bob, str(there))
            await hears(bob, ("file", "there.bin", False))
            await bob.fetch_to(str(here))
            expect(file_hash(here), file_hash(there))

    begin("photo")
    await ada.show_photos(to_bob, [picture(640, 480)])
    await hears(bob, ("photo", None, False))
    expect((await bob.fetch())[:3], JPEG)

    begin("album")
    await ada.show_photos(to_bob, [picture(side, side) for side in (100, 200, 300)])
    for _ in range(3):
        await hears(bob, ("photo", None, True))
    expect([(await bob.fetch())[:3] for _ in range(3)], [JPEG] * 3)

    begin("profile photo")
    await ada.put_on(picture(400, 300))
    expect((await bob.fetch_profile(ada.number))[:3], JPEG)

    await keep_in_sight(ada, bob, to_bob, to_ada, begin, hears, expect)
    await meet_in_group(ada, bob, to_bob, begin, hears, expect)

    begin("away")
    if bob.go_away:
        await bob.go_away()
        for number in range(AWAY_MESSAGES):
            await ada.say(to_bob, str(number))
        await bob.come_back()
        missed = set()
        while len(missed) < AWAY_MESSAGES:
            kind, text, _ = await asyncio.wait_for(bob.heard.get(), PATIENCE_S)
            expect(kind, "message")
            if text in missed:
                raise Failed(f"heard {text} twice")
            missed.add(text)
    else:
        cannot()

    begin("password")
    await ada.set_password("sesame")
    again = type(ada)(ada.target, ada.number)
    await again.enter(code, "sesame")
    expect((await again.history(await again.find(bob.number)))[-1], "and to you")
    await again.close()

    begin("log out")
    expect(bool(await ada.leave()), True)
    await bob.close()
    begin("-")


async def keep_in_sight(ada, bob, to_bob, to_ada, begin, hears, expect):
    begin("forward")
    said = await ada.say(to_bob, "Pass it on")
    await hears(bob, ("message", "Pass it on", False))
    await ada.forward(to_bob, said)
    await hears(bob, ("message", "Pass it on", False))
    expect(await bob.forwarded(to_ada), ["Pass it on"])

    begin("pin")
    await ada.pin(to_bob, said)
    await hears(bob, ("action", "MessageActionPinMessage"))
    expect(await bob.pinned(to_ada), ["Pass it on"])

    begin("search")
    expect(await bob.search(to_ada, "pass IT"), ["Pass it on", "Pass it on"])

    begin("draft")
    await bob.begin(to_ada, "I am about to")
    expect(await bob.begun(), ["I am about to"])
    await bob.begin(to_ada, "")
    expect(await bob.begun(), [])


async def meet_in_group(ada, bob, to_bob, begin, hears, expect):
    begin("group")
    group = await ada.make_group("Engines", to_bob)
    await hears(bob, ("action", "MessageActionChatCreate"))
    of_bob = await bob.group("Engines")
    await ada.say(group, "to everybody")
    await hears(bob, ("message", "to everybody", False))
    await bob.say(of_bob, "from one of them")
    await hears(ada, ("message", "from one of them", False))
    await ada.rename(group, "Mills")
    await hears(bob, ("action", "MessageActionChatEditTitle"))
    heard = [text for text in await bob.history(of_bob) if text]
    expect(heard, ["from one of them", "to everybody"])
    expect([text for text in await ada.history(group) if text], heard)
    await ada.remove(group, to_bob)
    await hears(bob, ("action", "MessageActionChatDeleteUser"))
    try:
        await bob.say(of_bob, "still here")
    except Exception as error:
        expect("FORBIDDEN" in str(error).upper() or "write" in str(error), True)
    else:
        raise Failed("who was removed can write")


if __name__ == "__main__":
    main()

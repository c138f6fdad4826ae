"""One person with a library of today, another with one of an older layer, who write to each other.

Prints one line of JSON: `steps` says of each step "ok", or "-" where the older library is not made for it; `layer` is
the one that it announces, `step` the one that was under way, `ok` whether all of them were done.
"""

import argparse
import asyncio
import json
import os
import sys
import traceback

from contract import Failed
from persons import HERE, LIBRARIES, PATIENCE_S, REMOTE, Person

OLDER_PACKAGES = HERE.parent / ".venv" / "older"

# How to start each, and what it can do beyond signing in.
ALL = {"find", "say", "edit", "delete", "read", "type", "history", "dialogs", "leave"}
OLDER = {
    "gramjs": (["node", HERE / "gramjs/person.mjs"], ALL),
    "telethon-1.37": ([*REMOTE, "telethon", "--packages", OLDER_PACKAGES / "telethon"], ALL),
    "pyrogram": ([*REMOTE, "pyrogram", "--packages", OLDER_PACKAGES / "pyrogram"], ALL),
    "mtproto-core": (["node", HERE / "mtproto-core/person.mjs"], {"find", "say", "history"}),
    "telegram-mtproto": (["node", HERE / "telegram-mtproto/person.mjs"], set()),
}


async def talk(old, can, new, code, report):
    async def hears(person, expected):
        while (heard := await asyncio.wait_for(person.heard.get(), PATIENCE_S)) != expected:
            if heard[0] not in ("read", "typing"):
                raise Failed(f"{person.name} heard {heard}, not {expected}")

    async def step(name, needs, work):
        report["step"] = name
        if needs <= can:
            await work()
            report["steps"][name] = "ok"
        else:
            report["steps"][name] = "-"

    def expect(found, expected):
        if found != expected:
            raise Failed(f"found {found}, not {expected}")

    report["step"] = "start"
    report["layer"] = (await old.start())["ready"]
    await new.start()
    said = []

    async def sign_in():
        await old.enter(code)
        await new.enter(code)

    async def text():
        old.peer, new.peer = await old.find(new.number), await new.find(old.number)
        said.append(await old.say(old.peer, "good morning"))
        await hears(new, ("message", "good morning", False))
        said.append(await new.say(new.peer, "and to you"))
        await hears(old, ("message", "and to you", False))

    async def reply():
        await old.say(old.peer, "indeed", said[0])
        await hears(new, ("message", "indeed", True))
        await new.say(new.peer, "is it?", said[1])
        await hears(old, ("message", "is it?", True))

    async def history():
        expect(await old.history(old.peer), ["is it?", "indeed", "and to you", "good morning"])

    async def edit():
        await old.edit(old.peer, said[0], "good evening")
        await hears(new, ("edit", "good evening"))
        await new.edit(new.peer, said[1], "to you, too")
        await hears(old, ("edit", "to you, too"))

    async def read():
        await old.read(old.peer)
        await hears(new, ("read",))

    async def typing():
        await new.type(new.peer)
        await hears(old, ("typing",))

    async def dialogs():
        expect(await old.dialogs(), [0])

    async def delete():
        await old.delete(old.peer, said[0])
        await hears(new, ("deletion", 1))

    async def log_out():
        await old.leave()

    await step("sign in", set(), sign_in)
    await step("text", {"find", "say"}, text)
    await step("reply", {"find", "say"}, reply)
    await step("history", {"history"}, history)
    await step("edit", {"edit"}, edit)
    await step("read", {"read"}, read)
    await step("typing", {"type"}, typing)
    await step("dialogs", {"dialogs"}, dialogs)
    await step("delete", {"delete"}, delete)
    await step("log out", {"leave"}, log_out)
    report["step"] = "-"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", metavar="HOST:PORT", required=True, help="loopback address of the server")
    parser.add_argument("--dc", type=int, default=2, help="data centre the server is (default: 2)")
    parser.add_argument("--key", metavar="FILE", required=True, help="public key of the server, PKCS#1 PEM")
    parser.add_argument("--number", type=int, default=1, help="of the first of their two test accounts (default: 1)")
    parser.add_argument("--timeout", type=float, default=90, metavar="SECONDS", help="for all steps (default: 90)")
    parser.add_argument("library", choices=OLDER)
    args = parser.parse_args()
    numbers = [f"99966{args.dc}{args.number + place:04}" for place in range(2)]
    report = {"ok": False, "step": "-", "steps": {}}

    async def run():
        command, can = OLDER[args.library]
        old = Person(args.library, command, args.address, args, numbers[0])
        new = Person("telethon", LIBRARIES["telethon"], args.address, args, numbers[1])
        try:
            await asyncio.wait_for(talk(old, can, new, str(args.dc) * 5, report), args.timeout)
            report["ok"] = True
        finally:
            old.end()
            new.end()

    try:
        asyncio.run(run())
    except BaseException:
        traceback.print_exc()
    print(json.dumps(report), flush=True)
    sys.stderr.flush()
    # The libraries leave threads and tasks behind that would delay an ordinary exit.
    os._exit(0 if report["ok"] else 1)


if __name__ == "__main__":
    main()

"""The cells of the table of people: what one does with the library under test, the other with Telethon.

A cell that is done by two is done twice, each of them being Ada, who acts, and Bob, who hears of it.
"""

import asyncio
import contextlib
import pathlib
import sys
import time

from contract import Failed
from line import Line
from persons import PATIENCE_S
from row import MARKS, expect, file_hash, hears, history_of, quiet

FILE_MIB = 5
BROKEN_FILE_MIB = 2
AWAY_MESSAGES = 1000
# How long one order may take while the line is cut.
BROKEN_PATIENCE_S = 60
# An order that fails while its line is cut is given again, so often in all.
ATTEMPTS = 5
JPEG = b"\xff\xd8\xff"
PASSWORD = "sesame"

def both(act):
    """A cell that each of them does once."""
    async def cell(row):
        await act(row, row.one, row.other, row.to_other, row.to_one)
        # Of two with the same library nothing new would be learned.
        if row.library != row.other.name:
            await act(row, row.other, row.one, row.to_one, row.to_other)

    return cell


async def sign_in(row):
    await row.one.enter(row.code)
    await row.other.enter(row.code)
    row.to_other, row.to_one = await row.one.find(row.other.number), await row.other.find(row.one.number)


async def text(row, ada, bob, to_bob, to_ada):
    await ada.say(to_bob, "good morning")
    await hears(bob, ("message", "good morning", False))


async def reply(row, ada, bob, to_bob, to_ada):
    said = await ada.say(to_bob, "is it?")
    await hears(bob, ("message", "is it?", False))
    await ada.say(to_bob, "it is", said)
    await hears(bob, ("message", "it is", True))


async def edit(row, ada, bob, to_bob, to_ada):
    said = await ada.say(to_bob, "one")
    await hears(bob, ("message", "one", False))
    await ada.edit(to_bob, said, "two")
    await hears(bob, ("edit", "two"))


async def history(row, ada, bob, to_bob, to_ada):
    for number in ("first", "second", "third"):
        await ada.say(to_bob, number)
        await hears(bob, ("message", number, False))
    for person, peer in ((ada, to_bob), (bob, to_ada)):
        expect(await history_of(person, peer, 3), ["third", "second", "first"])


async def delete(row, ada, bob, to_bob, to_ada):
    await ada.say(to_bob, "to be kept")
    said = await ada.say(to_bob, "to be deleted")
    await hears(bob, ("message", "to be kept", False), ("message", "to be deleted", False))
    await ada.delete(to_bob, said)
    await hears(bob, ("deletion", 1))
    for person, peer in ((ada, to_bob), (bob, to_ada)):
        expect((await history_of(person, peer, 1))[0], "to be kept")


async def read(row, ada, bob, to_bob, to_ada):
    await ada.read(to_bob)
    await bob.say(to_ada, "have you read this?")
    await hears(ada, ("message", "have you read this?", False))
    expect(await ada.dialogs(), [1])
    await ada.read(to_bob)
    await hears(bob, ("read",))
    expect(await ada.dialogs(), [0])


async def typing(row, ada, bob, to_bob, to_ada):
    await ada.type(to_bob)
    await hears(bob, ("typing",))


async def forward(row, ada, bob, to_bob, to_ada):
    said = await ada.say(to_bob, f"pass it on, says {ada.name}")
    await ada.forward(to_bob, said)
    await hears(bob, *[("message", f"pass it on, says {ada.name}", False)] * 2)
    expect((await bob.forwarded(to_ada))[:1], [f"pass it on, says {ada.name}"])


async def pin(row, ada, bob, to_bob, to_ada):
    said = await ada.say(to_bob, f"pinned by {ada.name}")
    await hears(bob, ("message", f"pinned by {ada.name}", False))
    await ada.pin(to_bob, said)
    await hears(bob, ("action", "pin"))
    expect((await ada.pinned(to_bob))[:1], [f"pinned by {ada.name}"])
    expect((await bob.pinned(to_ada))[:1], [f"pinned by {ada.name}"])


async def search(row, ada, bob, to_bob, to_ada):
    said = f"Needle of {ada.name}"
    await ada.say(to_bob, said)
    await hears(bob, ("message", said, False))
    expect(await ada.search(to_bob, said.upper()), [said])


async def draft(row, ada, bob, to_bob, to_ada):
    await ada.begin(to_bob, "I am about to")
    expect(await ada.begun(), ["I am about to"])
    await ada.begin(to_bob, "")
    expect(await ada.begun(), [])


async def file(row, ada, bob, to_bob, to_ada):
    there, here = row.file("numbers.bin", FILE_MIB), row.path("numbers.bin")
    await ada.show_file(to_bob, there)
    await hears(bob, ("file", "numbers.bin", False))
    await bob.fetch(here)
    expect(file_hash(here), file_hash(there))


async def photo(row, ada, bob, to_bob, to_ada):
    here = row.path("photo.jpg")
    await ada.show_photo(to_bob, row.picture(640, 480))
    await hears(bob, ("photo", None, False))
    await bob.fetch(here)
    expect(pathlib.Path(here).read_bytes()[:3], JPEG)


async def album(row, ada, bob, to_bob, to_ada):
    await ada.show_album(to_bob, [row.picture(side, side) for side in (100, 200, 300)])
    await hears(bob, *[("photo", None, True)] * 3)
    for _ in range(3):
        here = row.path("photo.jpg")
        await bob.fetch(here)
        expect(pathlib.Path(here).read_bytes()[:3], JPEG)


async def profile(row, ada, bob, to_bob, to_ada):
    here = row.path("profile.jpg")
    await ada.put_on(row.picture(400, 300))
    await bob.fetch_profile(ada.number, here)
    expect(pathlib.Path(here).read_bytes()[:3], JPEG)


async def group(row, ada, bob, to_bob, to_ada):
    title = f"Engines of {ada.name}"
    group = await ada.make_group(title, to_bob)
    await hears(bob, ("action", "group"))
    of_bob = await bob.find_group(title)
    await ada.say(group, "to everybody")
    await hears(bob, ("message", "to everybody", False))
    await bob.say(of_bob, "from one of them")
    await hears(ada, ("message", "from one of them", False))
    await ada.rename(group, f"Mills of {ada.name}")
    await hears(bob, ("action", "title"))
    for person, peer in ((ada, group), (bob, of_bob)):
        expect([text for text in await history_of(person, peer, 100) if text], ["from one of them", "to everybody"])
    await ada.remove(group, to_bob)
    await hears(bob, ("action", "removal"))
    with contextlib.suppress(Failed):
        await bob.say(of_bob, "still here")
        raise RuntimeError("who was removed can write")


async def qr(row):
    device = row.device(row.library, row.one.number)
    await device.start()
    await row.one.accept_qr(await device.ask_qr())
    await device.await_qr()
    expect(await history_of(device, await device.find(row.other.number), 1), await history_of(row.one, row.to_other, 1))
    row.second = device


async def devices(row):
    # Signed in by QR if that went well.
    if row.second is None:
        row.second = await row.another()
    one, second, other = row.one, row.second, row.other
    of_second = await second.find(other.number)
    said = await one.say(row.to_other, "from the one")
    await hears(second, ("sent", "from the one"))
    await second.say(of_second, "from the second")
    await hears(one, ("sent", "from the second"))
    await hears(other, ("message", "from the one", False), ("message", "from the second", False))
    await other.say(row.to_one, "to both")
    for device in (one, second):
        await hears(device, ("message", "to both", False))
        quiet(device)
    await second.read(of_second)
    await hears(one, ("seen",))
    await hears(other, ("read",))
    await one.delete(row.to_other, said)
    for device in (second, other):
        await hears(device, ("deletion", 1))
    expect(await history_of(second, of_second, 2), await history_of(one, row.to_other, 2))
    await second.leave()
    await one.say(row.to_other, "still here")
    await hears(other, ("message", "still here", False))


class Insisting:
    """Gives orders while the line is cut: a library may say that one was not done, but has to say something."""

    def __init__(self):
        self.again = []

    async def order(self, person, order, *words):
        for _ in range(ATTEMPTS):
            try:
                return await asyncio.wait_for(getattr(person, order)(*words), BROKEN_PATIENCE_S)
            except Failed as error:
                self.again.append((order, *words[1:]))
                print(f"to be done again: {error}", file=sys.stderr)
                await asyncio.sleep(0.2)
        raise Failed(f"{person.name} cannot {order}, tried {ATTEMPTS} times")

    async def hears(self, person, texts):
        """Everything, and nothing twice but what was said again."""
        heard = []
        while missing := set(texts) - set(heard):
            try:
                said = await asyncio.wait_for(person.heard.get(), BROKEN_PATIENCE_S)
            except TimeoutError:
                raise Failed(f"{person.name} did not hear {missing}") from None
            heard += [said[1]] if said[0] not in MARKS else []
        twice = {text for text in heard if heard.count(text) > 1 and ("say", text) not in self.again}
        expect(twice, set())


async def reconnect(row):
    one, other, line = row.one, row.other, row.line
    insisting = Insisting()
    await enter_while_cut(row)

    texts = [f"cut {number}" for number in range(20)]
    answers = [f"answer {number}" for number in range(20)]

    async def talk():
        for number, text in enumerate(texts):
            if number in (2, 12):
                line.cut_after(100, 3000)
            await insisting.order(one, "say", row.to_other, text)

    async def answer():
        for text in answers:
            await other.say(row.to_one, text)
            await asyncio.sleep(0.1)

    await asyncio.gather(talk(), answer())
    line.cut_after()
    # Who gave up asking for what it missed asks again when the next thing comes.
    answers.append("that is all")
    await other.say(row.to_one, answers[-1])
    await insisting.hears(other, texts)
    await insisting.hears(one, answers)

    there, here = row.file("broken.bin", BROKEN_FILE_MIB), row.path("broken.bin")
    line.cut_after(600_000)
    await insisting.order(one, "show_file", row.to_other, there)
    await hears(other, ("file", "broken.bin", False))
    await other.show_file(row.to_one, there)
    await hears(one, ("file", "broken.bin", False))
    line.cut_after(600_000)
    await insisting.order(one, "fetch", here)
    if file_hash(here) != file_hash(there):
        # Some take half a file for the whole when the line breaks (QRK-46).
        await insisting.order(one, "fetch", here)
    expect(file_hash(here), file_hash(there))

    line.cut_after(2000)
    heard = await insisting.order(one, "history", row.to_other, 60)
    expect([text or "" for text in heard], await history_of(other, row.to_one, 60))
    line.cut_after()
    return f"{line.cuts} cuts, {len(insisting.again)} orders given again"


async def enter_while_cut(row):
    """Somebody signs in while the line is cut in the middle of the key exchange, and after it."""
    line = Line(row.args.address)
    line.cut_after(400, 2000)
    address = await line.listen()
    for _ in range(ATTEMPTS):
        device = row.device(row.library, row.phone(3), address)
        await device.start()
        try:
            await asyncio.wait_for(device.enter(row.code), BROKEN_PATIENCE_S)
            break
        except (Failed, TimeoutError) as error:
            print(f"to be begun again: {error!r}", file=sys.stderr)
            device.end()
    else:
        raise Failed(f"{row.library} cannot enter, tried {ATTEMPTS} times")
    expect(line.cuts, 2)
    device.end()


async def away(row):
    texts = [str(number) for number in range(AWAY_MESSAGES)]
    await row.one.go_away()
    await row.other.say_all(row.to_one, texts)
    await row.one.come_back()
    expected, missed = set(texts), []
    while len(missed) < AWAY_MESSAGES:
        try:
            heard = await asyncio.wait_for(row.one.heard.get(), PATIENCE_S)
        except TimeoutError:
            raise Failed(f"{row.one.name} heard {len(missed)} of {AWAY_MESSAGES}") from None
        # What happened last before may be told again (QRK-45).
        missed += [heard[1]] if heard[0] == "message" and heard[1] in expected else []
    expect(sorted(missed), sorted(texts))
    kept = await history_of(row.other, row.to_one, AWAY_MESSAGES)
    expect(await history_of(row.one, row.to_other, AWAY_MESSAGES), kept)


async def password(row):
    await row.one.set_password(PASSWORD)
    again = row.device(row.library, row.one.number)
    await again.start()
    await again.enter(row.code, PASSWORD)
    expect(await history_of(again, await again.find(row.other.number), 1), await history_of(row.one, row.to_other, 1))
    await again.leave()


async def bot(row):
    token, username = row.args.bot
    bot = row.device(row.library, row.phone(2))
    await bot.start()
    await bot.enter_as_bot(token)
    to_bot = await row.one.find_named(username)
    await row.one.say(to_bot, "/start")
    await hears(bot, ("message", "/start", False))
    # What was missed before may be told again (QRK-54).
    quiet(row.one)
    await bot.offer("Tea or coffee?", [["Tea", "tea"], ["Coffee", "coffee"]])
    await hears(row.one, ("keyboard", "Tea or coffee?", ["Tea", "Coffee"]))
    pressing = asyncio.create_task(row.one.press("Tea"))
    await hears(bot, ("press", "tea"))
    await bot.answer_press("with milk")
    expect(await asyncio.wait_for(pressing, PATIENCE_S), "with milk")


async def large(row):
    there, here = row.file("large.bin", row.args.large), row.path("large.bin")
    expected = file_hash(there)
    started = time.monotonic()
    await row.one.show_file(row.to_other, there)
    up = time.monotonic() - started
    pathlib.Path(there).unlink()
    await hears(row.other, ("file", "large.bin", False))
    await row.other.show_again(row.to_one)
    await hears(row.one, ("file", "large.bin", False))
    started = time.monotonic()
    await row.one.fetch(here)
    down = time.monotonic() - started
    expect(file_hash(here), expected)
    return f"{up:.0f} s up, {down:.0f} s down"


async def log_out(row):
    await row.one.leave()
    with contextlib.suppress(Failed):
        await asyncio.wait_for(row.one.say(row.to_other, "still here"), PATIENCE_S)
        raise RuntimeError("who logged out can write")


# In the order in which they are done; a fault in one shows in the others, so that the simplest come first.
CELLS = {
    "sign-in": sign_in,
    "text": both(text),
    "reply": both(reply),
    "history": both(history),
    "edit": both(edit),
    "delete": both(delete),
    "read": both(read),
    "typing": both(typing),
    "forward": both(forward),
    "pin": both(pin),
    "search": both(search),
    "draft": both(draft),
    "file": both(file),
    "photo": both(photo),
    "album": both(album),
    "profile": both(profile),
    "group": both(group),
    "QR": qr,
    "devices": devices,
    "reconnect": reconnect,
    "away": away,
    "2FA": password,
    "bot": bot,
    "large": large,
    "log-out": log_out,
}

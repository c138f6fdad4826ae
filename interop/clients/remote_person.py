"""A person's device in a process of its own, driven by lines of JSON; this is what speaks for libraries in Python.

One process is one device of one person, or of one bot. It is started with `--address HOST:PORT --dc N --key FILE
--number NUMBER --folder FOLDER`: where the server is (which may be a line that breaks), the PEM of its key, the test
number (of no use to a bot), and an empty folder for what the library keeps. With `--link LINK` it goes through an
MTProto proxy, where its library can. First it prints one line:

    {"ready": LAYER, "version": "1.2.3", "cannot": {CELL: REASON}}

`cannot` names the cells of the table (people.py) that the library has no means for, and why; the reason goes into the
table as it is. Then it takes orders from stdin, one at a time, and answers each on stdout; whenever its person hears
something it says so, at once, also while an order is under way. It ends with its stdin.

    {"do": "say", "with": [{"peer": 0}, "good morning"]}      {"did": 17}      {"failed": "why, in one line"}
    {"heard": ["message", "good morning", false]}

A peer is `{"peer": N}` on the line, where N is any number that the process chose when it found the peer. A message is
its id. Files and pictures are paths, those of
photos to be written end in ".jpg". `?` marks what may be missing at the end. An answer that is not named is null.

    signing in
      enter(code, password?)          connect, sign in by number, code, and password if one is wanted, take updates
      enter_as_bot(token)             the same for a bot
      ask_qr() -> link                connect, ask for a login token; "tg://login?token=..."
      await_qr()                      wait until another device accepted it, then be signed in as `enter` does
      accept_qr(link)                 be that other device
      set_password(password)          there was none before
      leave()                         log out
    finding
      find(number) -> peer            find_named(username) -> peer      find_group(title) -> peer
      dialogs() -> [unread]           how many messages are unread in each dialog
    talking
      say(peer, text, reply_to?) -> message
      edit(peer, message, text)       delete(peer, message), for both   read(peer), all of it
      type(peer)                      forward(peer, message), to the same peer
      history(peer, count?) -> [text] newest first, 100 unless said otherwise; null or "" for what has no text
      forwarded(peer) -> [text]       those of the newest 100 that were forwarded
      search(peer, words) -> [text]   pin(peer, message)                pinned(peer) -> [text]
      begin(peer, text)               keep a draft; "" ends it          begun() -> [text], all drafts
    files
      show_file(peer, path)           as a document                     show_photo(peer, path)
      show_album(peer, [path])        photos
      fetch(path)                     write what was shown first and was not fetched yet there
      put_on(path)                    a profile photo                   fetch_profile(number, path)
    basic groups
      make_group(title, peer) -> peer rename(peer, title)               remove(peer, who)
    away
      go_away()                       leave no connection open, but stay signed in
      come_back()                     connect again, as the same device, and take what was missed
    bots
      offer(text, [[label, data]])    as a bot: a message with a row of inline buttons, to who wrote last
      press(label) -> text            press a button of the last such message; the bot's answer
      answer_press(text)              as a bot: answer whoever pressed last

    of the other person alone, who uses Telethon
      say_all(peer, [text])           in any order                      show_again(peer), what was shown first

What is heard, from anybody but this device:

    ["message", text, is_reply]       ["keyboard", text, [label]]       one with inline buttons
    ["file", name, in_album]          ["photo", null, in_album]         kept for `fetch`, in the order heard
    ["edit", text]                    ["deletion", count]               ["typing"]
    ["read"]                          the other read what this person wrote
    ["action", what]                  "pin", "group" made, "title" changed, "removal"; only those of others
    ["press", data]                   as a bot: a button was pressed
    ["sent", text]                    another device of this person wrote that (of its own, too, if that is easier)
    ["seen"]                          another device of this person read a dialog (of its own, too)
"""

import argparse
import asyncio
import importlib.util
import json
import pathlib
import sys
import traceback

sys.dont_write_bytecode = True

FINDING = {"find", "find_named", "find_group", "make_group"}


async def main(person_class, target, number, folder):
    person = person_class(target, number, folder)
    tell({"ready": person.layer, "version": person.version, "cannot": person.cannot})
    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    hearing = asyncio.create_task(hear(person))
    peers = []
    while line := await lines.readline():
        order = json.loads(line)
        words = [peers[word["peer"]] if isinstance(word, dict) else word for word in order["with"]]
        try:
            done = await getattr(person, order["do"])(*words)
            if order["do"] in FINDING:
                peers.append(done)
                done = {"peer": len(peers) - 1}
            tell({"did": done})
        except Exception as error:
            traceback.print_exc()
            tell({"failed": repr(error)})
    hearing.cancel()


async def hear(person):
    while True:
        tell({"heard": await person.heard.get()})


def tell(said):
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", required=True)
    parser.add_argument("--dc", type=int, required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--number", required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--link", default="", help="of an MTProto proxy that leads to the server")
    parser.add_argument("--packages", help="where the library is, unless it is where this program's are")
    parser.add_argument("library", help="the folder with its person.py")
    arguments = parser.parse_args()
    # What persons import as well, before it cannot be found any more.
    import link
    from contract import read_target

    # The folder of the script has the names of libraries in it.
    sys.path.remove(str(pathlib.Path(__file__).parent))
    if arguments.packages:
        sys.path.insert(0, arguments.packages)
    # Libraries take the loop of the thread when they are loaded.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    path = pathlib.Path(__file__).parent / arguments.library / "person.py"
    spec = importlib.util.spec_from_file_location("person", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    loop.run_until_complete(main(module.Person, read_target(arguments), arguments.number, arguments.folder))

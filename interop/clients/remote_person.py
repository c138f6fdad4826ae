"""A person in a process of its own, driven by lines of JSON: for libraries that cannot be loaded beside others.

On stdin `{"do": "say", "with": [0, "text"]}`; on stdout `{"did": …}` or `{"failed": …}` in the same order, and
`{"heard": [...]}` whenever the person hears something. Peers are numbers, in the order in which they were found.
"""

import argparse
import asyncio
import importlib.util
import json
import pathlib
import sys
import traceback

sys.dont_write_bytecode = True


async def main(args, person_class, target):
    person = person_class(target, args.number)
    tell({"ready": person.layer})
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    hearing = asyncio.create_task(hear(person))
    peers = []
    while line := await lines.readline():
        order = json.loads(line)
        do, words = order["do"], order["with"]
        if do in ("say", "edit", "delete", "read", "type", "history"):
            words = [peers[words[0]], *words[1:]]
        try:
            done = await getattr(person, do)(*words)
            if do == "find":
                peers.append(done)
                done = len(peers) - 1
            tell({"did": done if isinstance(done, (int, str, list)) else None})
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
    parser.add_argument("--packages", metavar="FOLDER", help="where the library is")
    parser.add_argument("library")
    arguments = parser.parse_args()
    from contract import read_target

    sys.path.insert(0, arguments.packages)
    # Libraries take the loop of the thread when they are loaded.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    path = pathlib.Path(__file__).parent / arguments.library / "person.py"
    spec = importlib.util.spec_from_file_location("person", path)
    module = importlib.util.module_from_spec(spec)
    # The folder of the script has the names of libraries in it.
    sys.path.remove(str(pathlib.Path(__file__).parent))
    spec.loader.exec_module(module)
    loop.run_until_complete(main(arguments, module.Person, read_target(arguments)))

"""Somebody with the library under test and somebody with Telethon, who do everything that a row of the table has.

Prints one line of JSON: `layer` and `version` of the library; `cells` says of each cell what came out: "ok", "-" where
the library has no means for it, or "FAILED"; how long it took, and why or what of it is to be said; `ok` is whether
none failed.
"""

import argparse
import asyncio
import json
import os
import sys
import time
import traceback

from cells import CELLS
from persons import LIBRARIES
from row import Row, quiet

# Done whatever cells are chosen.
FIRST = "sign-in"
# Characters of a reason.
WHY_MAX = 300


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", metavar="HOST:PORT", required=True, help="loopback address of the server")
    parser.add_argument("--dc", type=int, default=2, help="data centre the server is (default: 2)")
    parser.add_argument("--key", metavar="FILE", required=True, help="public key of the server, PKCS#1 PEM")
    parser.add_argument("--number", type=int, default=1, help="of the first of their ten test accounts (default: 1)")
    parser.add_argument("--bot", nargs=2, metavar=("TOKEN", "USERNAME"), help="a bot of the server")
    parser.add_argument("--timeout", type=float, default=480, metavar="SECONDS", help="for all cells (default: 480)")
    parser.add_argument("--large", type=int, default=0, metavar="MIB", help="size of a large file (default: none)")
    parser.add_argument("--link", default="", help="of an MTProto proxy, for who has the library under test")
    parser.add_argument("--cells", nargs="+", choices=CELLS, help="these alone, and signing in")
    parser.add_argument("library", choices=LIBRARIES)
    args = parser.parse_args()
    chosen = args.cells or [cell for cell in CELLS if cell != "large" or args.large]
    cells = [cell for cell in CELLS if cell in (FIRST, *chosen)]
    report = {"ok": False, "cells": {}}

    async def run():
        row = Row(args.library, args)
        try:
            await asyncio.wait_for(fill(row, cells, report), args.timeout)
        finally:
            row.end()

    try:
        asyncio.run(run())
        report["ok"] = all(cell["outcome"] != "FAILED" for cell in report["cells"].values())
    except BaseException:
        traceback.print_exc()
    print(json.dumps(report), flush=True)
    sys.stderr.flush()
    # A person that does not end by itself does not keep this process.
    os._exit(0 if report["ok"] else 1)


async def fill(row, cells, report):
    ready = await row.begin()
    report["layer"], report["version"] = ready["ready"], ready["version"]
    for cell in cells:
        if cell in ready["cannot"]:
            report["cells"][cell] = {"outcome": "-", "why": ready["cannot"][cell]}
            continue
        report["step"] = cell
        started = time.monotonic()
        # What stands until the cell has ended.
        done = report["cells"][cell] = {"outcome": "FAILED", "why": "did not end"}
        try:
            done["why"] = await CELLS[cell](row) or ""
            done["outcome"] = "ok"
        except Exception as error:
            print(f"{row.library}, {cell}:", file=sys.stderr)
            traceback.print_exc()
            done["why"] = (str(error) or repr(error))[:WHY_MAX]
            if cell == FIRST:
                return
            # The next one is not to hear what was too late for this one.
            await asyncio.sleep(1)
            quiet(row.one)
            quiet(row.other)
        done["seconds"] = round(time.monotonic() - started, 1)


if __name__ == "__main__":
    main()

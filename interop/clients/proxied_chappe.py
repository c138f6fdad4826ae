"""`chappe call` through an MTProto proxy, again and again: a connection and a key for each call."""

import argparse
import json
import subprocess
import time

parser = argparse.ArgumentParser(description=__doc__)
for name in ("--bin", "--link", "--address", "--dc", "--key"):
    parser.add_argument(name, required=True)
parser.add_argument("--calls", type=int, default=100)
args = parser.parse_args()

# A key exchange each: some are enough.
calls = min(args.calls, 10)
report = {"client": "chappe", "ok": False, "step": "calls", "connections": calls}
begun = time.monotonic()
for _ in range(calls):
    command = [args.bin, "call", "--server", args.link, "--key", args.key, "--dc", args.dc, "help.getNearestDc"]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if answer["this_dc"] != int(args.dc):
        raise SystemExit(f"the wrong server: {answer}")
report |= {"ok": True, "seconds": {"calls": round(time.monotonic() - begun, 3)}}
print(json.dumps(report))

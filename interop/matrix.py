"""The table of people: a row for each library, as Markdown, with notes on whatever is not simply so."""

import concurrent.futures
import json
import pathlib
import re
import subprocess

from install import HERE, PYTHON, install_rust

# Has the table as it came out, and the notes to it.
README = HERE.parent / "README.md"
IN_README = re.compile(r"\| library \| layer (?:.*\n)+?(?:\n(?:- .*\n)+)?(?=\n)")

# What a library is called, in the order of the rows.
LIBRARIES = {"telethon": "Telethon", "kurigram": "Kurigram", "tdlib": "TDLib", "mtcute": "mtcute", "gramjs": "gramjs",
             "grammers": "grammers", "ferogram": "ferogram"}

# Those that are compiled, which takes two minutes the first time.
IN_RUST = {"grammers", "ferogram"}

# Columns, and the cells of people.py that are behind each.
COLUMNS = {
    "sign-in, 2FA, QR, log-out": ["sign-in", "2FA", "QR", "log-out"],
    "text, history, edit, delete, read mark, typing": ["text", "history", "edit", "delete", "read", "typing"],
    "reply, forward, pin, search, draft": ["reply", "forward", "pin", "search", "draft"],
    "5 MiB, photo, album, profile photo": ["file", "photo", "album", "profile"],
    "basic group": ["group"],
    "two devices": ["devices"],
    "reconnect": ["reconnect"],
    "1,000 while away": ["away"],
    "bot": ["bot"],
}
LARGE = "large"

# Rows made at once.
WORKERS = 3
TIMEOUT_S = 480
# For each MiB of a large file, up and down.
LARGE_TIMEOUT_S = 3
# Test accounts of a row, and the first of all.
ACCOUNTS = 10
FIRST_ACCOUNT = 201


def table(server, args, run_command, again):
    """Makes the rows, several at once, then has each library show the large file, one at a time; what failed."""
    chosen = [library for library in LIBRARIES if library in (args.only or LIBRARIES)]
    if IN_RUST.intersection(chosen):
        install_rust()
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        made = pool.map(lambda library: again(
            f"people {library}", lambda attempt: row(library, server, args, run_command, attempt), args), chosen)
        rows = dict(zip(chosen, made))
    shown = "".join(f"{line}\n" for line in markdown(rows))
    print(f"{shown}\nthe server had {server.peak_mib()} MiB at most", flush=True)
    outcomes = [failures(done, args) for done in rows.values()]
    if args.readme:
        README.write_text(IN_README.sub(lambda _: shown, README.read_text()))
    elif not args.only and not args.cell and IN_README.search(README.read_text())[0] != shown:
        outcomes.append("FAILED people: README.md has another table than the one above; --readme puts it there")
    for library in chosen if args.large else []:
        done = row(library, server, args, run_command, cell=LARGE)
        said = done.report.get("cells", {}).get(LARGE, {"outcome": "FAILED", "why": "was not reached"})
        print(f"{LIBRARIES[library]}: {args.large} MiB {said['outcome']}, {said['why']}; "
              f"the server had {server.peak_mib()} MiB at most", flush=True)
        outcomes.append(failures(done, args))
    return outcomes


def row(library, server, args, run_command, attempt=0, cell=None):
    # Each time with accounts that nobody had before.
    place = list(LIBRARIES).index(library) + len(LIBRARIES) * (2 if cell else attempt)
    timeout_s = TIMEOUT_S + (LARGE_TIMEOUT_S * args.large if cell else 0)
    command = [PYTHON, "clients/people.py", library, "--address", server.address, "--dc", str(server.dc), "--key",
               server.public_key, "--number", str(FIRST_ACCOUNT + place * ACCOUNTS), "--timeout", str(timeout_s),
               "--bot", *make_bot(f"{library}_{place}_bot", server, args)]
    if cell:
        command += ["--cells", cell, "--large", str(args.large)]
    elif args.cell:
        command += ["--cells", *args.cell]
    done = run_command(command, server, timeout_s)
    done.name = f"people {library}" + (f", {args.large} MiB" if cell else "")
    return done


def make_bot(username, server, args):
    """A new bot: its token, and its name."""
    data = pathlib.Path(server.public_key).parent
    made = subprocess.run([args.server_bin.resolve(), "bot", "create", "Tea", username, "--data", data],
                          check=True, capture_output=True, text=True).stdout
    return json.loads(made)["token"], username


def markdown(rows):
    """The table, and after it why something in it is missing."""
    lines = [" | ".join(["| library", "layer", *COLUMNS]) + " |", "| --- " * (2 + len(COLUMNS)) + "|"]
    notes = []
    for library, done in rows.items():
        cells = done.report.get("cells", {})
        head = [f"| {LIBRARIES[library]} {done.report.get('version', '-')}", str(done.report.get("layer", "-"))]
        lines.append(" | ".join([*head, *(column(cells, names) for names in COLUMNS.values())]) + " |")
        notes += [f"- {LIBRARIES[library]}, {name}: {cell['why']}" for name, cell in cells.items()
                  if cell["outcome"] == "-"]
    return [*lines, *(["", *notes] if notes else [])]


def column(cells, names):
    """What came out of several cells, in few words."""
    outcomes = {name: cells.get(name, {"outcome": "not run"})["outcome"] for name in names}
    if len(set(outcomes.values())) == 1:
        return outcomes[names[0]]
    shown = {"-": "no {}", "FAILED": "{} FAILED", "not run": "{} not run"}
    others = [shown[said].format(name) for name, said in outcomes.items() if said != "ok"]
    return ", ".join(["ok", *others] if len(others) < len(names) else others)


def failures(done, args):
    """What failed of a row, for the end of all; nothing where nothing did."""
    cells = done.report.get("cells", {})
    if args.verbose:
        seconds = (f"{name} {cell['seconds']} {cell['why']}" for name, cell in cells.items() if "seconds" in cell)
        print(f"{done.name}, seconds:", *seconds, sep="\n  ", flush=True)
    return done.show(done.name, args.verbose)

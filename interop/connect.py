"""The programs that `chappe connect` prints, and those of the guide, run as they are."""

import os
import pathlib
import re
import subprocess
import tempfile

from install import HERE, PYTHON
from processes import Server

# What runs the program of a library, and what it is called.
PROGRAMS = {
    "telethon": ([str(PYTHON)], "sign_in.py"),
    "kurigram": ([str(PYTHON)], "sign_in.py"),
    "tdlib": ([str(PYTHON)], "sign_in.py"),
    "mtcute": (["node"], "sign_in.mjs"),
    "gramjs": (["node"], "sign_in.mjs"),
}
# They compile the library first, which takes minutes: run when they are asked for.
SLOW_PROGRAMS = {
    "grammers": (["sh"], "sign_in.sh"),
    "ferogram": (["sh"], "sign_in.sh"),
}
TIMEOUT_S = 120
SLOW_TIMEOUT_S = 1800

# A page of the guide with a program in Python, and lines that it has to print.
GUIDE = {"telegram.md": ["good morning", "and to you"], "bots-in-ci.md": ["pong"]}


def table(args):
    """Prints a row for each program, against a server that nobody has used; what failed of each, or ""."""
    with tempfile.TemporaryDirectory(prefix="chappe-connect-") as folder, Server(args.server_bin, folder) as server:
        outcomes = rows(server, args)
        if any(outcomes):
            server.show_log()
    return outcomes


def rows(server, args):
    row = "{:<18} {:<8} {}"
    print(row.format("program", "outcome", "its last line"))
    programs = {**PROGRAMS, **(SLOW_PROGRAMS if args.slow else {})}
    outcomes = [show(row, f"connect {library}", *of_library(library, server, args))
                for library in programs if library in (args.only or [library])]
    if not args.only:
        outcomes += [show(row, f"guide {page}", *of_guide(page, server, args)) for page in GUIDE]
    return outcomes


def of_library(library, server, args):
    """Has the command print a program, and runs it."""
    interpreter, name = {**PROGRAMS, **SLOW_PROGRAMS}[library]
    folder = pathlib.Path(server.folder) / f"connect-{library}"
    folder.mkdir()
    (folder / "node_modules").symlink_to(HERE / "node_modules")
    command = [args.server_bin.resolve(), "connect", library, "--address", server.address, "--dc", str(server.dc),
               "--data", pathlib.Path(server.public_key).parent]
    (folder / name).write_text(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    expected = "signed in as User 0001"
    return run([*interpreter, name], folder, [expected], SLOW_TIMEOUT_S if library in SLOW_PROGRAMS else TIMEOUT_S)


def of_guide(page, server, args):
    """Runs the program of a page, with the address of this server in the place of the usual one."""
    text = (HERE.parent / "docs" / "guide" / page).read_text()
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1)
    folder = pathlib.Path(server.folder) / f"guide-{page}"
    folder.mkdir()
    data = pathlib.Path(server.public_key).parent
    (folder / "chappe-data").symlink_to(data)
    host, port = server.address.rsplit(":", 1)
    program = program.replace("127.0.0.1", host).replace("4430", port)
    if "TOKEN" in program:
        created = subprocess.run([args.server_bin.resolve(), "bot", "create", "Ping", "ping_bot", "--data", data],
                                 check=True, capture_output=True, text=True).stdout
        program = program.replace("TOKEN", re.search(r'"token":"([^"]+)"', created).group(1))
    (folder / "program.py").write_text(program)
    return run([str(PYTHON), "program.py"], folder, GUIDE[page], TIMEOUT_S)


def run(command, folder, expected, timeout_s):
    """Whether a program prints these lines, and what it prints."""
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    try:
        done = subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        return False, (error.stdout or b"").decode() + f"still running after {timeout_s} s"
    lines = done.stdout.splitlines()
    return done.returncode == 0 and all(line in lines for line in expected), done.stdout


def show(row, name, passed, output):
    """Prints a row; the failure as a line, nothing if there is none."""
    lines = output.strip().splitlines() or ["-"]
    print(row.format(name, "ok" if passed else "FAILED", lines[-1]), flush=True)
    if passed:
        return ""
    return "\n".join([f"FAILED {name}", *(f"  {line}" for line in lines[-12:])])

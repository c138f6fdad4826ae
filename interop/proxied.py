"""Clients through `chappe proxy` to the server, in every form that they know, and over a proxy that is restarted."""

import concurrent.futures
import json
import pathlib
import subprocess
import threading
import time

from processes import READY_TIMEOUT_S

# A secret of these tests, and the site that the proxy seems to be.
SECRET = "5f8e1c0b7a69d4f3e2c1b0a998877665"
DOMAIN = "www.example.org"
SECRETS = {"plain": SECRET, "padded": f"dd{SECRET}", "tls": f"ee{SECRET}{DOMAIN.encode().hex()}"}

# What each library knows.
FORMS = {
    "telethon": ["plain", "padded"],
    "kurigram": ["plain", "padded", "tls"],
    "tdlib": ["plain", "padded", "tls"],
    "chappe": ["plain", "padded", "tls"],
}

STEPS_TIMEOUT_S = 90
# With a proxy that is restarted: how often, how long it runs, and the time before, for the libraries to begin.
RESTARTS = 4
RUN_S = 5
BEGIN_S = 15
RECOVERY_TIMEOUT_S = 180


class Proxy:
    """`chappe proxy` before the server, on a port that stays its own when it starts again."""

    def __init__(self, binary, folder, server):
        self.command = [binary.resolve(), "proxy", "run", "--user", f"interop={SECRET}", "--modes", "plain,padded,tls",
                        "--domain", f"{DOMAIN}={server.address}"]
        # TDLib begins with the first of Telegram's, wherever it was told to be at home.
        for dc in {1, server.dc}:
            self.command += ["--dc", f"{dc}={server.address}"]
        self.log = open(pathlib.Path(folder) / "proxy.log", "w+b")
        self.address = "127.0.0.1:0"
        self.start()

    def start(self):
        self.process = subprocess.Popen([*self.command, "--listen", self.address], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)
        killer = threading.Timer(READY_TIMEOUT_S, self.process.kill)
        killer.start()
        line = self.process.stdout.readline()
        killer.cancel()
        self.address = json.loads(line)["listen"][0]

    def restart(self):
        """Ends as by a crash, and is gone for a moment."""
        self.process.kill()
        self.process.wait()
        time.sleep(0.5)
        self.start()

    def link(self, form):
        host, _, port = self.address.rpartition(":")
        return f"tg://proxy?server={host}&port={port}&secret={SECRETS[form]}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()


def table(server, args, python, run_command):
    """Prints a row for each library and form: calls and a reconnect, then calls while the proxy is restarted."""
    row = "{:<10} {:<8} {:<10} {:>8} {:>8} {:>9} {:>5} {:>7} {:>5}"
    print(row.format("client", "form", "outcome", "connect", "calls", "reconnect", "links", "failed", "lost"))
    outcomes = []

    def show(library, form, name, done):
        seconds, repeated = done.report.get("seconds", {}), done.report.get("repeated", {})
        figures = [f"{seconds[step]:.2f} s" if step in seconds else "-" for step in ("connect", "calls", "reconnect")]
        outcome = done.outcome if name == "steps" else f"{done.outcome} ({name})"
        print(row.format(library, form, outcome, *figures, done.report.get("connections", "-"),
                         repeated.get("failed", "-"), repeated.get("lost", "-")), flush=True)
        outcomes.append(done.show(f"proxy {library} {form} {name}", args.verbose))

    runs = [(library, form) for library, forms in FORMS.items() for form in forms
            if library in (args.only or FORMS)]
    with Proxy(args.server_bin, server.folder, server) as proxy:
        for library, form in runs:
            command = command_of(library, form, proxy, server, args, python)
            if library == "chappe":
                show(library, form, "steps", run_command([*command, "--calls", str(args.calls)], server,
                                                         STEPS_TIMEOUT_S))
                continue
            steps = ["--calls", str(args.calls), "--timeout", str(STEPS_TIMEOUT_S)]
            show(library, form, "steps", run_command([*command, *steps], server, STEPS_TIMEOUT_S))
        with concurrent.futures.ThreadPoolExecutor(len(runs)) as pool:
            steps = ["--recover", "--calls", str(args.recovery_calls), "--timeout", str(RECOVERY_TIMEOUT_S)]
            waiting = [(library, form, pool.submit(
                run_command, [*command_of(library, form, proxy, server, args, python), *steps], server,
                RECOVERY_TIMEOUT_S)) for library, form in runs if library != "chappe"]
            time.sleep(BEGIN_S if waiting else 0)
            for _ in range(RESTARTS if waiting else 0):
                proxy.restart()
                time.sleep(RUN_S)
            for library, form, done in waiting:
                show(library, form, "restarts", done.result())
    return outcomes


def command_of(library, form, proxy, server, args, python):
    common = ["--link", proxy.link(form), "--address", proxy.address, "--dc", str(server.dc), "--key",
              server.public_key]
    if library == "chappe":
        return [python, "clients/proxied_chappe.py", "--bin", args.server_bin.resolve(), *common]
    return [python, "clients/proxied.py", library, *common, "--transport", form]

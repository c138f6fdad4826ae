"""Clients through `chappe proxy` to the server, in every form that they know: straight, by links to the server as a
middle server, and over a proxy that is restarted. Or through another proxy, by such links."""

import concurrent.futures
import json
import os
import pathlib
import secrets
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from dataclasses import dataclass, replace

from processes import READY_TIMEOUT_S

# The site that the proxy seems to be.
DOMAIN = "www.example.org"

# What each library knows.
FORMS = {
    "telethon": ["plain", "padded"],
    "kurigram": ["plain", "padded", "tls"],
    "tdlib": ["plain", "padded", "tls"],
    "mtcute": ["padded", "tls"],
    "chappe": ["plain", "padded", "tls"],
}

# Runs at once.
WORKERS = 3
STEPS_TIMEOUT_S = 60
FILES_TIMEOUT_S = 60
# With a proxy that is restarted: the longest time before, for the libraries to begin, how often, how long it runs, and
# for how long there are calls, which is more than both together.
BEGIN_MAX_S = 16
RESTARTS = 3
RUN_S = 4
CALLS_S = 24
RECOVERY_TIMEOUT_S = 120
# Test accounts of a run, and the first of all.
ACCOUNTS = 10
FIRST_ACCOUNT = 501


@dataclass
class Run:
    """One library in one form, who is a user of the proxy of its own."""

    library: str
    form: str
    place: int
    secret: str

    @property
    def name(self):
        return f"{self.library}-{self.form}"

    def link(self, address):
        host, _, port = address.rpartition(":")
        secret = {"plain": self.secret, "padded": f"dd{self.secret}",
                  "tls": f"ee{self.secret}{DOMAIN.encode().hex()}"}[self.form]
        return f"tg://proxy?server={host}&port={port}&secret={secret}"


def centres(server):
    """TDLib begins with the first of Telegram's, wherever it was told to be at home."""
    return {1, server.dc}


def write_list(server):
    """The file that says where proxies make links to."""
    path = pathlib.Path(server.folder) / "proxy-multi.conf"
    lines = [f"proxy_for {sign}{dc} {server.middle};\n" for dc in centres(server) for sign in ("", "-")]
    path.write_text("".join([f"default {server.dc};\n", *lines]))
    return path


class Proxy:
    """`chappe proxy` before the server, on a port that stays its own when it starts again."""

    def __init__(self, binary, server, runs, by_middle=False):
        self.command = [binary.resolve(), "proxy", "run", "--modes", "plain,padded,tls", "--domain",
                        f"{DOMAIN}={server.address}", "--metrics", "127.0.0.1:0"]
        for run in runs:
            self.command += ["--user", f"{run.name}={run.secret}"]
        for dc in centres(server):
            self.command += ["--dc", f"{dc}={server.address}"]
        if by_middle:
            self.command += ["--middle-secret", server.middle_secret, "--middle-servers", write_list(server)]
        name = "proxy-middle.log" if by_middle else "proxy.log"
        self.log = open(pathlib.Path(server.folder) / name, "w+b")
        self.address = "127.0.0.1:0"
        self.start()

    def start(self):
        self.process = subprocess.Popen([*self.command, "--listen", self.address], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)
        killer = threading.Timer(READY_TIMEOUT_S, self.process.kill)
        killer.start()
        ready = json.loads(self.process.stdout.readline())
        killer.cancel()
        self.address, self.metrics = ready["listen"][0], ready["metrics"]

    def connected(self):
        """Names of the users who have connections."""
        with urllib.request.urlopen(f"http://{self.metrics}/users", timeout=5) as page:
            return [user["name"] for user in json.load(page) if user["connections"]]

    def restart(self):
        """Ends as by a crash, and is gone for a moment; the names of users whose connections that broke."""
        broken = self.connected()
        self.process.kill()
        self.process.wait()
        time.sleep(0.5)
        self.start()
        return broken

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()


class OtherProxy:
    """Another proxy that makes links to the server, and lets everybody in by one secret."""

    def __init__(self, line, server, secret):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        for name, value in {"port": port, "secret": secret, "middle_secret": server.middle_secret,
                            "middle_servers": write_list(server)}.items():
            line = line.replace(f"{{{name}}}", str(value))
        self.log = open(pathlib.Path(server.folder) / "proxy-other.log", "w+b")
        # To be ended with all that it starts.
        self.process = subprocess.Popen(line, shell=True, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        start_new_session=True)
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.2)
        self.__exit__()
        raise TimeoutError(f"nobody listens at {self.address}: {line}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()


def table(server, args, python, run_command, again):
    """Prints rows for each library and form: calls and a reconnect, and 5 MiB each way, straight and by links to the
    server; calls while the proxy is restarted. What failed."""
    row = "{:<10} {:<8} {:<12} {:<8} {:>8} {:>8} {:>9} {:>8} {:>6} {:>6} {:>5} {:>7} {:>6}"
    print(row.format("client", "form", "what", "outcome", "connect", "calls", "reconnect", "5 MiB", "number", "links",
                     "cuts", "failed", "lost"))
    outcomes = []

    def show(run, what, done, cuts=None):
        seconds, repeated = done.report.get("seconds", {}), done.report.get("repeated", {})
        if "cells" in done.report:
            file = done.report["cells"].get("file", {})
            seconds = {"file": file["seconds"]} if "seconds" in file else {}
        figures = [f"{seconds[step]:.2f} s" if step in seconds else "-"
                   for step in ("connect", "calls", "reconnect", "file")]
        is_spared = cuts == 0
        print(row.format(run.library, run.form, what, "FAILED" if is_spared else done.outcome, *figures,
                         done.report.get("calls", "-"), done.report.get("connections", "-"),
                         "-" if cuts is None else cuts, repeated.get("failed", "-"), repeated.get("lost", "-")),
              flush=True)
        failure = done.show(f"proxy {run.name} {what}", args.verbose)
        spared = f"FAILED proxy {run.name}: no restart broke a connection" if is_spared else ""
        outcomes.append(failure or spared)

    chosen = [(library, form) for library, forms in FORMS.items() for form in forms
              if library in (args.only or FORMS) and form in (args.form or [form])]
    secret = args.proxy and secrets.token_hex(16)
    runs = [Run(library, form, place, secret or secrets.token_hex(16))
            for place, (library, form) in enumerate(chosen)]

    def once(what, proxy, run):
        return run_command(COMMANDS[what](run, proxy, server, args, python), server, TIMEOUTS[what])

    def make(proxy, works, more=0):
        """Makes a row of each work, who does it and what it is called, through a proxy."""
        def done_of(work):
            what, run, _ = work
            # Each time others write, whom nobody knows yet.
            others = [replace(run, place=run.place + (more + attempt) * len(runs)) for attempt in (0, 1)]
            if run.library == "chappe":
                return once(what, proxy, others[0])
            return again(f"proxy {run.name} {what}", lambda attempt: once(what, proxy, others[attempt]), args)

        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for (_, run, name), done in zip(works, pool.map(done_of, works)):
                show(run, name, done)

    works = [(what, run, what) for what in ("steps", "files") for run in runs]
    if args.proxy:
        with OtherProxy(args.proxy, server, secret) as proxy:
            make(proxy, works)
        return outcomes
    # A file in one form of each library, for the time it takes.
    bearers = {run.library: run for run in runs}.values()
    by_middle = [("steps", run, "middle") for run in runs] + [("files", run, "middle files") for run in bearers]
    with Proxy(args.server_bin, server, runs, by_middle=True) as proxy:
        make(proxy, by_middle, more=2)
    with Proxy(args.server_bin, server, runs) as proxy:
        make(proxy, works)
        with concurrent.futures.ThreadPoolExecutor(len(runs)) as pool:
            waiting = [(run, pool.submit(once, "restarts", proxy, run)) for run in runs]
            begun = time.monotonic()
            while time.monotonic() < begun + BEGIN_MAX_S and len(proxy.connected()) < len(runs):
                time.sleep(0.5)
            # Some have only begun to make a key.
            time.sleep(RUN_S)
            broken = []
            for _ in range(RESTARTS):
                broken += proxy.restart()
                time.sleep(RUN_S)
            for run, done in waiting:
                show(run, "restarts", done.result(), broken.count(run.name))
    return outcomes


def steps(run, proxy, server, args, python):
    return [*script(run, proxy, server, args, python), "--calls", str(args.calls), "--timeout", str(STEPS_TIMEOUT_S)]


def restarts(run, proxy, server, args, python):
    return [*script(run, proxy, server, args, python), "--recover", "--seconds", str(CALLS_S), "--timeout",
            str(RECOVERY_TIMEOUT_S)]


def files(run, proxy, server, args, python):
    """Somebody with the library and somebody with Telethon, who is not behind the proxy, show each other a file."""
    number = FIRST_ACCOUNT + run.place * ACCOUNTS
    if run.library == "chappe":
        return [*script(run, proxy, server, args, python), "--account", str(number), "--timeout", str(FILES_TIMEOUT_S)]
    return [python, "clients/people.py", "--address", server.address, "--dc", str(server.dc), "--key",
            server.public_key, "--number", str(number), "--timeout", str(FILES_TIMEOUT_S), "--link",
            run.link(proxy.address), run.library, "--cells", "file"]


def script(run, proxy, server, args, python):
    """What drives a library through the steps; the form is in the link."""
    common = ["--link", run.link(proxy.address), "--address", proxy.address, "--dc", str(server.dc), "--key",
              server.public_key, "--transport"]
    inner = "obfuscated-intermediate" if run.form == "plain" else "obfuscated-padded"
    if run.library == "chappe":
        return [args.server_bin.resolve().with_name("interop-client"), *common, inner]
    if run.library == "mtcute":
        return ["node", "clients/mtcute/client.mjs", *common, inner]
    return [python, "clients/proxied.py", run.library, *common, run.form]


COMMANDS = {"steps": steps, "files": files, "restarts": restarts}
TIMEOUTS = {"steps": STEPS_TIMEOUT_S, "files": FILES_TIMEOUT_S, "restarts": RECOVERY_TIMEOUT_S}

"""What the tables run against: the server, and a line to it that breaks."""

import json
import pathlib
import queue
import secrets
import signal
import subprocess
import sys
import threading

READY_TIMEOUT_S = 30
STOP_TIMEOUT_S = 10


class Server:
    """`chappe serve` on a free loopback port, with TLS on the same; left running no longer than the `with` block."""

    def __init__(self, binary, folder, more=(), env=None):
        self.folder = folder
        self.certificate = make_certificate(pathlib.Path(folder))
        # What proxies have to know that bring their clients on links of their own.
        self.middle_secret = pathlib.Path(folder) / "proxy-secret"
        self.middle_secret.write_bytes(secrets.token_bytes(128))
        self.log = open(pathlib.Path(folder) / "server.log", "w+b")
        self.process = subprocess.Popen(
            [binary.resolve(), "serve", "--listen", "127.0.0.1:0", "--data", f"{folder}/data",
             "--tls-cert", self.certificate, "--tls-key", self.certificate.with_suffix(".key"),
             "--middle-listen", "127.0.0.1:0", "--middle-secret", self.middle_secret,
             # By such links somebody might come from elsewhere.
             "--test-numbers", "own", *more],
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.lines = queue.SimpleQueue()
        threading.Thread(target=self.read_lines, daemon=True).start()
        try:
            ready = json.loads(self.lines.get(timeout=READY_TIMEOUT_S))
            if ready["event"] != "ready":
                raise ValueError(f"first line on stdout is {ready}")
            self.address, self.dc, self.public_key = ready["listen"][0], ready["dc"], ready["public_key"]
            self.middle = ready["middle"]
        except (queue.Empty, ValueError, KeyError) as error:
            self.kill()
            self.show_log()
            sys.exit(f"the server did not get ready: {error!r}")

    def read_lines(self):
        """Reads to the end, so that the server never waits for a full pipe."""
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.log.close()

    def stop(self):
        """SIGTERM has to end the server with status 0, in time; what is to be said if it does not, or ""."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_TIMEOUT_S)
            failure = "" if status == 0 else f"FAILED server stops on SIGTERM: exit status {status}"
        except subprocess.TimeoutExpired:
            failure = f"FAILED server stops on SIGTERM: still running after {STOP_TIMEOUT_S} s"
        print(f"server    stops on SIGTERM: {'FAILED' if failure else 'ok'}", flush=True)
        return failure

    def peak_mib(self):
        """The most memory that it ever had, in MiB; None where the system does not say."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status")
        lines = status.read_text().splitlines() if status.is_file() else []
        return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM:")), None)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def show_log(self):
        self.log.seek(0)
        tail = self.log.read().decode(errors="replace").splitlines()[-40:]
        print("server log, last lines:", *tail, sep="\n  ", flush=True)


def make_certificate(folder):
    """A certificate for this machine that nobody but the tests trusts; its key is beside it."""
    certificate = folder / "tls.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
         "-addext", "basicConstraints=critical,CA:FALSE",
         "-out", certificate, "-keyout", certificate.with_suffix(".key")],
        check=True, capture_output=True)
    return certificate


class Relay:
    """relay.py before the server."""

    def __init__(self, server, args):
        program = pathlib.Path(__file__).with_name("relay.py")
        command = [sys.executable, program, "--to", server, "--seed", str(args.seed), "--stall-max",
                   str(args.stall_max)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.address = json.loads(self.process.stdout.readline())["listen"]

    def stop(self):
        """Ends the relay and returns what it counted."""
        self.process.terminate()
        return last_json(self.process.communicate()[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def last_json(output):
    """A report is the last line; a library may print before it."""
    try:
        return json.loads(output.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return {}

"""Files in a bucket: people show each other files by a server that keeps them in S3, as moto's server speaks it."""

import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from install import MOTO_SERVER, PYTHON, install_bucket
from processes import Server

CELLS = ["sign-in", "file", "photo", "album", "profile", "large"]
# Of a size that goes in many parts.
LARGE_MIB = 64
TIMEOUT_S = 300
START_TIMEOUT_S = 30
# moto asks for a name and looks at no password.
SETTINGS = {"AWS_ACCESS_KEY_ID": "chappe", "AWS_SECRET_ACCESS_KEY": "chappe", "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true"}


def table(args, run_command):
    """Prints a row; what failed, or ""."""
    install_bucket()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    moto = subprocess.Popen([MOTO_SERVER, "--port", str(port)], **quiet)
    try:
        make_bucket(endpoint)
        env = {**os.environ, **SETTINGS, "AWS_ENDPOINT": endpoint}
        with tempfile.TemporaryDirectory(prefix="chappe-bucket-") as folder, \
                Server(args.server_bin, folder, ["--blobs", "s3://bucket/chappe"], env) as server:
            done = run_command([PYTHON, "clients/people.py", "telethon", "--address", server.address, "--dc",
                                str(server.dc), "--key", server.public_key, "--timeout", str(TIMEOUT_S), "--large",
                                str(LARGE_MIB), "--cells", *CELLS], server, TIMEOUT_S)
            memory = server.peak_mib()
            if not done.passed:
                server.show_log()
    finally:
        moto.kill()
        moto.wait()
    cells = {name: cell["outcome"] for name, cell in done.report.get("cells", {}).items()}
    print(f"bucket of S3: {json.dumps(cells)}, the last of {LARGE_MIB} MiB; the server had {memory} MiB at most",
          flush=True)
    return [done.show("bucket", args.verbose)]


def make_bucket(endpoint):
    begun = time.monotonic()
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(f"{endpoint}/bucket", method="PUT")).close()
            return
        except urllib.error.URLError:
            if time.monotonic() - begun > START_TIMEOUT_S:
                raise
            time.sleep(0.2)

"""What the server says to requests that it does not serve, as curl and wscat see it.

curl asks over HTTP, and once over HTTPS; wscat opens WebSockets, in a terminal of its own, for it does not say
elsewhere how a connection ended.
"""

import os
import pty
import re
import select
import subprocess
import time

from install import HERE

WSCAT = ["node", str(HERE / "node_modules/wscat/bin/wscat"), "--no-color"]
TIMEOUT_S = 10

# What has to be in an answer, by the words of the table.
TEXTS = {
    "CORS": "access-control-allow-origin: *",
    "methods": "access-control-allow-methods: post, options",
    "close": "connection: close",
    "empty": "content-length: 0",
    "resPQ": "content-length: 84",
    "one connection": "connects 1 0",
    "end 1000": "code: 1000",
    "end 1003": "code: 1003",
    "pong": 'Received pong (data: "hello")',
}


def table(server):
    """Asks everything and prints a row for each; what failed of each, or ""."""
    row = "{:<6} {:<8} {:<28} {:<28} {:<8}"
    print(row.format("tool", "version", "asks", "is told", "outcome"))
    curl = re.search(r"curl (\S+)", output(["curl", "--version"]))[1]
    wscat = output([*WSCAT, "--version"]).strip()
    outcomes = []
    for name, arguments, wanted in http_cases(server):
        outcomes.append(show(row, "curl", curl, name, wanted, ask_http(server, arguments)))
    for name, arguments, typed, wanted in websocket_cases(server):
        outcomes.append(show(row, "wscat", wscat, name, wanted, ask_websocket(arguments, typed)))
    return outcomes


def show(row, tool, version, name, wanted, answer):
    """All that is wanted has to stand in the answer; a word behind `no` must not."""
    wanted = wanted.split(", ")
    text = lambda word: TEXTS.get(word, word)
    wrong = [word for word in wanted
             if (text(word[3:]) in answer if word.startswith("no ") else text(word) not in answer)]
    print(row.format(tool, version, name, ", ".join(wanted), "FAILED" if wrong else "ok"), flush=True)
    if not wrong:
        return ""
    lines = [f"  {line}" for line in answer.strip().splitlines()[-12:]]
    return "\n".join([f"FAILED {tool} asks {name}, not so: {', '.join(wrong)}", *lines])


def http_cases(server):
    """What is asked, the arguments of curl, and what it is told."""
    api, apiw = (f"http://{server.address}/{path}" for path in ("api", "apiw1"))
    body = lambda text: ["--data-binary", text]
    header = lambda name, value: ["--header", f"{name}: {value}"]
    # Eight zero bytes, a message id, the length, req_pq_multi with its nonce.
    question = b"".join([bytes(8), (int(time.time()) << 32).to_bytes(8, "little"), (20).to_bytes(4, "little"),
                         bytes.fromhex("f18e7ebe"), os.urandom(16)])
    packet = f"{server.folder}/req_pq_multi"
    with open(packet, "wb") as file:
        file.write(question)
    return [
        ("a key exchange", [api, "--data-binary", f"@{packet}"], "200, resPQ, no CORS"),
        ("the same by HTTPS", [f"https://{server.address}/api", "--cacert", str(server.certificate), "--data-binary",
                               f"@{packet}"], "200, resPQ"),
        ("a preflight", [apiw, "--request", "OPTIONS"], "200, CORS, methods, empty"),
        ("with no body, twice", [apiw, apiw, *body("")], "404, CORS, one connection"),
        ("with 20 bytes", [apiw, *body("x" * 20)], "404, CORS, close"),
        ("with 41 bytes", [apiw, *body("x" * 41)], "404, CORS, close"),
        ("with a key nobody has", [apiw, *body("x" * 104)], "404, CORS, close"),
        ("the same, no browser", [api, *body("x" * 104)], "404, close, no CORS"),
        ("by GET", [api], "404, close"),
        ("by HEAD", [api, "--head"], "405, close"),
        ("at another path", [f"http://{server.address}/", *body("x" * 40)], "404, close"),
        ("at a path of 65 bytes", [f"{api}{'x' * 61}", *body("x" * 40)], "414, close"),
        ("with headers of 17 KiB", [api, *body("x" * 40), *header("X", "x" * (17 << 10))], "431"),
        ("in chunks", [api, *body("x" * 40), *header("Transfer-Encoding", "chunked")], "411, close"),
        ("with two lengths", [api, *body("x" * 40), *header("Content-Length", 40), *header("Content-length", 44)],
         "400"),
        ("with a length, in chunks", [api, *body("x" * 40), *header("Transfer-Encoding", "chunked"),
                                      *header("Content-Length", 40)], "400, close"),
        ("to take 17 MiB", [api, *body("x" * 40), *header("Content-Length", 17 << 20)], "413, close"),
        ("by HTTP/1.0", [apiw, "--http1.0", *body("x" * 20)], "404, CORS"),
    ]


def websocket_cases(server):
    """What is asked, the arguments of wscat, what is typed, and what it is told."""
    url = f"ws://{server.address}/apiws"
    binary = ["--subprotocol", "binary"]
    return [
        ("nothing, and goes", ["-c", url, *binary], ["/close"], "Connected, end 1000"),
        ("the same over TLS", ["-c", f"wss://{server.address}/apiws", "--ca", str(server.certificate), *binary],
         ["/close"], "Connected, end 1000"),
        ("for a pong", ["-c", url, *binary], ["/ping hello", "/close"], "Connected, pong, end 1000"),
        ("without subprotocol", ["-c", url], [], "400"),
        ("for another subprotocol", ["-c", url, "--subprotocol", "chat"], [], "400"),
        ("at another path", ["-c", f"ws://{server.address}/chat", *binary], [], "404"),
        ("by an old draft", ["-c", url, *binary, "--protocol", "8"], [], "426"),
        ("in text", ["-c", url, *binary], ["hello"], "Connected, end 1003"),
    ]


def ask_http(server, arguments):
    """Heads of the answers, in small letters, and on how many connections they came."""
    command = ["curl", "--silent", "--show-error", "--include", "--output", "-", "--max-time", str(TIMEOUT_S),
               "--header", "Expect:", "--write-out", "\nconnects %{num_connects}\n", *arguments]
    answer = output(command)
    connects = " ".join(re.findall(r"^connects (\d+)$", answer, re.MULTILINE))
    return f"{answer.lower()}\nconnects {connects}"


def ask_websocket(arguments, typed):
    """All that wscat shows until it ends."""
    ours, its = pty.openpty()
    process = subprocess.Popen([*WSCAT, "--slash", "--show-ping-pong", *arguments], stdin=its, stdout=its, stderr=its)
    os.close(its)
    shown, deadline = "", time.monotonic() + TIMEOUT_S
    while (left := deadline - time.monotonic()) > 0:
        if typed and "Connected" in shown:
            os.write(ours, f"{typed.pop(0)}\n".encode())
            # One after the other: each is answered before the next.
            time.sleep(0.2)
        if not select.select([ours], [], [], left)[0]:
            break
        try:
            shown += os.read(ours, 1 << 14).decode(errors="replace")
        except OSError:
            # The terminal is gone with its last user.
            break
    process.kill()
    process.wait()
    os.close(ours)
    return shown


def output(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.decode(errors="replace")

# pip install tdjson
# python sign_in.py
#
# TDLib has the keys and the addresses of Telegram compiled in. This makes a copy of its library that
# knows the key of this server in their place, and leads it here through a SOCKS5 proxy of its own.
import ctypes
import json
import pathlib
import re
import socket
import tempfile
import threading
from importlib.metadata import files

KEY = b"""{{KEY}}"""
PEM = rb"-----BEGIN RSA PUBLIC KEY-----[\w+/=\n]{300,500}-----END RSA PUBLIC KEY-----"


def open_library(folder):
    original = next(file.locate() for file in files("tdjson") if file.name.startswith("libtdjson"))
    key = KEY.strip()
    # Keys of another length are for something else.
    code = re.sub(PEM, lambda found: key if len(found[0]) == len(key) else found[0], original.read_bytes())
    copy = pathlib.Path(folder) / "libtdjson.so"
    copy.write_bytes(code)
    library = ctypes.CDLL(str(copy))
    library.td_receive.argtypes, library.td_receive.restype = [ctypes.c_double], ctypes.c_char_p
    library.td_execute.restype = ctypes.c_char_p
    return library


def listen():
    """A SOCKS5 proxy that leads here, whatever address it is asked for; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(near):
        with near, socket.create_connection(("{{HOST}}", {{PORT}})) as far:
            near.recv(near.recv(2)[1])
            near.sendall(b"\5\0")
            near.recv({1: 6, 4: 18}[near.recv(4)[3]])
            near.sendall(b"\5\0\0\1" + bytes(6))
            threading.Thread(target=carry, args=(far, near), daemon=True).start()
            carry(near, far)

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def carry(source, sink):
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def main(folder):
    library = open_library(folder)
    library.td_execute(json.dumps({"@type": "setLogVerbosityLevel", "new_verbosity_level": 1}).encode())
    client = library.td_create_client_id()

    def send(function, **arguments):
        library.td_send(client, json.dumps({"@type": function, **arguments}).encode())

    proxy = {"@type": "proxy", "server": "127.0.0.1", "port": listen(),
             "type": {"@type": "proxyTypeSocks5", "username": "", "password": ""}}
    send("addProxy", proxy=proxy, enable=True, comment="")
    steps = {
        "authorizationStateWaitTdlibParameters": lambda: send(
            "setTdlibParameters", database_directory=folder, files_directory=folder, api_id=1,
            api_hash="0" * 32, system_language_code="en", device_model="test", system_version="1",
            application_version="1"),
        "authorizationStateWaitPhoneNumber": lambda: send(
            "setAuthenticationPhoneNumber", phone_number="{{NUMBER}}"),
        "authorizationStateWaitCode": lambda: send(
            "checkAuthenticationCode", code={{CODE}}),
        "authorizationStateReady": lambda: send("getMe"),
    }
    while True:
        received = library.td_receive(10.0)
        message = json.loads(received) if received else {}
        match message:
            case {"@type": "updateAuthorizationState", "authorization_state": {"@type": state}}:
                if state == "authorizationStateClosed":
                    return
                steps.get(state, lambda: None)()
            case {"@type": "user", "first_name": first_name, "last_name": last_name}:
                print("signed in as", first_name, last_name)
                send("close")
            case {"@type": "error", "message": problem}:
                print("error:", problem)


with tempfile.TemporaryDirectory() as folder:
    main(folder)

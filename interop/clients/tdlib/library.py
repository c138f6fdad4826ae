"""A private copy of TDLib's library that knows our server in the place of Telegram's.

TDLib has addresses and keys compiled in. The copy differs in these alone, each replaced by something of the
same length: the RSA keys by the server's, Telegram's addresses by loopback ones, and the hosts that TDLib asks
for other addresses after some seconds without a connection by names that nobody has.
"""

import ctypes
import hashlib
import json
import os
import pathlib
import re
import tempfile
from importlib.metadata import files

# From the head of a key to its tail, and addresses as C strings.
PEM = rb"-----BEGIN RSA PUBLIC KEY-----[\w+/=\n]{300,500}-----END RSA PUBLIC KEY-----"
IPV4 = rb"\0(?:149\.154|91\.108|95\.161)\.\d+\.\d+(?=\0)"
IPV6 = rb"\x002001:(?:b28|67c)[0-9a-f:]+(?=\0)"
HOSTS = [
    b"dns.google/",
    b"mozilla.cloudflare-dns.com/",
    b"reserve-5a846.firebaseio.com/",
    b"software-download.microsoft.com/",
    b"www.google.com/v1/",
]


def copy_for(key_pem):
    """Where the copy is, which is made once for all whose temporary files go to the same folder: it takes a while."""
    path = pathlib.Path(tempfile.gettempdir(), f"libtdjson-{hashlib.sha256(key_pem.encode()).hexdigest()[:16]}.so")
    if not path.exists():
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(make_copy(key_pem))
        os.replace(file.name, path)
    return path


def make_copy(key_pem):
    original = next(file.locate() for file in files("tdjson") if file.name.startswith("libtdjson"))
    code = original.read_bytes()
    key = key_pem.strip().encode()
    # One key of another length is for something else.
    code = replace(code, PEM, lambda found: key if len(found) == len(key) else found, at_least=2)
    code = replace(code, IPV4, loopback, at_least=6)
    code = replace(code, IPV6, lambda found: re.sub(rb"[0-9a-f]", b"0", found)[:-1] + b"1", at_least=5)
    for host in HOSTS:
        code = replace(code, re.escape(host), nobody, at_least=1)
    return code


def replace(code, pattern, new, at_least):
    code, count = re.subn(pattern, lambda found: new(found[0]), code)
    if count < at_least:
        raise RuntimeError(f"TDLib holds {pattern} {count} times only: it has changed, and so must this script")
    return code


def loopback(address):
    """A loopback address of the same length, with the byte 0 before it."""
    first, rest = address[1:].split(b".", 1)
    return b"\x00127." + rest[3 - len(first) :]


def nobody(host):
    """A name of the same length that does not exist, for certain (RFC 6761); what follows it stays."""
    name, slash, rest = host.partition(b"/")
    return b".invalid".rjust(len(name), b"x") + slash + rest


class Library:
    """The four functions of TDLib's JSON interface."""

    def __init__(self, path):
        self.code = ctypes.CDLL(str(path))
        self.code.td_receive.argtypes = [ctypes.c_double]
        self.code.td_receive.restype = self.code.td_execute.restype = ctypes.c_char_p
        self.new_client = self.code.td_create_client_id

    def execute(self, request):
        return json.loads(self.code.td_execute(json.dumps(request).encode()))

    def send(self, client, request):
        self.code.td_send(client, json.dumps(request).encode())

    def receive(self, seconds):
        """The next answer or update; `None` when there is none in time."""
        received = self.code.td_receive(seconds)
        return json.loads(received) if received else None

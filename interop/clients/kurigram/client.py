"""Kurigram (package `pyrogram`): key creation and calls over every framing it has."""

import hashlib
import pathlib
import sys
from importlib.metadata import version

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import contract
import pyrogram
import rsa
from pyrogram import raw
from pyrogram.connection import Connection
from pyrogram.connection.transport import (
    TCPAbridged,
    TCPAbridgedO,
    TCPFull,
    TCPIntermediate,
    TCPIntermediateO,
    TCPIntermediatePadded,
)
from pyrogram.crypto.rsa import PublicKey, server_public_keys
from pyrogram.raw.core import Bytes

TRANSPORTS = {
    "full": TCPFull,
    "abridged": TCPAbridged,
    "intermediate": TCPIntermediate,
    "padded": TCPIntermediatePadded,
    "obfuscated-abridged": TCPAbridgedO,
    "obfuscated-intermediate": TCPIntermediateO,
}


class InDc(pyrogram.Client):
    """Kurigram starts every fresh session in DC 2."""

    interop_dc = 2

    async def load_session(self):
        await super().load_session()
        await self.storage.dc_id(self.interop_dc)


class Client(contract.Client):
    layer = raw.all.layer

    async def connect(self):
        trust(self.target.key_pem)
        InDc.interop_dc = self.target.dc
        self.client = InDc(
            "interop",
            api_id=1,
            api_hash="0" * 32,
            in_memory=True,
            ipv6=":" in self.target.host,
            connection_factory=self.pinned(),
            protocol_factory=self.transport,
        )
        await self.client.connect()
        # A failed start is not reported: the library goes on trying in the background.
        await self.client.session.is_started.wait()

    def pinned(self):
        steps = self

        class Pinned(Connection):
            """A fresh session dials built-in addresses; this one replaces them."""

            def __init__(self, **kwargs):
                kwargs.update(server_address=steps.target.host, port=steps.target.port)
                super().__init__(**kwargs)

            async def connect(self):
                await super().connect()
                steps.connections += 1

        return Pinned

    async def config(self):
        return await self.client.invoke(raw.functions.help.GetConfig())

    async def nearest_dc(self):
        # A call made while the library still holds the dead connection is lost in silence.
        await self.client.session.is_started.wait()
        return await self.client.invoke(raw.functions.help.GetNearestDc())

    def cut(self):
        self.client.session.connection.protocol.writer.transport.abort()

    async def close(self):
        await self.client.disconnect()


def trust(pem):
    """Makes `pem` the only key that Kurigram accepts."""
    key = rsa.PublicKey.load_pkcs1(pem)
    n, e = (number.to_bytes((number.bit_length() + 7) // 8, "big") for number in (key.n, key.e))
    digest = hashlib.sha1(Bytes(n) + Bytes(e)).digest()
    server_public_keys.clear()
    server_public_keys[int.from_bytes(digest[-8:], "little", signed=True)] = PublicKey(key.n, key.e)


if __name__ == "__main__":
    contract.main("kurigram", version("kurigram"), TRANSPORTS, Client)

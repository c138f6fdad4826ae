"""Telethon: key creation and calls over every framing it has."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import contract
import telethon
from telethon import TelegramClient, functions
from telethon.crypto import rsa
from telethon.network.connection import connection, tcpabridged, tcpfull, tcpintermediate, tcpobfuscated
from telethon.sessions import MemorySession
from telethon.tl.alltlobjects import LAYER


class PaddedTag(tcpintermediate.RandomizedIntermediatePacketCodec):
    """Telethon uses this framing behind a proxy only and gives it no tag of its own."""

    tag = tcpintermediate.RandomizedIntermediatePacketCodec.obfuscate_tag


class Padded(connection.Connection):
    packet_codec = PaddedTag


class ObfuscatedIntermediate(tcpobfuscated.ConnectionTcpObfuscated):
    packet_codec = tcpintermediate.IntermediatePacketCodec


class ObfuscatedPadded(tcpobfuscated.ConnectionTcpObfuscated):
    packet_codec = tcpintermediate.RandomizedIntermediatePacketCodec


TRANSPORTS = {
    "full": tcpfull.ConnectionTcpFull,
    "abridged": tcpabridged.ConnectionTcpAbridged,
    "intermediate": tcpintermediate.ConnectionTcpIntermediate,
    "padded": Padded,
    "obfuscated-abridged": tcpobfuscated.ConnectionTcpObfuscated,
    "obfuscated-intermediate": ObfuscatedIntermediate,
    "obfuscated-padded": ObfuscatedPadded,
}


class Client(contract.Client):
    layer = LAYER

    async def connect(self):
        # Only our key, so that nothing passes by another one.
        rsa._server_keys.clear()
        rsa.add_key(self.target.key_pem, old=False)
        session = MemorySession()
        session.set_dc(self.target.dc, self.target.host, self.target.port)
        self.client = TelegramClient(
            session, api_id=1, api_hash="0" * 32, connection=self.counted(), use_ipv6=":" in self.target.host
        )
        await self.client.connect()

    def counted(self):
        steps = self

        class Counted(self.transport):
            async def _connect(self, *args, **kwargs):
                await super()._connect(*args, **kwargs)
                steps.connections += 1

        return Counted

    async def config(self):
        return await self.client(functions.help.GetConfigRequest())

    async def nearest_dc(self):
        return await self.client(functions.help.GetNearestDcRequest())

    def cut(self):
        self.client._sender._connection._writer.transport.abort()

    async def close(self):
        await self.client.disconnect()


if __name__ == "__main__":
    contract.main("telethon", telethon.__version__, TRANSPORTS, Client)

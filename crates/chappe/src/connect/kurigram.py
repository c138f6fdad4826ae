# pip install kurigram
# python sign_in.py
import asyncio

import pyrogram
from pyrogram.connection import Connection
from pyrogram.crypto.rsa import PublicKey, server_public_keys

MODULUS = int("{{MODULUS}}", 16)


class Here(Connection):
    """A fresh session dials built-in addresses; this one replaces them."""

    def __init__(self, **kwargs):
        kwargs.update(server_address="{{HOST}}", port={{PORT}})
        super().__init__(**kwargs)


class Client(pyrogram.Client):
    """A fresh session is in data centre 2 whatever the server is."""

    async def load_session(self):
        await super().load_session()
        await self.storage.dc_id({{DC}})


async def main():
    server_public_keys[{{FINGERPRINT}}] = PublicKey(MODULUS, 65537)
    client = Client("test", api_id=1, api_hash="0" * 32, in_memory=True, connection_factory=Here,
                    phone_number="{{NUMBER}}", phone_code={{CODE}})
    async with client:
        me = await client.get_me()
        print("signed in as", me.first_name, me.last_name)
        await client.send_message("me", "a note to myself")


asyncio.run(main())

# pip install telethon
# python sign_in.py
import asyncio

from telethon import TelegramClient
from telethon.crypto import rsa
from telethon.sessions import MemorySession

KEY = """{{KEY}}"""


async def main():
    rsa.add_key(KEY, old=False)
    session = MemorySession()
    session.set_dc({{DC}}, "{{HOST}}", {{PORT}})
    client = TelegramClient(session, api_id=1, api_hash="0" * 32)
    await client.start(phone="{{NUMBER}}", code_callback=lambda: {{CODE}})
    me = await client.get_me()
    print("signed in as", me.first_name, me.last_name)
    await client.send_message("me", "a note to myself")
    await client.disconnect()


asyncio.run(main())

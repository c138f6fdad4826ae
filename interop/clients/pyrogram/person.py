"""A person who uses Pyrogram 2.0.106, of layer 158."""

import asyncio
import hashlib

import pyrogram
import rsa
from pyrogram import errors, raw
from pyrogram.crypto.rsa import PublicKey, server_public_keys
from pyrogram.raw.all import layer
from pyrogram.raw.core import Bytes
from pyrogram.session.internals import DataCenter


class Person:
    layer = layer
    version = pyrogram.__version__
    cannot = {}

    def __init__(self, target, number, folder):
        trust(target.key_pem)
        # A connection dials built-in addresses; there is no option for others.
        DataCenter.__new__ = lambda *_: (target.host, target.port)
        self.number = number
        self.heard = asyncio.Queue()
        self.client = pyrogram.Client(number, api_id=1, api_hash="0" * 32, in_memory=True)
        self.client.on_message(pyrogram.filters.incoming)(self.hear_message)
        self.client.on_edited_message(pyrogram.filters.incoming)(self.hear_edit)
        self.client.on_deleted_messages()(self.hear_deletion)
        self.client.on_raw_update()(self.hear_raw)

    async def hear_message(self, _, message):
        await self.heard.put(("message", message.text, message.reply_to_message_id is not None))

    async def hear_edit(self, _, message):
        await self.heard.put(("edit", message.text))

    async def hear_deletion(self, _, messages):
        await self.heard.put(("deletion", len(messages)))

    async def hear_raw(self, _, update, users, chats):
        if isinstance(update, raw.types.UpdateReadHistoryOutbox):
            await self.heard.put(("read",))
        elif isinstance(update, raw.types.UpdateUserTyping):
            await self.heard.put(("typing",))
        raise pyrogram.ContinuePropagation

    async def enter(self, code, password=None):
        await self.client.connect()
        sent = await self.client.send_code(self.number)
        try:
            await self.client.sign_in(self.number, sent.phone_code_hash, code)
        except errors.SessionPasswordNeeded:
            await self.client.check_password(password)
        await self.client.invoke(raw.functions.updates.GetState())
        self.client.me = await self.client.get_me()
        await self.client.initialize()

    async def find(self, number):
        found = await self.client.invoke(raw.functions.contacts.ResolvePhone(phone=number))
        await self.client.fetch_peers(found.users)
        return found.users[0].id

    async def say(self, peer, text, reply_to=None):
        return (await self.client.send_message(peer, text, reply_to_message_id=reply_to)).id

    async def edit(self, peer, message, text):
        await self.client.edit_message_text(peer, message, text)

    async def delete(self, peer, message):
        await self.client.delete_messages(peer, [message], revoke=True)

    async def read(self, peer):
        await self.client.read_chat_history(peer)

    async def type(self, peer):
        await self.client.send_chat_action(peer, pyrogram.enums.ChatAction.TYPING)

    async def history(self, peer):
        return [message.text async for message in self.client.get_chat_history(peer)]

    async def dialogs(self):
        return [dialog.unread_messages_count async for dialog in self.client.get_dialogs()]

    async def leave(self):
        await self.client.log_out()


def trust(pem):
    """Makes `pem` the only key that Pyrogram accepts."""
    key = rsa.PublicKey.load_pkcs1(pem)
    n, e = (number.to_bytes((number.bit_length() + 7) // 8, "big") for number in (key.n, key.e))
    digest = hashlib.sha1(Bytes(n) + Bytes(e)).digest()
    server_public_keys.clear()
    server_public_keys[int.from_bytes(digest[-8:], "little", signed=True)] = PublicKey(key.n, key.e)

"""A person who uses Kurigram (package `pyrogram`)."""

import asyncio
import hashlib
import io

import pyrogram
import rsa
from pyrogram import errors, raw
from pyrogram.connection import Connection
from pyrogram.connection.transport import TCPAbridged
from pyrogram.crypto.rsa import PublicKey, server_public_keys
from pyrogram.raw.core import Bytes


class InDc(pyrogram.Client):
    """Kurigram starts every fresh session in DC 2."""

    interop_dc = 2

    async def load_session(self):
        await super().load_session()
        await self.storage.dc_id(self.interop_dc)


class Person:
    name = "kurigram"

    def __init__(self, target, number):
        trust(target.key_pem)
        InDc.interop_dc = target.dc
        self.target, self.number = target, number
        self.heard = asyncio.Queue()
        self.shown = []

        class Pinned(Connection):
            """A fresh session dials built-in addresses; this one replaces them."""

            def __init__(self, **kwargs):
                kwargs.update(server_address=target.host, port=target.port)
                super().__init__(**kwargs)

        self.client = InDc(number, api_id=1, api_hash="0" * 32, in_memory=True, connection_factory=Pinned,
                           protocol_factory=TCPAbridged)
        self.client.on_message(pyrogram.filters.incoming)(self.hear_message)
        self.client.on_edited_message(pyrogram.filters.incoming)(self.hear_edit)
        self.client.on_deleted_messages()(self.hear_deletion)
        # In a group of its own: of one group, one handler alone hears an update.
        self.client.on_raw_update(group=1)(self.hear_raw)

    async def hear_message(self, _, message):
        if message.service:
            return
        if message.media:
            self.shown.append(message)
            kind, name = ("photo", None) if message.photo else ("file", message.document.file_name)
            await self.heard.put((kind, name, message.media_group_id is not None))
            return
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
        elif isinstance(update, raw.types.UpdateNewMessage) and isinstance(update.message, raw.types.MessageService):
            if not update.message.out:
                await self.heard.put(("action", type(update.message.action).__name__))
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
        reply = pyrogram.types.ReplyParameters(message_id=reply_to) if reply_to else None
        return (await self.client.send_message(peer, text, reply_parameters=reply)).id

    async def show_file(self, peer, name, content):
        await self.client.send_document(peer, named(name, content), force_document=True)

    async def show_path(self, peer, path):
        await self.client.send_document(peer, path, force_document=True)

    async def fetch_to(self, path):
        await self.client.download_media(self.shown.pop(0), file_name=path)

    async def show_photos(self, peer, pictures):
        files = [named(f"{place}.png", picture) for place, picture in enumerate(pictures)]
        if len(files) == 1:
            await self.client.send_photo(peer, files[0])
        else:
            await self.client.send_media_group(peer, [pyrogram.types.InputMediaPhoto(file) for file in files])

    async def fetch(self):
        """What was shown first and not fetched yet."""
        return (await self.client.download_media(self.shown.pop(0), in_memory=True)).getvalue()

    async def put_on(self, picture):
        file = await self.client.save_file(named("me.png", picture))
        await self.client.invoke(raw.functions.photos.UploadProfilePhoto(file=file))

    async def fetch_profile(self, number):
        user = await self.client.get_users(await self.find(number))
        return (await self.client.download_media(user.photo.big_file_id, in_memory=True)).getvalue()

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

    async def forward(self, peer, message):
        await self.client.forward_messages(peer, peer, message)

    async def forwarded(self, peer):
        return [message.text async for message in self.client.get_chat_history(peer) if message.forward_origin]

    async def pin(self, peer, message):
        await self.client.pin_chat_message(peer, message, both_sides=True)

    async def pinned(self, peer):
        pinned = pyrogram.enums.MessagesFilter.PINNED
        return [message.text async for message in self.client.search_messages(peer, filter=pinned)]

    async def search(self, peer, words):
        return [message.text async for message in self.client.search_messages(peer, query=words)]

    async def begin(self, peer, text):
        peer = await self.client.resolve_peer(peer)
        await self.client.invoke(raw.functions.messages.SaveDraft(peer=peer, message=text))

    async def begun(self):
        updates = (await self.client.invoke(raw.functions.messages.GetAllDrafts())).updates
        return [update.draft.message for update in updates]

    async def make_group(self, title, peer):
        return (await self.client.create_group(title, peer)).id

    async def group(self, title):
        return [dialog.chat.id async for dialog in self.client.get_dialogs() if dialog.chat.title == title][0]

    async def rename(self, group, title):
        await self.client.set_chat_title(group, title)

    async def remove(self, group, peer):
        await self.client.ban_chat_member(group, peer)

    # In memory its session ends with the connection: there is nothing to come back to.
    go_away = come_back = None

    async def set_password(self, password):
        return await self.client.enable_cloud_password(password)

    async def leave(self):
        return await self.client.log_out()

    async def close(self):
        await self.client.stop()


def named(name, content):
    file = io.BytesIO(content)
    file.name = name
    return file


def trust(pem):
    """Makes `pem` the only key that Kurigram accepts."""
    key = rsa.PublicKey.load_pkcs1(pem)
    n, e = (number.to_bytes((number.bit_length() + 7) // 8, "big") for number in (key.n, key.e))
    digest = hashlib.sha1(Bytes(n) + Bytes(e)).digest()
    server_public_keys.clear()
    server_public_keys[int.from_bytes(digest[-8:], "little", signed=True)] = PublicKey(key.n, key.e)

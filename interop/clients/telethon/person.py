"""A person who uses Telethon."""

import asyncio
import io

from telethon import TelegramClient, errors, events, functions, types
from telethon.crypto import rsa
from telethon.sessions import MemorySession
from telethon.tl.alltlobjects import LAYER


class Person:
    name = "telethon"
    layer = LAYER

    def __init__(self, target, number):
        rsa.add_key(target.key_pem, old=False)
        self.target, self.number = target, number
        self.heard = asyncio.Queue()
        self.shown = []
        self.session = MemorySession()
        self.session.set_dc(target.dc, target.host, target.port)
        self.client = TelegramClient(self.session, 1, "0" * 32, receive_updates=True)
        self.client.add_event_handler(self.hear_message, events.NewMessage(incoming=True))
        self.client.add_event_handler(self.hear_edit, events.MessageEdited(incoming=True))
        self.client.add_event_handler(self.hear_deletion, events.MessageDeleted())
        self.client.add_event_handler(self.hear_action, events.Raw(types.UpdateNewMessage))
        self.client.add_event_handler(self.hear_mark, events.MessageRead())
        self.client.add_event_handler(self.hear_typing, events.UserUpdate())

    async def hear_message(self, event):
        message = event.message
        if message.media:
            self.shown.append(message)
            kind = "photo" if message.photo else "file"
            await self.heard.put((kind, message.file.name, message.grouped_id is not None))
            return
        await self.heard.put(("message", event.raw_text, event.message.reply_to_msg_id is not None))

    async def hear_edit(self, event):
        await self.heard.put(("edit", event.raw_text))

    async def hear_deletion(self, event):
        await self.heard.put(("deletion", len(event.deleted_ids)))

    async def hear_action(self, update):
        message = update.message
        if isinstance(message, types.MessageService) and not message.out:
            await self.heard.put(("action", type(message.action).__name__))

    async def hear_mark(self, event):
        await self.heard.put(("read",))

    async def hear_typing(self, event):
        if event.typing:
            await self.heard.put(("typing",))

    async def enter(self, code, password=None):
        await self.client.connect()
        await self.client.send_code_request(self.number)
        try:
            await self.client.sign_in(self.number, code)
        except errors.SessionPasswordNeededError:
            await self.client.sign_in(password=password)
        await self.client.get_me()
        # Subscribes this session to updates.
        await self.client(functions.updates.GetStateRequest())

    async def find(self, number):
        found = await self.client(functions.contacts.ResolvePhoneRequest(number))
        return found.users[0]

    async def say(self, peer, text, reply_to=None):
        return (await self.client.send_message(peer, text, reply_to=reply_to)).id

    async def show_file(self, peer, name, content):
        await self.client.send_file(peer, named(name, content), force_document=True)

    async def show_path(self, peer, path):
        await self.client.send_file(peer, path, force_document=True)

    async def fetch_to(self, path):
        await self.client.download_media(self.shown.pop(0), file=path)

    async def show_photos(self, peer, pictures):
        files = [named(f"{place}.png", picture) for place, picture in enumerate(pictures)]
        await self.client.send_file(peer, files if len(files) > 1 else files[0])

    async def fetch(self):
        """What was shown first and not fetched yet."""
        return await self.client.download_media(self.shown.pop(0), file=bytes)

    async def put_on(self, picture):
        file = await self.client.upload_file(named("me.png", picture))
        await self.client(functions.photos.UploadProfilePhotoRequest(file=file))

    async def fetch_profile(self, number):
        return await self.client.download_profile_photo(await self.find(number), file=bytes)

    async def edit(self, peer, message, text):
        await self.client.edit_message(peer, message, text)

    async def delete(self, peer, message):
        await self.client.delete_messages(peer, [message], revoke=True)

    async def read(self, peer):
        await self.client.send_read_acknowledge(peer)

    async def type(self, peer):
        async with self.client.action(peer, "typing"):
            await asyncio.sleep(0.1)

    async def history(self, peer):
        return [message.raw_text async for message in self.client.iter_messages(peer)]

    async def dialogs(self):
        return [dialog.unread_count async for dialog in self.client.iter_dialogs()]

    async def forward(self, peer, message):
        await self.client.forward_messages(peer, message, peer)

    async def forwarded(self, peer):
        return [message.raw_text async for message in self.client.iter_messages(peer) if message.forward]

    async def pin(self, peer, message):
        await self.client.pin_message(peer, message, notify=True)

    async def pinned(self, peer):
        pinned = types.InputMessagesFilterPinned()
        return [message.raw_text async for message in self.client.iter_messages(peer, filter=pinned)]

    async def search(self, peer, words):
        return [message.raw_text async for message in self.client.iter_messages(peer, search=words)]

    async def begin(self, peer, text):
        await self.client(functions.messages.SaveDraftRequest(peer=peer, message=text))

    async def begun(self):
        return [draft.raw_text async for draft in self.client.iter_drafts() if not draft.is_empty]

    async def make_group(self, title, peer):
        made = await self.client(functions.messages.CreateChatRequest(users=[peer], title=title))
        return made.updates.chats[0]

    async def group(self, title):
        return [dialog.entity async for dialog in self.client.iter_dialogs() if dialog.title == title][0]

    async def rename(self, group, title):
        await self.client(functions.messages.EditChatTitleRequest(group.id, title))

    async def remove(self, group, peer):
        await self.client.kick_participant(group, peer)

    async def go_away(self):
        await self.client.disconnect()

    async def come_back(self):
        await self.client.connect()
        await self.client.catch_up()

    async def set_password(self, password):
        return await self.client.edit_2fa(new_password=password)

    async def leave(self):
        return await self.client.log_out()

    async def close(self):
        await self.client.disconnect()


def named(name, content):
    file = io.BytesIO(content)
    file.name = name
    return file

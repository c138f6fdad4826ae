"""A person who uses Telethon."""

import asyncio
import base64

import telethon
from telethon import TelegramClient, errors, events, functions, types
from telethon.crypto import rsa
from telethon.sessions import MemorySession
from telethon.tl.alltlobjects import LAYER

from link import telethon_way

# Calls in one container.
BATCH = 50
ACTIONS = {
    types.MessageActionPinMessage: "pin",
    types.MessageActionChatCreate: "group",
    types.MessageActionChatEditTitle: "title",
    types.MessageActionChatDeleteUser: "removal",
}


class Person:
    layer = LAYER
    version = telethon.__version__
    cannot = {}

    def __init__(self, target, number, folder):
        rsa.add_key(target.key_pem, old=False)
        self.number = number
        self.heard = asyncio.Queue()
        self.shown = []
        session = MemorySession()
        session.set_dc(target.dc, target.host, target.port)
        way = telethon_way(target.link) if target.link else {}
        self.client = TelegramClient(session, 1, "0" * 32, receive_updates=True, **way)
        self.client.add_event_handler(self.hear_message, events.NewMessage())
        self.client.add_event_handler(self.hear_edit, events.MessageEdited(incoming=True))
        self.client.add_event_handler(self.hear_deletion, events.MessageDeleted())
        self.client.add_event_handler(self.hear_action, events.Raw(types.UpdateNewMessage))
        self.client.add_event_handler(self.hear_read, events.MessageRead())
        self.client.add_event_handler(self.hear_seen, events.MessageRead(inbox=True))
        self.client.add_event_handler(self.hear_typing, events.UserUpdate())
        self.client.add_event_handler(self.hear_press, events.CallbackQuery())

    async def hear_message(self, event):
        message = event.message
        if message.out:
            await self.heard.put(("sent", message.raw_text))
            return
        self.wrote_last = event.input_chat
        if message.media:
            self.shown.append(message)
            kind = "photo" if message.photo else "file"
            await self.heard.put((kind, message.file.name, message.grouped_id is not None))
        elif message.buttons:
            self.offered = message
            await self.heard.put(("keyboard", message.raw_text, [button.text for button in message.buttons[0]]))
        else:
            await self.heard.put(("message", message.raw_text, message.reply_to_msg_id is not None))

    async def hear_edit(self, event):
        await self.heard.put(("edit", event.raw_text))

    async def hear_deletion(self, event):
        await self.heard.put(("deletion", len(event.deleted_ids)))

    async def hear_action(self, update):
        message = update.message
        if isinstance(message, types.MessageService) and not message.out:
            await self.heard.put(("action", ACTIONS.get(type(message.action), "another")))

    async def hear_read(self, event):
        await self.heard.put(("read",))

    async def hear_seen(self, event):
        await self.heard.put(("seen",))

    async def hear_typing(self, event):
        if event.typing:
            await self.heard.put(("typing",))

    async def hear_press(self, event):
        self.pressed = event
        await self.heard.put(("press", event.data.decode()))

    async def enter(self, code, password=None):
        await self.client.connect()
        await self.client.send_code_request(self.number)
        try:
            await self.client.sign_in(self.number, code)
        except errors.SessionPasswordNeededError:
            await self.client.sign_in(password=password)
        await self.take_updates()

    async def enter_as_bot(self, token):
        await self.client.start(bot_token=token)
        await self.take_updates()

    async def ask_qr(self):
        await self.client.connect()
        login = await self.client.qr_login()
        # It has to wait already when the other device accepts.
        self.qr = asyncio.create_task(login.wait())
        return login.url

    async def await_qr(self):
        await self.qr
        await self.take_updates()

    async def accept_qr(self, link):
        token = link.partition("token=")[2]
        # Without its padding, which Python wants.
        await self.client(functions.auth.AcceptLoginTokenRequest(base64.urlsafe_b64decode(f"{token}==")))

    async def take_updates(self):
        await self.client.get_me()
        # Subscribes this session to updates.
        await self.client(functions.updates.GetStateRequest())

    async def set_password(self, password):
        await self.client.edit_2fa(new_password=password)

    async def leave(self):
        if not await self.client.log_out():
            raise RuntimeError("was not logged out")

    async def find(self, number):
        found = await self.client(functions.contacts.ResolvePhoneRequest(number))
        return found.users[0]

    async def find_named(self, username):
        return await self.client.get_entity(username)

    async def find_group(self, title):
        return [dialog.entity async for dialog in self.client.iter_dialogs() if dialog.title == title][0]

    async def dialogs(self):
        return [dialog.unread_count async for dialog in self.client.iter_dialogs()]

    async def say(self, peer, text, reply_to=None):
        return (await self.client.send_message(peer, text, reply_to=reply_to)).id

    async def say_all(self, peer, texts):
        peer = await self.client.get_input_entity(peer)
        for place in range(0, len(texts), BATCH):
            await self.client([functions.messages.SendMessageRequest(peer, text)
                               for text in texts[place : place + BATCH]])

    async def edit(self, peer, message, text):
        await self.client.edit_message(peer, message, text)

    async def delete(self, peer, message):
        await self.client.delete_messages(peer, [message], revoke=True)

    async def read(self, peer):
        await self.client.send_read_acknowledge(peer)

    async def type(self, peer):
        async with self.client.action(peer, "typing"):
            await asyncio.sleep(0.1)

    async def forward(self, peer, message):
        await self.client.forward_messages(peer, message, peer)

    async def history(self, peer, count=100):
        return [message.raw_text async for message in self.client.iter_messages(peer, count)]

    async def forwarded(self, peer):
        return [message.raw_text async for message in self.client.iter_messages(peer, 100) if message.forward]

    async def search(self, peer, words):
        return [message.raw_text async for message in self.client.iter_messages(peer, search=words)]

    async def pin(self, peer, message):
        await self.client.pin_message(peer, message, notify=True)

    async def pinned(self, peer):
        pinned = types.InputMessagesFilterPinned()
        return [message.raw_text async for message in self.client.iter_messages(peer, filter=pinned)]

    async def begin(self, peer, text):
        await self.client(functions.messages.SaveDraftRequest(peer=peer, message=text))

    async def begun(self):
        return [draft.raw_text async for draft in self.client.iter_drafts() if not draft.is_empty]

    async def show_file(self, peer, path):
        await self.client.send_file(peer, path, force_document=True)

    async def show_photo(self, peer, path):
        await self.client.send_file(peer, path)

    async def show_album(self, peer, paths):
        await self.client.send_file(peer, paths)

    async def show_again(self, peer):
        await self.client.send_file(peer, self.shown.pop(0).media)

    async def fetch(self, path):
        await self.client.download_media(self.shown[0], file=path)
        del self.shown[0]

    async def put_on(self, path):
        file = await self.client.upload_file(path)
        await self.client(functions.photos.UploadProfilePhotoRequest(file=file))

    async def fetch_profile(self, number, path):
        await self.client.download_profile_photo(await self.find(number), file=path)

    async def make_group(self, title, peer):
        made = await self.client(functions.messages.CreateChatRequest(users=[peer], title=title))
        return made.updates.chats[0]

    async def rename(self, group, title):
        await self.client(functions.messages.EditChatTitleRequest(group.id, title))

    async def remove(self, group, peer):
        await self.client.kick_participant(group, peer)

    async def go_away(self):
        await self.client.disconnect()

    async def come_back(self):
        await self.client.connect()
        await self.client.catch_up()

    async def offer(self, text, choices):
        buttons = [telethon.Button.inline(label, data.encode()) for label, data in choices]
        await self.client.send_message(self.wrote_last, text, buttons=buttons)

    async def press(self, label):
        return (await self.offered.click(text=label)).message

    async def answer_press(self, text):
        await self.pressed.answer(text)

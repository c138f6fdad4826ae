"""A person who uses Kurigram (package `pyrogram`)."""

import asyncio
import base64
import hashlib

import pyrogram
import rsa
from pyrogram import errors, raw
from pyrogram.connection import Connection
from pyrogram.connection.transport import TCPAbridged
from pyrogram.crypto.rsa import PublicKey, server_public_keys
from pyrogram.qrlogin import QRLogin
from pyrogram.raw.all import layer
from pyrogram.raw.core import Bytes
from pyrogram.storage.storage import UpdateState


class InDc(pyrogram.Client):
    """Kurigram starts every fresh session in DC 2."""

    interop_dc = 2

    async def load_session(self):
        await super().load_session()
        await self.storage.dc_id(self.interop_dc)


ACTIONS = {
    raw.types.MessageActionPinMessage: "pin",
    raw.types.MessageActionChatCreate: "group",
    raw.types.MessageActionChatEditTitle: "title",
    raw.types.MessageActionChatDeleteUser: "removal",
}


class Person:
    layer = layer
    version = pyrogram.__version__
    cannot = {}

    def __init__(self, target, number, folder):
        trust(target.key_pem)
        InDc.interop_dc = target.dc
        self.number = number
        self.heard = asyncio.Queue()
        self.shown = []

        class Pinned(Connection):
            """A fresh session dials built-in addresses; this one replaces them."""

            def __init__(self, **kwargs):
                kwargs.update(server_address=target.host, port=target.port)
                super().__init__(**kwargs)

        # Of a link the form is in the secret.
        way = {"proxy": target.link} if target.link else {"protocol_factory": TCPAbridged}
        # Sessions in memory do not outlive a connection.
        self.client = InDc(number, api_id=1, api_hash="0" * 32, workdir=folder, skip_updates=False,
                           connection_factory=Pinned, **way)
        self.client.on_message()(self.hear_message)
        self.client.on_edited_message(pyrogram.filters.incoming)(self.hear_edit)
        self.client.on_deleted_messages()(self.hear_deletion)
        self.client.on_callback_query()(self.hear_press)
        # In a group of its own: of one group, one handler alone hears an update.
        self.client.on_raw_update(group=1)(self.hear_raw)

    async def hear_message(self, _, message):
        if message.outgoing:
            await self.heard.put(("sent", message.text))
            return
        if message.service:
            return
        self.wrote_last = message.chat.id
        if message.media:
            self.shown.append(message)
            kind, name = ("photo", None) if message.photo else ("file", message.document.file_name)
            await self.heard.put((kind, name, message.media_group_id is not None))
        elif message.reply_markup:
            self.offered = message
            labels = [button.text for button in message.reply_markup.inline_keyboard[0]]
            await self.heard.put(("keyboard", message.text, labels))
        else:
            await self.heard.put(("message", message.text, message.reply_to_message_id is not None))

    async def hear_edit(self, _, message):
        await self.heard.put(("edit", message.text))

    async def hear_deletion(self, _, messages):
        await self.heard.put(("deletion", len(messages)))

    async def hear_press(self, _, query):
        self.pressed = query
        await self.heard.put(("press", query.data))

    async def hear_raw(self, _, update, users, chats):
        match update:
            case raw.types.UpdateReadHistoryOutbox():
                await self.heard.put(("read",))
            case raw.types.UpdateReadHistoryInbox():
                await self.heard.put(("seen",))
            case raw.types.UpdateUserTyping():
                await self.heard.put(("typing",))
            case raw.types.UpdateNewMessage(message=raw.types.MessageService(out=False | None, action=action)):
                await self.heard.put(("action", ACTIONS.get(type(action), "another")))
        raise pyrogram.ContinuePropagation

    async def enter(self, code, password=None):
        await self.client.connect()
        sent = await self.client.send_code(self.number)
        try:
            await self.client.sign_in(self.number, sent.phone_code_hash, code)
        except errors.SessionPasswordNeeded:
            await self.client.check_password(password)
        await self.take_updates()

    async def enter_as_bot(self, token):
        await self.client.connect()
        await self.client.sign_in_bot(token)
        await self.take_updates()

    async def ask_qr(self):
        await self.client.connect()
        login = QRLogin(self.client)
        await login.recreate()
        # It has to wait already when the other device accepts.
        self.qr = asyncio.create_task(login.wait())
        return login.url

    async def await_qr(self):
        await self.qr
        await self.take_updates()

    async def accept_qr(self, link):
        token = link.partition("token=")[2]
        # Without its padding, which Python wants.
        token = base64.urlsafe_b64decode(f"{token}==")
        await self.client.invoke(raw.functions.auth.AcceptLoginToken(token=token))

    async def take_updates(self):
        """What `start` does once somebody is signed in."""
        state = await self.client.invoke(raw.functions.updates.GetState())
        await self.client.storage.set_update_state(UpdateState(0, state.pts, state.qts, state.date, state.seq))
        self.client.me = await self.client.get_me()
        await self.client.initialize()

    async def set_password(self, password):
        await self.client.enable_cloud_password(password)

    async def leave(self):
        await self.client.log_out()

    async def find(self, number):
        found = await self.client.invoke(raw.functions.contacts.ResolvePhone(phone=number))
        await self.client.fetch_peers(found.users)
        return found.users[0].id

    async def find_named(self, username):
        return (await self.client.get_users(username)).id

    async def find_group(self, title):
        return [dialog.chat.id async for dialog in self.client.get_dialogs() if dialog.chat.title == title][0]

    async def dialogs(self):
        return [dialog.unread_messages_count async for dialog in self.client.get_dialogs()]

    async def say(self, peer, text, reply_to=None):
        reply = pyrogram.types.ReplyParameters(message_id=reply_to) if reply_to else None
        return (await self.client.send_message(peer, text, reply_parameters=reply)).id

    async def show_file(self, peer, path):
        await self.client.send_document(peer, path, force_document=True)

    async def show_photo(self, peer, path):
        await self.client.send_photo(peer, path)

    async def show_album(self, peer, paths):
        await self.client.send_media_group(peer, [pyrogram.types.InputMediaPhoto(path) for path in paths])

    async def fetch(self, path):
        await self.client.download_media(self.shown[0], file_name=path)
        del self.shown[0]

    async def put_on(self, path):
        file = await self.client.save_file(path)
        await self.client.invoke(raw.functions.photos.UploadProfilePhoto(file=file))

    async def fetch_profile(self, number, path):
        user = await self.client.get_users(await self.find(number))
        await self.client.download_media(user.photo.big_file_id, file_name=path)

    async def edit(self, peer, message, text):
        await self.client.edit_message_text(peer, message, text)

    async def delete(self, peer, message):
        await self.client.delete_messages(peer, [message], revoke=True)

    async def read(self, peer):
        await self.client.read_chat_history(peer)

    async def type(self, peer):
        await self.client.send_chat_action(peer, pyrogram.enums.ChatAction.TYPING)

    async def history(self, peer, count=100):
        return [message.text async for message in self.client.get_chat_history(peer, count)]

    async def forward(self, peer, message):
        await self.client.forward_messages(peer, peer, message)

    async def forwarded(self, peer):
        return [message.text async for message in self.client.get_chat_history(peer, 100) if message.forward_origin]

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

    async def rename(self, group, title):
        await self.client.set_chat_title(group, title)

    async def remove(self, group, peer):
        await self.client.ban_chat_member(group, peer)

    async def go_away(self):
        await self.client.stop(clear_handlers=False)

    async def come_back(self):
        await self.client.start()

    async def offer(self, text, choices):
        buttons = [pyrogram.types.InlineKeyboardButton(label, callback_data=data) for label, data in choices]
        keyboard = pyrogram.types.InlineKeyboardMarkup([buttons])
        await self.client.send_message(self.wrote_last, text, reply_markup=keyboard)

    async def press(self, label):
        return (await self.offered.click(label)).message

    async def answer_press(self, text):
        await self.pressed.answer(text)


def trust(pem):
    """Makes `pem` the only key that Kurigram accepts."""
    key = rsa.PublicKey.load_pkcs1(pem)
    n, e = (number.to_bytes((number.bit_length() + 7) // 8, "big") for number in (key.n, key.e))
    digest = hashlib.sha1(Bytes(n) + Bytes(e)).digest()
    server_public_keys.clear()
    server_public_keys[int.from_bytes(digest[-8:], "little", signed=True)] = PublicKey(key.n, key.e)

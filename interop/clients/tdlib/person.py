"""A person who uses TDLib."""

import asyncio
import base64
import pathlib
import shutil
import sys
from importlib.metadata import version

# The folder of this script, which was loaded by its path.
sys.path.append(str(pathlib.Path(__file__).resolve().parent))

from contract import Failed
from session import Session
from socks import Passage

ACTIONS = {
    "messagePinMessage": "pin",
    "messageBasicGroupChatCreate": "group",
    "messageChatChangeTitle": "title",
    "messageChatDeleteMember": "removal",
}
# Messages of one answer, at most.
PAGE = 100


class Person:
    version = version("tdjson")
    # It can be asked only once it runs, and is.
    layer = 232
    cannot = {}

    def __init__(self, target, number, folder):
        self.number = number
        self.heard = asyncio.Queue()
        self.shown = []
        # Ids of messages that are being sent, with who waits for it; of what this person wrote, and deletes.
        self.sending, self.written, self.deleting = {}, set(), set()
        self.read_up_to = {}
        self.session = Session(target, folder, self.hear, Passage(target.link) if target.link else None)
        self.call = self.session.call

    def hear(self, update):
        match update:
            case {"@type": "updateNewMessage", "message": message}:
                self.hear_message(message)
            case {"@type": "updateMessageContent", "message_id": message, "new_content": {"text": text}}:
                if message not in self.written:
                    self.heard.put_nowait(("edit", text["text"]))
            case {"@type": "updateDeleteMessages", "message_ids": messages, "is_permanent": True, "from_cache": False}:
                if others := set(messages) - self.deleting:
                    self.heard.put_nowait(("deletion", len(others)))
            case {"@type": "updateChatReadOutbox", "last_read_outbox_message_id": message, "chat_id": chat}:
                self.hear_mark("read", chat, message)
            case {"@type": "updateChatReadInbox", "last_read_inbox_message_id": message, "chat_id": chat}:
                self.hear_mark("seen", chat, message)
            case {"@type": "updateChatAction", "action": {"@type": "chatActionTyping"}}:
                self.heard.put_nowait(("typing",))
            case {"@type": "updateNewCallbackQuery", "payload": {"data": data}}:
                self.pressed = update["id"]
                self.heard.put_nowait(("press", base64.b64decode(data).decode()))
            case {"@type": "updateMessageSendSucceeded", "old_message_id": old, "message": message}:
                self.written.add(message["id"])
                self.sent(old).set_result(message["id"])
            case {"@type": "updateMessageSendFailed", "old_message_id": old, "error": error}:
                self.sent(old).set_exception(Failed(f"{error['code']} {error['message']}"))

    def hear_message(self, message):
        if message["is_outgoing"]:
            self.written.add(message["id"])
            # Those that are on their way are this device's own.
            if "sending_state" not in message:
                self.heard.put_nowait(("sent", text_of(message)))
            return
        self.wrote_last = message["chat_id"]
        content, in_album = message["content"], message["media_album_id"] != "0"
        match content:
            case {"@type": "messageText"} if "reply_markup" in message:
                self.offered = message
                labels = [button["text"] for button in message["reply_markup"]["rows"][0]]
                self.heard.put_nowait(("keyboard", text_of(message), labels))
            case {"@type": "messageText"}:
                self.heard.put_nowait(("message", text_of(message), "reply_to" in message))
            case {"@type": "messagePhoto", "photo": {"sizes": [*_, largest]}}:
                self.shown.append(largest["photo"]["id"])
                self.heard.put_nowait(("photo", None, in_album))
            case {"@type": "messageDocument", "document": document}:
                self.shown.append(document["document"]["id"])
                self.heard.put_nowait(("file", document["file_name"], in_album))
            case _:
                self.heard.put_nowait(("action", ACTIONS.get(content["@type"], content["@type"])))

    def hear_mark(self, kind, chat, message):
        # It tells how many are unread by the same update.
        if message > self.read_up_to.get((kind, chat), 0):
            self.read_up_to[kind, chat] = message
            self.heard.put_nowait((kind,))

    async def open(self):
        await self.session.open()
        if self.session.layer != self.layer:
            raise Failed(f"it is of layer {self.session.layer}")
        await self.session.state("WaitPhoneNumber")

    async def enter(self, code, password=None):
        await self.open()
        await self.call("setAuthenticationPhoneNumber", phone_number=self.number)
        await self.session.state("WaitCode")
        await self.call("checkAuthenticationCode", code=code)
        if (await self.session.state("Ready", "WaitPassword"))["@type"].endswith("WaitPassword"):
            await self.call("checkAuthenticationPassword", password=password)
            await self.session.state("Ready")

    async def enter_as_bot(self, token):
        await self.open()
        await self.call("checkAuthenticationBotToken", token=token)
        await self.session.state("Ready")

    async def ask_qr(self):
        await self.open()
        await self.call("requestQrCodeAuthentication", other_user_ids=[])
        return (await self.session.state("WaitOtherDeviceConfirmation"))["link"]

    async def await_qr(self):
        await self.session.state("Ready")

    async def accept_qr(self, link):
        await self.call("confirmQrCodeAuthentication", link=link)

    async def set_password(self, password):
        await self.call("setPassword", old_password="", new_password=password)

    async def leave(self):
        await self.call("logOut")
        await self.session.state("Closed")

    async def find(self, number):
        user = await self.call("searchUserByPhoneNumber", phone_number=number)
        return (await self.call("createPrivateChat", user_id=user["id"], force=False))["id"]

    async def find_named(self, username):
        return (await self.call("searchPublicChat", username=username))["id"]

    async def find_group(self, title):
        return [chat["id"] for chat in await self.chats() if chat["title"] == title][0]

    async def dialogs(self):
        return [chat["unread_count"] for chat in await self.chats()]

    async def chats(self):
        found = await self.call("getChats", limit=100)
        return [await self.call("getChat", chat_id=chat) for chat in found["chat_ids"]]

    async def say(self, peer, text, reply_to=None):
        reply = {"@type": "inputMessageReplyToMessage", "message_id": reply_to} if reply_to else None
        return await self.send("sendMessage", peer, input_message_content=text_content(text), reply_to=reply)

    async def send(self, function, peer, **words):
        """Sends one message, or several, and waits until the server has the last of them."""
        sent = await self.call(function, chat_id=peer, **words)
        for message in sent.get("messages", [sent]):
            done = await self.sent(message["id"])
            del self.sending[message["id"]]
        return done

    def sent(self, message):
        """What becomes of a message under its first id: the last one, or why there is none."""
        return self.sending.setdefault(message, asyncio.get_running_loop().create_future())

    async def edit(self, peer, message, text):
        await self.call("editMessageText", chat_id=peer, message_id=message, input_message_content=text_content(text))

    async def delete(self, peer, message):
        self.deleting.add(message)
        await self.call("deleteMessages", chat_id=peer, message_ids=[message], revoke=True)

    async def read(self, peer):
        if newest := (await self.messages(peer, 1)):
            await self.call("viewMessages", chat_id=peer, message_ids=[newest[0]["id"]], force_read=True)

    async def type(self, peer):
        await self.call("sendChatAction", chat_id=peer, action={"@type": "chatActionTyping"})

    async def forward(self, peer, message):
        await self.send("forwardMessages", peer, from_chat_id=peer, message_ids=[message])

    async def history(self, peer, count=100):
        return [text_of(message) for message in await self.messages(peer, count)]

    async def messages(self, peer, count):
        found = []
        while len(found) < count:
            below = found[-1]["id"] if found else 0
            # What it keeps itself it gives first, and then fewer than it was asked for.
            page = await self.call("getChatHistory", chat_id=peer, from_message_id=below, offset=0,
                                   limit=min(PAGE, count - len(found)), only_local=False)
            if not page["messages"]:
                break
            found += page["messages"]
        return found

    async def forwarded(self, peer):
        return [text_of(message) for message in await self.messages(peer, 100) if "forward_info" in message]

    async def search(self, peer, words):
        found = await self.call("searchChatMessages", chat_id=peer, query=words, limit=100)
        return [text_of(message) for message in found["messages"]]

    async def pin(self, peer, message):
        await self.call("pinChatMessage", chat_id=peer, message_id=message)

    async def pinned(self, peer):
        pinned = {"@type": "searchMessagesFilterPinned"}
        found = await self.call("searchChatMessages", chat_id=peer, filter=pinned, limit=100)
        return [text_of(message) for message in found["messages"]]

    async def begin(self, peer, text):
        content = {"@type": "draftMessageContentText", "text": formatted(text)}
        draft = {"@type": "draftMessage", "content": content} if text else None
        await self.call("setChatDraftMessage", chat_id=peer, draft_message=draft)

    async def begun(self):
        return [chat["draft_message"]["content"]["text"]["text"] for chat in await self.chats()
                if "draft_message" in chat]

    async def show_file(self, peer, path):
        document = {"@type": "inputDocument", "document": local(path), "disable_content_type_detection": True}
        await self.send("sendMessage", peer, input_message_content={"@type": "inputMessageDocument",
                                                                    "document": document})

    async def show_photo(self, peer, path):
        await self.send("sendMessage", peer, input_message_content=photo(path))

    async def show_album(self, peer, paths):
        await self.send("sendMessageAlbum", peer, input_message_contents=[photo(path) for path in paths])

    async def fetch(self, path):
        await self.download(self.shown[0], path)
        del self.shown[0]

    async def download(self, file, path):
        done = await self.call("downloadFile", file_id=file, priority=1, synchronous=True)
        shutil.move(done["local"]["path"], path)

    async def put_on(self, path):
        await self.call("setProfilePhoto", photo={"@type": "inputChatPhotoStatic", "photo": local(path)})

    async def fetch_profile(self, number, path):
        user = await self.call("searchUserByPhoneNumber", phone_number=number)
        photos = (await self.call("getUserProfilePhotos", user_id=user["id"], limit=1))["photos"]
        await self.download(photos[0]["sizes"][-1]["photo"]["id"], path)

    async def make_group(self, title, peer):
        # A private chat has the id of the person.
        return (await self.call("createNewBasicGroupChat", user_ids=[peer], title=title))["chat_id"]

    async def rename(self, group, title):
        await self.call("setChatTitle", chat_id=group, title=title)

    async def remove(self, group, peer):
        member = {"@type": "messageSenderUser", "user_id": peer}
        await self.call("setChatMemberStatus", chat_id=group, member_id=member,
                        status={"@type": "chatMemberStatusLeft"})

    async def go_away(self):
        await self.session.close()

    async def come_back(self):
        await self.session.open()
        await self.session.state("Ready")

    async def offer(self, text, choices):
        row = [{"@type": "inlineKeyboardButton", "text": label,
                "type": {"@type": "inlineKeyboardButtonTypeCallback", "data": encoded(data)}}
               for label, data in choices]
        keyboard = {"@type": "replyMarkupInlineKeyboard", "rows": [row]}
        await self.send("sendMessage", self.wrote_last, input_message_content=text_content(text),
                        reply_markup=keyboard)

    async def press(self, label):
        buttons = self.offered["reply_markup"]["rows"][0]
        data = next(button["type"]["data"] for button in buttons if button["text"] == label)
        answer = await self.call("getCallbackQueryAnswer", chat_id=self.offered["chat_id"],
                                 message_id=self.offered["id"],
                                 payload={"@type": "callbackQueryPayloadData", "data": data})
        return answer["text"]

    async def answer_press(self, text):
        await self.call("answerCallbackQuery", callback_query_id=self.pressed, text=text)


def text_of(message):
    return message["content"].get("text", {"text": ""})["text"]


def formatted(text):
    return {"@type": "formattedText", "text": text}


def text_content(text):
    return {"@type": "inputMessageText", "text": formatted(text)}


def photo(path):
    return {"@type": "inputMessagePhoto", "photo": {"@type": "inputPhoto", "photo": local(path)}}


def local(path):
    return {"@type": "inputFileLocal", "path": path}


def encoded(data):
    return base64.b64encode(data.encode()).decode()

// A person who uses mtcute.

import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { BotKeyboard, InputMedia, MemoryStorage, proxyTransportFromUrl, TelegramClient, tl } from '@mtcute/node'
import { addPublicKey, NodeCryptoProvider } from '@mtcute/node/utils.js'
import { packageVersion } from '../contract.mjs'
import { main } from '../person.mjs'

class Person {
  layer = tl.LAYER
  version = packageVersion('@mtcute/node')
  cannot = {}

  constructor(target, number, hear) {
    this.target = target
    this.number = number
    this.hear = hear
    // What was shown and not fetched yet.
    this.shown = []
  }

  async open() {
    const { dc, host, port, key, link } = this.target
    const crypto = new NodeCryptoProvider()
    await crypto.initialize()
    addPublicKey(crypto, key.pem)
    const here = { id: dc, ipAddress: host, port }
    this.client = new TelegramClient({
      apiId: 1,
      apiHash: '0'.repeat(32),
      crypto,
      storage: new MemoryStorage(),
      ...(link && { transport: proxyTransportFromUrl(link) }),
      defaultDcs: { main: here, media: here },
      logLevel: 2,
      updates: { catchUp: true },
    })
    this.client.onNewMessage.add((message) => this.hearMessage(message))
    this.client.onEditMessage.add((message) => message.isOutgoing || this.hear('edit', message.text))
    this.client.onDeleteMessage.add(({ messageIds }) => this.hear('deletion', messageIds.length))
    this.client.onHistoryRead.add(({ isOutbox }) => this.hear(isOutbox ? 'read' : 'seen'))
    this.client.onUserTyping.add(({ status }) => status === 'typing' && this.hear('typing'))
    this.client.onCallbackQuery.add((query) => {
      this.pressed = query
      this.hear('press', query.dataStr)
    })
  }

  hearMessage(message) {
    const { action, groupedId, markup, media, text } = message
    if (message.isOutgoing) {
      this.hear('sent', text)
      return
    }
    this.writer = message.chat.inputPeer
    if (action) {
      if (action.type in ACTIONS) this.hear('action', ACTIONS[action.type])
    } else if (media) {
      this.shown.push(media)
      const [kind, name] = media.type === 'photo' ? ['photo', null] : ['file', media.fileName]
      this.hear(kind, name, groupedId !== null)
    } else if (markup) {
      this.offered = message
      this.hear('keyboard', text, markup.buttons.flat().map((button) => button.text))
    } else {
      this.hear('message', text, message.replyToMessage !== null)
    }
  }

  async enter(code, password) {
    if (!this.client) await this.open()
    await this.client.start({ phone: this.number, code: async () => code, password: async () => password })
  }

  async enterAsBot(token) {
    await this.open()
    await this.client.start({ botToken: token })
  }

  /** A promise would be waited for: the link has to be given before anybody can accept it. */
  async askQr() {
    await this.open()
    return new Promise((resolve, reject) => {
      this.accepted = this.client.signInQr({ onUrlUpdated: resolve })
      this.accepted.catch(reject)
    })
  }

  async awaitQr() {
    await this.accepted
    await this.client.startUpdatesLoop()
  }

  async acceptQr(link) {
    const token = Buffer.from(new URL(link).searchParams.get('token'), 'base64url')
    await this.client.call({ _: 'auth.acceptLoginToken', token })
  }

  async setPassword(password) {
    // A hint may be left out, but the call cannot be made without.
    await this.client.enableCloudPassword({ password, hint: '' })
  }

  async leave() {
    await this.client.logOut()
  }

  async find(number) {
    return this.client.resolvePhoneNumber(number)
  }

  async findNamed(username) {
    return this.client.resolvePeer(username)
  }

  async findGroup(title) {
    const dialogs = await listOf(this.client.iterDialogs())
    return dialogs.find(({ peer }) => peer.displayName === title).peer.inputPeer
  }

  async dialogs() {
    return (await listOf(this.client.iterDialogs())).map(({ unreadCount }) => unreadCount)
  }

  async say(peer, text, replyTo) {
    return (await this.client.sendText(peer, text, { replyTo })).id
  }

  async edit(peer, message, text) {
    await this.client.editMessage({ chatId: peer, message, text })
  }

  async delete(peer, message) {
    await this.client.deleteMessagesById(peer, [message], { revoke: true })
  }

  async read(peer) {
    await this.client.readHistory(peer)
  }

  async type(peer) {
    await this.client.sendTyping(peer)
  }

  async forward(peer, message) {
    await this.client.forwardMessagesById({ fromChatId: peer, toChatId: peer, messages: [message] })
  }

  async history(peer, count = 100) {
    return textsOf(await listOf(this.client.iterHistory(peer, { limit: count })))
  }

  async forwarded(peer) {
    return textsOf((await this.client.getHistory(peer)).filter(({ forward }) => forward))
  }

  async search(peer, query) {
    return textsOf(await this.client.searchMessages({ chatId: peer, query }))
  }

  async pin(peer, message) {
    await this.client.pinMessage({ chatId: peer, message, notify: true, bothSides: true })
  }

  async pinned(peer) {
    return textsOf(await this.client.searchMessages({ chatId: peer, filter: { _: 'inputMessagesFilterPinned' } }))
  }

  async begin(peer, text) {
    await this.client.saveDraft(peer, text ? { message: text } : null)
  }

  async begun() {
    const { updates } = await this.client.call({ _: 'messages.getAllDrafts' })
    return updates.filter(({ draft }) => draft._ === 'draftMessage').map(({ draft }) => draft.message)
  }

  async showFile(peer, path) {
    await this.client.sendMedia(peer, InputMedia.document(`file:${path}`))
  }

  async showPhoto(peer, path) {
    await this.client.sendMedia(peer, InputMedia.photo(`file:${path}`))
  }

  async showAlbum(peer, paths) {
    await this.client.sendMediaGroup(peer, paths.map((path) => InputMedia.photo(`file:${path}`)))
  }

  async fetch(path) {
    await this.download(this.shown[0], path)
    this.shown.shift()
  }

  /** A stream: downloadToFile is done before the file is written. */
  async download(location, path) {
    await pipeline(this.client.downloadAsNodeStream(location), createWriteStream(path))
  }

  async putOn(path) {
    await this.client.setMyProfilePhoto({ type: 'photo', media: `file:${path}` })
  }

  async fetchProfile(number, path) {
    const user = await this.client.getUser(await this.find(number))
    await this.download(user.photo.big, path)
  }

  async makeGroup(title, peer) {
    return (await this.client.createGroup({ title, users: [peer] })).chat.inputPeer
  }

  async rename(group, title) {
    await this.client.setChatTitle(group, title)
  }

  async remove(group, who) {
    await this.client.kickChatMember({ chatId: group, userId: who })
  }

  async goAway() {
    await this.client.disconnect()
  }

  async comeBack() {
    await this.client.connect()
    await this.client.startUpdatesLoop()
  }

  async offer(text, buttons) {
    const row = buttons.map(([label, data]) => BotKeyboard.callback(label, data))
    await this.client.sendText(this.writer, text, { replyMarkup: BotKeyboard.inline([row]) })
  }

  async press(label) {
    const { chat, id, markup } = this.offered
    const { data } = markup.buttons.flat().find(({ text }) => text === label)
    return (await this.client.getCallbackAnswer({ chatId: chat.inputPeer, message: id, data })).message
  }

  async answerPress(text) {
    await this.client.answerCallbackQuery(this.pressed, { text })
  }
}

// What mtcute calls them.
const ACTIONS = {
  message_pinned: 'pin',
  chat_created: 'group',
  title_changed: 'title',
  user_removed: 'removal',
  users_removed: 'removal',
}

function textsOf(messages) {
  return messages.map(({ text }) => text)
}

async function listOf(iterable) {
  const items = []
  for await (const item of iterable) items.push(item)
  return items
}

await main(Person)

// A person who uses gramjs, of layer 198.

import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename } from 'node:path'
import { packageVersion } from '../contract.mjs'
import { main } from '../person.mjs'

const require = createRequire(import.meta.url)
const { Api, TelegramClient } = require('telegram')
const { CustomFile } = require('telegram/client/uploads')
const { DeletedMessage } = require('telegram/events/DeletedMessage')
const { EditedMessage } = require('telegram/events/EditedMessage')
const { CallbackQuery } = require('telegram/events/CallbackQuery')
const { NewMessage } = require('telegram/events')
const { Logger, PromisedNetSockets } = require('telegram/extensions')
const { returnBigInt } = require('telegram/Helpers')
const { ConnectionTCPFull, UpdateConnectionState } = require('telegram/network')
const { MemorySession } = require('telegram/sessions')
const { LAYER } = require('telegram/tl/AllTLObjects')
const { Button } = require('telegram/tl/custom/button')
const { _serverKeys } = require('telegram/crypto/RSA')

const API = { apiId: 1, apiHash: '0'.repeat(32) }

class Person {
  layer = LAYER
  version = packageVersion('telegram')
  cannot = {}

  constructor({ host, port, dc, key }, number, hear) {
    this.number = number
    this.hear = hear
    // What was shown and not fetched yet.
    this.shown = []
    // Ids of messages that were heard.
    this.known = new Set()
    this.caughtUp = Promise.resolve()
    _serverKeys.clear()
    const n = returnBigInt(BigInt(`0x${key.n}`).toString())
    _serverKeys.set(key.fingerprint, { n, e: Number.parseInt(key.e, 16) })
    this.session = new MemorySession()
    this.session.setDC(dc, host, port)
    // gramjs dials port 80 whatever the session says.
    this.connection = class extends ConnectionTCPFull {
      constructor(options) {
        super({ ...options, port })
      }
    }
    this.open()
  }

  open() {
    this.client = new TelegramClient(this.session, API.apiId, API.apiHash, {
      connection: this.connection,
      networkSocket: PromisedNetSockets,
      baseLogger: new Logger('error'),
    })
    this.client.addEventHandler(({ message }) => this.hearMessage(message), new NewMessage({}))
    this.client.addEventHandler(({ message }) => this.hear('edit', message.message), new EditedMessage({ incoming: true }))
    this.client.addEventHandler(({ deletedIds }) => this.hear('deletion', deletedIds.length), new DeletedMessage({}))
    this.client.addEventHandler((event) => this.hearPress(event), new CallbackQuery())
    this.client.addEventHandler((update) => this.hearOther(update))
  }

  hearMessage(message) {
    const { groupedId, id, media, out, peerId, replyTo } = message
    if (this.known.has(id)) return
    this.known.add(id)
    if (out) {
      this.hear('sent', message.message)
      return
    }
    this.writer = peerId
    if (media) {
      this.shown.push(message)
      const [kind, name] = message.photo ? ['photo', null] : ['file', message.file.name]
      this.hear(kind, name, Boolean(groupedId))
    } else if (message.buttons) {
      this.offered = message
      this.hear('keyboard', message.message, message.buttons.flat().map(({ text }) => text))
    } else {
      this.hear('message', message.message, Boolean(replyTo))
    }
  }

  hearPress(event) {
    this.pressed = event
    this.hear('press', event.data.toString())
  }

  /** What gramjs has no event of its own for. */
  hearOther(update) {
    const { className, message, state } = update
    if (update instanceof UpdateConnectionState && state === UpdateConnectionState.connected) this.catchUp()
    if (className === 'UpdateNewMessage' && message.className === 'MessageService' && !message.out) {
      const { action } = message
      if (action.className in ACTIONS) this.hear('action', ACTIONS[action.className])
    }
    if (className === 'UpdateReadHistoryOutbox') this.hear('read')
    if (className === 'UpdateReadHistoryInbox') this.hear('seen')
    if (className === 'UpdateUserTyping') this.hear('typing')
  }

  call(namespace, name, words) {
    return this.client.invoke(new Api[namespace][name](words))
  }

  /** Updates come to who asked for something that wants a user. */
  async takeUpdates() {
    this.state = await this.call('updates', 'GetState', {})
  }

  /** Takes what was missed, by the calls themselves: of its own, gramjs never asks for it (`catchUp` is empty). */
  catchUp() {
    this.caughtUp = this.caughtUp.then(() => this.takeDifference())
  }

  async takeDifference() {
    for (let isAll = !this.state; !isAll; ) {
      const { pts, qts, date } = this.state
      const difference = await this.call('updates', 'GetDifference', { pts, qts, date })
      if (difference.className === 'updates.DifferenceEmpty') return
      // What this device wrote is part of it.
      const heard = difference.newMessages.filter(({ className, out }) => className === 'Message' && !out)
      heard.forEach((message) => this.hearMessage(message))
      isAll = difference.className === 'updates.Difference'
      this.state = difference.state ?? difference.intermediateState
    }
  }

  async enter(code, password) {
    await this.client.start({ ...ASKED, phoneNumber: this.number, phoneCode: async () => code, password: async () => password })
    await this.takeUpdates()
  }

  async enterAsBot(token) {
    await this.client.start({ botAuthToken: token })
    await this.takeUpdates()
  }

  /** A promise would be waited for: the link has to be given before anybody can accept it. */
  async askQr() {
    await this.client.connect()
    return new Promise((resolve, reject) => {
      const qrCode = async ({ token }) => resolve(`tg://login?token=${token.toString('base64url')}`)
      this.accepted = this.client.signInUserWithQrCode(API, { ...ASKED, qrCode })
      this.accepted.catch(reject)
    })
  }

  async awaitQr() {
    await this.accepted
    await this.takeUpdates()
  }

  async acceptQr(link) {
    const token = Buffer.from(new URL(link).searchParams.get('token'), 'base64url')
    await this.call('auth', 'AcceptLoginToken', { token })
  }

  async setPassword(password) {
    await this.client.updateTwoFaSettings({ newPassword: password })
  }

  async leave() {
    await this.call('auth', 'LogOut', {})
  }

  async find(phone) {
    const { users } = await this.call('contacts', 'ResolvePhone', { phone })
    return new Api.InputPeerUser({ userId: users[0].id, accessHash: users[0].accessHash })
  }

  async findNamed(username) {
    return this.client.getInputEntity(username)
  }

  async findGroup(wanted) {
    return (await this.client.getDialogs()).find(({ title }) => title === wanted).inputEntity
  }

  async dialogs() {
    return (await this.client.getDialogs()).map(({ unreadCount }) => unreadCount)
  }

  async say(peer, message, replyTo) {
    return (await this.client.sendMessage(peer, { message, replyTo })).id
  }

  async edit(peer, message, text) {
    await this.client.editMessage(peer, { message, text })
  }

  async delete(peer, message) {
    await this.client.deleteMessages(peer, [message], { revoke: true })
  }

  async read(peer) {
    await this.client.markAsRead(peer)
  }

  async type(peer) {
    await this.call('messages', 'SetTyping', { peer, action: new Api.SendMessageTypingAction() })
  }

  async forward(peer, message) {
    await this.client.forwardMessages(peer, { messages: [message], fromPeer: peer })
  }

  async history(peer, limit = 100) {
    return textsOf(await this.client.getMessages(peer, { limit }))
  }

  async forwarded(peer) {
    return textsOf((await this.client.getMessages(peer, { limit: 100 })).filter(({ fwdFrom }) => fwdFrom))
  }

  async search(peer, search) {
    return textsOf(await this.client.getMessages(peer, { search, limit: 100 }))
  }

  async pin(peer, message) {
    await this.client.pinMessage(peer, message, { notify: true })
  }

  async pinned(peer) {
    return textsOf(await this.client.getMessages(peer, { filter: new Api.InputMessagesFilterPinned(), limit: 100 }))
  }

  async begin(peer, message) {
    await this.call('messages', 'SaveDraft', { peer, message })
  }

  async begun() {
    const { updates } = await this.call('messages', 'GetAllDrafts', {})
    return updates.filter(({ draft }) => draft.className === 'DraftMessage').map(({ draft }) => draft.message)
  }

  async showFile(peer, path) {
    await this.client.sendFile(peer, { file: await fileAt(path), forceDocument: true, workers: 4 })
  }

  async showPhoto(peer, path) {
    await this.client.sendFile(peer, { file: await fileAt(path) })
  }

  async showAlbum(peer, paths) {
    await this.client.sendFile(peer, { file: await Promise.all(paths.map(fileAt)) })
  }

  async fetch(path) {
    // Of its own, gramjs does not wait until the file is written.
    const outputFile = createWriteStream(path)
    await Promise.all([once(outputFile, 'close'), this.client.downloadMedia(this.shown[0], { outputFile })])
    this.shown.shift()
  }

  async putOn(path) {
    const file = await this.client.uploadFile({ file: await fileAt(path), workers: 1 })
    await this.call('photos', 'UploadProfilePhoto', { file })
  }

  async fetchProfile(number, path) {
    await writeFile(path, await this.client.downloadProfilePhoto(await this.find(number), { isBig: true }))
  }

  async makeGroup(title, peer) {
    const { updates } = await this.call('messages', 'CreateChat', { users: [peer], title })
    return new Api.InputPeerChat({ chatId: updates.chats[0].id })
  }

  async rename({ chatId }, title) {
    await this.call('messages', 'EditChatTitle', { chatId, title })
  }

  /** By the call itself: kickParticipant puts a minus before the number of a group. */
  async remove({ chatId }, userId) {
    await this.call('messages', 'DeleteChatUser', { chatId, userId })
  }

  /** Ends the client: one that is only disconnected connects again within a minute. */
  async goAway() {
    await this.client.destroy()
  }

  async comeBack() {
    this.open()
    await this.client.connect()
  }

  async offer(message, buttons) {
    const row = buttons.map(([label, data]) => Button.inline(label, Buffer.from(data)))
    await this.client.sendMessage(this.writer, { message, buttons: [row] })
  }

  async press(label) {
    return (await this.offered.click({ text: label })).message
  }

  async answerPress(text) {
    await this.pressed.answer({ message: text })
  }
}

// What asks for the answers of a person takes errors as well.
const ASKED = {
  onError: (error) => {
    throw error
  },
}

const ACTIONS = {
  MessageActionPinMessage: 'pin',
  MessageActionChatCreate: 'group',
  MessageActionChatEditTitle: 'title',
  MessageActionChatDeleteUser: 'removal',
}

async function fileAt(path) {
  return new CustomFile(basename(path), (await stat(path)).size, path)
}

function textsOf(messages) {
  return messages.map(({ message }) => message ?? '')
}

await main(Person)

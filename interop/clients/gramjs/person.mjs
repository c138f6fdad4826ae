// A person who uses gramjs, of layer 198.

import { createRequire } from 'node:module'
import { main } from '../person.mjs'

const require = createRequire(import.meta.url)
const { Api, TelegramClient } = require('telegram')
const { Logger, PromisedNetSockets } = require('telegram/extensions')
const { returnBigInt } = require('telegram/Helpers')
const { ConnectionTCPFull } = require('telegram/network')
const { MemorySession } = require('telegram/sessions')
const { LAYER } = require('telegram/tl/AllTLObjects')
const { _serverKeys } = require('telegram/crypto/RSA')

const API = { apiId: 1, apiHash: '0'.repeat(32) }

class Person {
  layer = LAYER

  constructor({ host, port, dc, key }, number, hear) {
    this.number = number
    this.hear = hear
    _serverKeys.clear()
    const n = returnBigInt(BigInt(`0x${key.n}`).toString())
    _serverKeys.set(key.fingerprint, { n, e: Number.parseInt(key.e, 16) })
    const session = new MemorySession()
    session.setDC(dc, host, port)
    // gramjs dials port 80 whatever the session says.
    const connection = class extends ConnectionTCPFull {
      constructor(options) {
        super({ ...options, port })
      }
    }
    this.client = new TelegramClient(session, API.apiId, API.apiHash, {
      connection,
      networkSocket: PromisedNetSockets,
      baseLogger: new Logger('error'),
    })
    this.client.addEventHandler((update) => this.update(update))
  }

  update(update) {
    const { className, message } = update
    if (className === 'UpdateNewMessage' && !message.out) this.hear('message', message.message, Boolean(message.replyTo))
    if (className === 'UpdateEditMessage' && !message.out) this.hear('edit', message.message)
    if (className === 'UpdateDeleteMessages') this.hear('deletion', update.messages.length)
    if (className === 'UpdateReadHistoryOutbox') this.hear('read')
    if (className === 'UpdateUserTyping') this.hear('typing')
  }

  async enter(code) {
    await this.client.connect()
    const phoneNumber = this.number
    const settings = new Api.CodeSettings({})
    const { phoneCodeHash } = await this.call('auth', 'SendCode', { phoneNumber, ...API, settings })
    await this.call('auth', 'SignIn', { phoneNumber, phoneCodeHash, phoneCode: code })
    await this.call('updates', 'GetState', {})
  }

  call(namespace, name, words) {
    return this.client.invoke(new Api[namespace][name](words))
  }

  async find(phone) {
    const { users } = await this.call('contacts', 'ResolvePhone', { phone })
    return new Api.InputPeerUser({ userId: users[0].id, accessHash: users[0].accessHash })
  }

  async say(peer, message, replyTo) {
    const reply = replyTo ? new Api.InputReplyToMessage({ replyToMsgId: replyTo }) : undefined
    const randomId = returnBigInt(Math.floor(Math.random() * 2 ** 50))
    const sent = await this.call('messages', 'SendMessage', { peer, message, randomId, replyTo: reply })
    return sent.updates.find((update) => update.className === 'UpdateMessageID').id
  }

  async edit(peer, id, message) {
    await this.call('messages', 'EditMessage', { peer, id, message })
  }

  async delete(_, id) {
    await this.call('messages', 'DeleteMessages', { revoke: true, id: [id] })
  }

  async read(peer) {
    await this.call('messages', 'ReadHistory', { peer, maxId: 0 })
  }

  async type(peer) {
    await this.call('messages', 'SetTyping', { peer, action: new Api.SendMessageTypingAction() })
  }

  async history(peer) {
    const offsets = { offsetId: 0, offsetDate: 0, addOffset: 0, limit: 100, maxId: 0, minId: 0 }
    const { messages } = await this.call('messages', 'GetHistory', { peer, ...offsets, hash: returnBigInt(0) })
    return messages.map(({ message }) => message)
  }

  async dialogs() {
    const offsets = { offsetDate: 0, offsetId: 0, offsetPeer: new Api.InputPeerEmpty(), limit: 100 }
    const { dialogs } = await this.call('messages', 'GetDialogs', { ...offsets, hash: returnBigInt(0) })
    return dialogs.map(({ unreadCount }) => unreadCount)
  }

  async leave() {
    return Boolean(await this.call('auth', 'LogOut', {})) ? 1 : 0
  }
}

await main(Person)

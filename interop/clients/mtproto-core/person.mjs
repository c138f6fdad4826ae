// A person who uses @mtproto/core, of layer 158.

import { createRequire } from 'node:module'
import { main } from '../person.mjs'
import { LAYER, point } from './point.mjs'

const require = createRequire(import.meta.url)
const MTProto = require('@mtproto/core')

class Person {
  layer = LAYER

  constructor(target, number, hear) {
    this.number = number
    const { host: ip, port } = target
    const instance = new Map()
    this.client = new MTProto({ api_id: 1, api_hash: '0'.repeat(32), storageOptions: { instance } })
    this.client.dcList = [{ id: target.dc, ip, port }]
    point(this.client, target)
    this.client.updates.on('updates', ({ updates }) => {
      for (const { _, message } of updates) {
        if (_ === 'updateNewMessage' && !message.out) hear('message', message.message, Boolean(message.reply_to))
        if (_ === 'updateEditMessage' && !message.out) hear('edit', message.message)
      }
    })
  }

  async enter(code) {
    const phone_number = this.number
    const settings = { _: 'codeSettings' }
    const { phone_code_hash } = await this.client.call('auth.sendCode', { phone_number, settings })
    await this.client.call('auth.signIn', { phone_number, phone_code_hash, phone_code: code })
    await this.client.call('updates.getState')
  }

  async find(phone) {
    const { users } = await this.client.call('contacts.resolvePhone', { phone })
    return { _: 'inputPeerUser', user_id: users[0].id, access_hash: users[0].access_hash }
  }

  async say(peer, message, reply_to_msg_id) {
    const random_id = String(Math.floor(Math.random() * 2 ** 50))
    const words = { peer, message, random_id, ...(reply_to_msg_id ? { reply_to_msg_id } : {}) }
    const { updates } = await this.client.call('messages.sendMessage', words)
    return updates.find(({ _ }) => _ === 'updateMessageID').id
  }

  async history(peer) {
    const offsets = { offset_id: 0, offset_date: 0, add_offset: 0, limit: 100, max_id: 0, min_id: 0, hash: 0 }
    const { messages } = await this.client.call('messages.getHistory', { peer, ...offsets })
    return messages.map(({ message }) => message)
  }
}

await main(Person)

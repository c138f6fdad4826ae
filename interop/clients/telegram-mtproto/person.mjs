// A person who signs in by telegram-mtproto, of layer 57: MTProto 1.0 over HTTP. The steps of its own example.

import { urlOf } from '../contract.mjs'
import { main } from '../person.mjs'
import library from './library.cjs'

const API = { api_id: 49631, api_hash: 'fb050b8f6771e15bfda5df2409931569' }

class Person {
  layer = library.LAYER

  constructor(target, number) {
    this.number = `+${number}`
    this.call = library.connect({ dc: target.dc, key: target.key, url: urlOf('http', target) })
  }

  async enter(code) {
    const phone_number = this.number
    const { phone_code_hash } = await this.call('auth.sendCode', { phone_number, current_number: false, ...API })
    const proof = { phone_number, phone_code_hash, phone_code: code }
    const { user } = await this.call('auth.signIn', proof).catch(() =>
      this.call('auth.signUp', { ...proof, first_name: 'Ada', last_name: '' }),
    )
    if (`+${user.phone}` !== phone_number) throw new Error(`signed in as ${JSON.stringify(user)}`)
    const { pts } = await this.call('updates.getState')
    return pts
  }
}

await main(Person)

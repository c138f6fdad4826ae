// gramjs in a page: its build for browsers (2.26.21, beside 2.26.22 for Node).

import { Api, TelegramClient } from 'telegram-browser'
import { _serverKeys } from 'telegram-browser/crypto/RSA.js'
import { Logger, PromisedWebSockets } from 'telegram-browser/extensions'
import { returnBigInt } from 'telegram-browser/Helpers.js'
import { ConnectionTCPObfuscated } from 'telegram-browser/network'
import { MemorySession } from 'telegram-browser/sessions'
import { LAYER } from 'telegram-browser/tl/AllTLObjects.js'

export class Client {
  layer = LAYER

  constructor(target) {
    this.target = target
  }

  async connect() {
    const { host, port, dc, key, url } = this.target
    _serverKeys.clear()
    const n = returnBigInt(BigInt(`0x${key.n}`).toString())
    _serverKeys.set(key.fingerprint, { n, e: Number.parseInt(key.e, 16) })
    const session = new MemorySession()
    session.setDC(dc, host, port)
    this.client = new TelegramClient(session, 1, '0'.repeat(32), {
      connection: ConnectionTCPObfuscated,
      networkSocket: class extends PromisedWebSockets {
        getWebSocketLink() {
          return url
        }
      },
      baseLogger: new Logger('error'),
    })
    if (!(await this.client.connect())) throw new Error('gramjs gave up connecting')
  }

  async config() {
    const { thisDc, expires, dcOptions } = await this.client.invoke(new Api.help.GetConfig())
    return { thisDc, expires, dcOptions: dcOptions.map(({ id, ipAddress, port }) => ({ id, ipAddress, port })) }
  }

  nearestDc() {
    return this.client.invoke(new Api.help.GetNearestDc())
  }
}

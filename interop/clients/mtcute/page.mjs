// mtcute in a page (`@mtcute/web`).

import { BaseTelegramClient, MemoryStorage, WebCryptoProvider, WebSocketTransport } from '@mtcute/web'
import { addPublicKey } from '@mtcute/web/utils.js'

export class Client {
  constructor(target) {
    const { host, port, dc, url } = target
    const here = { id: dc, ipAddress: host, port }
    this.key = target.key
    this.crypto = new WebCryptoProvider()
    this.client = new BaseTelegramClient({
      apiId: 1,
      apiHash: '0'.repeat(32),
      crypto: this.crypto,
      storage: new MemoryStorage(),
      transport: new WebSocketTransport({ ws: leadingTo(url) }),
      defaultDcs: { main: here, media: here },
      logLevel: 2,
    })
    this.layer = this.client.mt._layer
  }

  async connect() {
    await this.crypto.initialize()
    addPublicKey(this.crypto, this.key.pem)
    await this.client.connect()
  }

  config() {
    return this.client.call({ _: 'help.getConfig' })
  }

  nearestDc() {
    return this.client.call({ _: 'help.getNearestDc' })
  }
}

/** mtcute makes up an address of its own. */
function leadingTo(url) {
  return class extends WebSocket {
    constructor(_, protocols) {
      super(url, protocols)
    }
  }
}

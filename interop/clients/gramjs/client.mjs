// gramjs (package `telegram`): key creation and calls over every framing it has.

import { createRequire } from 'node:module'
import { main, packageVersion, urlOf } from '../contract.mjs'

const require = createRequire(import.meta.url)
const { Api, TelegramClient } = require('telegram')
const { Logger, PromisedNetSockets, PromisedWebSockets } = require('telegram/extensions')
const { returnBigInt } = require('telegram/Helpers')
const { ConnectionTCPAbridged, ConnectionTCPFull, ConnectionTCPObfuscated } = require('telegram/network')
const { MemorySession } = require('telegram/sessions')
const { LAYER } = require('telegram/tl/AllTLObjects')
const { _serverKeys } = require('telegram/crypto/RSA')

const transports = {
  full: { connection: ConnectionTCPFull },
  abridged: { connection: ConnectionTCPAbridged },
  'obfuscated-abridged': { connection: ConnectionTCPObfuscated },
  ws: { connection: ConnectionTCPObfuscated, url: (target) => urlOf('ws', target) },
  wss: { connection: ConnectionTCPObfuscated, url: (target) => urlOf('wss', target) },
}

class Client {
  constructor(target, { connection, url }) {
    this.target = target
    this.connection = connection
    this.url = url?.(target)
    this.layer = LAYER
  }

  async connect() {
    const { host, port, dc, key } = this.target
    // Only our key, so that nothing passes by another one.
    _serverKeys.clear()
    const n = returnBigInt(BigInt(`0x${key.n}`).toString())
    _serverKeys.set(key.fingerprint, { n, e: Number.parseInt(key.e, 16) })
    const session = new MemorySession()
    session.setDC(dc, host, port)
    this.client = new TelegramClient(session, 1, '0'.repeat(32), {
      connection: this.pinned(),
      networkSocket: this.url ? this.webSocket() : PromisedNetSockets,
      baseLogger: new Logger('error'),
    })
    if (!(await this.client.connect())) throw new Error('gramjs gave up connecting')
  }

  /** The connection with the port of the server: gramjs dials 80 whatever the session says. */
  pinned() {
    const steps = this
    return class extends this.connection {
      constructor(options) {
        super({ ...options, port: steps.target.port })
      }

      async connect() {
        await super.connect()
        steps.connections++
      }
    }
  }

  /** The WebSocket with our address: gramjs makes up its own. */
  webSocket() {
    const { url } = this
    return class extends PromisedWebSockets {
      getWebSocketLink() {
        return url
      }
    }
  }

  config() {
    return this.client.invoke(new Api.help.GetConfig())
  }

  nearestDc() {
    return this.client.invoke(new Api.help.GetNearestDc())
  }

  cut() {
    const { client } = this.client._sender._connection.socket
    // A TCP socket, or the one below a WebSocket.
    const socket = this.url ? client._connection.socket : client
    socket.destroy()
  }

  close() {
    return this.client.destroy()
  }
}

await main({ name: 'gramjs', version: packageVersion('telegram'), transports, Client })

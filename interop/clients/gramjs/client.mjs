// gramjs (package `telegram`): key creation and calls over every framing it has.

import { createHash, createPublicKey } from 'node:crypto'
import { createRequire } from 'node:module'
import { main, packageVersion } from '../contract.mjs'

const require = createRequire(import.meta.url)
const { Api, TelegramClient } = require('telegram')
const { Logger } = require('telegram/extensions')
const { returnBigInt } = require('telegram/Helpers')
const { ConnectionTCPAbridged, ConnectionTCPFull, ConnectionTCPObfuscated } = require('telegram/network')
const { MemorySession } = require('telegram/sessions')
const { serializeBytes } = require('telegram/tl/generationHelpers')
const { LAYER } = require('telegram/tl/AllTLObjects')
const { _serverKeys } = require('telegram/crypto/RSA')

const transports = {
  full: ConnectionTCPFull,
  abridged: ConnectionTCPAbridged,
  'obfuscated-abridged': ConnectionTCPObfuscated,
}

class Client {
  constructor(target, connection) {
    this.target = target
    this.connection = connection
    this.layer = LAYER
  }

  async connect() {
    const { host, port, dc, keyPem } = this.target
    trust(keyPem)
    const session = new MemorySession()
    session.setDC(dc, host, port)
    this.client = new TelegramClient(session, 1, '0'.repeat(32), {
      connection: this.pinned(),
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

  config() {
    return this.client.invoke(new Api.help.GetConfig())
  }

  nearestDc() {
    return this.client.invoke(new Api.help.GetNearestDc())
  }

  cut() {
    this.client._sender._connection.socket.client.destroy()
  }

  close() {
    return this.client.destroy()
  }
}

/** Makes `pem` the only key that gramjs accepts. */
function trust(pem) {
  const jwk = createPublicKey(pem).export({ format: 'jwk' })
  const [n, e] = [jwk.n, jwk.e].map((part) => Buffer.from(part, 'base64url'))
  const digest = createHash('sha1').update(serializeBytes(n)).update(serializeBytes(e)).digest()
  _serverKeys.clear()
  _serverKeys.set(digest.readBigInt64LE(12).toString(), {
    n: returnBigInt(BigInt(`0x${n.toString('hex')}`).toString()),
    e: Number.parseInt(e.toString('hex'), 16),
  })
}

await main({ name: 'gramjs', version: packageVersion('telegram'), transports, Client })

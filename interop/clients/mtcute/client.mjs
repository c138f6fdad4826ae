// mtcute: key creation and calls over every framing it has.

import {
  BaseTelegramClient,
  IntermediatePacketCodec,
  MemoryStorage,
  MtProxyTcpTransport,
  ObfuscatedPacketCodec,
  PaddedIntermediatePacketCodec,
  TcpTransport,
} from '@mtcute/node'
import { addPublicKey, NodeCryptoProvider } from '@mtcute/node/utils.js'
import { WebSocketTransport } from '@mtcute/web'
import WebSocket from 'ws'
import { main, packageVersion, urlOf } from '../contract.mjs'

const intermediate = () => new IntermediatePacketCodec()
const padded = () => new PaddedIntermediatePacketCodec()

const transports = {
  intermediate: { codec: intermediate },
  padded: { codec: padded },
  'obfuscated-intermediate': { codec: () => new ObfuscatedPacketCodec(intermediate()) },
  'obfuscated-padded': { codec: () => new ObfuscatedPacketCodec(padded()) },
  'intermediate+pfs': { codec: intermediate, usePfs: true },
  ws: { url: (target) => urlOf('ws', target) },
  wss: { url: (target) => urlOf('wss', target) },
}

class Client {
  constructor(target, { codec, url, usePfs = false }) {
    this.target = target
    this.url = url?.(target)
    this.codec = codec
    this.usePfs = usePfs
  }

  async connect() {
    const { host, port, dc, key } = this.target
    const crypto = new NodeCryptoProvider()
    await crypto.initialize()
    addPublicKey(crypto, key.pem)
    const here = { id: dc, ipAddress: host, port }
    this.client = new BaseTelegramClient({
      apiId: 1,
      apiHash: '0'.repeat(32),
      crypto,
      storage: new MemoryStorage(),
      transport: this.url ? this.webSocket() : this.target.link ? this.proxied() : this.tcp(),
      network: { usePfs: this.usePfs },
      defaultDcs: { main: here, media: here },
      logLevel: 2,
    })
    this.layer = this.client.mt._layer
    await this.client.connect()
  }

  tcp() {
    const steps = this
    return new (class extends TcpTransport {
      async connect(dc) {
        const connection = await super.connect(dc)
        steps.socket = connection.socket
        steps.connections++
        return connection
      }

      packetCodec() {
        return steps.codec()
      }
    })()
  }

  /** The form is in the secret of the link. */
  proxied() {
    const steps = this
    const { searchParams } = new URL(this.target.link)
    const [host, port, secret] = ['server', 'port', 'secret'].map((name) => searchParams.get(name))
    return new (class extends MtProxyTcpTransport {
      async connect() {
        const connection = await super.connect()
        steps.socket = connection.socket
        steps.connections++
        return connection
      }
    })({ host, port: Number(port), secret })
  }

  /** The WebSocket of mtcute for browsers, with our address: it makes up its own. */
  webSocket() {
    const steps = this
    const Here = class extends WebSocket {
      constructor(_, protocols) {
        super(steps.url, protocols)
        this.once('open', () => {
          steps.socket = this._socket
          steps.connections++
        })
      }
    }
    return new WebSocketTransport({ ws: Here })
  }

  config() {
    return this.client.call({ _: 'help.getConfig' })
  }

  nearestDc() {
    return this.client.call({ _: 'help.getNearestDc' })
  }

  cut() {
    this.socket.destroy()
  }

  close() {
    return this.client.destroy()
  }
}

await main({ name: 'mtcute', version: packageVersion('@mtcute/node'), transports, Client })

// mtcute: key creation and calls over every framing it has.

import {
  BaseTelegramClient,
  IntermediatePacketCodec,
  MemoryStorage,
  ObfuscatedPacketCodec,
  PaddedIntermediatePacketCodec,
  TcpTransport,
} from '@mtcute/node'
import { addPublicKey, NodeCryptoProvider } from '@mtcute/node/utils.js'
import { main, packageVersion } from '../contract.mjs'

const intermediate = () => new IntermediatePacketCodec()
const padded = () => new PaddedIntermediatePacketCodec()

const transports = {
  intermediate: { codec: intermediate },
  padded: { codec: padded },
  'obfuscated-intermediate': { codec: () => new ObfuscatedPacketCodec(intermediate()) },
  'obfuscated-padded': { codec: () => new ObfuscatedPacketCodec(padded()) },
  'intermediate+pfs': { codec: intermediate, usePfs: true },
}

class Client {
  constructor(target, { codec, usePfs = false }) {
    this.target = target
    this.codec = codec
    this.usePfs = usePfs
  }

  async connect() {
    const { host, port, dc, keyPem } = this.target
    const crypto = new NodeCryptoProvider()
    await crypto.initialize()
    addPublicKey(crypto, keyPem)
    const here = { id: dc, ipAddress: host, port }
    this.client = new BaseTelegramClient({
      apiId: 1,
      apiHash: '0'.repeat(32),
      crypto,
      storage: new MemoryStorage(),
      transport: this.transport(),
      network: { usePfs: this.usePfs },
      defaultDcs: { main: here, media: here },
      logLevel: 2,
    })
    this.layer = this.client.mt._layer
    await this.client.connect()
  }

  transport() {
    const steps = this
    return new (class extends TcpTransport {
      async connect(dc) {
        steps.socket = await super.connect(dc)
        steps.connections++
        return steps.socket
      }

      packetCodec() {
        return steps.codec()
      }
    })()
  }

  config() {
    return this.client.call({ _: 'help.getConfig' })
  }

  nearestDc() {
    return this.client.call({ _: 'help.getNearestDc' })
  }

  cut() {
    this.socket.socket.destroy()
  }

  close() {
    return this.client.destroy()
  }
}

await main({ name: 'mtcute', version: packageVersion('@mtcute/node'), transports, Client })

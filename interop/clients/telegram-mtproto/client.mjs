// telegram-mtproto: key creation and calls over HTTP, in MTProto 1.0.

import { readConfig } from '../config.mjs'
import { main, packageVersion, urlOf } from '../contract.mjs'
import { Line } from '../line.mjs'
import library from './library.cjs'

const transports = { http: 'http', https: 'https' }

class Client {
  layer = library.LAYER
  isOverHttp = true

  constructor(target, transport) {
    this.target = target
    this.transport = transport
  }

  async prepare() {
    this.line = new Line(this.target, () => this.connections++)
    this.address = await this.line.open()
  }

  async connect() {
    const { dc, key } = this.target
    this.call = library.connect({ dc, key, url: urlOf(this.transport, this.address) })
  }

  config() {
    return this.call('help.getConfig').then(readConfig)
  }

  nearestDc() {
    return this.call('help.getNearestDc')
  }

  cut() {
    this.line.cut()
  }

  close() {}
}

await main({ name: 'telegram-mtproto', version: packageVersion('telegram-mtproto'), transports, Client })

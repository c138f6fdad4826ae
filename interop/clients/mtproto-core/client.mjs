// @mtproto/core: key creation and calls over the one transport it has on TCP.

import { createRequire } from 'node:module'
import { readConfig } from '../config.mjs'
import { main, packageVersion } from '../contract.mjs'
import { Line } from '../line.mjs'
import { LAYER, point } from './point.mjs'

const require = createRequire(import.meta.url)
const MTProto = require('@mtproto/core')

const transports = { 'obfuscated-intermediate': {} }

class Client {
  layer = LAYER

  constructor(target) {
    this.target = target
  }

  async prepare() {
    this.line = new Line(this.target, () => this.connections++)
    this.address = await this.line.open()
  }

  async connect() {
    const { host: ip, port } = this.address
    const instance = new Map()
    this.client = new MTProto({ api_id: 1, api_hash: '0'.repeat(32), storageOptions: { instance } })
    this.client.dcList = [{ id: this.target.dc, ip, port }]
    point(this.client, this.target)
  }

  config() {
    return this.client.call('help.getConfig').then(readConfig)
  }

  nearestDc() {
    return this.client.call('help.getNearestDc')
  }

  cut() {
    this.line.cut()
  }

  // The library connects again for ever, and has nothing to end that.
  close() {}
}

await main({ name: 'mtproto-core', version: packageVersion('@mtproto/core'), transports, Client })

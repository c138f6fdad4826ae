// @mtproto/core in a page.

import MTProto from '@mtproto/core/envs/browser'
import Transport from '@mtproto/core/envs/browser/transport'
import { readConfig } from '../config.mjs'
import { LAYER, point } from './point.mjs'

export class Client {
  layer = LAYER

  constructor(target) {
    this.target = target
  }

  connect() {
    const { dc, url } = this.target
    this.client = new MTProto({ api_id: 1, api_hash: '0'.repeat(32), storageOptions: { instance: new Map() } })
    this.client.dcList = [{ id: dc }]
    this.client.envMethods = {
      ...this.client.envMethods,
      createTransport: (dc, crypto) => new (transportTo(url))(dc, crypto),
    }
    return point(this.client, this.target)
  }

  config() {
    return this.client.call('help.getConfig').then(readConfig)
  }

  nearestDc() {
    return this.client.call('help.getNearestDc')
  }
}

/** The library makes up an address of its own. */
function transportTo(url) {
  return class extends Transport {
    connect() {
      this.url = url
      super.connect()
    }
  }
}

// telegram-mtproto in a page.

import './globals.mjs'
import { readConfig } from '../config.mjs'
import library from './library.cjs'

export class Client {
  layer = library.LAYER

  constructor(target) {
    this.target = target
  }

  connect() {
    this.call = library.connect(this.target)
  }

  config() {
    return this.call('help.getConfig').then(readConfig)
  }

  nearestDc() {
    return this.call('help.getNearestDc')
  }
}

// telegram-mtproto with our server in the place of Telegram's, wherever it runs.

const addresses = require('telegram-mtproto/lib/config-check/dc')
const { MTProto } = require('telegram-mtproto')
const MemoryStorage = require('telegram-mtproto/lib/plugins/memory-storage').default

/** It announces this layer with every call. */
const LAYER = 57

/** A client; to call a function of the API is to call it. */
function connect({ dc, key, url }) {
  // No option names an address.
  addresses.default = () => new Map([[dc, url]])
  return MTProto({
    api: { layer: LAYER, api_id: 1 },
    app: { storage: new MemoryStorage(), publicKeys: [{ modulus: key.n, exponent: key.e }] },
  })
}

module.exports = { LAYER, connect }

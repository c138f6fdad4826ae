// What @mtproto/core needs to know of the server, wherever it runs.

/** It announces this layer with every call. */
export const LAYER = 158

/** Makes the server's key the only one, and its data centre the first. */
export function point(client, { dc, key }) {
  // The library writes fingerprints without leading zeros.
  const fingerprint = BigInt.asUintN(64, BigInt(key.fingerprint)).toString(16)
  client.crypto.rsa.getPublisKeysByHex = async () => ({ [fingerprint]: { modulus: key.n, exponent: key.e } })
  return client.setDefaultDc(dc)
}

// npm install telegram
// node sign_in.mjs
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const { TelegramClient } = require('telegram')
const { _serverKeys } = require('telegram/crypto/RSA')
const { returnBigInt } = require('telegram/Helpers')
const { ConnectionTCPFull } = require('telegram/network')
const { MemorySession } = require('telegram/sessions')

const modulus = BigInt('0x{{MODULUS}}').toString()
_serverKeys.set('{{FINGERPRINT}}', { n: returnBigInt(modulus), e: 65537 })

// gramjs dials port 80 whatever the session says.
class Here extends ConnectionTCPFull {
  constructor(options) {
    super({ ...options, port: {{PORT}} })
  }
}

const session = new MemorySession()
session.setDC({{DC}}, '{{HOST}}', {{PORT}})
const client = new TelegramClient(session, 1, '0'.repeat(32), { connection: Here })
await client.start({
  phoneNumber: '{{NUMBER}}',
  phoneCode: async () => {{CODE}},
  onError: (error) => { throw error },
})
const me = await client.getMe()
console.log('signed in as', me.firstName, me.lastName)
await client.sendMessage('me', { message: 'a note to myself' })
await client.destroy()
process.exit()

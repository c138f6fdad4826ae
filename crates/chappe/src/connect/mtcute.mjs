// npm install @mtcute/node
// node sign_in.mjs
import { MemoryStorage, TelegramClient } from '@mtcute/node'
import { addPublicKey, NodeCryptoProvider } from '@mtcute/node/utils.js'

const key = `{{KEY}}`

const crypto = new NodeCryptoProvider()
await crypto.initialize()
addPublicKey(crypto, key)
const here = { id: {{DC}}, ipAddress: '{{HOST}}', port: {{PORT}} }
const client = new TelegramClient({
  apiId: 1,
  apiHash: '0'.repeat(32),
  crypto,
  storage: new MemoryStorage(),
  defaultDcs: { main: here, media: here },
})
const me = await client.start({ phone: '{{NUMBER}}', code: async () => {{CODE}} })
console.log('signed in as', me.displayName)
await client.sendText('me', 'a note to myself')
await client.destroy()

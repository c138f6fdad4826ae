// The clients that run in a browser: headless Chromium loads a page with one library, and the steps drive it.
//
//     node browser.mjs gramjs --address 127.0.0.1:4430 --key server.pub.pem --transport ws
//
// The page is bundled from `<client>/page.mjs`, which has a class `Client` with the methods `connect`, `config`
// and `nearestDc` and the field `layer`, and comes from a server in this process. CHROMIUM names the browser.

import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { chromium } from 'playwright-core'
import { main, packageVersion, urlOf } from './contract.mjs'
import { Line } from './line.mjs'

const CLIENTS = {
  gramjs: { package: 'telegram-browser', transports: ['ws', 'wss'] },
  mtcute: {
    package: '@mtcute/web',
    transports: ['ws', 'wss'],
    files: ['@mtcute/wasm/mtcute-simd.wasm', '@mtcute/wasm/mtcute.wasm'],
  },
  'mtproto-core': { package: '@mtproto/core', transports: ['ws', 'wss'] },
  'telegram-mtproto': { package: 'telegram-mtproto', transports: ['http', 'https'], isOverHttp: true },
}

const PAGE = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/client.js"></script>'

const [name, ...args] = process.argv.slice(2)
const client = CLIENTS[name]
if (!client) throw new Error(`the first argument is one of ${Object.keys(CLIENTS).join(', ')}`)

class InPage {
  isOverHttp = client.isOverHttp

  constructor(target, transport) {
    this.target = target
    this.transport = transport
  }

  async prepare() {
    this.line = new Line(this.target, () => this.connections++)
    const at = await this.line.open()
    const site = await serve(await bundle())
    this.browser = await launch()
    this.page = await this.browser.newPage()
    this.page.on('console', (message) => console.error(`console: ${message.text()}`))
    this.page.on('pageerror', (error) => console.error(`page: ${error}`))
    await this.page.goto(site)
    const { dc, key } = this.target
    await this.page.evaluate((target) => {
      globalThis.client = new globalThis.Client(target)
    }, { ...at, dc, key, url: urlOf(this.transport, at) })
    this.layer = await this.page.evaluate(() => globalThis.client.layer)
  }

  connect() {
    return this.page.evaluate(() => globalThis.client.connect())
  }

  config() {
    return this.page.evaluate(() => globalThis.client.config())
  }

  nearestDc() {
    return this.page.evaluate(() => globalThis.client.nearestDc().then(() => {}))
  }

  cut() {
    this.line.cut()
  }

  close() {
    return this.browser.close()
  }
}

/** The page's script: one file. */
async function bundle() {
  const { outputFiles } = await build({
    stdin: {
      contents: `import { Client } from './${name}/page.mjs'\nglobalThis.Client = Client`,
      resolveDir: fileURLToPath(new URL('.', import.meta.url)),
    },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    // What Node has and bundlers of their day put into the page.
    define: { global: 'globalThis', 'process.env.NODE_ENV': '"production"' },
    logLevel: 'error',
  })
  return outputFiles[0].contents
}

/** Serves the page on a free port and returns its address. */
function serve(script) {
  const require = createRequire(createRequire(import.meta.url).resolve(client.package))
  const files = new Map([
    ['/', ['text/html', PAGE]],
    ['/client.js', ['text/javascript', script]],
  ])
  for (const file of client.files ?? []) {
    files.set(file.slice(file.lastIndexOf('/')), ['application/wasm', readFileSync(require.resolve(file))])
  }
  const site = createServer((request, response) => {
    const [type, body] = files.get(request.url) ?? []
    response.writeHead(body ? 200 : 404, { 'content-type': type ?? 'text/plain' }).end(body)
  })
  return new Promise((resolve) => {
    site.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${site.address().port}/`))
  })
}

function launch() {
  const args = ['--disable-gpu']
  // The certificate that Node trusts, too: a page cannot be asked whether it accepts it.
  if (process.env.NODE_EXTRA_CA_CERTS) {
    const { publicKey } = new X509Certificate(readFileSync(process.env.NODE_EXTRA_CA_CERTS))
    const spki = publicKey.export({ type: 'spki', format: 'der' })
    args.push(`--ignore-certificate-errors-spki-list=${createHash('sha256').update(spki).digest('base64')}`)
  }
  // Without a sandbox: what runs here is what node_modules holds, and root gets no sandbox.
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', chromiumSandbox: false, args })
}

await main({
  name,
  version: packageVersion(client.package),
  transports: Object.fromEntries(client.transports.map((transport) => [transport, transport])),
  Client: InPage,
  args,
})

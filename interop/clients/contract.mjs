// What every JavaScript client script has in common: arguments, steps, deadline, the one line of JSON.
//
// A script declares its transports and a class with the methods `connect`, `config`, `nearestDc`, `cut` and
// `close` and the field `layer` (the same as in contract.py), and hands both to `main`. What must not count as
// time of the library is in the method `prepare`, where there is one.

import { createHash, createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

// With --recover: calls open at once, and how long each may take before it counts as lost.
const WORKERS = 16
const PATIENCE_S = 45
// With --seconds: the pause after each call of a worker.
const PAUSE_MS = 50

/** Version of an installed package. */
export function packageVersion(name) {
  const url = new URL(`../node_modules/${name}/package.json`, import.meta.url)
  return JSON.parse(readFileSync(url, 'utf8')).version
}

/** Where a WebSocket or HTTP client finds the server. */
export function urlOf(transport, { host, port }) {
  const path = transport.startsWith('ws') ? 'apiws' : 'apiw1'
  return `${transport}://${host.includes(':') ? `[${host}]` : host}:${port}/${path}`
}

/** Parses the arguments, runs the steps, prints the outcome and exits. */
export async function main({ name, version, transports, Client, args: given = process.argv.slice(2) }) {
  const { values: args } = parseArgs({
    args: given,
    options: {
      list: { type: 'boolean', default: false },
      address: { type: 'string' },
      dc: { type: 'string', default: '2' },
      key: { type: 'string' },
      transport: { type: 'string' },
      calls: { type: 'string', default: '100' },
      'no-reconnect': { type: 'boolean', default: false },
      recover: { type: 'boolean', default: false },
      seconds: { type: 'string' },
      link: { type: 'string', default: '' },
      timeout: { type: 'string', default: '30' },
    },
  })
  if (args.list) {
    exit(`${Object.keys(transports).join('\n')}\n`, 0)
    return
  }
  if (!args.address || !args.key || !(args.transport in transports)) {
    const names = Object.keys(transports).join(', ')
    throw new Error(`--address HOST:PORT, --key FILE and --transport (${names}) are needed`)
  }

  const report = { client: name, version, transport: args.transport, ok: false }
  const target = readTarget(args)
  const client = new Client(target, transports[args.transport])
  client.connections = 0
  try {
    const steps = args.recover ? recover(client, args, report) : takeSteps(client, target, args, report)
    await Promise.race([steps, deadline(name, report, Number(args.timeout))])
    report.ok = true
  } catch (error) {
    console.error(error)
  }
  report.layer = client.layer
  report.connections = client.connections
  exit(`${JSON.stringify(report)}\n`, report.ok ? 0 : 1)
}

/** The libraries leave timers and sockets behind that would keep the process alive. */
function exit(lastWords, status) {
  process.stdout.write(lastWords, () => process.exit(status))
}

async function deadline(name, report, seconds) {
  await sleep(seconds * 1000)
  throw new Error(`${name}: step '${report.step}' did not end within ${seconds} s`)
}

export function readTarget(args) {
  const colon = args.address.lastIndexOf(':')
  const host = args.address.slice(0, colon).replace(/^\[|\]$/g, '')
  const loopback = (isIP(host) === 4 && host.startsWith('127.')) || host === '::1'
  if (!loopback) throw new Error(`${host} is not a loopback address`)
  const port = Number(args.address.slice(colon + 1))
  return { host, port, dc: Number(args.dc), link: args.link ?? '', key: readKey(readFileSync(args.key, 'ascii')) }
}

/** The public key in the forms that libraries want: PEM, numbers in hex, fingerprint as a signed decimal number. */
function readKey(pem) {
  const jwk = createPublicKey(pem).export({ format: 'jwk' })
  const [n, e] = [jwk.n, jwk.e].map((part) => Buffer.from(part, 'base64url'))
  const digest = createHash('sha1').update(tlBytes(n)).update(tlBytes(e)).digest()
  const fingerprint = digest.readBigInt64LE(12).toString()
  return { pem, n: n.toString('hex'), e: e.toString('hex'), fingerprint }
}

function tlBytes(bytes) {
  const { length } = bytes
  const head = length < 254 ? [length] : [254, length & 255, (length >> 8) & 255, length >> 16]
  const padding = -(head.length + length) & 3
  return Buffer.concat([Buffer.from(head), bytes, Buffer.alloc(padding)])
}

async function takeSteps(client, target, args, report) {
  const seconds = (report.seconds = {})
  const timed = async (step, work) => {
    report.step = step
    const started = performance.now()
    await work()
    seconds[step] = Math.round(performance.now() - started) / 1000
  }

  report.step = 'prepare'
  await client.prepare?.()
  await timed('connect', async () => {
    await client.connect()
    report.step = 'config'
    report.config = checkConfig(await client.config(), target)
    // Some libraries make the key in `connect`, some at the first call.
  })

  const calls = Number(args.calls)
  await timed('calls', async () => {
    const alone = Math.floor(calls / 2)
    for (let i = 0; i < alone; i++) await client.nearestDc()
    // All at once, so that a library which packs messages into containers does it here.
    await Promise.all(Array.from({ length: calls - alone }, () => client.nearestDc()))
    report.calls = calls
  })

  if (!args['no-reconnect']) {
    await timed('reconnect', async () => {
      const before = client.connections
      client.cut()
      // Over HTTP nobody connects before there is something to say.
      while (client.connections === before && !client.isOverHttp) await sleep(10)
      await client.nearestDc()
      if (client.connections === before) throw new Error('nothing was cut')
    })
  }

  report.step = 'close'
  await client.close()
  delete report.step
}

/** Connect and calls over a line that breaks: whatever fails is done again, and counted. */
async function recover(client, args, report) {
  const seconds = (report.seconds = {})
  const repeated = (report.repeated = { failed: 0, lost: 0 })
  const insist = async (work) => {
    for (;;) {
      const late = new AbortController()
      try {
        const lost = sleep(PATIENCE_S * 1000, 'lost', { signal: late.signal }).catch(() => {})
        if ((await Promise.race([work(), lost])) !== 'lost') return
        repeated.lost++
        console.error('no answer')
      } catch (error) {
        repeated.failed++
        console.error(`failed: ${error}`)
        await sleep(100)
      } finally {
        late.abort()
      }
    }
  }

  report.step = 'prepare'
  await client.prepare?.()
  report.step = 'connect'
  let started = performance.now()
  await insist(() => client.connect())
  await insist(() => client.nearestDc())
  seconds.connect = Math.round(performance.now() - started) / 1000

  report.step = 'calls'
  started = performance.now()
  // So many, or as many as there is time for, at a pace that leaves time for others.
  const isOpen = args.seconds
    ? () => performance.now() - started < Number(args.seconds) * 1000
    : () => report.calls < Number(args.calls)
  report.calls = 0
  const work = async () => {
    while (isOpen()) {
      report.calls++
      await insist(() => client.nearestDc())
      if (args.seconds) await sleep(PAUSE_MS)
    }
  }
  await Promise.all(Array.from({ length: WORKERS }, work))
  seconds.calls = Math.round(performance.now() - started) / 1000
  delete report.step
}

/** Requires that the configuration names this server as the data centre it is. */
function checkConfig(config, target) {
  if (config.thisDc !== target.dc) throw new Error(`help.getConfig: this_dc is ${config.thisDc}, not ${target.dc}`)
  if (config.expires * 1000 <= Date.now()) throw new Error('help.getConfig: expires is in the past')
  const here = (o) => o.id === target.dc && o.ipAddress === target.host && o.port === target.port
  // Behind a proxy the server has another address than the client knows.
  if (!target.link && !config.dcOptions.some(here)) {
    throw new Error(`help.getConfig: dc_options lacks this server: ${JSON.stringify(config.dcOptions)}`)
  }
  return { this_dc: config.thisDc, dc_options: config.dcOptions.length }
}

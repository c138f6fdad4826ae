// A person in a process of its own, driven by lines of JSON; see remote_person.py, which speaks the same.

import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { readTarget } from './contract.mjs'

const PEER_FIRST = ['say', 'edit', 'delete', 'read', 'type', 'history']

/** Takes orders until there are no more. */
export async function main(Person) {
  const options = Object.fromEntries(['address', 'dc', 'key', 'number'].map((name) => [name, { type: 'string' }]))
  const { values: args } = parseArgs({ args: process.argv.slice(2), options })
  const person = new Person(readTarget(args), args.number, (...heard) => tell({ heard }))
  tell({ ready: person.layer })
  const peers = []
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: order, with: words } = JSON.parse(line)
    if (PEER_FIRST.includes(order)) words[0] = peers[words[0]]
    try {
      let done = await person[order](...words)
      if (order === 'find') done = peers.push(done) - 1
      tell({ did: done ?? null })
    } catch (error) {
      console.error(error)
      tell({ failed: String(error?.error_message ?? error?.errorMessage ?? error) })
    }
  }
  process.exit(0)
}

function tell(said) {
  process.stdout.write(`${JSON.stringify(said)}\n`)
}

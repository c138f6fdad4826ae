// A person's device in a process of its own, driven by lines of JSON; see remote_person.py, which says what they are.
//
// A library hands `main` a class with the methods named there, in camel case, and the fields `layer`, `version` and
// `cannot`; it gets the target, the number, a function to tell what is heard, and the folder.

import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { readTarget } from './contract.mjs'

const FINDING = ['find', 'find_named', 'find_group', 'make_group']

/** Takes orders until there are no more. */
export async function main(Person) {
  const names = ['address', 'dc', 'key', 'number', 'folder', 'link']
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' }]))
  const { values: args } = parseArgs({ args: process.argv.slice(2), options })
  const person = new Person(readTarget(args), args.number, (...heard) => tell({ heard }), args.folder)
  tell({ ready: person.layer, version: person.version, cannot: person.cannot })
  const peers = []
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: order, with: said } = JSON.parse(line)
    const words = said.map((word) => (word?.peer === undefined ? word : peers[word.peer]))
    try {
      const done = await person[camelCase(order)](...words)
      tell({ did: FINDING.includes(order) ? { peer: peers.push(done) - 1 } : (done ?? null) })
    } catch (error) {
      console.error(error)
      tell({ failed: String(error?.error_message ?? error?.errorMessage ?? error) })
    }
  }
  process.exit(0)
}

function camelCase(order) {
  return order.replaceAll(/_(.)/g, (_, letter) => letter.toUpperCase())
}

function tell(said) {
  process.stdout.write(`${JSON.stringify(said)}\n`)
}

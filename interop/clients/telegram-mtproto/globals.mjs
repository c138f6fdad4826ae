// What Node has, and bundlers of its day put into pages.

import { Buffer } from 'buffer'

globalThis.Buffer = Buffer
globalThis.process = { env: {}, nextTick: (work, ...args) => queueMicrotask(() => work(...args)) }

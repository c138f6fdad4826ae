// The way to the server, for libraries that cannot be cut from inside: a relay on a port of its own. The library,
// or the browser around it, knows nothing of it.

import { createConnection, createServer } from 'node:net'

export class Line {
  /** `opened` is called for every connection. */
  constructor({ host, port }, opened) {
    this.ends = new Set()
    this.listener = createServer((near) => {
      opened()
      const far = createConnection(port, host)
      for (const [from, to] of [[near, far], [far, near]]) {
        this.ends.add(from)
        from.setNoDelay(true)
        from.pipe(to)
        // An error is an end like any other.
        from.on('error', () => {})
        from.on('close', () => {
          this.ends.delete(from)
          to.destroy()
        })
      }
    })
  }

  /** Begins to accept connections and returns the address. */
  open() {
    return new Promise((resolve) => {
      this.listener.listen(0, '127.0.0.1', () => resolve({ host: '127.0.0.1', port: this.listener.address().port }))
    })
  }

  /** Breaks every connection. */
  cut() {
    for (const end of this.ends) end.resetAndDestroy()
  }
}

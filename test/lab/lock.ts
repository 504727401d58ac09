import { createServer, type Server } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { say } from './run.ts'

/** A lock is an abstract UNIX socket: the kernel takes it back when its holder dies, however it dies. See unix(7). */
function tryListen(name: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    server.listen({ path: `\0swarmvirt-lab-${name}` }, () => resolve(server))
  })
}

/** Runs alone among all that take the same name on this machine, and waits for its turn. */
export async function withLock<T>(name: string, timeoutMs: number, work: () => Promise<T>): Promise<T> {
  const end = performance.now() + timeoutMs
  let told = false
  for (;;) {
    const server = await tryListen(name)
    if (server !== undefined) {
      try {
        return await work()
      } finally {
        server.close()
      }
    }
    if (performance.now() > end) throw new Error(`another run holds "${name}" for more than ${timeoutMs / 1000} s`)
    if (!told) say(`waiting for another run that works on "${name}" …`)
    told = true
    await sleep(100)
  }
}

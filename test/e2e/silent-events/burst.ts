/** Very many changes of what is nobody's of ours: more than dockerd keeps for a stream that is not read. */
import { Agent, request } from 'node:http'
import type { Lab } from '../../lab/lab.ts'

const atOnce = 8

/** Makes and removes configs, until there were so many changes; gives how long that took. */
export async function burst(lab: Lab, changes: number): Promise<number> {
  const began = performance.now()
  const agent = new Agent({ keepAlive: true, maxSockets: atOnce })
  const { dockerSocket: socketPath } = lab.node('n1')
  let left = changes / 2
  const work = async (): Promise<void> => {
    for (; left > 0; ) {
      left -= 1
      const body = JSON.stringify({ Name: `burst-${left}`, Labels: {}, Data: Buffer.from('nobody’s').toString('base64') })
      const made = JSON.parse(await call({ agent, socketPath, method: 'POST', path: '/v1.41/configs/create' }, body)) as { ID: string }
      await call({ agent, socketPath, method: 'DELETE', path: `/v1.41/configs/${made.ID}` })
    }
  }
  try {
    await Promise.all(Array.from({ length: atOnce }, work))
  } finally {
    agent.destroy()
  }
  return Math.round(performance.now() - began)
}

interface Where {
  readonly agent: Agent
  readonly socketPath: string
  readonly method: string
  readonly path: string
}

function call(where: Where, body?: string): Promise<string> {
  const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
  return new Promise((resolve, reject) => {
    const asked = request({ ...where, headers }, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.once('error', reject)
      answer.once('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        if ((answer.statusCode ?? 500) < 300) resolve(text)
        else reject(new Error(`${where.method} ${where.path}: ${text}`))
      })
    })
    asked.once('error', reject)
    asked.end(body)
  })
}

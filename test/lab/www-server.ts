/** Serves one directory on the management network, with ranges: `www-server.ts DIR ADDRESS PORT`. */
import { createReadStream, statSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join, normalize } from 'node:path'

const [dir = '', address = '', port = ''] = process.argv.slice(2)

function fileSize(path: string): number | undefined {
  try {
    const stat = statSync(path)
    return stat.isFile() ? stat.size : undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '/', 'http://lab')
  const path = join(dir, normalize(decodeURIComponent(url.pathname)))
  const size = fileSize(path)
  process.stdout.write(`${request.method} ${url.pathname} ${request.headers.range ?? ''} ${size ?? 'missing'}\n`)
  if (size === undefined) {
    response.writeHead(404).end('no such file\n')
    return
  }
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
  const start = Number(range?.[1] ?? 0)
  const end = range?.[2] ? Math.min(Number(range[2]), size - 1) : size - 1
  if (range !== null && start >= size) {
    response.writeHead(416, { 'content-range': `bytes */${size}` }).end()
    return
  }
  const headers = { 'content-length': end - start + 1, 'content-type': 'application/octet-stream', 'accept-ranges': 'bytes' }
  response.writeHead(
    range === null ? 200 : 206,
    range === null ? headers : { ...headers, 'content-range': `bytes ${start}-${end}/${size}` },
  )
  if (request.method === 'HEAD' || size === 0) response.end()
  else
    createReadStream(path, { start, end })
      .on('error', () => response.destroy())
      .pipe(response)
}

createServer(answer).listen(Number(port), address)

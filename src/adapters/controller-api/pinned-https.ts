import { request as httpRequest, type IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { PortError } from '../../ports/errors.ts'

export interface PinnedServer {
  /** `https://HOST:PORT`. */
  readonly server: string
  /** SHA-256 of the certificate as `AA:BB:…`. Names and chains are not checked. */
  readonly fingerprint: string
  readonly token: string
}

export interface Asked {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly accept: string
  /** Sent as JSON. */
  readonly body?: unknown
}

/** Resolves with the response's head. The caller reads the body, on a separate connection that closes with the signal. */
export async function askPinned({ server, fingerprint, token }: PinnedServer, asked: Asked, signal: AbortSignal): Promise<IncomingMessage> {
  const url = new URL(server)
  const socket = await pinnedSocket(url, fingerprint, signal)
  const body = asked.body === undefined ? undefined : JSON.stringify(asked.body)
  const headers = {
    host: url.host,
    authorization: `Bearer ${token}`,
    accept: asked.accept,
    connection: 'close',
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  }
  return new Promise((resolve, reject) => {
    const { method, path } = asked
    const request = httpRequest({ createConnection: () => socket, method, path, headers, signal }, resolve)
    request.once('error', (error) => {
      socket.destroy()
      reject(error)
    })
    request.end(body)
  })
}

/** A connection whose server has proven that it has the pinned certificate's key. Nothing was sent over it yet. */
function pinnedSocket(url: URL, fingerprint: string, signal: AbortSignal): Promise<TLSSocket> {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const socket = connect({
      host,
      port: Number(url.port === '' ? 443 : url.port),
      ...(isIP(host) === 0 ? { servername: host } : {}),
      minVersion: 'TLSv1.2',
      // Self-signed: only the fingerprint below is trusted.
      rejectUnauthorized: false,
    })
    const abort = (): void => void socket.destroy(new Error('aborted'))
    signal.addEventListener('abort', abort, { once: true })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the connection was closed')))
    socket.once('secureConnect', () => {
      const found = socket.getPeerX509Certificate()?.fingerprint256
      if (found === fingerprint) return resolve(socket)
      socket.destroy()
      reject(new PortError('Denied', wrongCertificate(url.origin, found)))
    })
  })
}

function wrongCertificate(server: string, found: string | undefined): string {
  return `${server} has a certificate that does not match the trusted fingerprint (${found ?? 'none'}). The token was not sent. If the certificate was renewed, log in again with its fingerprint`
}

/** Reads the whole body. Throws, and closes the connection, if it is larger than `maxBytes` or incomplete. */
export async function bodyOf(response: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    length += chunk.length
    if (length > maxBytes) throw new Error(`the answer is larger than ${maxBytes} bytes`)
  }
  return Buffer.concat(chunks).toString('utf8')
}

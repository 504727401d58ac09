import { z } from 'zod'
import { controllerApiPort, controllerApiVersion } from '../../api/wire/controller-api.ts'
import type { ControllerApi } from '../../ports/controller-api.ts'
import { UsageError } from '../output/outcome.ts'

const login = z.object({
  /** `https://HOST:PORT`. */
  server: z.string(),
  /** SHA-256 of the server's certificate as `AA:BB:…`. */
  fingerprint: z.string(),
  token: z.string(),
})
export type Login = z.output<typeof login>

/** Parses the login file. Throws if `login` did not write it. */
export function parseLogin(text: string): Login {
  try {
    return login.parse(JSON.parse(text))
  } catch (cause) {
    throw new Error('the login file is damaged; log in again: docker vm login --token-stdin', { cause })
  }
}

/** Parses the token from standard input. Throws UsageError. */
export function tokenOf(text: string): string {
  const token = text.trim()
  if (!/^[\x21-\x7e]+$/.test(token)) throw new UsageError('standard input must contain the token on one line')
  return token
}

/** Only the origin, with the API's port by default. Throws UsageError. */
export function serverOf(text: string): string {
  const url = URL.parse(text)
  const isPlain = url !== null && url.username === '' && url.password === '' && url.pathname === '/' && url.search === '' && url.hash === ''
  if (!isPlain || url.protocol !== 'https:') throw new UsageError(`--server must be https://HOST[:PORT], not "${text}"`)
  // URL drops the port 443.
  const port = url.port === '' ? (/:0*443\/?$/.test(text) ? 443 : controllerApiPort) : url.port
  return `https://${url.hostname}:${port}`
}

/** As `AA:BB:…`. Throws UsageError. */
export function fingerprintOf(text: string): string {
  const hex = text
    .replace(/^sha256:/i, '')
    .replaceAll(':', '')
    .toUpperCase()
  if (!/^[0-9A-F]{64}$/.test(hex))
    throw new UsageError('--fingerprint must be the SHA-256 of the certificate: 64 hex digits, as printed by install')
  return (hex.match(/../g) ?? []).join(':')
}

/** Tries a login before it is stored. Throws the API client's errors, and for another version of the controller. */
export async function tryLogin(api: Pick<ControllerApi, 'version'>): Promise<string> {
  const { version, release } = await api.version()
  if (version !== controllerApiVersion)
    throw new Error(
      `the controller (${release}) has API version ${version}, but this docker vm needs version ${controllerApiVersion}; use the docker vm of the controller's release`,
    )
  return release
}

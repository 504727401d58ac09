import { z } from 'zod'
import type { CredentialHelper } from '../../ports/credentials.ts'
import { type Login, parseLogin } from './login.ts'

/** Storage for logins. */
export interface LoginPorts {
  /** Docker's endpoint (docker-globals.ts). */
  readonly endpoint: string
  /** Undefined if the file does not exist. */
  readonly readFile: () => Promise<string | undefined>
  readonly writeFile: (text: string) => Promise<void>
  /** The credential helper that Docker uses for this host (`manager-1:9471`). Undefined if there is none. */
  readonly helperOf: (host: string) => string | undefined
  readonly helper: (name: string) => CredentialHelper
}

// ADR 0015. Later releases may add fields, so unknown ones are kept.
const entry = z.looseObject({
  server: z.string(),
  fingerprint: z.string(),
  /** Set without a credential helper. */
  token: z.string().optional(),
  /** Set with a credential helper. The credential has its own URL, since the server's URL may change. */
  credential: z.object({ helper: z.string(), url: z.string() }).optional(),
})
type Entry = z.output<typeof entry>
const file = z.looseObject({ version: z.literal(2), logins: z.record(z.string(), entry) })
type LoginFile = z.output<typeof file>

/** The endpoint of a login of release 0.1.0, which did not support contexts. */
const firstEndpoint = 'context:default'

/** A newer release wrote the file, so this one must not overwrite it. */
class NewerLoginFile extends Error {}

/** Reads version 2 and the format of 0.1.0, which had one login. Throws for any other content. */
function parseLogins(text: string | undefined): LoginFile {
  if (text === undefined) return { version: 2, logins: {} }
  const value = jsonOf(text)
  const version = (value as { version?: unknown } | null | undefined)?.version
  if (version === undefined) return { version: 2, logins: { [firstEndpoint]: parseLogin(text) } }
  if (typeof version === 'number' && version > 2)
    throw new NewerLoginFile(`the login file has version ${version} of a newer docker vm; this one reads versions up to 2`)
  const parsed = file.safeParse(value)
  if (!parsed.success) throw new Error('the login file is damaged; log in again: docker vm login --token-stdin')
  return parsed.data
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Error('the login file is damaged; log in again: docker vm login --token-stdin', { cause })
  }
}

/** The login for the endpoint. Undefined if there is none. */
export async function storedLogin(ports: LoginPorts): Promise<Login | undefined> {
  const found = parseLogins(await ports.readFile()).logins[ports.endpoint]
  if (found === undefined) return undefined
  const token = await tokenOf(ports, found)
  return { server: found.server, fingerprint: found.fingerprint, token }
}

async function tokenOf(ports: LoginPorts, { token, credential }: Entry): Promise<string> {
  if (token !== undefined) return token
  const kept = credential === undefined ? undefined : await ports.helper(credential.helper).get(credential.url)
  if (kept === undefined)
    throw new Error('the token of this login is missing from its credential store; log in again: docker vm login --token-stdin')
  return kept
}

/** Returns where the token is stored, for people. Undefined for the login file. */
export async function storeLogin(ports: LoginPorts, login: Login): Promise<string | undefined> {
  const { server, fingerprint, token } = login
  const name = ports.helperOf(new URL(server).host)
  const credential = name === undefined ? undefined : { helper: name, url: server }
  if (credential !== undefined) await ports.helper(credential.helper).store(credential.url, token)
  const before = await readable(ports)
  const made: Entry = { server, fingerprint, ...(credential === undefined ? { token } : { credential }) }
  await write(ports, { ...before, logins: { ...before.logins, [ports.endpoint]: made } })
  return credential === undefined ? undefined : `docker-credential-${credential.helper}`
}

/** Updates the address of a controller that moved. Certificate and token stay. */
export async function moveLogin(ports: LoginPorts, server: string): Promise<void> {
  const before = parseLogins(await ports.readFile())
  const found = before.logins[ports.endpoint]
  if (found !== undefined) await write(ports, { ...before, logins: { ...before.logins, [ports.endpoint]: { ...found, server } } })
}

/** Returns false if there was no login. */
export async function forgetLogin(ports: LoginPorts): Promise<boolean> {
  const { logins, ...rest } = parseLogins(await ports.readFile())
  const { [ports.endpoint]: found, ...others } = logins
  if (found === undefined) return false
  const isShared = Object.values(others).some((one) => one.credential?.url === found.credential?.url)
  if (found.credential !== undefined && !isShared) await ports.helper(found.credential.helper).erase(found.credential.url)
  await write(ports, { ...rest, logins: others })
  return true
}

/** An invalid file must not block a new login, but a later release's file must not be overwritten. */
async function readable(ports: LoginPorts): Promise<LoginFile> {
  const text = await ports.readFile()
  try {
    return parseLogins(text)
  } catch (error) {
    if (error instanceof NewerLoginFile) throw error
    return parseLogins(undefined)
  }
}

function write(ports: LoginPorts, logins: LoginFile): Promise<void> {
  return ports.writeFile(`${JSON.stringify(logins, null, 2)}\n`)
}

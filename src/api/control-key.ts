/** A pre-shared key of the control plane, with which controller and agents authenticate each other (TLS-PSK). */
export interface ControlKey {
  /** Sent unencrypted by a client, so that a server with several keys knows which one to use. */
  readonly id: string
  /** 64 lower-case hex digits: 32 random bytes. */
  readonly hex: string
}

export type ParsedControlKeys =
  | { readonly ok: true; readonly keys: readonly [ControlKey, ...ControlKey[]] }
  | { readonly ok: false; readonly message: string }

export const defaultControlKeyFile = '/run/secrets/swarmvirt-control-key'
/** A rotation needs two; more are a mistake. */
const maxKeys = 8
const idPattern = /^[a-z0-9-]{1,32}$/
const hexPattern = /^[0-9a-f]{64}$/

/**
 * Reads the control key secret: UTF-8 lines `ID:HEX64`. Empty lines and lines that start with `#` are ignored. Clients send the first key,
 * and servers accept all of them. To rotate a key, add the new one below, move it up once every node has it, and remove the old one. Error
 * messages contain line numbers and never key material.
 */
export function parseControlKeys(text: string): ParsedControlKeys {
  const keys: ControlKey[] = []
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const key = parseLine(line)
    if (typeof key === 'string') return refuse(index, key)
    if (keys.some((other) => other.id === key.id)) return refuse(index, `the id "${key.id}" is there twice; each key needs its own`)
    keys.push(key)
  }
  const [first, ...others] = keys
  if (first === undefined)
    return {
      ok: false,
      message: 'there is no key in it; it needs at least one line ID:HEX64 (64 hex digits, for example from "openssl rand -hex 32")',
    }
  if (keys.length > maxKeys) return { ok: false, message: `there are ${keys.length} keys in it; ${maxKeys} are the most` }
  return { ok: true, keys: [first, ...others] }
}

function parseLine(line: string): ControlKey | string {
  const colon = line.indexOf(':')
  if (colon === -1) return 'expected ID:HEX64, found no colon'
  const id = line.slice(0, colon)
  const hex = line.slice(colon + 1).toLowerCase()
  if (!idPattern.test(id)) return 'an id is 1 to 32 characters of a-z 0-9 -'
  if (hexPattern.test(hex)) return { id, hex }
  return `the key "${id}" must be 64 hex digits (32 random bytes), this one has ${hex.length} characters`
}

function refuse(index: number, message: string): ParsedControlKeys {
  return { ok: false, message: `line ${index + 1}: ${message}` }
}

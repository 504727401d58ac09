/** Why a line is not a public key, for users. Never contains the line itself, which may be a private key. */
export interface KeyRefusal {
  readonly message: string
  readonly help?: string
}

const ownLine = 'write the line that the .pub file holds, such as: ssh-ed25519 AAAAC3Nz… you@host'
const keyTypes = [
  'ssh-ed25519',
  'ssh-rsa',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'sk-ssh-ed25519@openssh.com',
  'sk-ecdsa-sha2-nistp256@openssh.com',
] as const
type KeyType = (typeof keyTypes)[number]

const optionWord = '(?:[^ \\t"]|"(?:[^"\\\\]|\\\\.)*")+'
const typeWord = keyTypes.map((type) => type.replaceAll('.', '\\.')).join('|')
/** For the JSON Schema, which cannot decode the key. */
export const publicKeyPattern = `^(${optionWord}[ \\t]+)?(${typeWord})[ \\t]+[A-Za-z0-9+/]+={0,2}([ \\t][^\\r\\n]*)?$`

/**
 * Checks a line of `authorized_keys` like sshd(8): options, type, base64, comment. The blob must have the same type as the line, and all
 * its parts must be complete (RFC 4253 section 6.6, RFC 5656, RFC 8709, and OpenSSH's PROTOCOL.u2f). Returns undefined if it is a key.
 */
export function whyNoPublicKey(text: string): KeyRefusal | undefined {
  return (
    otherFormat(text) ?? (/[\r\n]/.test(text) ? { message: 'more than one line; an entry is one key', help: ownLine } : notOpenSsh(text))
  )
}

/** Other formats that users mistake for a key. */
function otherFormat(text: string): KeyRefusal | undefined {
  const fresh = 'remove it and create a new key pair: this one may have been read by others. Write the line of the .pub file here'
  if (/BEGIN [A-Z0-9 ]*PRIVATE KEY|^\s*b3BlbnNzaC1rZXktdjE/.test(text)) return { message: 'a private key, not a public one', help: fresh }
  if (/^\s*PuTTY-User-Key-File-/.test(text)) {
    return { message: "a private key in PuTTY's format, not a public key", help: `${fresh}; PuTTYgen shows it as "Public key for pasting"` }
  }
  if (/BEGIN SSH2 PUBLIC KEY/.test(text)) {
    return { message: 'a public key in the format of RFC 4716 (PuTTY)', help: 'ssh-keygen -i -f FILE prints it as OpenSSH writes it' }
  }
  if (/BEGIN [A-Z ]*PUBLIC KEY/.test(text)) {
    return { message: 'a public key in PEM format', help: 'ssh-keygen -i -m PKCS8 -f FILE prints it as OpenSSH writes it' }
  }
  if (/^(?:[~./]|[A-Za-z]:\\|\$HOME|file:)\S*$|^\S+\.pub$/.test(text)) return { message: 'a path, not a public key', help: ownLine }
  return undefined
}

const line = new RegExp(`^[ \\t]*(?:${optionWord}[ \\t]+)?(${typeWord})(?=[ \\t]|$)(?:[ \\t]+(\\S+))?`)

function notOpenSsh(text: string): KeyRefusal | undefined {
  const [, type, blob] = line.exec(text) ?? []
  if (type === undefined) return noType(text)
  if (blob === undefined) return { message: `the key is missing after ${type}`, help: ownLine }
  if (/…|\.\.\./.test(blob)) return { message: 'the key is shortened, as in documentation', help: ownLine }
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(blob)) return { message: `the text after ${type} is not base64`, help: ownLine }
  return wrongBlob(type as KeyType, Buffer.from(blob, 'base64'))
}

function noType(text: string): KeyRefusal {
  if (/(?:^|\s)[a-z0-9-]+-cert-v01@openssh\.com\s/.test(text)) {
    return {
      message: 'a certificate, which authorized_keys does not accept',
      help: 'write the public key that was signed, without "-cert" in its file name',
    }
  }
  if (/(?:^|\s)ssh-dss\s/.test(text))
    return { message: 'a DSA key, which OpenSSH no longer accepts', help: 'create one that it accepts with ssh-keygen -t ed25519' }
  if (/^\s*AAAA[A-Za-z0-9+/]/.test(text)) return { message: 'the type of the key is missing before it', help: ownLine }
  return { message: 'not a public key in the format of OpenSSH', help: ownLine }
}

function wrongBlob(type: KeyType, blob: Uint8Array): KeyRefusal | undefined {
  const cut = { message: 'the key is cut off, or has a mistake in it', help: 'copy the whole line of the .pub file' }
  const [name, ...parts] = partsOf(blob) ?? []
  if (name === undefined) return cut
  if (asText(name) !== type) return { message: `the key itself is not of the type ${type} that stands before it`, help: cut.help }
  return isWhole(type, parts) ? undefined : (smallRsa(type, parts) ?? cut)
}

function isWhole(type: KeyType, parts: readonly Uint8Array[]): boolean {
  const [first, second, third] = parts
  const curve = /nistp\d+/.exec(type)?.[0]
  const keyAt = curve === undefined ? first : second
  const wanted = (curve === undefined ? 1 : 2) + (type.startsWith('sk-') ? 1 : 0)
  if (type === 'ssh-rsa') return parts.length === 2 && bitsOf(second) >= leastRsaBits && bitsOf(first) > 1
  if (parts.length !== wanted || (type.startsWith('sk-') && (third ?? second)?.length === 0)) return false
  if (curve === undefined) return keyAt?.length === 32
  // An uncompressed point of the curve: 4, x, y.
  return asText(first) === curve && keyAt?.length === 1 + 2 * Math.ceil(Number(curve.slice(5)) / 8) && keyAt[0] === 4
}

/** OpenSSH's RequiredRSASize. */
const leastRsaBits = 1024

function smallRsa(type: KeyType, [, modulus]: readonly Uint8Array[]): KeyRefusal | undefined {
  if (type !== 'ssh-rsa' || modulus === undefined || bitsOf(modulus) >= leastRsaBits) return undefined
  return { message: `an RSA key of ${bitsOf(modulus)} bits; OpenSSH accepts none below ${leastRsaBits}` }
}

function bitsOf(number: Uint8Array | undefined): number {
  const from = number?.findIndex((byte) => byte !== 0) ?? -1
  if (number === undefined || from === -1) return 0
  return (number.length - from) * 8 - (Math.clz32(number[from] ?? 0) - 24)
}

/** Reads SSH's length-prefixed strings; undefined if the last one is incomplete. */
function partsOf(blob: Uint8Array): readonly Uint8Array[] | undefined {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength)
  const found: Uint8Array[] = []
  for (let at = 0; at < blob.length; ) {
    if (at + 4 > blob.length) return undefined
    const end = at + 4 + view.getUint32(at)
    if (end > blob.length) return undefined
    found.push(blob.subarray(at + 4, end))
    at = end
  }
  return found
}

function asText(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString('latin1')
}

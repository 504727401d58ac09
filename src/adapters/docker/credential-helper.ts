import { spawn } from 'node:child_process'
import type { CredentialHelper } from '../../ports/credentials.ts'
import { PortError } from '../../ports/errors.ts'

/** What Docker itself writes for a token that belongs to no user. */
const userName = '<token>'
const notFound = /credentials not found/i
const maxOutputBytes = 64 * 1024

/** `docker-credential-NAME` on PATH, spoken to as Docker does: the verb as its argument, everything else on standard input. */
export function credentialHelper(name: string): CredentialHelper {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name)) throw new PortError('Invalid', `"${name}" is no credential helper's name`)
  const program = `docker-credential-${name}`
  const must = async (verb: string, input: string): Promise<void> => {
    const { code, said } = await run(program, verb, input)
    if (code !== 0 && !(verb === 'erase' && notFound.test(said))) throw refused(program, verb, said)
  }
  return {
    store: (url, secret) => must('store', JSON.stringify({ ServerURL: url, Username: userName, Secret: secret })),
    erase: (url) => must('erase', url),
    async get(url) {
      const { code, said } = await run(program, 'get', url)
      if (code !== 0 && notFound.test(said)) return undefined
      if (code !== 0) throw refused(program, 'get', said)
      return secretIn(program, said)
    },
  }
}

/** What a helper prints may hold a secret, so an error carries its words only where it refused. */
function refused(program: string, verb: string, said: string): PortError {
  return new PortError('Unavailable', `${program} ${verb}: ${said.trim().slice(0, 500) || 'it failed and did not say why'}`)
}

function secretIn(program: string, said: string): string {
  try {
    const { Secret } = JSON.parse(said) as { Secret?: unknown }
    if (typeof Secret === 'string' && Secret !== '') return Secret
  } catch {
    // Said below: the text may hold a secret, which JSON.parse's own message would quote.
  }
  throw new PortError('Unavailable', `${program} get answered with something else than a credential`)
}

function run(program: string, verb: string, input: string): Promise<{ readonly code: number | null; readonly said: string }> {
  return new Promise((resolve, reject) => {
    // Some helpers ask their user for a passphrase on the terminal, so standard error stays what it is.
    const child = spawn(program, [verb], { stdio: ['pipe', 'pipe', 'inherit'] })
    let said = ''
    child.stdout.setEncoding('utf8')
    child.stdout.on('data', (text: string) => {
      if (said.length < maxOutputBytes) said += text
    })
    child.once('error', (error) =>
      reject(new PortError('Unavailable', `${program}, Docker's credential helper, cannot be started: ${error.message}`)),
    )
    child.once('close', (code) => resolve({ code, said }))
    child.stdin.on('error', () => child.stdin.destroy())
    child.stdin.end(input)
  })
}

import { spawn } from 'node:child_process'
import type { CredentialHelper } from '../../ports/credentials.ts'
import { PortError } from '../../ports/errors.ts'

/** Docker's user name for a token without a user. */
const userName = '<token>'
const notFound = /credentials not found/i
const maxOutputBytes = 64 * 1024

/** Runs `docker-credential-NAME` from PATH as Docker does: the verb is its argument, everything else is standard input. */
export function credentialHelper(name: string): CredentialHelper {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name)) throw new PortError('Invalid', `"${name}" is not a valid credential helper name`)
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

/** A helper's output may contain a secret, so an error only quotes it if the helper failed. */
function refused(program: string, verb: string, said: string): PortError {
  return new PortError('Unavailable', `${program} ${verb}: ${said.trim().slice(0, 500) || 'it failed without a message'}`)
}

function secretIn(program: string, said: string): string {
  try {
    const { Secret } = JSON.parse(said) as { Secret?: unknown }
    if (typeof Secret === 'string' && Secret !== '') return Secret
  } catch {
    // The error below replaces that of JSON.parse, which would quote the text and could reveal a secret.
  }
  throw new PortError('Unavailable', `${program} get returned no valid credential`)
}

function run(program: string, verb: string, input: string): Promise<{ readonly code: number | null; readonly said: string }> {
  return new Promise((resolve, reject) => {
    // Some helpers ask for a passphrase on the terminal, so standard error is inherited.
    const child = spawn(program, [verb], { stdio: ['pipe', 'pipe', 'inherit'] })
    let said = ''
    child.stdout.setEncoding('utf8')
    child.stdout.on('data', (text: string) => {
      if (said.length < maxOutputBytes) said += text
    })
    child.once('error', (error) =>
      reject(new PortError('Unavailable', `${program} (Docker's credential helper) could not be started: ${error.message}`)),
    )
    child.once('close', (code) => resolve({ code, said }))
    child.stdin.on('error', () => child.stdin.destroy())
    child.stdin.end(input)
  })
}

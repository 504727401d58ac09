import type { Command } from 'commander'
import type { Verb } from '../inspect/verbs.ts'
import type { ConnectionPorts } from './connection.ts'
import type { Login } from './login.ts'
import { done, type Outcome } from '../output/outcome.ts'

export interface LoginVerbPorts {
  readonly connection: () => Promise<Pick<ConnectionPorts, 'open' | 'discover'>>
  /** Stores the login so that only its owner can read it. Resolves with the place, for people. */
  readonly storeLogin: (login: Login) => Promise<string>
  /** Resolves with false if there was no login. */
  readonly forgetLogin: () => Promise<boolean>
  readonly standardInput: () => Promise<string>
}

interface LoginOptions {
  readonly server?: string
  readonly fingerprint?: string
}

/** `login` and `logout`. */
export function loginVerbs(vm: Command, ports: LoginVerbPorts, verb: Verb): void {
  vm.command('login')
    .description("store the controller's address, certificate and token for later commands")
    .option('--server <url>', 'https://HOST[:PORT] of the controller (default: found through the Swarm)')
    .option('--fingerprint <sha256>', 'SHA-256 of its certificate, as printed by install (default: read from the Swarm)')
    .requiredOption('--token-stdin', 'read the API token from standard input')
    .action(verb((options: LoginOptions) => login(ports, options)))
  vm.command('logout')
    .description('delete the login of this Docker context')
    .action(verb(async () => done((await ports.forgetLogin()) ? 'logged out\n' : 'not logged in\n')))
}

/** Tries the login before storing it. */
async function login(ports: LoginVerbPorts, options: LoginOptions): Promise<Outcome> {
  const { fingerprintOf, serverOf, tokenOf } = await import('./login.ts')
  const { firstThatAnswers } = await import('./connection.ts')
  // Invalid arguments are reported before any request.
  const given = {
    server: options.server === undefined ? undefined : serverOf(options.server),
    fingerprint: options.fingerprint === undefined ? undefined : fingerprintOf(options.fingerprint),
    token: tokenOf(await ports.standardInput()),
  }
  const connection = await ports.connection()
  const found = given.server === undefined || given.fingerprint === undefined ? await connection.discover() : undefined
  const fingerprint = given.fingerprint ?? found?.fingerprint
  if (fingerprint === undefined) throw new Error(noFingerprint)
  const trusted = { fingerprint, token: given.token }
  const { server, release } = await firstThatAnswers(
    connection.open,
    trusted,
    given.server === undefined ? (found?.servers ?? []) : [given.server],
  )
  return done(`logged in to ${server} (swarmvirt ${release}); stored in ${await ports.storeLogin({ server, ...trusted })}\n`)
}

const noFingerprint =
  'cannot read the certificate fingerprint from the Swarm (the secret has no label swarmvirt.fingerprint); use --fingerprint with the value that install printed'

import { systemClock } from '../adapters/process/system-clock.ts'
import { resolve } from 'node:path'
import { release } from '../api/release.ts'
import { messageOf } from '../api/error-message.ts'
import type { ManifestText } from '../ports/manifest-texts.ts'
import type { SourceSnapshot } from '../api/manifest/source-documents.ts'
import type { ControllerApi } from '../ports/controller-api.ts'
import type { DockerCli } from '../ports/docker-cli.ts'
import { type CliConfig, readConfig } from './config.ts'
import type { ConnectionPorts } from './login/connection.ts'
import { dockerEndpoint, type DockerGlobals, dockerGlobals } from './docker-globals.ts'
import type { LoginPorts } from './login/login-store.ts'
import type { Outcome } from './output/outcome.ts'
import { type CliPorts, completeWords, description, run } from './program.ts'
import { tooOldNode } from './runtime.ts'
import type { LiveOutput } from './inspect/watch.ts'

const metadata = { SchemaVersion: '0.1.0', Vendor: 'swarmvirt', Version: release, ShortDescription: description }

// Modules are imported where they are used, so that a verb does not load what only others need.

/** Context of one CLI call: Docker's own flags, and the configuration from them and the environment. */
interface Session {
  readonly globals: DockerGlobals
  readonly config: CliConfig
}

function portsOf(session: Session): CliPorts {
  return {
    async install(options) {
      const { runInstall } = await import('./install.ts')
      return runInstall(await installPorts(session), options)
    },
    readManifests,
    readTexts,
    async writing() {
      const { randomBytes } = await import('node:crypto')
      const { documentTexts } = await import('../adapters/manifest/document-texts.ts')
      const { manifestReader } = await import('../adapters/manifest/manifest-yaml.ts')
      const reader = manifestReader()
      return {
        docker: await docker(session),
        split: documentTexts,
        readConfig: (name, text) => reader('configs', name, new TextEncoder().encode(text)),
        randomHex: () => randomBytes(4).toString('hex'),
        declared: async (vm) => (await (await connect(session)).vm(vm))?.declared,
      }
    },
    async explainer() {
      const { explainer } = await import('./offline/explain.ts')
      const { fieldSuggester } = await import('../adapters/manifest/suggest.ts')
      return explainer(fieldSuggester())
    },
    async publicKeyLines() {
      const { publicKeyLines } = await import('../adapters/operator/public-keys.ts')
      return publicKeyLines(session.config.sshDirectory)
    },
    connect: () => connect(session),
    connection: () => connection(session),
    async storeLogin(login) {
      const { storeLogin } = await import('./login/login-store.ts')
      return (await storeLogin(await loginPorts(session), login)) ?? session.config.loginFile
    },
    async forgetLogin() {
      const { forgetLogin } = await import('./login/login-store.ts')
      return forgetLogin(await loginPorts(session))
    },
    vmNames: () => vmNames(session),
    async standardInput() {
      const { standardInput } = await import('../adapters/operator/standard-input.ts')
      return new TextDecoder().decode(await standardInput())
    },
    async yaml() {
      const { yamlText } = await import('../adapters/manifest/yaml-text.ts')
      return yamlText
    },
    liveOutput,
    nowMs: () => systemClock.now(),
    after: (ms) => AbortSignal.timeout(ms),
  }
}

function liveOutput(): LiveOutput {
  const closed = new AbortController()
  process.stdout.once('error', () => closed.abort(new Error('standard output is closed')))
  return { write: (text) => void process.stdout.write(text), closed: closed.signal }
}

async function docker({ globals, config }: Session): Promise<DockerCli> {
  const { dockerCli } = await import('../adapters/docker/docker-cli.ts')
  return dockerCli(config.dockerProgram, globals.args)
}

async function loginPorts({ globals, config }: Session): Promise<LoginPorts> {
  const { readLoginFile, writeLoginFile } = await import('../adapters/operator/login-file.ts')
  const { readDockerConfig } = await import('../adapters/docker/docker-config.ts')
  const { credentialHelper } = await import('../adapters/docker/credential-helper.ts')
  const { currentContext, credsStore, credHelpers } = await readDockerConfig(config.dockerConfig)
  return {
    endpoint: dockerEndpoint(globals, config.endpoint, currentContext),
    readFile: () => readLoginFile(config.loginFile),
    writeFile: (text) => writeLoginFile(config.loginFile, text),
    helperOf: (host) => credHelpers?.[host] ?? credsStore,
    helper: credentialHelper,
  }
}

async function connection(session: Session): Promise<ConnectionPorts> {
  const { controllerClient } = await import('../adapters/controller-api/controller-client.ts')
  const { storedLogin, moveLogin } = await import('./login/login-store.ts')
  return {
    storedLogin: async () => storedLogin(await loginPorts(session)),
    open: (login, timeoutMs) => controllerClient({ ...login, ...(timeoutMs === undefined ? {} : { timeoutMs }) }),
    async discover() {
      const { discover } = await import('./login/discovery.ts')
      return discover(await docker(session))
    },
    moved: async (server) => moveLogin(await loginPorts(session), server),
  }
}

async function connect(session: Session): Promise<ControllerApi> {
  const { connected } = await import('./login/connection.ts')
  return connected(await connection(session))
}

/** Long enough for a healthy controller, short enough for a user who pressed Tab. */
const completionMs = 1_000

async function vmNames(session: Session): Promise<readonly string[]> {
  try {
    const { storedLogin, open } = await connection(session)
    const login = await storedLogin()
    return login === undefined ? [] : (await open(login, completionMs).vms()).map((vm) => vm.name)
  } catch {
    // Completion stays silent. The verb itself reports the error.
    return []
  }
}

async function installPorts(session: Session) {
  const { randomBytes } = await import('node:crypto')
  const { selfSignedCertificate } = await import('../adapters/controller-api/certificate.ts')
  const { systemClock } = await import('../adapters/process/system-clock.ts')
  return {
    docker: await docker(session),
    material: async () => {
      const certificate = await selfSignedCertificate('swarmvirt', new Date(systemClock.now()))
      return {
        controlKey: `k1:${randomBytes(32).toString('hex')}\n`,
        apiKeyPem: certificate.keyPem,
        apiCertificatePem: certificate.certificatePem,
        fingerprint: certificate.fingerprint,
        apiToken: randomBytes(32).toString('base64url'),
        metricsToken: randomBytes(32).toString('base64url'),
      }
    },
  }
}

async function readManifests(paths: readonly string[]): Promise<readonly SourceSnapshot[]> {
  return (await readWith(paths, () => undefined)).snapshots
}

/** The content comes from the validated bytes, since a file may change between two reads. */
async function readTexts(paths: readonly string[]) {
  const { documentTexts } = await import('../adapters/manifest/document-texts.ts')
  const files: { readonly file: string; readonly texts: readonly ManifestText[] }[] = []
  const { snapshots } = await readWith(paths, (file, bytes) => files.push({ file, texts: documentTexts(new TextDecoder().decode(bytes)) }))
  return { snapshots, files }
}

async function readWith(paths: readonly string[], onFile: (file: string, bytes: Uint8Array) => void) {
  const { manifestReader } = await import('../adapters/manifest/manifest-yaml.ts')
  const reader = manifestReader()
  const seen = new Set<string>()
  const readText: typeof reader = (source, file, bytes) => {
    // A file counts once, even if it is named twice or is also in a named directory.
    const path = resolve(file)
    if (seen.has(path)) return []
    seen.add(path)
    onFile(file, bytes)
    return reader(source, file, bytes)
  }
  const snapshots: SourceSnapshot[] = []
  for (const path of paths) {
    if (path === '-') {
      const { standardInput } = await import('../adapters/operator/standard-input.ts')
      const documents = readText('stdin', '<stdin>', await standardInput())
      snapshots.push({ source: 'stdin', complete: true, message: '', documents })
    } else {
      const { readManifests } = await import('../adapters/directory/manifest-directory.ts')
      snapshots.push(await readManifests(path, readText))
    }
  }
  return { snapshots }
}

function write(outcome: Outcome): void {
  process.exitCode = outcome.exit
  process.stderr.write(outcome.err)
  process.stdout.write(outcome.out)
}

/**
 * Docker calls a plugin as `docker-vm [FLAGS] vm ARGS…`. A person calls `docker-vm [FLAGS] ARGS…`. Docker's completion adds `__complete` in front.
 */
async function called(argv: readonly string[]): Promise<Outcome> {
  const completion = argv[0] === '__complete' || argv[0] === '__completeNoDesc'
  try {
    const { globals, rest } = dockerGlobals(completion ? argv.slice(1) : argv)
    const ports = portsOf({ globals, config: readConfig(globals.config) })
    return await (completion ? completeWords(rest, argv[0] === '__complete', ports) : run(rest, ports))
  } catch (error) {
    return { exit: 2, out: '', err: `error: ${messageOf(error)}\n` }
  }
}

async function main(argv: readonly string[]): Promise<void> {
  // A closed output (`| head`) is not an error.
  process.stdout.on('error', () => process.stdout.destroy())
  if (argv[0] === 'docker-cli-plugin-metadata') return void process.stdout.write(`${JSON.stringify(metadata)}\n`)
  const tooOld = tooOldNode(process.versions.node)
  write(tooOld === undefined ? await called(argv) : { exit: 2, out: '', err: `error: ${tooOld}\n` })
}

void main(process.argv.slice(2))

import { release } from '../api/release.ts'
import type { SourceSnapshot } from '../ports/manifest-source.ts'
import type { ControllerApi } from '../ports/controller-api.ts'
import { readConfig } from './config.ts'
import type { Login } from './login.ts'
import type { Outcome } from './outcome.ts'
import { type CliPorts, description, run } from './program.ts'

const metadata = { SchemaVersion: '0.1.0', Vendor: 'swarmvirt', Version: release, ShortDescription: description }

// Each import stands where it is needed: a verb must not wait for what another one uses.
const ports: CliPorts = {
  async install(options) {
    const { runInstall } = await import('./install.ts')
    return runInstall(await installPorts(), options)
  },
  readManifests,
  async explainer() {
    const { explainer } = await import('./explain.ts')
    const { fieldSuggester } = await import('../adapters/manifest/suggest.ts')
    return explainer(fieldSuggester())
  },
  async publicKeyLines() {
    const { publicKeyLines } = await import('../adapters/public-keys.ts')
    return publicKeyLines(readConfig().sshDirectory)
  },
  async connect() {
    const { readLoginFile } = await import('../adapters/login-file.ts')
    const { parseLogin } = await import('./login.ts')
    const text = await readLoginFile(readConfig().loginFile)
    if (text === undefined) throw new Error('not logged in: docker vm login --server https://MANAGER --fingerprint SHA256 --token-stdin')
    return connectWith(parseLogin(text))
  },
  connectWith,
  async keepLogin(login) {
    const { loginFile } = readConfig()
    const { writeLoginFile } = await import('../adapters/login-file.ts')
    await writeLoginFile(loginFile, `${JSON.stringify(login, null, 2)}\n`)
    return loginFile
  },
  async standardInput() {
    const { standardInput } = await import('../adapters/standard-input.ts')
    return new TextDecoder().decode(await standardInput())
  },
  async yaml() {
    const { yamlText } = await import('../adapters/manifest/yaml-text.ts')
    return yamlText
  },
}

async function connectWith(login: Login): Promise<ControllerApi> {
  const { controllerClient } = await import('../adapters/controller-client.ts')
  return controllerClient(login)
}

async function installPorts() {
  const { randomBytes } = await import('node:crypto')
  const { selfSignedCertificate } = await import('../adapters/certificate.ts')
  const { dockerCli } = await import('../adapters/docker-cli.ts')
  const { systemClock } = await import('../adapters/system-clock.ts')
  return {
    docker: dockerCli(),
    material: async () => {
      const certificate = await selfSignedCertificate('swarmvirt', new Date(systemClock.now()))
      return {
        controlKey: `k1:${randomBytes(32).toString('hex')}\n`,
        apiKeyPem: certificate.keyPem,
        apiCertificatePem: certificate.certificatePem,
        fingerprint: certificate.fingerprint,
        apiToken: randomBytes(32).toString('base64url'),
      }
    },
  }
}

async function readManifests(paths: readonly string[]): Promise<readonly SourceSnapshot[]> {
  const { manifestReader } = await import('../adapters/manifest-yaml.ts')
  const readText = manifestReader()
  const snapshots: SourceSnapshot[] = []
  for (const path of paths) {
    if (path === '-') {
      const { standardInput } = await import('../adapters/standard-input.ts')
      const documents = readText('stdin', '<stdin>', await standardInput())
      snapshots.push({ source: 'stdin', complete: true, message: '', documents })
    } else {
      const { readManifests } = await import('../adapters/manifest-directory.ts')
      snapshots.push(await readManifests(path, readText))
    }
  }
  return snapshots
}

function write(outcome: Outcome): void {
  process.exitCode = outcome.exit
  process.stderr.write(outcome.err)
  process.stdout.write(outcome.out)
}

async function main(argv: readonly string[]): Promise<void> {
  // Who reads no further (`| head`) has seen enough.
  process.stdout.on('error', () => process.stdout.destroy())
  if (argv[0] === 'docker-cli-plugin-metadata') return void process.stdout.write(`${JSON.stringify(metadata)}\n`)
  // Docker calls a plugin as `docker-vm vm ARGS…`; a person calls `docker-vm ARGS…`.
  write(await run(argv[0] === 'vm' ? argv.slice(1) : argv, ports))
}

void main(process.argv.slice(2))

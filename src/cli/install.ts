import { objectLabels } from '../api/labels.ts'
import type { DockerCli } from '../ports/docker-cli.ts'
import { done, type Outcome } from './outcome.ts'

/** Swarm secrets of an installation, by what they hold. Swarm never gives a secret back, so they are made where the operator sits. */
const installSecrets = {
  /** Lines `ID:HEX64`; the pre-shared key of controller and agents. */
  controlKey: 'swarmvirt-control-key',
  apiKey: 'swarmvirt-api-key',
  apiCertificate: 'swarmvirt-api-cert',
  apiToken: 'swarmvirt-api-token',
} as const

interface InstallMaterial {
  readonly controlKey: string
  readonly apiKeyPem: string
  readonly apiCertificatePem: string
  readonly fingerprint: string
  readonly apiToken: string
}

interface InstallResult {
  /** What was made now; empty on a second run. */
  readonly made: readonly string[]
  /** Only when they were made now: a secret cannot be read back. */
  readonly token: string | undefined
  readonly fingerprint: string | undefined
}

/** What `install` says, and what it does (see `install` below). */
export async function runInstall(
  ports: { readonly docker: DockerCli; readonly material: () => Promise<InstallMaterial> },
  options: { readonly network: string; readonly subnet: string; readonly output: string },
): Promise<Outcome> {
  const result = await install(ports.docker, ports.material, { name: options.network, subnet: options.subnet })
  if (options.output === 'json') return done(`${JSON.stringify(result)}\n`)
  const made = result.made.map((one) => `made ${one}\n`).join('')
  if (result.token === undefined) return done(made === '' ? 'everything is there already; nothing was changed\n' : made)
  return done(`${made}\nAPI token (shown once, keep it): ${result.token}\nCertificate fingerprint (SHA-256): ${result.fingerprint}\n`)
}

/**
 * Makes the secrets and the guests' overlay where they are missing and touches what is there: a second run changes nothing.
 * Key, certificate and token belong together, so a part of them without the rest is refused rather than mixed.
 */
async function install(
  docker: DockerCli,
  makeMaterial: () => Promise<InstallMaterial>,
  network: { readonly name: string; readonly subnet: string },
): Promise<InstallResult> {
  const missing = await missingSecrets(docker)
  const made: string[] = []
  const material = missing.length > 0 ? await makeMaterial() : undefined
  if (material) {
    const contents: Record<string, string> = {
      [installSecrets.controlKey]: material.controlKey,
      [installSecrets.apiKey]: material.apiKeyPem,
      [installSecrets.apiCertificate]: material.apiCertificatePem,
      [installSecrets.apiToken]: material.apiToken,
    }
    for (const name of missing) {
      const labels = [`${objectLabels.component}=install`, ...(name === installSecrets.apiCertificate ? [fingerprintLabel(material)] : [])]
      await docker.run(['secret', 'create', ...labels.flatMap((label) => ['--label', label]), name, '-'], contents[name] ?? '')
      made.push(`secret ${name}`)
    }
  }
  if (await makeNetwork(docker, network)) made.push(`network ${network.name}`)
  return { made, token: material?.apiToken, fingerprint: material?.fingerprint }
}

/** A certificate is public. Whoever may read it here has proven to Docker who he is, so `login` needs nobody to carry it. */
function fingerprintLabel(material: InstallMaterial): string {
  return `${objectLabels.fingerprint}=${material.fingerprint}`
}

async function missingSecrets(docker: DockerCli): Promise<readonly string[]> {
  const present = new Set((await docker.run(['secret', 'ls', '--format', '{{.Name}}'])).split('\n'))
  const missing = Object.values(installSecrets).filter((name) => !present.has(name))
  const all = Object.values(installSecrets).length
  if (missing.length > 0 && missing.length < all) {
    throw new Error(
      `only some of swarmvirt's secrets exist; missing: ${missing.join(', ')}. Remove the others (docker secret rm) and run this again`,
    )
  }
  return missing
}

/** A /20, since a full overlay leaves tasks in New with no error; DNS round robin is set on the services. */
async function makeNetwork(docker: DockerCli, network: { readonly name: string; readonly subnet: string }): Promise<boolean> {
  const names = (await docker.run(['network', 'ls', '--filter', 'driver=overlay', '--format', '{{.Name}}'])).split('\n')
  if (names.includes(network.name)) return false
  await docker.run(['network', 'create', '--driver', 'overlay', '--subnet', network.subnet, network.name])
  return true
}

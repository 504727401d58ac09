import { objectLabels } from '../api/labels.ts'
import { userNetworkConfig } from '../api/user-network.ts'
import type { DockerCli } from '../ports/docker-cli.ts'
import { done, oneOf, type Outcome } from './output/outcome.ts'

/** Swarm secrets of an installation, by content. Swarm never returns a secret's value, so they are created on the operator's machine. */
const installSecrets = {
  /** Lines `ID:HEX64`: the pre-shared keys of controller and agents. */
  controlKey: 'swarmvirt-control-key',
  apiKey: 'swarmvirt-api-key',
  apiCertificate: 'swarmvirt-api-cert',
  apiToken: 'swarmvirt-api-token',
} as const
/** Created on request. The controller then requires it for metrics. */
const metricsTokenSecret = 'swarmvirt-metrics-token'

interface InstallMaterial {
  readonly controlKey: string
  readonly apiKeyPem: string
  readonly apiCertificatePem: string
  readonly fingerprint: string
  readonly apiToken: string
  readonly metricsToken: string
}

interface InstallResult {
  /** Objects that this run created. Empty on a second run. */
  readonly made: readonly string[]
  /** Only set if it was created now, since a secret cannot be read back. */
  readonly token: string | undefined
  readonly fingerprint: string | undefined
  /** The token for metrics, like `token`. */
  readonly metricsToken: string | undefined
  /** Existing objects that should change and cannot be changed in place, with instructions. */
  readonly warnings: readonly string[]
}

export interface InstallOptions {
  readonly network: string
  readonly userNetwork: string
  readonly subnet: string
  readonly metricsToken?: boolean
  readonly output: string
}

/** Runs `install` and formats its result. */
export async function runInstall(
  ports: { readonly docker: DockerCli; readonly material: () => Promise<InstallMaterial> },
  options: InstallOptions,
): Promise<Outcome> {
  // Validated before anything is created, since the tokens are shown once.
  const output = oneOf('--output', ['text', 'json'], options.output)
  const result = await install(ports.docker, ports.material, options)
  if (output === 'json') return done(`${JSON.stringify(result)}\n`)
  const made = result.made.map((one) => `created ${one}\n`).join('')
  const tokens = [
    ...(result.token === undefined
      ? []
      : [`API token (shown once, keep it): ${result.token}\nCertificate fingerprint (SHA-256): ${result.fingerprint}\n`]),
    ...(result.metricsToken === undefined ? [] : [`Metrics token (shown once, keep it): ${result.metricsToken}\n`]),
  ]
  const said = made === '' ? 'everything exists already; nothing was changed\n' : made
  return { exit: 0, out: [said, ...tokens].join('\n'), err: result.warnings.map((one) => `warning: ${one}\n`).join('') }
}

/**
 * Creates missing secrets and the guests' overlay, and keeps existing ones: a second run changes nothing. Key, certificate and token belong together,
 * so an incomplete set is rejected.
 */
async function install(docker: DockerCli, makeMaterial: () => Promise<InstallMaterial>, options: InstallOptions): Promise<InstallResult> {
  const present = await presentSecrets(docker)
  const missing = missingSecrets(present)
  const wantsMetricsToken = options.metricsToken === true && !present.has(metricsTokenSecret)
  const made: string[] = []
  const material = missing.length > 0 || wantsMetricsToken ? await makeMaterial() : undefined
  if (material !== undefined && missing.length > 0) {
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
  if (material !== undefined && wantsMetricsToken) {
    await docker.run(['secret', 'create', '--label', `${objectLabels.component}=install`, metricsTokenSecret, '-'], material.metricsToken)
    made.push(`secret ${metricsTokenSecret}`)
  }
  if (await makeNetwork(docker, options)) made.push(`network ${options.network}`)
  if (await makeUserNetwork(docker, options.userNetwork)) made.push(`network ${options.userNetwork}`)
  const warnings = [
    ...((await isInternal(docker, options.network)) ? [] : [openNetwork(options.network)]),
    ...((await isFiltered(docker, options.userNetwork)) ? [] : [unfilteredNetwork(options.userNetwork)]),
  ]
  const ofApi = missing.length > 0 ? material : undefined
  return {
    made,
    token: ofApi?.apiToken,
    fingerprint: ofApi?.fingerprint,
    metricsToken: wantsMetricsToken ? material?.metricsToken : undefined,
    warnings,
  }
}

/** A certificate is public. Access to Docker authenticates the reader of this label, so `login` needs no manual fingerprint. */
function fingerprintLabel(material: InstallMaterial): string {
  return `${objectLabels.fingerprint}=${material.fingerprint}`
}

async function presentSecrets(docker: DockerCli): Promise<ReadonlySet<string>> {
  return new Set((await docker.run(['secret', 'ls', '--format', '{{.Name}}'])).split('\n'))
}

function missingSecrets(present: ReadonlySet<string>): readonly string[] {
  const missing = Object.values(installSecrets).filter((name) => !present.has(name))
  const all = Object.values(installSecrets).length
  if (missing.length > 0 && missing.length < all) {
    throw new Error(
      `only some of swarmvirt's secrets exist; missing: ${missing.join(', ')}. Remove the others (docker secret rm), then run this command again`,
    )
  }
  return missing
}

/**
 * An internal network, so that Docker does not attach tasks to `docker_gwbridge`, through which they could reach every port of their node. A /20,
 * since a full overlay leaves tasks in New without an error. The services set DNS round robin.
 */
async function makeNetwork(docker: DockerCli, { network, subnet }: InstallOptions): Promise<boolean> {
  const names = (await docker.run(['network', 'ls', '--filter', 'driver=overlay', '--format', '{{.Name}}'])).split('\n')
  if (names.includes(network)) return false
  await docker.run(['network', 'create', '--driver', 'overlay', '--internal', '--subnet', subnet, network])
  return true
}

/** A network of the Swarm with the settings that each node has for itself, so that tasks can name it. */
async function makeUserNetwork(docker: DockerCli, network: string): Promise<boolean> {
  const names = (await docker.run(['network', 'ls', '--filter', 'scope=swarm', '--format', '{{.Name}}'])).split('\n')
  if (names.includes(network)) return false
  await docker.run(['network', 'create', '--scope', 'swarm', '--driver', 'bridge', '--config-from', userNetworkConfig, network])
  return true
}

async function isFiltered(docker: DockerCli, network: string): Promise<boolean> {
  return (await docker.run(['network', 'inspect', '--format', '{{.ConfigFrom.Network}}', network])).trim() === userNetworkConfig
}

function unfilteredNetwork(network: string): string {
  return `network ${network} is not made from ${userNetworkConfig}, so the nodes do not filter what VMs behind NAT send. Remove it and run this command again`
}

async function isInternal(docker: DockerCli, network: string): Promise<boolean> {
  return (await docker.run(['network', 'inspect', '--format', '{{.Internal}}', network])).trim() === 'true'
}

/** Release 0.1 created the network this way, and Docker cannot change a network in place. */
function openNetwork(network: string): string {
  return `network ${network} is not internal, so the task of a VM can reach the ports of its node. To move to another network:
  docker vm install --network swarmvirt-vms --subnet 10.202.0.0/20
  SWARMVIRT_GUESTS_NETWORK=swarmvirt-vms docker stack deploy …   # as you deployed before; restarts no VM
  a VM moves at its next start: set runStrategy: Halted and back, or apply an edit that restarts it
  docker network rm ${network}                         # once no VM uses it`
}

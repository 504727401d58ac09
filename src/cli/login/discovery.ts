import { objectLabels } from '../../api/labels.ts'
import { controllerApiPort } from '../../api/wire/controller-api.ts'
import type { DockerCli } from '../../ports/docker-cli.ts'
import { PortError } from '../../ports/errors.ts'

/** Where the controller is, as the Swarm says. */
export interface Discovered {
  /** `https://HOST:PORT`, the likeliest first; which of them can be reached from here is to be tried. */
  readonly servers: readonly string[]
  /** SHA-256 of the certificate that the controller was given; undefined where its secret does not say. */
  readonly fingerprint: string | undefined
}

interface Service {
  readonly ID: string
  readonly Spec: { readonly TaskTemplate: { readonly ContainerSpec?: { readonly Secrets?: readonly SecretReference[] | null } } }
  readonly Endpoint?: { readonly Ports?: readonly { readonly TargetPort: number; readonly PublishedPort?: number }[] | null }
}
interface SecretReference {
  readonly SecretID: string
  readonly File?: { readonly Name: string }
}
interface Node {
  readonly Description: { readonly Hostname: string }
  readonly Status: { readonly Addr?: string }
  readonly ManagerStatus?: { readonly Addr?: string } | null
}

/** What the stack file calls the certificate inside the controller, whatever the secret's own name is. */
const certificateFile = 'swarmvirt-api-cert'

/** Asks the Swarm over the operator's own connection to Docker. Throws PortError where there is no controller or Docker does not answer. */
export async function discover(docker: DockerCli): Promise<Discovered> {
  const service = await controllerService(docker)
  const port = service.Endpoint?.Ports?.find((one) => one.TargetPort === controllerApiPort)?.PublishedPort ?? controllerApiPort
  const hosts = [...(await nodeAddresses(docker, service.ID)), ...(await endpointHost(docker))]
  const servers = [...new Set(hosts)].map((host) => `https://${host.includes(':') ? `[${host}]` : host}:${port}`)
  return { servers, fingerprint: await fingerprintOf(docker, service) }
}

async function controllerService(docker: DockerCli): Promise<Service> {
  const label = `label=${objectLabels.component}=controller`
  const ids = lines(await docker.run(['service', 'ls', '--filter', label, '--format', '{{.ID}}']))
  const [id, ...more] = ids
  if (id === undefined) throw new PortError('NotFound', 'no swarmvirt controller in this Swarm; check the Docker context')
  if (more.length > 0)
    throw new PortError('Invalid', `${ids.length} swarmvirt controllers in this Swarm; choose one with --server and --fingerprint`)
  const [service] = JSON.parse(await docker.run(['service', 'inspect', id])) as Service[]
  if (service === undefined) throw new PortError('NotFound', `the controller's service ${id} is gone`)
  return service
}

async function nodeAddresses(docker: DockerCli, service: string): Promise<readonly string[]> {
  const args = ['service', 'ps', '--no-resolve', '--no-trunc', '--filter', 'desired-state=running', '--format', '{{.Node}}', service]
  const ids = [...new Set(lines(await docker.run(args)))]
  if (ids.length === 0) throw new PortError('Unavailable', 'the controller has no running task; check docker service ps of its service')
  const nodes = JSON.parse(await docker.run(['node', 'inspect', ...ids])) as Node[]
  // The leader may know itself by an address that leads nowhere; what managers call each other by is right then.
  return nodes.flatMap((node) => [node.Status.Addr, hostOf(node.ManagerStatus?.Addr)].flatMap((one) => (isUsable(one) ? [one] : [])))
}

function isUsable(address: string | undefined): address is string {
  return (
    address !== undefined && address !== '' && address !== '0.0.0.0' && address !== '::' && address !== '::1' && !address.startsWith('127.')
  )
}

/** `10.0.0.1:2377`, `[fd00::1]:2377`. */
function hostOf(address: string | undefined): string | undefined {
  return address?.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
}

/** The manager that Docker talks to may run the controller under a name that leads there where node addresses do not, as behind a VPN or with ssh. */
async function endpointHost(docker: DockerCli): Promise<readonly string[]> {
  const [endpoint = ''] = lines(await docker.run(['context', 'inspect', '--format', '{{.Endpoints.docker.Host}}']))
  if (/^(?:unix|npipe|fd):/.test(endpoint)) return ['127.0.0.1']
  const host = URL.parse(endpoint)?.hostname ?? ''
  return host === '' ? [] : [host.replace(/^\[|\]$/g, '')]
}

async function fingerprintOf(docker: DockerCli, service: Service): Promise<string | undefined> {
  const used = service.Spec.TaskTemplate.ContainerSpec?.Secrets?.find((one) => one.File?.Name === certificateFile)
  if (used === undefined) return undefined
  const labels = JSON.parse(await docker.run(['secret', 'inspect', '--format', '{{json .Spec.Labels}}', used.SecretID])) as Record<
    string,
    string
  > | null
  return labels?.[objectLabels.fingerprint]
}

function lines(text: string): readonly string[] {
  return text.split('\n').filter((line) => line !== '')
}

import { objectLabels } from '../../api/labels.ts'
import { controllerApiPort } from '../../api/wire/controller-api.ts'
import type { DockerCli } from '../../ports/docker-cli.ts'
import { PortError } from '../../ports/errors.ts'

/** The controller's location from the Swarm. */
export interface Discovered {
  /** `https://HOST:PORT`, most likely first. The caller tries which ones are reachable. */
  readonly servers: readonly string[]
  /** SHA-256 of the controller's certificate. Undefined if its secret has no label for it. */
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

/** The certificate's file name in the stack file, for any name of the secret. */
const certificateFile = 'swarmvirt-api-cert'

/** Asks the Swarm through the operator's Docker connection. Throws PortError if there is no controller or Docker is not responding. */
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
  // The leader may report an unusable address of itself. The address that other managers use is correct then.
  return nodes.flatMap((node) => [node.Status.Addr, hostOf(node.ManagerStatus?.Addr)].flatMap((one) => (isUsable(one) ? [one] : [])))
}

function isUsable(address: string | undefined): address is string {
  return (
    address !== undefined && address !== '' && address !== '0.0.0.0' && address !== '::' && address !== '::1' && !address.startsWith('127.')
  )
}

/** Parses `10.0.0.1:2377` and `[fd00::1]:2377`. */
function hostOf(address: string | undefined): string | undefined {
  return address?.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
}

/** The host of Docker's endpoint, which may run the controller. Its name can work where node addresses do not, such as behind a VPN or with ssh. */
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

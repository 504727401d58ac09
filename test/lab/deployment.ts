/** swarmvirt on a lab, deployed the way an operator does it: `docker vm install`, install-node on every node, the stack file. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { VmView } from '../../src/api/wire/controller-api.ts'
import { buildGuest } from './guests/build-guest.ts'
import type { Lab } from './lab.ts'
import { run } from './run.ts'

const repository = join(import.meta.dirname, '..', '..')
export const clusterName = 'lab'
const stackName = 'swarmvirt'

export interface Deployment {
  readonly lab: Lab
  readonly manifests: string
  readonly token: string
  /** GET of the status API, through the management network of the manager; undefined body where it is no JSON. */
  api(path: string, token?: string): Promise<{ readonly status: number; readonly body: unknown }>
  /** Undefined where the API says 404 or does not answer yet. */
  vm(name: string): Promise<VmView | undefined>
  /** Writes a manifest as an atomic rename, as editors and pipelines do. */
  writeManifest(file: string, text: string): void
  removeManifest(file: string): void
  undeploy(): Promise<void>
}

interface Credentials {
  readonly token: string
  readonly fingerprint: string
}

/** Services that the lab deploys in addition to `deploy/stack.yaml`. */
interface StackVariant {
  readonly files: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

const plainStack: StackVariant = { files: ['deploy/stack.yaml'], env: {} }

/** Deploys, or takes what is deployed. Idempotent; `report` gets a line per step. */
export async function deploy(
  lab: Lab,
  images: readonly string[],
  report: (line: string) => void,
  variant: StackVariant = plainStack,
): Promise<Deployment> {
  const [controllerImage, nodeImage] = images
  if (controllerImage === undefined || nodeImage === undefined) throw new Error('the lab gave no images')
  const manifests = manifestDirectory(lab)
  mkdirSync(manifests, { recursive: true })
  report('putting the guest image into every node’s images directory')
  await prepareNodes(lab, nodeImage, report)
  report('making secrets and the guests’ network (docker vm install)')
  const credentials = await install(lab)
  report('deploying controller and agents (docker stack deploy)')
  await deployStack(lab, { controllerImage, nodeImage, manifests, variant })
  return deployment(lab, manifests, credentials)
}

/** The stack that `deploy` deployed on this lab before, for another process. */
export function openDeployment(lab: Lab): Deployment {
  const credentials = JSON.parse(readFileSync(credentialsFile(lab), 'utf8')) as Credentials
  return deployment(lab, manifestDirectory(lab), credentials)
}

function credentialsFile(lab: Lab): string {
  return join(lab.node('n1').dir, 'credentials.json')
}

function manifestDirectory(lab: Lab): string {
  return join(lab.node('n1').dir, 'manifests')
}

async function prepareNodes(lab: Lab, image: string, report: (line: string) => void): Promise<void> {
  const guest = await buildGuest('tiny')
  const uefi = await buildGuest('tiny-uefi')
  await Promise.all(
    lab.nodes.map(async (node) => {
      const protect = lab.nodes.flatMap((one) => ['--protect', one.bridgeIp, '--protect', one.dmzIp, '--protect', one.managementIp])
      // One node has a broker without the capability that direct NICs need.
      const direct = node.name === 'n2' ? [] : ['--enable-direct', '--allow-device', 'eth1']
      const bridges = ['--allow-bridge', 'br0', '--allow-bridge', 'br1', ...direct]
      const done = await lab.exec(node.name, [
        'sh',
        join(repository, 'deploy/node/install-node.sh'),
        '--image',
        image,
        ...bridges,
        ...protect,
      ])
      if (done.code !== 0) throw new Error(`install-node on ${node.name}: ${done.stderr}`)
      const images = join(node.stateRoot, 'images')
      putImage(images, guest.path, 'tiny.qcow2')
      putImage(images, uefi.path, 'tiny-uefi.qcow2')
      const directory = dirname(uefi.path)
      putImage(images, join(directory, 'tiny-signed.qcow2'), 'tiny-signed.qcow2')
      for (const part of ['vmlinuz', 'initrd']) putImage(images, join(directory, part), `tiny-${part}`)
      report(`${node.name}: ${done.stdout.trim()}`)
    }),
  )
}

/** Puts a file into an images directory in one step, so that no agent reads half of it. */
function putImage(directory: string, from: string, name: string): void {
  const partial = join(directory, `.${name}.partial`)
  copyFileSync(from, partial)
  renameSync(partial, join(directory, name))
}

async function install(lab: Lab): Promise<Credentials> {
  const kept = credentialsFile(lab)
  const socket = lab.node('n1').dockerSocket
  const env = { ...process.env, DOCKER_HOST: `unix://${socket}` }
  const result = await run([process.execPath, join(repository, 'src/cli/main.ts'), 'install', '--output', 'json'], { env })
  if (result.code !== 0) throw new Error(`docker vm install: ${result.stderr}`)
  const made = JSON.parse(result.stdout) as { token?: string; fingerprint?: string }
  if (made.token !== undefined && made.fingerprint !== undefined) {
    writeFileSync(kept, JSON.stringify({ token: made.token, fingerprint: made.fingerprint }), { mode: 0o600 })
  } else if (!existsSync(kept)) {
    throw new Error('the secrets exist, but their token was not kept: take the lab down and up again')
  }
  return JSON.parse(readFileSync(kept, 'utf8')) as Credentials
}

interface StackParts {
  readonly controllerImage: string
  readonly nodeImage: string
  readonly manifests: string
  readonly variant: StackVariant
}

async function deployStack(lab: Lab, what: StackParts): Promise<void> {
  await lab.mustDocker('n1', ['node', 'update', '--label-add', 'swarmvirt.manifests=true', 'n1'])
  const gid = (await lab.exec('n1', ['stat', '-c', '%g', '/var/run/docker.sock'])).stdout.trim()
  const files = what.variant.files.flatMap((file) => ['-c', join(repository, file)])
  await lab.mustDocker('n1', ['stack', 'deploy', '--resolve-image', 'never', ...files, stackName], {
    env: {
      ...process.env,
      DOCKER_HOST: `unix://${lab.node('n1').dockerSocket}`,
      SWARMVIRT_IMAGE: what.controllerImage,
      SWARMVIRT_NODE_IMAGE: what.nodeImage,
      SWARMVIRT_MANIFESTS: what.manifests,
      SWARMVIRT_CLUSTER: clusterName,
      // The machine that carries the lab may have no KVM that guests can use; on a real cluster this is a choice.
      SWARMVIRT_SOFTWARE_EMULATION: 'true',
      SWARMVIRT_REMOVAL_GRACE_S: '5',
      SWARMVIRT_ALLOW_IMAGE_HOSTS: lab.wwwAddress,
      DOCKER_GID: gid,
      ...what.variant.env,
    },
  })
}

function deployment(lab: Lab, manifests: string, credentials: Credentials): Deployment {
  const api: Deployment['api'] = (path, token = credentials.token) => apiGet(lab, path, token, credentials.fingerprint)
  return {
    lab,
    manifests,
    token: credentials.token,
    api,
    async vm(name) {
      const answer = await api(`/api/v1/vms/${name}`).catch(() => undefined)
      return answer?.status === 200 ? (answer.body as VmView) : undefined
    },
    writeManifest(file, text) {
      const partial = join(manifests, `.${file}.partial`)
      writeFileSync(partial, text)
      renameSync(partial, join(manifests, file))
    },
    removeManifest: (file) => rmSync(join(manifests, file), { force: true }),
    async undeploy() {
      await lab.mustDocker('n1', ['stack', 'rm', stackName])
    },
  }
}

async function apiGet(lab: Lab, path: string, token: string, fingerprint: string): Promise<{ status: number; body: unknown }> {
  const answer = await lab.httpGet('mgmt', `https://${lab.node('n1').managementIp}:9471${path}`, { token, fingerprint })
  return { status: answer.status, body: JSON.parse(answer.body) as unknown }
}

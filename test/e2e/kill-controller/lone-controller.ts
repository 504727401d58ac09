/** The controller of the deployment as a process of this one: the same program, environment and secrets, and a Docker socket of our choice. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Deployment } from '../../lab/deployment.ts'
import { httpGetter } from '../../lab/http-getter.ts'
import { until } from '../../lab/run.ts'

const service = 'swarmvirt_controller'
const secrets = ['control-key', 'api-key', 'api-cert', 'api-token'] as const

export interface LoneController {
  /** Starts it; the one before must have ended. */
  start(): void
  /** SIGKILL, at once. */
  kill(): void
  ended(): Promise<void>
  /** GET of the API or of the other listener, from inside its own network. Throws when nothing answers. */
  get(what: 'api' | 'metrics', path: string): Promise<{ readonly status: number; readonly body: string }>
  /** Its log since its last start. */
  log(): string
  /** Ends it and, where it took over, has the Swarm run one again. */
  giveBack(): Promise<void>
}

/** Takes over from the stack's controller, or runs beside it. `docker` is a socket as n1 sees it. */
export async function loneController(
  deployment: Deployment,
  docker: string,
  env: Readonly<Record<string, string>>,
  role: 'instead' | 'beside' = 'instead',
): Promise<LoneController> {
  const { lab } = deployment
  const directory = mkdtempSync(join(lab.node('n1').dir, 'lone-'))
  const taken = await copyController(deployment, directory)
  const scale = async (replicas: 0 | 1): Promise<void> => {
    if (role === 'instead') await lab.mustDocker('n1', ['service', 'scale', '--detach=false', `${service}=${replicas}`])
  }
  await scale(0)
  // On the control overlay, which nothing but tasks can join: in the network namespace of n1's agent.
  const agent = await pidOf(deployment, 'swarmvirt_agent')
  const inside = ['nsenter', `--net=/proc/${agent}/ns/net`, '--']
  const settings = { ...taken, ...env, SWARMVIRT_DOCKER: `unix://${docker}`, SWARMVIRT_MANIFESTS: deployment.manifests }
  const argv = [...inside, 'env', '-i', ...Object.entries(settings).map(([key, value]) => `${key}=${value}`)]
  const httpGet = httpGetter((program) => lab.spawnIn('n1', [...inside, ...program], { stdio: ['pipe', 'pipe', 'ignore'] }))
  let child: ChildProcess | undefined
  let log = ''
  // One for each start, since it is waited for at every change.
  let end: Promise<unknown> = Promise.resolve()
  const ended = async (): Promise<void> => void (await end)

  return {
    start() {
      log = ''
      // Every program before the last one gives way to the next by exec: the pid is the controller's.
      child = lab.spawnIn('n1', [...argv, process.execPath, join(directory, 'controller.cjs')], { stdio: ['ignore', 'pipe', 'pipe'] })
      end = once(child, 'exit')
      const keep = (chunk: Buffer): void => void (log += chunk.toString('utf8'))
      child.stdout?.on('data', keep)
      child.stderr?.on('data', keep)
    },
    kill: () => void child?.kill('SIGKILL'),
    ended,
    async get(what, path) {
      const url = what === 'api' ? `https://127.0.0.1:9471${path}` : `http://127.0.0.1:9470${path}`
      return httpGet(url, { token: deployment.token })
    },
    log: () => log,
    async giveBack() {
      child?.kill('SIGKILL')
      await ended()
      await scale(1)
      rmSync(directory, { recursive: true })
    },
  }
}

/** Copies program and secrets of the running controller. Gives its environment. */
async function copyController(deployment: Deployment, directory: string): Promise<Readonly<Record<string, string>>> {
  const root = `/proc/${await pidOf(deployment, service)}/root`
  copyFileSync(join(root, 'opt/swarmvirt/controller.cjs'), join(directory, 'controller.cjs'))
  const files: Record<string, string> = {}
  for (const name of secrets) {
    copyFileSync(join(root, 'run/secrets', `swarmvirt-${name}`), join(directory, name))
    files[`SWARMVIRT_${name.toUpperCase().replaceAll('-', '_')}_FILE`] = join(directory, name)
  }
  const environ = readFileSync(`${root}/proc/1/environ`, 'utf8').split('\0')
  const own = Object.fromEntries(environ.filter((one) => one.startsWith('SWARMVIRT_')).map((one) => split(one)))
  return { ...own, ...files }
}

function split(assignment: string): [string, string] {
  const at = assignment.indexOf('=')
  return [assignment.slice(0, at), assignment.slice(at + 1)]
}

/** First process of the service's container on n1. */
function pidOf({ lab }: Deployment, name: string): Promise<number> {
  return until(`a container of ${name} on n1`, 60_000, async () => {
    const id = (await lab.mustDocker('n1', ['ps', '--quiet', '--filter', `label=com.docker.swarm.service.name=${name}`])).trim()
    if (id === '' || id.includes('\n')) return undefined
    const pid = Number(await lab.mustDocker('n1', ['inspect', '--format', '{{.State.Pid}}', id]))
    return pid > 0 ? pid : undefined
  })
}

/** Until it has read nodes and manifests, and reconciled every VM. */
export function firstPass(controller: LoneController): Promise<true> {
  return until('the first pass', 20_000, async () => ((await controller.get('metrics', '/readyz')).status === 200 ? true : undefined), 50)
}

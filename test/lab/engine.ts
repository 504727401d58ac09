/** One dockerd per node, with its own data, its own /run, and containers in the node's cgroup. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isCgroupV2 } from './cgroups.ts'
import { inHolder, logTail, startDaemon } from './daemons.ts'
import { type LabLayout, type NodeLayout, registryAddress } from './layout.ts'
import { isAlive, processNow, readRecord, signal } from './processes.ts'
import { must, type RunOptions, type RunResult, run, say, until } from './run.ts'

/** Code of the answer to a GET; 0 when nobody answers. */
export function getStatus(socketPath: string, path: string): Promise<number> {
  return new Promise((resolve) => {
    const call = request({ socketPath, path, timeout: 2_000 }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    call.on('timeout', () => call.destroy())
    call.on('error', () => resolve(0))
    call.end()
  })
}

/** A Docker client with nobody's configuration, context or credentials. */
export function dockerArgv(socket: string, args: readonly string[]): string[] {
  return ['docker', '-H', `unix://${socket}`, ...args]
}

export function dockerEnv(layout: LabLayout): NodeJS.ProcessEnv {
  const { DOCKER_HOST: _host, DOCKER_CONTEXT: _context, ...env } = process.env
  return { ...env, DOCKER_CONFIG: join(layout.dir, 'docker-config'), DOCKER_BUILDKIT: '0', DOCKER_CLI_HINTS: 'false' }
}

export function docker(layout: LabLayout, socket: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return run(dockerArgv(socket, args), { env: dockerEnv(layout), ...options })
}

/** Longer than anything that the lab asks of it: a command of Docker's that hangs is to fail with its own name. */
const hungMs = 240_000

export function mustDocker(layout: LabLayout, socket: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  return must(dockerArgv(socket, args), { env: dockerEnv(layout), timeoutMs: hungMs, ...options })
}

/** Flags that every dockerd of the lab shares. Paths are as the node sees them, where /run is its own. */
export function dockerdArgv(dataRoot: string, configFile: string, cgroup: string): string[] {
  return [
    'dockerd',
    '--config-file',
    configFile,
    '--data-root',
    dataRoot,
    '--exec-root',
    '/run/docker',
    '--pidfile',
    '/run/docker.pid',
    '--host',
    'unix:///run/docker.sock',
    '--cgroup-parent',
    `/${cgroup}`,
    '--storage-driver',
    'overlay2',
    ...(isCgroupV2() ? ['--exec-opt', 'native.cgroupdriver=cgroupfs'] : []),
  ]
}

/** Waits until a dockerd answers. @throws with the end of its log as soon as the process ends. */
export async function waitForDockerd(layout: LabLayout, job: string, socket: string): Promise<void> {
  // It ends what it finds running before it answers, and all nodes may do that at once.
  await until(`${job} to answer`, 90_000, async () => {
    if ((await getStatus(socket, '/_ping')) === 200) return true
    return readRecord(layout, job) === undefined ? false : undefined
  }).then((up) => {
    if (!up) throw new Error(`${job} ended:\n${logTail(layout, job)}`)
  })
}

/** Starts the node's dockerd and waits until it answers; does nothing when it runs. */
export async function startDockerd(layout: LabLayout, node: NodeLayout): Promise<void> {
  const job = `${node.name}.dockerd`
  if (readRecord(layout, job) === undefined) {
    mkdirSync(node.dataRoot, { recursive: true })
    const configFile = join(node.dir, 'daemon.json')
    if (!existsSync(configFile)) writeFileSync(configFile, `${JSON.stringify({ 'insecure-registries': [registryAddress] })}\n`)
    const argv = dockerdArgv(node.dataRoot, configFile, node.cgroup)
    startDaemon(layout, { job, cgroup: `${node.cgroup}/host`, argv: inHolder(layout, node.name, argv) })
  }
  await waitForDockerd(layout, job, node.dockerSocket)
}

/** Ends the node's dockerd and waits until it is gone. Containers' shims outlive a SIGKILL. */
export async function killDockerd(layout: LabLayout, node: NodeLayout, how: NodeJS.Signals): Promise<void> {
  const id = readRecord(layout, `${node.name}.dockerd`)
  if (id === undefined) return
  signal(id, how)
  const end = performance.now() + 60_000
  while (isAlive(id)) {
    if (performance.now() > end) throw new Error(`dockerd of ${node.name} still runs 60 s after ${how}`)
    await sleep(20)
  }
  await forgetContainerd(node)
  // dockerd takes a pid file for a running daemon when its number is in use again.
  rmSync(join(node.runDir, 'docker.pid'), { force: true })
}

/**
 * Waits for the end of the containerd that dies with its dockerd, and removes its pid file: the next dockerd would wait in
 * vain for a containerd whose pid exists, as it does until a machine's first process has collected it.
 */
async function forgetContainerd(node: NodeLayout): Promise<void> {
  const pidFile = join(node.runDir, 'docker', 'containerd', 'containerd.pid')
  if (!existsSync(pidFile)) return
  const id = processNow(Number(readFileSync(pidFile, 'utf8')))
  if (id !== undefined) await until(`containerd of ${node.name} to end`, 10_000, async () => (isAlive(id) ? undefined : true), 10)
  rmSync(pidFile, { force: true })
}

/** Starts dockerd; when it does not come up on what an earlier run left, starts it on nothing. */
export async function startDockerdOrWipe(layout: LabLayout, node: NodeLayout): Promise<void> {
  try {
    await startDockerd(layout, node)
  } catch (error) {
    say(`dockerd on ${node.name} refuses the kept images, starting with none (${(error as Error).message.split('\n').at(-1)})`)
    await killDockerd(layout, node, 'SIGKILL')
    rmSync(node.dataRoot, { recursive: true, force: true })
    await startDockerd(layout, node)
  }
}

/** Forgets swarm, containers, networks and volumes, and keeps the images, which take long to load. */
export function keepOnlyImages(node: NodeLayout): void {
  if (!existsSync(node.dataRoot)) return
  for (const name of readdirSync(node.dataRoot)) {
    if (name !== 'image' && name !== 'overlay2') rmSync(join(node.dataRoot, name), { recursive: true, force: true })
  }
  const mounts = join(node.dataRoot, 'image', 'overlay2', 'layerdb', 'mounts')
  if (!existsSync(mounts)) return
  for (const name of readdirSync(mounts)) {
    for (const file of ['mount-id', 'init-id']) removeLayer(node, join(mounts, name, file))
    rmSync(join(mounts, name), { recursive: true, force: true })
  }
}

/** A container's own layer: the directory that the file names, and the short link to it. */
function removeLayer(node: NodeLayout, idFile: string): void {
  if (!existsSync(idFile)) return
  const dir = join(node.dataRoot, 'overlay2', readFileSync(idFile, 'utf8').trim())
  const link = join(dir, 'link')
  if (existsSync(link)) rmSync(join(node.dataRoot, 'overlay2', 'l', readFileSync(link, 'utf8').trim()), { force: true })
  rmSync(dir, { recursive: true, force: true })
}

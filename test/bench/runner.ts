/**
 * The cost of a VM compared with bare QEMU in the same image, with the same accelerator, in the same run: container start → QMP ready, and
 * memory.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import type { NodeView } from '../../src/api/wire/controller-api.ts'
import { manifest, waitReady } from '../e2e/support.ts'
import { type Deployment, deploy } from '../lab/deployment.ts'
import { type Lab, labUp } from '../lab/lab.ts'
import { say, until } from '../lab/run.ts'

const vms = ['bench-1', 'bench-2', 'bench-3', 'bench-4'] as const
const rounds = 7
const aims = { startMs: 160, memoryMiB: 32 }

export async function benchRunner(): Promise<void> {
  const lab = await labUp('bench', { fresh: true })
  try {
    const deployment = await deploy(lab, lab.images, say)
    // A paused node starts no agent, and a node that was never asked may hold a disk.
    await until('every agent', 120_000, async () => ((await agentsAnswer(deployment)) === lab.nodes.length ? true : undefined), 500)
    // All on one node, so that agent and broker are shared by four VMs.
    for (const node of ['n2', 'n3']) await lab.mustDocker('n1', ['node', 'update', '--availability', 'pause', node])
    for (const name of vms) deployment.writeManifest(`${name}.yaml`, manifest(name))
    for (const name of vms) await waitReady(deployment, name, 240_000)
    printMemory(await memoryOn(lab))
    for (const name of vms) deployment.writeManifest(`${name}.yaml`, manifest(name, { runStrategy: 'Halted' }))
    await until('the VMs to halt', 120_000, async () => ((await runners(lab)).length === 0 ? true : undefined), 500)
    deployment.writeManifest(`${vms[0]}.yaml`, manifest(vms[0]))
    await waitReady(deployment, vms[0])
    await startTimes(lab)
  } finally {
    await lab.down()
  }
}

async function agentsAnswer(deployment: Deployment): Promise<number> {
  const { nodes } = (await deployment.api('/api/v1/nodes')).body as { nodes: NodeView[] }
  return nodes.filter((node) => node.facts?.broker != null && node.labels['vm-capable'] === 'true').length
}

interface Start {
  readonly startedMs: number
  readonly readyMs: number
}

/** Interleaved, so that whatever else the machine does falls on both. */
async function startTimes(lab: Lab): Promise<void> {
  const bare: number[] = []
  const ours: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    bare.push(await bareStart(lab))
    ours.push(await runnerStart(lab))
  }
  const line = (name: string, values: readonly number[]): string =>
    `  ${name.padEnd(12)}median ${median(values).toFixed(0)} ms  (${values.map((value) => value.toFixed(0)).join(' ')})\n`
  process.stdout.write(`\ncontainer start → QMP ready, ${rounds} rounds interleaved\n${line('bare QEMU', bare)}${line('runner', ours)}`)
  const beyond = median(ours) - median(bare)
  const ratio = median(ours) / median(bare)
  process.stdout.write(
    `  beyond bare: ${beyond.toFixed(0)} ms, ratio ${ratio.toFixed(2)} (aim: at most ${aims.startMs} ms beyond) ${verdict(beyond, aims.startMs)}\n`,
  )
}

/** QEMU alone in the node image. Its QMP greeting on stdout is the first line of its log. */
async function bareStart(lab: Lab): Promise<number> {
  const image = lab.images[1] ?? ''
  const qemu = ['-machine', 'pc-q35-10.0', '-accel', 'tcg', '-cpu', 'max', '-m', '192', '-nodefaults', '-no-user-config']
  const more = ['-display', 'none', '-S', '-chardev', 'stdio,id=qmp', '-mon', 'chardev=qmp,mode=control']
  const options = [
    'run',
    '--detach',
    '--interactive',
    '--network',
    'none',
    '--user',
    '30702:30700',
    '--cap-drop',
    'ALL',
    '--read-only',
    '--memory',
    '400m',
    '--entrypoint',
    'qemu-system-x86_64',
  ]
  const id = (await lab.mustDocker('n1', [...options, image, ...qemu, ...more])).trim()
  try {
    const start = await startOf(lab, id, /"QMP"/)
    return start.readyMs - start.startedMs
  } finally {
    await lab.mustDocker('n1', ['rm', '--force', id])
  }
}

async function runnerStart(lab: Lab): Promise<number> {
  const before = (await runners(lab))[0]?.id
  await lab.mustDocker('n1', ['service', 'update', '--force', '--detach', '--quiet', `vm-${vms[0]}`])
  const id = await until('the next container', 120_000, async () => {
    const now = await runners(lab)
    return now.length === 1 && now[0]?.id !== before ? now[0]?.id : undefined
  })
  const start = await startOf(lab, id, /QEMU is ready/)
  return start.readyMs - start.startedMs
}

/** dockerd's own times of the container's start and of the log line, on one clock. */
async function startOf(lab: Lab, id: string, wanted: RegExp): Promise<Start> {
  const readyMs = await until('QMP', 60_000, async () => {
    const logs = await lab.docker('n1', ['logs', '--timestamps', id])
    const line = `${logs.stdout}\n${logs.stderr}`.split('\n').find((one) => wanted.test(one))
    return line === undefined ? undefined : Date.parse(line.slice(0, line.indexOf(' ')))
  })
  const startedMs = Date.parse((await lab.mustDocker('n1', ['inspect', '--format', '{{.State.StartedAt}}', id])).trim())
  return { startedMs, readyMs }
}

async function runners(lab: Lab): Promise<readonly { id: string; pid: number }[]> {
  return containers(lab, (name) => name.startsWith('vm-'))
}

async function containers(lab: Lab, wanted: (name: string) => boolean): Promise<readonly { id: string; pid: number }[]> {
  const listed = await lab.mustDocker('n1', ['ps', '--no-trunc', '--format', '{{.ID}} {{.Names}}'])
  const ids = listed.split('\n').flatMap((line) => {
    const [id = '', name = ''] = line.split(' ')
    return id !== '' && wanted(name) ? [id] : []
  })
  return Promise.all(
    ids.map(async (id) => ({ id, pid: Number((await lab.mustDocker('n1', ['inspect', '--format', '{{.State.Pid}}', id])).trim()) })),
  )
}

interface Memory {
  readonly qemuMiB: readonly number[]
  readonly runnerMiB: readonly number[]
  readonly agentMiB: number
  readonly brokerMiB: number
}

async function memoryOn(lab: Lab): Promise<Memory> {
  const found = await runners(lab)
  const [agent] = await containers(lab, (name) => name.startsWith('swarmvirt_agent'))
  const [broker] = await containers(lab, (name) => name === 'swarmvirt-broker')
  // Docker's init, the runner, QEMU.
  const runnerPids = found.flatMap(({ pid }) => childrenOf(pid))
  const qemus = runnerPids.flatMap((pid) => childrenOf(pid).filter((child) => readlinkSync(`/proc/${child}/exe`).includes('qemu-system')))
  return {
    qemuMiB: qemus.map(pssMiB),
    runnerMiB: found.map(({ pid }) => pssMiB(pid) + childrenOf(pid).reduce((sum, child) => sum + pssMiB(child), 0)),
    agentMiB: pssMiB(agent?.pid ?? 0),
    brokerMiB: pssMiB(broker?.pid ?? 0),
  }
}

function childrenOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
      .split(' ')
      .filter((one) => one !== '')
      .map(Number),
  )
}

/** Proportional set size: what is shared counts in parts, so the figures of all processes add up. */
function pssMiB(pid: number): number {
  const line = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))
  return Number(line?.[1] ?? 0) / 1024
}

function printMemory(memory: Memory): void {
  const list = (values: readonly number[]): string => values.map((value) => value.toFixed(1)).join(' ')
  const perVm = mean(memory.runnerMiB) + (memory.agentMiB + memory.brokerMiB) / memory.runnerMiB.length
  process.stdout.write(`\nmemory (PSS) with ${memory.runnerMiB.length} VMs on one node, MiB\n`)
  process.stdout.write(`  bare QEMU   ${list(memory.qemuMiB)}\n  runner      ${list(memory.runnerMiB)}\n`)
  process.stdout.write(`  agent       ${memory.agentMiB.toFixed(1)}\n  broker      ${memory.brokerMiB.toFixed(1)}\n`)
  process.stdout.write(
    `  beyond bare QEMU, per VM, with its share of agent and broker: ${perVm.toFixed(1)} (aim: at most ${aims.memoryMiB}) ${verdict(perVm, aims.memoryMiB)}\n`,
  )
  process.stdout.write(`  of that the runner alone: ${mean(memory.runnerMiB).toFixed(1)}\n`)
}

function verdict(value: number, aim: number): string {
  return value <= aim ? 'met' : 'missed'
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

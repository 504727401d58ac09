import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundle } from '../../../scripts/build-images.ts'
import type { BareSwarm } from '../../lab/bare.ts'
import { writeManifests } from './objects.ts'
import type { ChildConfig, Request } from './protocol.ts'
import type { RawApi } from './raw-api.ts'

export interface Bench {
  readonly swarm: BareSwarm
  readonly api: RawApi
  readonly bundle: string
  /** For files of the run. */
  readonly dir: string
  readonly manifests: string
  readonly vms: number
  readonly rounds: number
  /** Directory for a CPU profile of each controller; undefined for none. */
  readonly profiles: string | undefined
}

/** A controller in a process of its own, from one bundle as in its image. */
export interface UnderTest {
  ask<Answer>(request: Request): Promise<Answer>
  /** From the start of the process to the first complete pass; of an idle one to the end of its imports. */
  readonly startMs: () => Promise<number>
  /** Proportional set size. */
  pssMiB(): number
  stop(): Promise<void>
}

/** As in the default configuration. */
export const resyncMs = 10_000

export async function bundleChild(dir: string): Promise<string> {
  const file = join(dir, 'child.cjs')
  await bundle('test/bench/controller/child.ts', file, [])
  return file
}

export function startController({ bundle, swarm, manifests, profiles }: Bench): UnderTest {
  return startChild(bundle, { mode: 'run', socket: swarm.socket, manifests, resyncMs }, profiles)
}

/** The baseline: the same bundle with everything imported and nothing to do. */
export function startIdle({ bundle, manifests }: Bench): UnderTest {
  return startChild(bundle, { mode: 'idle', socket: '', manifests, resyncMs })
}

/** A controller whose VMs are all Ready. */
export async function settledController(bench: Bench): Promise<UnderTest> {
  writeManifests(bench.manifests, bench.vms)
  const child = startController(bench)
  await child.startMs()
  await child.ask({ kind: 'settled', vms: bench.vms })
  return child
}

/** Flags and environment of the controller's image. */
function asInImage(): { readonly flags: readonly string[]; readonly env: Readonly<Record<string, string>> } {
  const text = readFileSync(join(import.meta.dirname, '../../../deploy/Dockerfile'), 'utf8')
  const [, entry = '[]'] = /^ENTRYPOINT (.*)$/m.exec(text) ?? []
  const command = JSON.parse(entry) as string[]
  const flags = command.slice(command.indexOf('node') + 1, -1)
  const env = [...text.matchAll(/^ENV (.*)$/gm)].flatMap(([, line = '']) =>
    line.split(' ').map((one) => one.split('=') as [string, string]),
  )
  return { flags, env: Object.fromEntries(env) }
}

function startChild(file: string, config: ChildConfig, profiles?: string): UnderTest {
  const spawnedMs = performance.timeOrigin + performance.now()
  const { flags, env } = asInImage()
  const child = fork(file, [JSON.stringify(config)], {
    env: { ...process.env, ...env },
    execArgv: [...flags, ...(profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}`])],
  })
  const waiting = new Map<number, (value: unknown) => void>()
  let ids = 0
  const ready = new Promise<number>((resolve, reject) => {
    child.on('message', (message: { ready?: number; id?: number; value?: unknown }) => {
      if (message.ready !== undefined) resolve(message.ready - spawnedMs)
      if (message.id === undefined) return
      waiting.get(message.id)?.(message.value)
      waiting.delete(message.id)
    })
    child.on('exit', (code, signal) => reject(new Error(`the controller under test ended (${signal ?? code})`)))
  })
  ready.catch(() => undefined)
  const ended = new Promise<never>((_resolve, reject) => {
    child.on('exit', () => reject(new Error('the controller under test ended')))
  })
  ended.catch(() => undefined)
  return {
    startMs: () => ready,
    async ask<Answer>(asked: Request) {
      const id = (ids += 1)
      const answer = new Promise((resolve) => waiting.set(id, resolve))
      child.send({ id, asked })
      return (await Promise.race([answer, ended])) as Answer
    },
    pssMiB: () => Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${child.pid}/smaps_rollup`, 'utf8'))?.[1] ?? Number.NaN) / 1024,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      child.disconnect()
      // A busy child does not notice.
      const late = setTimeout(() => child.kill('SIGKILL'), 5_000)
      await exit
      clearTimeout(late)
    },
  }
}

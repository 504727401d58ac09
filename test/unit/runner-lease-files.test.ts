import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runnerConfig } from '../../runner/config.ts'
import { Stop } from '../../runner/stop.ts'
import { Supervisor, type SupervisorDeps } from '../../runner/supervisor.ts'
import { PortError } from '../../src/ports/errors.ts'
import { fakeConnection, recordingLog, settle, virtualClock } from './runner-fakes.ts'

const recorded = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(import.meta.dirname, '../golden/0.1', name), 'utf8')) as Record<string, unknown>

test('a runner that waited starts QEMU with the slots and sizes that were written before its lease, and their seed', async () => {
  const [launch, identity] = [recorded('launch.json'), recorded('identity.json')]
  const nics = launch['nics'] as readonly { readonly name: string; readonly mac: string }[]
  const files = new Map<string, object>([
    ['/launch.json', launch],
    ['/vm/identity.json', identity],
    ['/vm/nic-slots.json', { version: 1, slots: nics.map(({ name }, index) => ({ name, slot: 2 + index })) }],
  ])
  const seeds: unknown[] = []
  let started: readonly string[] = []
  const { near, far } = fakeConnection()
  const deps = {
    config: runnerConfig(['--vm-dir', '/vm', '--broker-socket', '/broker.sock', '--launch', '/launch.json']),
    hardening: { uid: 30_702, capEff: '0', capBnd: '0', noNewPrivs: true, seccomp: 2 },
    container: undefined,
    brokerSockets: { connect: () => Promise.resolve(near) },
    controlSockets: {
      listen: () => Promise.resolve({ close: () => undefined }),
      connect: () => Promise.reject(new PortError('NotFound', 'nobody')),
    },
    closeFd: () => undefined,
    processes: {
      spawn(_program: string, args: readonly string[]) {
        started = args
        return Promise.reject(new PortError('Invalid', 'enough'))
      },
    },
    files: {
      readText: (path: string) =>
        files.has(path)
          ? Promise.resolve(JSON.stringify(files.get(path)))
          : Promise.reject(Object.assign(new Error('no such file'), { code: 'ENOENT' })),
      replaceText: () => Promise.resolve(),
      inode: (path: string) => Promise.resolve(files.has(path) ? 1 : undefined),
      freeBytes: () => Promise.resolve(1),
    },
    serialLog: { append: () => undefined, settled: () => Promise.resolve() },
    makeSeed(_launch: unknown, of: readonly { readonly slot: number }[]) {
      seeds.push(of.map(({ slot }) => slot))
      return Promise.resolve(`/tmp/seed-${seeds.length}.iso`)
    },
    clock: virtualClock(),
    log: recordingLog(),
    stop: new Stop(),
  }
  const ended = new Supervisor(deps as unknown as SupervisorDeps).run()
  await settle()
  far.give({ type: 'welcome', version: 1, bootId: 'b' })
  far.give({ type: 'waiting', reason: 'NoGrant', message: 'the agent prepares it' })
  await settle()
  files.set('/vm/nic-slots.json', { version: 1, slots: nics.map(({ name }, index) => ({ name, slot: 7 + index })) })
  const granted = nics.map(({ name, mac }, index) => ({ name, mac, tap: `sv00000000000${index}`, bridge: 'br0', mtu: 1500 }))
  far.give(
    { type: 'granted', accelerator: 'tcg', kvm: false, nics: granted, reclaimed: false },
    granted.map((_, index) => 10 + index),
  )
  expect(await ended).toBe('QemuStartFailed')
  const devices = started.filter((one) => one.includes('virtio-net-pci')).map((one) => JSON.parse(one) as { addr: string })
  expect(devices.map(({ addr }) => Number(addr))).toEqual(nics.map((_, index) => 7 + index))
  expect(seeds).toEqual([nics.map((_, index) => 2 + index), nics.map((_, index) => 7 + index)])
  expect(started.join(' ')).toContain('/tmp/seed-2.iso')
})

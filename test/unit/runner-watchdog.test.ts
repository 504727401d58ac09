import { expect, test } from 'vitest'
import { Qemu, type QemuMachine } from '../../runner/qemu.ts'
import { fakeChannel, recordingLog, uid, virtualClock } from './runner-fakes.ts'

const machine: QemuMachine = {
  uid,
  vm: 'web',
  machineType: 'pc-q35-10.0',
  cpu: { cores: 1, model: undefined },
  memoryMiB: 64,
  accelerator: 'tcg',
  kvmFd: undefined,
  disks: [],
  nics: [],
  seedPath: '/tmp/seed.iso',
}

async function aQemu() {
  const monitor = fakeChannel()
  const channels = [monitor, fakeChannel(), fakeChannel()]
  const child = { pid: 1, channels, ended: new Promise<never>(() => undefined), kill: () => undefined }
  const qemu = await Qemu.start(machine, {
    processes: { spawn: async () => child },
    binary: 'qemu',
    maxDiskBytes: 1,
    serialLog: { write: () => undefined } as never,
    onStopped: () => undefined,
    live: () => Promise.reject(new Error('not read here')),
    clock: virtualClock(),
    log: recordingLog(),
  })
  const fires = (action: string): void => monitor.give(`${JSON.stringify({ event: 'WATCHDOG', data: { action } })}\n`)
  return { qemu, fires, quits: () => monitor.written.some((line) => line.includes('"quit"')) }
}

test('a watchdog that resets the guest is reported, and QEMU runs on', async () => {
  const { qemu, fires, quits } = await aQemu()
  expect(qemu.watchdogFiredAt).toBeUndefined()
  fires('reset')
  expect([qemu.watchdogFiredAt, quits()]).toEqual(['2026-01-01T00:00:00.000Z', false])
})

test('for poweroff, QEMU itself does nothing, and the runner quits it so that it flushes its disks', async () => {
  const { qemu, fires, quits } = await aQemu()
  fires('none')
  expect([qemu.watchdogFiredAt, quits()]).toEqual(['2026-01-01T00:00:00.000Z', true])
})

import { expect, test } from 'vitest'
import { layout } from '../../../src/api/layout.ts'
import { maxGrants } from '../../../src/api/wire/broker-admin.ts'
import { RunnerServer, type RunnerServerOptions } from '../../../src/broker/runner-server.ts'
import type { FdConnection } from '../../../src/ports/fd-socket.ts'
import { silentLog, virtualClock } from '../controller/virtual-clock.ts'
import { aUid } from '../../support/branded.ts'
import type { VmUid } from '../../../src/api/names.ts'

const uidOf = (index: number): VmUid => aUid(`11111111-1111-4111-8111-${String(index).padStart(12, '0')}`)

/** A broker with a door for each VM; `call` says whether a runner was let in. */
async function aServer(vms: number) {
  const doors = new Map<string, (connection: FdConnection) => void>()
  const paths = layout('/s')
  const server = new RunnerServer({
    layout: paths,
    sockets: {
      listen: async (path: string, _mode: number, admit: (connection: FdConnection) => void) => {
        doors.set(path, admit)
        return { close: () => undefined }
      },
    },
    directories: { list: async () => Array.from({ length: vms }, (_, index) => uidOf(index)), make: async () => undefined },
    network: {},
    leases: { gone: () => undefined },
    clock: virtualClock(),
    log: silentLog,
    bootId: 'b',
    closeFds: () => undefined,
  } as unknown as RunnerServerOptions)
  await server.start()
  return {
    call(index: number): { readonly letIn: boolean; hangUp(): void } {
      let closed = false
      let onClose: () => void = () => undefined
      const connection = {
        onData: () => undefined,
        onClose: (listener: () => void) => (onClose = listener),
        send: () => undefined,
        close: () => (closed = true),
      }
      doors.get(paths.brokerSocket(uidOf(index)))?.(connection as unknown as FdConnection)
      return { letIn: !closed, hangUp: () => onClose() }
    },
  }
}

test('Every VM that a node may have can be run, and replaced, while others hold all that they may', async () => {
  const server = await aServer(maxGrants)
  const all = Array.from({ length: maxGrants }, (_, index) => index)
  for (const index of all.slice(0, 512)) for (let extra = 0; extra < 20; extra += 1) server.call(index)
  expect(all.slice(512).map((index) => [server.call(index).letIn, server.call(index).letIn])).toEqual(
    all.slice(512).map(() => [true, true]),
  )
})

test('A VM has at most eight connections, and a place that is given back can be taken again', async () => {
  const server = await aServer(1)
  const calls = Array.from({ length: 9 }, () => server.call(0))
  expect(calls.filter((one) => one.letIn)).toHaveLength(8)
  calls[0]?.hangUp()
  expect([server.call(0).letIn, server.call(0).letIn]).toEqual([true, false])
})

test('The places of VMs beyond their own two are limited, and become free again', async () => {
  const server = await aServer(100)
  const calls = Array.from({ length: 100 }, (_, index) => Array.from({ length: 8 }, () => server.call(index))).flat()
  expect(calls.filter((one) => one.letIn)).toHaveLength(2 * 100 + 512)
  for (const one of calls) if (one.letIn) one.hangUp()
  const again = Array.from({ length: 100 }, (_, index) => Array.from({ length: 8 }, () => server.call(index))).flat()
  expect(again.filter((one) => one.letIn)).toHaveLength(2 * 100 + 512)
})

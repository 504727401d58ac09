import { expect, it } from 'vitest'
import { taskLister } from '../../../../src/controller/informer/task-lister.ts'
import { PortError } from '../../../../src/ports/errors.ts'
import type { SwarmTask } from '../../../../src/ports/swarm.ts'
import { virtualClock } from '../virtual-clock.ts'
import { aNodeId } from '../../../support/branded.ts'

function task(serviceId: string, state: string): SwarmTask {
  const nothing = { slot: 1, message: '', error: '', exitCode: undefined, containerId: undefined, addresses: {} }
  return {
    id: `t-${serviceId}`,
    serviceId,
    nodeId: aNodeId('n1'),
    state,
    desiredState: 'running',
    updatedAt: '2026-01-01T00:00:00Z',
    ...nothing,
  }
}

function docker() {
  const clock = virtualClock()
  const state = new Map<string, string>()
  const calls: string[] = []
  let before: Promise<void> = Promise.resolve()
  const lister = taskLister(
    {
      async listTasks({ serviceId }) {
        calls.push(serviceId ?? '*')
        const found = [...state].map(([service, now]) => task(service, now))
        if (serviceId === undefined) await before
        return found.filter((one) => serviceId === undefined || one.serviceId === serviceId)
      },
    },
    clock,
  )
  /** The next lists of all tasks wait for this. */
  const hold = (until: Promise<void>): void => void (before = until)
  const stateOf = async (service: string): Promise<string | undefined> => (await lister.ofService(service))[0]?.state
  const relist = () => lister.relist()
  const invalidate = (service: string) => lister.invalidate(service)
  return { relist, invalidate, clock, state, calls, hold, stateOf }
}

async function burst() {
  const made = docker()
  for (let index = 0; index < 40; index += 1) made.state.set(`s${index}`, 'running')
  for (const service of made.state.keys()) expect(await made.stateOf(service)).toBe('running')
  return made
}

it('answers a burst of questions with one list of all tasks', async () => {
  const { calls, stateOf, clock } = await burst()
  expect(calls.filter((call) => call === '*')).toHaveLength(1)
  expect(calls).toHaveLength(17)
  await clock.pass(1_000)
  await stateOf('s1')
  expect(calls.at(-1)).toBe('s1')
})

it('asks for a service that was invalidated since the list, and lists again for many of them', async () => {
  const { calls, state, stateOf, invalidate } = await burst()
  for (const service of state.keys()) state.set(service, 'failed')
  expect(await stateOf('s1')).toBe('running')
  invalidate('s1')
  expect(await stateOf('s1')).toBe('failed')
  expect(calls.at(-1)).toBe('s1')
  for (let index = 2; index < 18; index += 1) invalidate(`s${index}`)
  expect(await stateOf('s2')).toBe('failed')
  expect(await stateOf('s3')).toBe('failed')
  expect(calls.filter((call) => call === '*')).toHaveLength(2)
  expect(calls.at(-1)).toBe('*')
})

it('asks for a service that was invalidated while the list was in flight', async () => {
  const { state, stateOf, invalidate, relist, hold } = docker()
  state.set('s', 'running')
  let release = (): void => undefined
  hold(new Promise((resolve) => (release = resolve)))
  const listed = relist()
  const asked = stateOf('s')
  state.set('s', 'failed')
  invalidate('s')
  release()
  await listed
  expect(await asked).toBe('failed')
})

it('reads the tasks of the service when the shared list fails', async () => {
  const { state, stateOf, relist, hold } = docker()
  state.set('s', 'running')
  hold(Promise.reject(new PortError('Unavailable', 'no leader')))
  const [listed, asked] = [relist(), stateOf('s')]
  await expect(listed).rejects.toThrow('no leader')
  expect(await asked).toBe('running')
})

it('returns the services whose tasks changed, appeared or disappeared since the last relist', async () => {
  const { state, relist, stateOf } = docker()
  for (const service of ['a', 'b', 'c']) state.set(service, 'running')
  expect(await relist()).toEqual(['a', 'b', 'c'])
  expect(await relist()).toEqual([])
  state.set('a', 'failed')
  state.delete('b')
  state.set('d', 'running')
  await stateOf('a')
  expect((await relist()).toSorted()).toEqual(['a', 'b', 'd'])
})

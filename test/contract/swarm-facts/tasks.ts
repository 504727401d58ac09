import { expect } from 'vitest'
import { objectLabels } from '../../../src/api/labels.ts'
import type { RawSpec, SwarmService, SwarmTask } from '../../../src/ports/swarm.ts'
import {
  aService,
  aSpec,
  change,
  expectRefusal,
  type Fact,
  labelsOf,
  must,
  nodeNamed,
  type Rig,
  setNode,
  tasksOf,
  toReplicas,
  untilTask,
} from './rig.ts'
import { aNodeId } from '../../support/branded.ts'

const nowhere = (nodes: number): string => `scheduling constraints not satisfied on ${nodes} node${nodes === 1 ? '' : 's'}`
const noNode = (why: string): string => `no suitable node (${why})`

function idsOf(tasks: readonly SwarmTask[]): readonly string[] {
  return tasks.map((one) => one.id).toSorted()
}

async function onlyTask(rig: Rig, serviceId: string): Promise<SwarmTask> {
  const tasks = await tasksOf(rig, serviceId)
  expect(tasks).toHaveLength(1)
  return must(tasks[0])
}

/** A task that ends is still desired for a moment. */
function untilEnded(rig: Rig, serviceId: string, state: string): Promise<SwarmTask> {
  return rig.until(`a task that is ${state}`, async () =>
    (await tasksOf(rig, serviceId)).find((one) => one.state === state && one.desiredState === 'shutdown'),
  )
}

/** The VM label of earlier releases; the key of a label contains the complete name. */
const longestName = 63

/** Marks n2 with labels of this name's own, has a service run there, and takes the labels away in the end. */
async function onNode(
  rig: Rig,
  name: string,
  act: (place: Place) => Promise<void>,
  template: RawSpec = {},
  labels: RawSpec = {},
): Promise<void> {
  const key = `swarmvirt.vm.${`${rig.prefix}-${name}`.padEnd(longestName, 'x')}`
  const { labels: held } = await nodeNamed(rig, 'n2')
  const relabel = (more: Record<string, string>): Promise<void> => setNode(rig, 'n2', { ...held, ...more })
  await relabel({ [key]: 'Yes', [`${key}-2`]: 'yes' })
  try {
    const Placement = { Constraints: [`node.labels.${key}==Yes`] }
    const spec = aSpec(rig, name, { Placement, ...template }, { Labels: { ...labelsOf(rig), ...labels } })
    await act({ key, service: await aService(rig, spec), relabel })
  } finally {
    await rig.swarm.removeService(must(await rig.swarm.getService(`${rig.prefix}-${name}`)).id)
    await setNode(rig, 'n2', held, 'active')
  }
}

interface Place {
  readonly key: string
  readonly service: SwarmService
  readonly relabel: (labels: Record<string, string>) => Promise<void>
}

const pending: readonly Fact[] = [
  {
    name: 'a task that no node may take is pending, says why, and stays the same one',
    async holds(rig) {
      const { id } = await aService(rig, aSpec(rig, 'pending'))
      const error = noNode(nowhere(3))
      const task = await rig.until('the scheduler’s word', async () => (await tasksOf(rig, id)).find((one) => one.error !== ''))
      expect(task).toMatchObject({ state: 'pending', desiredState: 'running', message: 'pending task scheduling', error, slot: 1 })
      expect([task.nodeId, task.containerId]).toEqual([undefined, undefined])
      await change(rig, id, (spec) => void (spec.Labels['more'] = 'yes'))
      await rig.quiet()
      expect((await onlyTask(rig, id)).id).toBe(task.id)
    },
  },
  {
    name: 'a pending task that is replaced reads shutdown and stays listed, without a node',
    async holds(rig) {
      const { id } = await aService(rig, aSpec(rig, 'replaced'))
      const first = await untilTask(rig, id, 'pending')
      await change(rig, id, ({ TaskTemplate }) => void (TaskTemplate.ContainerSpec['Env'] = ['A=1']))
      const second = await untilTask(rig, id, 'pending', [first.id])
      const old = await untilEnded(rig, id, 'shutdown')
      expect(old).toMatchObject({ id: first.id, nodeId: undefined, slot: 1, error: '' })
      expect(second.desiredState).toBe('running')
    },
  },
  {
    name: 'a pending task counts its constraints: others start another one',
    async holds(rig) {
      const { id } = await aService(rig, aSpec(rig, 'moved'))
      const first = await untilTask(rig, id, 'pending')
      await change(rig, id, ({ TaskTemplate }) => void (TaskTemplate.Placement.Constraints = [`node.labels.${rig.prefix}-elsewhere==true`]))
      await untilTask(rig, id, 'pending', [first.id])
    },
  },
  {
    name: 'no more than five tasks of a slot are kept',
    async holds(rig) {
      const { id } = await aService(rig, aSpec(rig, 'history'))
      for (let turn = 1; turn <= 7; turn += 1) {
        const before = idsOf(await tasksOf(rig, id))
        await change(rig, id, ({ TaskTemplate }) => void (TaskTemplate.ForceUpdate = turn))
        await untilTask(rig, id, 'pending', before)
      }
      await rig.until('the oldest to go', async () => ((await tasksOf(rig, id)).length === 5 ? true : undefined))
      expect((await tasksOf(rig, id)).filter((one) => one.state === 'pending')).toHaveLength(1)
    },
  },
  {
    name: 'scaled to none a pending task is gone, and scaled back there is another',
    async holds(rig) {
      const { id } = await aService(rig, aSpec(rig, 'scaled'))
      const first = await untilTask(rig, id, 'pending')
      await change(rig, id, toReplicas(0))
      await rig.until('no task', async () => ((await tasksOf(rig, id)).length === 0 ? true : undefined))
      await change(rig, id, toReplicas(1))
      expect((await untilTask(rig, id, 'pending')).id).not.toBe(first.id)
    },
  },
  {
    name: 'a second replica has a slot of its own',
    async holds(rig) {
      const { id } = await aService(rig, aSpec(rig, 'two', {}, { Mode: { Replicated: { Replicas: 2 } } }))
      const tasks = await rig.until('two tasks', async () => {
        const listed = await tasksOf(rig, id)
        return listed.length === 2 ? listed : undefined
      })
      expect(tasks.map((one) => one.slot).toSorted((a, b) => (a ?? 0) - (b ?? 0))).toEqual([1, 2])
    },
  },
  {
    name: 'a paused and a drained node take no new task, and the scheduler counts them apart',
    async holds(rig) {
      const { labels } = await nodeNamed(rig, 'n3')
      try {
        for (const availability of ['pause', 'drain']) {
          await setNode(rig, 'n3', labels, availability)
          expect((await nodeNamed(rig, 'n3')).availability).toBe(availability)
          const { id } = await aService(rig, aSpec(rig, `apart-${availability}`))
          const said = await rig.until('the scheduler’s word', async () => (await tasksOf(rig, id))[0]?.error || undefined)
          expect(said).toBe(noNode(`${nowhere(2)}; 1 node not available for new tasks`))
        }
      } finally {
        await setNode(rig, 'n3', labels, 'active')
      }
    },
  },
]

const much = { memory: { MemoryBytes: 2 ** 50 }, cpu: { NanoCPUs: 2 ** 50 } } as const

/** More than half of what n2 has. */
async function mostOfNode(rig: Rig): Promise<RawSpec> {
  const { memoryBytes } = await nodeNamed(rig, 'n2')
  return { Resources: { Reservations: { MemoryBytes: Math.floor(memoryBytes * 0.6) } } }
}

/** Room on a node is counted by what tasks reserve, not by what they use. */
const room: readonly Fact[] = [
  ...(['memory', 'cpu'] as const).map(
    (kind): Fact => ({
      name: `a task that reserves more ${kind} than a node has is pending, and the scheduler checks that before constraints`,
      async holds(rig) {
        const { id } = await aService(rig, aSpec(rig, `much-${kind}`, { Resources: { Reservations: much[kind] } }))
        const task = await rig.until('the scheduler’s word', async () => (await tasksOf(rig, id)).find((one) => one.error !== ''))
        expect(task).toMatchObject({ state: 'pending', desiredState: 'running', error: noNode('insufficient resources on 3 nodes') })
      },
    }),
  ),
  {
    name: 'what a task reserves is taken until its service is scaled to none, and the one that waits for it runs then',
    async holds(rig) {
      const template = await mostOfNode(rig)
      const act = async ({ key, service }: Place): Promise<void> => {
        await untilTask(rig, service.id, 'running')
        const Placement = { Constraints: [`node.labels.${key}-2==yes`] }
        const { id } = await aService(rig, aSpec(rig, 'room-2', { ...template, Placement }))
        const waiting = await rig.until('the scheduler’s word', async () => (await tasksOf(rig, id)).find((one) => one.error !== ''))
        expect(waiting.error).toBe(noNode(`${nowhere(2)}; insufficient resources on 1 node`))
        await change(rig, service.id, toReplicas(0))
        expect((await untilTask(rig, id, 'running')).id).toBe(waiting.id)
        await rig.swarm.removeService(id)
      }
      await onNode(rig, 'room', act, template)
    },
  },
  {
    name: 'a task is replaced on a node that has room for one of the two',
    async holds(rig) {
      const act = async ({ service: { id } }: Place): Promise<void> => {
        const first = await untilTask(rig, id, 'running')
        await change(rig, id, ({ TaskTemplate }) => void (TaskTemplate.ForceUpdate = 1))
        await untilTask(rig, id, 'running', [first.id])
      }
      await onNode(rig, 'own-room', act, await mostOfNode(rig))
    },
  },
]

const running: readonly Fact[] = [
  {
    name: 'values in constraints compare without case, and a pending task is started by a label',
    holds: (rig) =>
      onNode(rig, 'case', async ({ key, service, relabel }) => {
        await untilTask(rig, service.id, 'running')
        await relabel({})
        const waiting = await untilTask(rig, service.id, 'pending')
        await relabel({ [key]: 'yES' })
        expect((await untilTask(rig, service.id, 'running')).id).toBe(waiting.id)
      }),
  },
  {
    name: 'neither a service label, nor a policy of updates, nor constraints that still match, nor a pause touch a running task',
    holds: (rig) =>
      onNode(rig, 'untouched', async ({ key, service: { id }, relabel }) => {
        const task = await untilTask(rig, id, 'running')
        await change(rig, id, (spec) => void (spec.Labels['more'] = 'yes'))
        await change(rig, id, (spec) => void (spec.UpdateConfig = { Parallelism: 2, Order: 'stop-first' }))
        await change(rig, id, ({ TaskTemplate }) => void (TaskTemplate.Placement.Constraints = [`node.labels.${key}-2==yes`]))
        await rig.quiet()
        // The label that it was placed by may go now: the service's constraints count, and not those that the task was made with.
        await relabel({ [`${key}-2`]: 'yes' })
        const { id: nodeId } = await nodeNamed(rig, 'n2')
        await change(rig, id, ({ TaskTemplate }) => void (TaskTemplate.Placement.Constraints = [`node.id==${nodeId}`]))
        await rig.quiet()
        await relabel({})
        await setNode(rig, 'n2', (await nodeNamed(rig, 'n2')).labels, 'pause')
        await rig.quiet()
        expect(await onlyTask(rig, id)).toMatchObject({ id: task.id, state: 'running', desiredState: 'running', message: 'started' })
      }),
  },
  {
    name: 'a running task whose constraint does not match any more is rejected, and its successor waits',
    holds: (rig) =>
      onNode(rig, 'rejected', async ({ service: { id }, relabel }) => {
        const task = await untilTask(rig, id, 'running')
        await relabel({})
        const rejected = await untilEnded(rig, id, 'rejected')
        expect(rejected).toMatchObject({
          id: task.id,
          state: 'rejected',
          message: 'task rejected by constraint enforcer',
          error: 'assigned node no longer meets constraints',
          nodeId: task.nodeId,
        })
        expect((await untilTask(rig, id, 'pending')).error).toBe(noNode(nowhere(3)))
      }),
  },
  {
    name: 'a rejected task’s container is still up',
    ofContainers: true,
    holds: (rig) =>
      onNode(
        rig,
        'lingers',
        async ({ service: { id }, relabel }) => {
          const task = await untilTask(rig, id, 'running')
          expect(await rig.isUp(task)).toBe(true)
          await relabel({})
          const rejected = await untilTask(rig, id, 'rejected')
          expect(await rig.isUp(rejected)).toBe(true)
          await rig.until('the end of the container', async () => ((await rig.isUp(rejected)) ? undefined : true))
        },
        { ContainerSpec: rig.stubborn },
      ),
  },
  {
    name: 'a removed service is gone and its name is free while its container is still up',
    ofContainers: true,
    async holds(rig) {
      const { id } = await aService(
        rig,
        aSpec(rig, 'removed', { ContainerSpec: rig.stubborn, Placement: { Constraints: ['node.hostname!=none'] } }),
      )
      const task = await untilTask(rig, id, 'running')
      await rig.swarm.removeService(id)
      expect(await rig.swarm.getService(id)).toBeUndefined()
      await expectRefusal(tasksOf(rig, id), 'NotFound', `service ${id} not found`)
      const another = await rig.swarm.createService(aSpec(rig, 'removed'))
      expect(await rig.isUp(task)).toBe(true)
      await rig.swarm.removeService(another)
      await rig.until('the end of the container', async () => ((await rig.isUp(task)) ? undefined : true))
    },
  },
  {
    name: 'restart policy, grace period and a forced update each start another task, and the old one is kept as shutdown',
    holds: (rig) =>
      onNode(rig, 'restarted', async ({ service: { id } }) => {
        const first = await untilTask(rig, id, 'running')
        await change(rig, id, ({ TaskTemplate }) => void (TaskTemplate.RestartPolicy['Delay'] = 600_000_000))
        const second = await untilTask(rig, id, 'running', [first.id])
        await change(rig, id, ({ TaskTemplate }) => void (TaskTemplate.ForceUpdate = 1))
        const third = await untilTask(rig, id, 'running', [first.id, second.id])
        expect(idsOf(await tasksOf(rig, id))).toEqual([first.id, second.id, third.id].toSorted())
        const ended = await rig.until('the first task to end', async () => {
          const one = (await tasksOf(rig, id)).find((task) => task.id === first.id)
          return one?.state === 'shutdown' ? one : undefined
        })
        expect(ended).toMatchObject({ id: first.id, state: 'shutdown', desiredState: 'shutdown', error: '' })
      }),
  },
  {
    name: 'scaled to none a task that ran is not even kept as history, and scaled back another one runs',
    holds: (rig) =>
      onNode(rig, 'halted', async ({ service: { id } }) => {
        const first = await untilTask(rig, id, 'running')
        await change(rig, id, toReplicas(0))
        await rig.until('no task', async () => ((await tasksOf(rig, id)).length === 0 ? true : undefined))
        await change(rig, id, toReplicas(1))
        expect((await untilTask(rig, id, 'running')).id).not.toBe(first.id)
      }),
  },
  {
    name: 'a drained node gives its task up, and has another when it is active again',
    holds: (rig) =>
      onNode(rig, 'drained', async ({ service: { id } }) => {
        const first = await untilTask(rig, id, 'running')
        const { labels } = await nodeNamed(rig, 'n2')
        await setNode(rig, 'n2', labels, 'drain')
        const waiting = await untilTask(rig, id, 'pending')
        expect(waiting.error).toBe(noNode(`${nowhere(2)}; 1 node not available for new tasks`))
        await rig.until('its end', async () => (await tasksOf(rig, id)).find((one) => one.id === first.id && one.state === 'shutdown'))
        await setNode(rig, 'n2', labels, 'active')
        expect((await untilTask(rig, id, 'running')).id).toBe(waiting.id)
      }),
  },
  {
    name: 'a completed task runs again for a change of the template, and for nothing else',
    // No VM has a restart policy under which a task may complete: the simulated containers do not.
    ofRealContainers: true,
    holds: (rig) =>
      onNode(
        rig,
        'completed',
        async ({ key, service: { id } }) => {
          const first = await untilEnded(rig, id, 'complete')
          expect(first).toMatchObject({ message: 'finished', error: '', exitCode: 0 })
          await change(rig, id, (spec) => void (spec.Labels['more'] = 'yes'))
          await change(rig, id, ({ TaskTemplate }) => void (TaskTemplate.Placement.Constraints = [`node.labels.${key}-2==yes`]))
          await rig.quiet()
          expect((await onlyTask(rig, id)).id).toBe(first.id)
          await change(rig, id, ({ TaskTemplate }) => void (TaskTemplate.ContainerSpec['Env'] = ['A=1']))
          await untilTask(rig, id, 'complete', [first.id])
        },
        { ContainerSpec: { Command: ['true'] }, RestartPolicy: { Condition: 'none' } },
      ),
  },
  {
    name: 'a bind mount without its source is rejected by the node, and tried again',
    ofContainers: true,
    holds: (rig) =>
      onNode(
        rig,
        'unmounted',
        async ({ service: { id } }) => {
          const first = await untilTask(rig, id, 'rejected')
          const error = 'invalid mount config for type "bind": bind source path does not exist: /var/lib/swarmvirt/instances/none'
          expect(first).toMatchObject({ error, message: 'preparing' })
          await untilTask(rig, id, 'rejected', [first.id])
        },
        { ContainerSpec: { Mounts: [{ Type: 'bind', Source: '/var/lib/swarmvirt/instances/none', Target: '/vm' }] } },
        { [objectLabels.uid]: 'none' },
      ),
  },
]

const removal: readonly Fact[] = [
  {
    name: 'a node that left is not listed, and to ask for its tasks is an error',
    async holds(rig) {
      const id = aNodeId(await rig.remove('n3'))
      expect((await rig.swarm.listNodes()).some((one) => one.id === id)).toBe(false)
      await expectRefusal(rig.swarm.listTasks({ nodeId: id }), 'NotFound', `node ${id} not found`)
      const { id: service } = await aService(rig, aSpec(rig, 'fewer'))
      const said = await rig.until('the scheduler’s word', async () => (await tasksOf(rig, service))[0]?.error || undefined)
      expect(said).toBe(noNode(nowhere(2)))
    },
  },
]

/** How managers treat tasks. The last one removes a node. */
export const tasks: readonly Fact[] = [...pending, ...room, ...running, ...removal]

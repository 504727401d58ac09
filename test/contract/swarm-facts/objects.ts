import { expect } from 'vitest'
import { rawObject } from '../../../src/reconcilers/shared/raw.ts'
import { aService, aSpec, change, expectRefusal, type Fact, labelsOf, must, nodeNamed, setNode } from './rig.ts'

const aByte = new Uint8Array([1])

/** Objects, and the events of their changes. */
export const objects: readonly Fact[] = [
  {
    name: 'every write raises the version, one that changes nothing too, and keeps the spec before it',
    async holds(rig) {
      const made = await aService(rig, aSpec(rig, 'versions'))
      expect(made.previousSpec).toBeUndefined()
      const first = await change(rig, made.id, (spec) => void (spec.Labels['step'] = '1'))
      const second = await change(rig, made.id, () => undefined)
      expect(made.version).toBeLessThan(first.version)
      expect(first.version).toBeLessThan(second.version)
      expect(first.previousSpec).toEqual(made.spec)
      expect(second.previousSpec).toEqual(first.spec)
    },
  },
  {
    name: 'a node is written whole: role and availability go with its labels',
    async holds(rig) {
      const node = await nodeNamed(rig, 'n2')
      const write = (spec: object): Promise<void> => rig.swarm.updateNodeLabels({ ...node, spec: { ...spec } }, node.labels)
      await expectRefusal(write({}), 'Invalid', 'invalid Role: ""')
      await expectRefusal(write({ Availability: 'active' }), 'Invalid', 'invalid Role: ""')
      await expectRefusal(write({ Role: node.role }), 'Invalid', 'invalid Availability: ""')
      const now = await nodeNamed(rig, 'n2')
      expect([now.version, now.role, now.availability]).toEqual([node.version, node.role, 'active'])
    },
  },
  {
    name: 'a node label may have any key, one with a slash and none at all',
    async holds(rig) {
      const { labels } = await nodeNamed(rig, 'n2')
      await setNode(rig, 'n2', { ...labels, 'a/b': '1', '': '2' })
      expect((await nodeNamed(rig, 'n2')).labels).toEqual({ ...labels, 'a/b': '1', '': '2' })
      await setNode(rig, 'n2', labels)
      expect((await nodeNamed(rig, 'n2')).labels).toEqual(labels)
    },
  },
  {
    name: 'labels select: by key, and by key and value',
    async holds(rig) {
      const { swarm, prefix } = rig
      await swarm.createConfig(`${prefix}-labelled`, { ...labelsOf(rig), colour: prefix }, aByte)
      const found = async (label: string): Promise<string[]> => (await swarm.listConfigs(label)).map((one) => one.name)
      expect(await found(`colour=${prefix}`)).toEqual([`${prefix}-labelled`])
      expect(await found('colour')).toContain(`${prefix}-labelled`)
      expect(await found('colour=other')).toEqual([])
      expect(await found('colou')).toEqual([])
    },
  },
  {
    name: 'what is made later says so, and an update does not change when it was made',
    async holds(rig) {
      const { swarm, prefix } = rig
      await swarm.createConfig(`${prefix}-first`, labelsOf(rig), aByte)
      await rig.quiet()
      await swarm.createConfig(`${prefix}-second`, labelsOf(rig), aByte)
      const [first, second] = [must(await swarm.getConfig(`${prefix}-first`)), must(await swarm.getConfig(`${prefix}-second`))]
      expect(Date.parse(first.createdAt)).toBeLessThan(Date.parse(second.createdAt))
      await rig.quiet()
      await swarm.updateConfigLabels(first, { ...first.labels, more: 'yes' })
      expect(must(await swarm.getConfig(`${prefix}-first`)).createdAt).toBe(first.createdAt)
    },
  },
  {
    name: 'a secret never gives its data back',
    async holds(rig) {
      await rig.swarm.createSecret(`${rig.prefix}-hush`, labelsOf(rig), new TextEncoder().encode('hush'))
      const secret = must(
        (await rig.swarm.listSecrets(`${Object.keys(labelsOf(rig))[0]}`)).find((one) => one.name === `${rig.prefix}-hush`),
      )
      expect(rawObject(secret)).not.toHaveProperty('data')
    },
  },
  {
    name: 'events tell of services, configs, secrets and nodes with id and name, and never of tasks',
    async holds(rig) {
      const { swarm, prefix } = rig
      const node = await nodeNamed(rig, 'n2')
      const events = await rig.listen()
      const service = await swarm.createService(aSpec(rig, 'events'))
      await change(rig, service, (spec) => void (spec.TaskTemplate.ForceUpdate = 1))
      const config = await swarm.createConfig(`${prefix}-events`, labelsOf(rig), aByte)
      await swarm.updateConfigLabels(must(await swarm.getConfig(`${prefix}-events`)), { ...labelsOf(rig), more: 'yes' })
      const secret = await swarm.createSecret(`${prefix}-events`, labelsOf(rig), aByte)
      await swarm.updateNodeLabels(node, node.labels)
      await swarm.removeService(service)
      await swarm.removeConfig(config)
      await swarm.removeSecret(secret)
      const name = `${prefix}-events`
      const wanted = [
        { type: 'service', action: 'create', id: service, name },
        { type: 'service', action: 'update', id: service, name },
        { type: 'config', action: 'create', id: config, name },
        { type: 'config', action: 'update', id: config, name },
        { type: 'secret', action: 'create', id: secret, name },
        { type: 'node', action: 'update', id: node.id, name: 'n2' },
        { type: 'service', action: 'remove', id: service, name },
        { type: 'config', action: 'remove', id: config, name },
        { type: 'secret', action: 'remove', id: secret, name },
      ]
      await rig.until('the last event', async () => events.heard.find((one) => one.id === secret && one.action === 'remove'))
      await events.stop()
      expect(events.heard).toEqual(expect.arrayContaining(wanted))
      expect(new Set(events.heard.map((one) => one.type))).toEqual(new Set(['service', 'config', 'secret', 'node']))
    },
  },
]

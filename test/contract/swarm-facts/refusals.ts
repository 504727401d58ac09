import { expect } from 'vitest'
import type { RawSpec } from '../../../src/ports/swarm.ts'
import { aService, aSpec, change, expectRefusal, type Fact, labelsOf, must, nodeNamed, refusalOf, type Rig, tasksOf } from './rig.ts'
import { aNodeId } from '../../support/branded.ts'

const rpc = (code: string, text: string): string => `rpc error: code = ${code} desc = ${text}`
const outOfSequence = rpc('Unknown', 'update out of sequence')
const badName = rpc(
  'InvalidArgument',
  'invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]',
)
const badServiceName = rpc('InvalidArgument', 'name must be valid as a DNS name component')
const unknownId = aNodeId('a'.repeat(25))
const aByte = new Uint8Array([1])
const file = { Name: '/x', UID: '0', GID: '0', Mode: 0o444 }

/** Makes a config and the reference of a service to it. */
async function aConfig(rig: Rig, name: string): Promise<{ readonly id: string; readonly name: string; readonly reference: RawSpec }> {
  const full = `${rig.prefix}-${name}`
  const id = await rig.swarm.createConfig(full, labelsOf(rig), aByte)
  return { id, name: full, reference: { ConfigID: id, ConfigName: full, File: file } }
}

function withContainer(rig: Rig, name: string, container: RawSpec): RawSpec {
  return aSpec(rig, name, { ContainerSpec: container })
}

const writes: readonly Fact[] = [
  {
    name: 'of two updates with one version the second is refused, and the first stays',
    async holds(rig) {
      const service = await aService(rig, aSpec(rig, 'race'))
      const spec = (winner: string): RawSpec => ({ ...service.spec, Labels: { ...labelsOf(rig), winner } })
      await rig.swarm.updateService(service.id, service.version, spec('first'))
      await expectRefusal(rig.swarm.updateService(service.id, service.version, spec('second')), 'Conflict', outOfSequence)
      expect(must(await rig.swarm.getService(service.id)).labels['winner']).toBe('first')
    },
  },
  {
    name: 'a version from the future is refused as an old one is',
    async holds(rig) {
      const service = await aService(rig, aSpec(rig, 'future'))
      await expectRefusal(rig.swarm.updateService(service.id, service.version + 100_000, service.spec), 'Conflict', outOfSequence)
    },
  },
  {
    name: 'a node and a config with an old version are refused alike',
    async holds(rig) {
      const node = await nodeNamed(rig, 'n1')
      await rig.swarm.updateNodeLabels(node, node.labels)
      await expectRefusal(rig.swarm.updateNodeLabels(node, node.labels), 'Conflict', outOfSequence)
      const { name } = await aConfig(rig, 'stale')
      const config = must(await rig.swarm.getConfig(name))
      await rig.swarm.updateConfigLabels(config, { ...labelsOf(rig), more: 'yes' })
      await expectRefusal(rig.swarm.updateConfigLabels(config, labelsOf(rig)), 'Conflict', outOfSequence)
    },
  },
  {
    name: 'a taken name is refused for a service, a config and a secret, each in its own words',
    async holds(rig) {
      const { swarm, prefix } = rig
      await swarm.createService(aSpec(rig, 'taken'))
      const taken = `name conflicts with an existing object: service ${prefix}-taken already exists`
      await expectRefusal(swarm.createService(aSpec(rig, 'taken')), 'Conflict', rpc('AlreadyExists', taken))
      await aConfig(rig, 'taken')
      const config = rpc('AlreadyExists', `config ${prefix}-taken already exists`)
      await expectRefusal(swarm.createConfig(`${prefix}-taken`, {}, aByte), 'Conflict', config)
      await swarm.createSecret(`${prefix}-taken`, labelsOf(rig), aByte)
      const secret = rpc('AlreadyExists', `secret ${prefix}-taken already exists`)
      await expectRefusal(swarm.createSecret(`${prefix}-taken`, {}, aByte), 'Conflict', secret)
    },
  },
  {
    name: 'what a spec refers to is judged before its name',
    async holds(rig) {
      await rig.swarm.createService(aSpec(rig, 'both'))
      const { name, reference } = await aConfig(rig, 'both')
      const Configs = [{ ...reference, ConfigID: unknownId }]
      const call = rig.swarm.createService(withContainer(rig, 'both', { Configs }))
      await expectRefusal(call, 'Invalid', rpc('InvalidArgument', `config not found: ${name}`))
    },
  },
]

const gone: readonly Fact[] = [
  {
    name: 'a removed service is not there for a look, an update, a removal and the list of its tasks',
    async holds(rig) {
      const { swarm } = rig
      const { id, version, spec } = await aService(rig, aSpec(rig, 'gone'))
      await swarm.removeService(id)
      const text = `service ${id} not found`
      expect(await swarm.getService(id)).toBeUndefined()
      await expectRefusal(swarm.removeService(id), 'NotFound', text)
      await expectRefusal(swarm.updateService(id, version, spec), 'NotFound', text)
      await expectRefusal(swarm.listTasks({ serviceId: id }), 'NotFound', text)
    },
  },
  {
    name: 'a removed config and secret are not there',
    async holds(rig) {
      const { swarm, prefix } = rig
      const { id, name } = await aConfig(rig, 'gone')
      const config = must(await swarm.getConfig(name))
      await swarm.removeConfig(id)
      expect(await swarm.getConfig(name)).toBeUndefined()
      await expectRefusal(swarm.removeConfig(id), 'NotFound', `config ${id} not found`)
      await expectRefusal(swarm.updateConfigLabels(config, {}), 'NotFound', `config ${id} not found`)
      const secret = await swarm.createSecret(`${prefix}-gone`, labelsOf(rig), aByte)
      await swarm.removeSecret(secret)
      await expectRefusal(swarm.removeSecret(secret), 'NotFound', `secret ${secret} not found`)
    },
  },
  {
    name: 'an unknown node cannot be updated, and its tasks cannot be listed',
    async holds(rig) {
      const node = await nodeNamed(rig, 'n1')
      await expectRefusal(rig.swarm.updateNodeLabels({ ...node, id: unknownId }, {}), 'NotFound', `node ${unknownId} not found`)
      await expectRefusal(rig.swarm.listTasks({ nodeId: unknownId }), 'NotFound', `node ${unknownId} not found`)
    },
  },
]

const inUse: readonly Fact[] = [
  {
    name: 'a config or secret in use cannot be removed, and the users are named',
    async holds(rig) {
      const { swarm, prefix } = rig
      const config = await aConfig(rig, 'used')
      const SecretName = `${prefix}-used`
      const SecretID = await swarm.createSecret(SecretName, labelsOf(rig), aByte)
      const spec = { Configs: [config.reference], Secrets: [{ SecretID, SecretName, File: { ...file, Name: 'y' } }] }
      await swarm.createService(withContainer(rig, 'user', spec))
      const by = `is in use by the following service: ${prefix}-user`
      await expectRefusal(swarm.removeConfig(config.id), 'Invalid', rpc('InvalidArgument', `config '${config.name}' ${by}`))
      await expectRefusal(swarm.removeSecret(SecretID), 'Invalid', rpc('InvalidArgument', `secret '${SecretName}' ${by}`))
      await swarm.createService(withContainer(rig, 'user-2', spec))
      const refused = await refusalOf(swarm.removeConfig(config.id))
      expect(refused[1]).toMatch(/ is in use by the following services: \S+-user(-2)?, \S+-user(-2)?$/)
    },
  },
  {
    name: 'a config that only the previous spec refers to can be removed',
    async holds(rig) {
      const config = await aConfig(rig, 'previous')
      const { id } = await aService(rig, withContainer(rig, 'previous', { Configs: [config.reference] }))
      const now = await change(rig, id, ({ TaskTemplate }) => void delete TaskTemplate.ContainerSpec['Configs'])
      expect(JSON.stringify(now.previousSpec)).toContain(config.name)
      await rig.swarm.removeConfig(config.id)
      expect(await rig.swarm.getConfig(config.name)).toBeUndefined()
    },
  },
  {
    name: 'a task says which configs it was made with, and its successor which others',
    async holds(rig) {
      const [one, two] = [await aConfig(rig, 'made-with'), await aConfig(rig, 'made-anew')]
      const { id } = await aService(rig, withContainer(rig, 'made', { Configs: [one.reference] }))
      const madeWith = (name: string) =>
        rig.until('its task', async () => (await tasksOf(rig, id)).find((task) => task.configs?.includes(name)))
      const first = await madeWith(one.name)
      await change(rig, id, ({ TaskTemplate }) => void (TaskTemplate.ContainerSpec['Configs'] = [two.reference]))
      const second = await madeWith(two.name)
      expect([first.configs, second.configs]).toEqual([[one.name], [two.name]])
      expect(second.id).not.toBe(first.id)
    },
  },
  {
    name: 'the data and the name of a config never change, and its labels may',
    async holds(rig) {
      const { swarm } = rig
      const { name } = await aConfig(rig, 'fixed')
      const config = must(await swarm.getConfig(name))
      const text = rpc('InvalidArgument', 'only updates to Labels are allowed')
      await expectRefusal(swarm.updateConfigLabels({ ...config, data: new Uint8Array([2]) }, config.labels), 'Invalid', text)
      await expectRefusal(swarm.updateConfigLabels({ ...config, name: `${name}-2` }, config.labels), 'Invalid', text)
      await swarm.updateConfigLabels(config, { ...config.labels, more: 'yes' })
      const now = must(await swarm.getConfig(name))
      expect([now.labels['more'], [...now.data]]).toEqual(['yes', [1]])
    },
  },
]

const references: readonly Fact[] = [
  {
    name: 'a reference to a config or secret needs its id and its name',
    async holds(rig) {
      const { swarm, prefix } = rig
      const { name, reference } = await aConfig(rig, 'referred')
      const withConfig = (change: RawSpec): Promise<string> =>
        swarm.createService(withContainer(rig, 'refers', { Configs: [{ ...reference, ...change }] }))
      await expectRefusal(withConfig({ ConfigID: unknownId }), 'Invalid', rpc('InvalidArgument', `config not found: ${name}`))
      await expectRefusal(withConfig({ ConfigName: 'other' }), 'Invalid', rpc('InvalidArgument', 'config not found: other'))
      await expectRefusal(withConfig({ ConfigID: '' }), 'Invalid', rpc('InvalidArgument', 'malformed config reference'))
      const Secrets = [{ SecretID: unknownId, SecretName: `${prefix}-none`, File: file }]
      const secret = rpc('InvalidArgument', `secret not found: ${prefix}-none`)
      await expectRefusal(swarm.createService(withContainer(rig, 'refers', { Secrets })), 'Invalid', secret)
    },
  },
  {
    name: 'an update is judged as a creation is, and an unknown reference in it is no absence of the service',
    async holds(rig) {
      const { name, reference } = await aConfig(rig, 'late')
      const { id } = await aService(rig, aSpec(rig, 'updated'))
      const edit = (template: RawSpec): Promise<unknown> =>
        change(rig, id, (spec) => void (spec.TaskTemplate = { ...spec.TaskTemplate, ...template }))
      const Configs = [{ ...reference, ConfigID: unknownId }]
      const ContainerSpec = { ...rig.container, Configs }
      await expectRefusal(edit({ ContainerSpec }), 'Invalid', rpc('InvalidArgument', `config not found: ${name}`))
      await expectRefusal(edit({ Networks: [{ Target: 'no-network' }] }), 'Invalid', 'network no-network not found')
      const Placement = { Constraints: ['node.labels.a/b==x'] }
      await expectRefusal(edit({ Placement }), 'Invalid', rpc('Unknown', "key 'node.labels.a/b' is invalid"))
    },
  },
  {
    name: 'an unknown network is refused',
    async holds(rig) {
      const call = rig.swarm.createService(aSpec(rig, 'net', { Networks: [{ Target: 'no-network' }] }))
      await expectRefusal(call, 'Invalid', 'network no-network not found')
    },
  },
  {
    name: 'a constraint on a key with a slash is refused, and one without an operator',
    async holds(rig) {
      const create = (constraint: string): Promise<string> =>
        rig.swarm.createService(aSpec(rig, 'constraint', { Placement: { Constraints: [constraint] } }))
      await expectRefusal(create('node.labels.a/b==x'), 'Invalid', rpc('Unknown', "key 'node.labels.a/b' is invalid"))
      await expectRefusal(create('nonsense'), 'Invalid', rpc('Unknown', 'constraint expected one operator from ==, !='))
    },
  },
  {
    name: 'a service is neither renamed nor given another mode',
    async holds(rig) {
      const { id } = await aService(rig, aSpec(rig, 'renamed'))
      const rename = change(rig, id, (spec) => void (spec.Name = `${rig.prefix}-other`))
      await expectRefusal(rename, 'Invalid', rpc('Unimplemented', 'renaming services is not supported'))
      const mode = change(rig, id, (spec) => void (spec.Mode = { Global: {} }))
      await expectRefusal(mode, 'Invalid', rpc('Unimplemented', 'service mode change is not allowed'))
    },
  },
]

const names: readonly Fact[] = [
  {
    name: 'a service has at most 63 letters, digits, dashes and underscores, and neither dots nor a dash at an end',
    async holds(rig) {
      const { swarm, prefix } = rig
      const create = (Name: string): Promise<string> => swarm.createService({ ...aSpec(rig, 'name'), Name })
      const long = rpc('InvalidArgument', 'name must be 63 characters or fewer')
      await create(prefix.padEnd(63, 'n'))
      await create(`${prefix}_x-Y`)
      await expectRefusal(create(prefix.padEnd(64, 'n')), 'Invalid', long)
      for (const wrong of [`${prefix}.x`, `-${prefix}`, `${prefix}-`, `${prefix} x`])
        await expectRefusal(create(wrong), 'Invalid', badServiceName)
    },
  },
  {
    name: 'a service needs an image',
    async holds(rig) {
      const text = rpc('InvalidArgument', 'ContainerSpec: image reference must be provided')
      await expectRefusal(rig.swarm.createService(withContainer(rig, 'image', { Image: '' })), 'Invalid', text)
    },
  },
  {
    name: 'a config or secret has at most 64 of the same and dots',
    async holds(rig) {
      const { swarm, prefix } = rig
      const create = (name: string): Promise<string> => swarm.createConfig(name, labelsOf(rig), aByte)
      await create(prefix.padEnd(64, 'n'))
      await create(`${prefix}.a_b-C`)
      for (const wrong of [prefix.padEnd(65, 'n'), `${prefix}/x`, `${prefix} x`, `-${prefix}`, `${prefix}-`])
        await expectRefusal(create(wrong), 'Invalid', badName)
      await expectRefusal(create(''), 'Invalid', rpc('InvalidArgument', 'name must be provided'))
      await expectRefusal(swarm.createSecret(prefix.padEnd(65, 'n'), {}, aByte), 'Invalid', badName)
    },
  },
  {
    name: 'a config holds 1 to 1,023,999 bytes, a secret 1 to 511,999',
    async holds(rig) {
      const { swarm, prefix } = rig
      const config = (bytes: number): Promise<string> => swarm.createConfig(`${prefix}-size-${bytes}`, labelsOf(rig), new Uint8Array(bytes))
      const secret = (bytes: number): Promise<string> => swarm.createSecret(`${prefix}-size-${bytes}`, labelsOf(rig), new Uint8Array(bytes))
      const text = (what: string, limit: number): string =>
        rpc('InvalidArgument', `${what} data must be larger than 0 and less than ${limit} bytes`)
      await config(1_023_999)
      for (const bytes of [0, 1_024_000]) await expectRefusal(config(bytes), 'Invalid', text('config', 1_024_000))
      await secret(511_999)
      for (const bytes of [0, 512_000]) await expectRefusal(secret(bytes), 'Invalid', text('secret', 512_000))
    },
  },
  {
    name: 'nothing is found by the beginning of its name or id',
    async holds(rig) {
      const { swarm, prefix } = rig
      const { id } = await aService(rig, aSpec(rig, 'exact'))
      await aConfig(rig, 'exact')
      expect(must(await swarm.getService(`${prefix}-exact`)).id).toBe(id)
      expect(must(await swarm.getService(id)).name).toBe(`${prefix}-exact`)
      for (const part of [`${prefix}-exac`, id.slice(0, 10)]) expect(await swarm.getService(part)).toBeUndefined()
      expect(await swarm.getConfig(`${prefix}-exac`)).toBeUndefined()
    },
  },
]

/** The rejected requests, with the kind of error and its message. */
export const refusals: readonly Fact[] = [...writes, ...gone, ...inUse, ...references, ...names]

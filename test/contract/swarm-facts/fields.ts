import { expect } from 'vitest'
import { effectOf, machineAbout } from '../../../src/api/manifest/fields.ts'
import { aService, editable, type Fact, labelsOf, must, type Rig, tasksOf } from './rig.ts'
import { addedFields, type FieldRig, isMarkedSo, renderedPaths, renderedSpec, templateFields } from './template-fields.ts'

async function withReferences(rig: Rig): Promise<FieldRig> {
  const name = `${rig.prefix}-referred-to`
  const File = { Name: 'x', UID: '0', GID: '0', Mode: 0o400 }
  const ConfigID = await rig.swarm.createConfig(name, labelsOf(rig), new Uint8Array([1]))
  const SecretID = await rig.swarm.createSecret(name, labelsOf(rig), new Uint8Array([1]))
  const references = { Configs: [{ ConfigID, ConfigName: name, File }], Secrets: [{ SecretID, SecretName: name, File }] }
  return { ...rig, references }
}

interface Tried {
  readonly path: string
  readonly restarts: boolean
  readonly id: string
  readonly before: string
}

/** Every field on a service of its own, all at once: whether the only task was replaced. */
async function tryFields(rig: Rig, fields: typeof templateFields): Promise<Record<string, boolean>> {
  const all = await withReferences(rig)
  const tried: Tried[] = []
  for (const [index, { path, restarts }] of fields.entries()) {
    const { id } = await aService(rig, renderedSpec(rig, `field-${index}`))
    const [task] = await rig.until('its task', async () => {
      const tasks = await tasksOf(rig, id)
      return tasks[0]?.state === 'pending' ? tasks : undefined
    })
    tried.push({ path, restarts, id, before: must(task).id })
  }
  for (const [index, { id }] of tried.entries()) {
    const service = must(await rig.swarm.getService(id))
    const spec = editable(service.spec)
    must(fields[index]).edit(spec, all)
    await rig.swarm.updateService(id, service.version, { ...spec })
  }
  await rig.quiet()
  const found: Record<string, boolean> = {}
  for (const { path, id, before } of tried) {
    const old = (await tasksOf(rig, id)).find((one) => one.id === before)
    found[path] = old?.desiredState !== 'running'
  }
  for (const { id } of tried) await rig.swarm.removeService(id)
  await rig.swarm.removeConfig(must(all.references.Configs[0])['ConfigID'] as string)
  await rig.swarm.removeSecret(must(all.references.Secrets[0])['SecretID'] as string)
  return found
}

function believed(fields: typeof templateFields): Record<string, boolean> {
  return Object.fromEntries(fields.map((one) => [one.path, one.restarts]))
}

/** The fields that restart a VM. */
export const fields: readonly Fact[] = [
  {
    name: 'every field that the renderer writes starts another task or not, as the table says',
    async holds(rig) {
      expect(await tryFields(rig, templateFields)).toEqual(believed(templateFields))
    },
  },
  {
    name: 'so does what others may add to the service of a VM',
    async holds(rig) {
      expect(await tryFields(rig, addedFields)).toEqual(believed(addedFields))
    },
  },
  {
    name: 'the table has every field that the renderer writes, and no other',
    async holds(rig) {
      expect(templateFields.map((one) => one.path).toSorted()).toEqual(renderedPaths(renderedSpec(rig, 'paths')).toSorted())
    },
  },
  {
    name: 'a field of the manifest is marked as what becomes of the task says',
    async holds() {
      const wrong = templateFields.flatMap(({ restarts, behind = [] }) =>
        behind.filter((field) => !isMarkedSo(effectOf(machineAbout(), field.split('.')), restarts)),
      )
      expect(wrong).toEqual([])
    },
  },
  {
    name: 'dockerd keeps what the renderer writes, and fills in only what it always does',
    async holds(rig) {
      const written = renderedSpec(rig, 'kept')
      const { spec } = await aService(rig, written)
      const network = editable(spec).TaskTemplate.Networks[0]?.Target
      expect(network).not.toBe(rig.networks[0])
      const { TaskTemplate, UpdateConfig, RollbackConfig, ...rest } = editable(written)
      const { Configs: _configs, Secrets: _secrets, ...container } = TaskTemplate.ContainerSpec
      const wanted = {
        ...rest,
        TaskTemplate: {
          ...TaskTemplate,
          ContainerSpec: { ...container, Isolation: 'default' },
          RestartPolicy: { ...TaskTemplate.RestartPolicy, MaxAttempts: 0 },
          Networks: [{ ...TaskTemplate.Networks[0], Target: network }],
          Runtime: 'container',
        },
        UpdateConfig: { ...UpdateConfig, MaxFailureRatio: 0 },
        RollbackConfig: { ...RollbackConfig, MaxFailureRatio: 0 },
      }
      expect(spec).toEqual(wanted)
    },
  },
]

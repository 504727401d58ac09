import { z } from 'zod'
import { vmNameField, vmNamePattern } from '../names.ts'
import { type About, field } from './about.ts'
import { cloudInitInstanceAnnotation, followDiskAnnotation, replaceDisksAnnotation, suspendAnnotation } from './annotations.ts'
import { spec } from './spec.ts'
import { machineFields } from './spec/machine.ts'

export const apiVersion = 'swarmvirt.dev/v1alpha1'
export const kind = 'VirtualMachine'
export const classKind = 'VirtualMachineClass'
export const listKind = 'List'

const texts = (description: string, about: Partial<About> = {}) =>
  field(z.record(z.string().min(1).max(253), z.string().max(16_384)).default({}), { description, effect: 'live', ...about })

function nameMessage(of: 'VM' | 'class'): string {
  return `a ${of} name is 1 to 50 characters of a-z 0-9 -, and starts and ends with a letter or digit`
}

function metadata<Name extends z.ZodType>(name: Name, ofAnnotations: Partial<About> = {}) {
  return field(
    z.strictObject({
      name,
      labels: texts("Your own labels, shown with the VM's status."),
      annotations: texts(
        `Notes for other tools, and those of swarmvirt. ${suspendAnnotation}: "true" suspends the VM. ${replaceDisksAnnotation} allows an edit that destroys the data on a disk. A new value of ${cloudInitInstanceAnnotation} makes cloud-init run again at the next restart. ${followDiskAnnotation} names the node that has the disks, if its machine joined the Swarm again.`,
        ofAnnotations,
      ),
    }),
    { description: 'Metadata.', effect: 'recreate' },
  )
}

const version = field(z.literal(apiVersion), { description: 'Version of this schema.' })

export const virtualMachineSchema = z
  .strictObject({
    apiVersion: version,
    kind: field(z.literal(kind), { description: 'Kind of the object.' }),
    metadata: metadata(
      field(z.string().regex(vmNamePattern, nameMessage('VM')).pipe(vmNameField), {
        description: 'Name of the VM, at most 50 characters of a-z 0-9 -. Its service is vm-NAME; a different name is a different VM.',
        effect: 'recreate',
      }),
      { keyEffects: { [cloudInitInstanceAnnotation]: 'restart' } },
    ),
    spec: field(spec, { description: 'Desired configuration.' }),
  })
  .meta({ description: 'A virtual machine that the cluster keeps running as declared.' })

/** If the VM has a class, the fields that the class sets are optional. */
export const classedMachineSchema = virtualMachineSchema.extend({ spec: spec.extend({ memory: machineFields.memory.optional() }) })

const ofNoNeed = machineFields.memory.meta({ ...machineFields.memory.meta(), needed: 'no' })

export const virtualMachineClassSchema = z
  .strictObject({
    apiVersion: version,
    kind: field(z.literal(classKind), { description: 'Kind of the object.' }),
    metadata: metadata(
      field(z.string().regex(vmNamePattern, nameMessage('class')), {
        description: 'Name of the class, at most 50 characters of a-z 0-9 -; VMs name it in spec.class.',
        effect: 'recreate',
      }),
    ),
    spec: field(z.strictObject({ ...machineFields, memory: ofNoNeed }).partial(), {
      description: 'Values for the VMs of the class that do not set their own. cpu is merged field by field, everything else as a whole.',
      effect: 'restart',
    }),
  })
  .meta({ description: 'Sizes and defaults that several virtual machines share.' })

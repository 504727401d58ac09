import { z } from 'zod'
import { field } from './about.ts'
import { cloudInit } from './spec/cloud-init.ts'
import { disk } from './spec/disk.ts'
import { machineFields } from './spec/machine.ts'
import { network } from './spec/network.ts'
import { readiness } from './spec/readiness.ts'

/** The whole schema of a VM's spec. Every field has a description, the effect of an edit, and whether it is supported yet. */

const className = /^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$/

export const spec = z.strictObject({
  runStrategy: field(z.enum(['Always', 'Halted', 'RerunOnFailure', 'Once', 'Manual']).default('Always'), {
    description:
      'Always keeps the VM running. RerunOnFailure starts it again after a crash, and not after the guest shut itself down. Once runs it until it ends, and never again. Manual leaves it to docker vm start and stop. Halted shuts it down and keeps its disks.',
    effect: 'live',
  }),
  class: field(z.string().regex(className, 'a class name is 1 to 50 characters of a-z 0-9 -').optional(), {
    description: 'Name of the VirtualMachineClass that gives the values that the VM does not set.',
    effect: 'restart',
  }),
  ...machineFields,
  disks: field(z.array(disk).min(1).max(16), {
    description: 'Disks, kept on the node the VM was placed on. The first one boots.',
    effect: 'destroys-data',
  }),
  networks: field(z.array(network).min(1).max(8), {
    description: 'Network interfaces, of which the first is the primary one: its address is shown and probed.',
    effect: 'first-boot',
  }),
  cloudInit: field(cloudInit.prefault({}), {
    description: 'Input of cloud-init in the guest. cloud-init applies most of it only at the first boot of an instance.',
    effect: 'first-boot',
  }),
  readiness: field(readiness.optional(), {
    description: 'When the guest itself counts as ready: one of its fields. Without it, the VM is Ready once it is reachable.',
    effect: 'live',
  }),
})

import { z } from 'zod'
import { field } from '../about.ts'
import { duration, hostname, quantity } from '../values.ts'
import { localImage } from './local-files.ts'

/** The fields that a class can set as well. */
export const machineFields = {
  cpu: field(
    z
      .strictObject({
        cores: field(z.int().min(1).max(256).default(1), { description: 'Virtual CPUs of the guest.', effect: 'restart' }),
        model: field(
          z
            .string()
            .regex(/^[A-Za-z0-9_.-]{1,64}$/, 'not a CPU model of QEMU')
            .optional(),
          {
            description: 'CPU model that the guest sees: host, max, or one that QEMU knows.',
            effect: 'restart',
            notYet: true,
          },
        ),
      })
      .prefault({}),
    { description: 'Processors.', effect: 'restart' },
  ),
  memory: field(quantity('32Mi'), {
    description: 'Memory of the guest. QEMU needs some more on the node.',
    needed: 'yes, unless its class gives it',
    effect: 'restart',
  }),
  accelerator: field(z.enum(['auto', 'kvm', 'tcg']).default('auto'), {
    description:
      'kvm: only on nodes with working KVM. tcg: software emulation, which is slow. auto: KVM if it works on the node, otherwise tcg if the cluster allows it.',
    effect: 'restart',
  }),
  updatePolicy: field(z.enum(['OnRestart', 'Restart']).default('OnRestart'), {
    description:
      'When an edit that needs a restart is applied. OnRestart waits until the VM is halted or restarted and shows RestartRequired; Restart restarts it at once.',
    effect: 'live',
  }),
  firmware: field(
    z
      .strictObject({
        mode: field(z.enum(['bios', 'uefi']).default('bios'), { description: 'bios or uefi.' }),
        secureBoot: field(z.boolean().optional(), { description: 'Boots signed systems only. Needs mode: uefi.' }),
        tpm: field(z.boolean().optional(), { description: 'A TPM 2.0 for the guest.' }),
        kernel: field(
          z
            .strictObject({
              image: field(z.string().regex(localImage, 'a kernel is images/NAME'), { description: 'images/NAME of the kernel.' }),
              initrd: field(z.string().regex(localImage, 'an initrd is images/NAME').optional(), {
                description: 'images/NAME of the initrd.',
              }),
              args: field(z.string().max(2048).optional(), { description: "The kernel's command line." }),
            })
            .optional(),
          { description: 'A kernel that QEMU boots directly.' },
        ),
      })
      .optional(),
    { description: 'BIOS or UEFI, secure boot, TPM, or a kernel to boot directly.', effect: 'restart', notYet: true },
  ),
  placement: field(
    z
      .strictObject({
        constraints: field(z.array(z.string().max(256)).max(32).default([]), { description: 'Constraints as Swarm services have them.' }),
        spread: field(z.string().max(128).optional(), { description: 'Node label whose values the VMs are spread over.' }),
        node: field(hostname().optional(), { description: 'The one node it may run on.' }),
      })
      .optional(),
    { description: 'Constraints on the nodes the VM may be placed on.', effect: 'recreate', notYet: true },
  ),
  resources: field(
    z
      .strictObject({
        memoryOverhead: field(z.union([z.literal('auto'), quantity('16Mi')]).default('auto'), {
          description: 'Memory beyond the guest’s.',
        }),
        cpuLimit: field(z.number().min(0.1).max(256).nullable().default(null), { description: 'CPUs of the node that it may use.' }),
        priority: field(z.int().min(-1000).max(1000).default(0), { description: 'Which VM yields when a node is full.' }),
      })
      .optional(),
    { description: 'Limits and reservations beyond the guest itself.', effect: 'restart', notYet: true },
  ),
  console: field(
    z
      .strictObject({
        serial: field(z.boolean().default(true), { description: 'A serial console.' }),
        vnc: field(z.boolean().default(false), { description: 'A graphical console.' }),
      })
      .optional(),
    { description: 'Serial and graphical console.', effect: 'restart', notYet: true },
  ),
  terminationGracePeriod: field(duration('1s', '1h').optional(), {
    description: 'How long a shutdown may take.',
    effect: 'recreate',
    notYet: true,
  }),
  deletionPolicy: field(z.enum(['Retain', 'Delete']).optional(), {
    description: 'Disks of a removed VM: Retain (default) keeps them, Delete destroys their data.',
    effect: 'live',
  }),
} as const

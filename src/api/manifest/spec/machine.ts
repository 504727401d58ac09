import { z } from 'zod'
import { field } from '../about.ts'
import { mostVcpus } from '../../vcpus.ts'
import { cpuModel, duration, hostname, quantity, quantityOrAuto } from '../values.ts'
import { localImage } from './local-files.ts'

/** The fields that a class can set as well. */
export const machineFields = {
  cpu: field(
    z
      .strictObject({
        cores: field(z.int().min(1).max(mostVcpus).default(1), {
          description:
            'Cores of each socket. The guest has cores × sockets × threads virtual CPUs, 256 at most. More than the node has CPUs makes the guest slower.',
          effect: 'restart',
        }),
        sockets: field(z.int().min(1).max(mostVcpus).optional(), {
          description: 'Sockets that the guest sees. Default 1. Some guests are licensed by the socket, and some use few of them.',
          effect: 'restart',
        }),
        threads: field(z.int().min(1).max(8).optional(), {
          description: 'Threads of each core that the guest sees. Default 1.',
          effect: 'restart',
        }),
        model: field(cpuModel().optional(), {
          description:
            'CPU model that the guest sees. host and max give it everything that the node offers, which is the default. A model of QEMU 10.0, such as Skylake-Server or EPYC-Rome-v2, is the same on every node.',
          effect: 'restart',
        }),
      })
      .prefault({}),
    { description: 'Processors.', effect: 'restart' },
  ),
  memory: field(quantity('32Mi'), {
    description: 'Memory of the guest. QEMU needs some more on the node.',
    needed: 'yes, unless its class gives it',
    effect: 'restart',
  }),
  memoryTarget: field(quantity('32Mi').optional(), {
    description:
      'Memory that the balloon leaves to the guest, at most memory. The node can use the rest until you raise the target. Needs the driver virtio_balloon in the guest. Default: memory.',
    effect: 'live',
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
        mode: field(z.enum(['bios', 'uefi']).default('bios'), {
          description:
            'bios or uefi. An installed guest often boots with one of them only. The UEFI variables are kept on the node, also while the mode is bios.',
          effect: 'restart',
        }),
        secureBoot: field(z.boolean().optional(), {
          description: 'true boots only systems that are signed with a key of Microsoft, such as most distributions. Needs mode: uefi.',
          effect: 'restart',
        }),
        tpm: field(z.boolean().optional(), {
          description: 'true gives the guest a TPM 2.0. Its state is kept on the node.',
          effect: 'restart',
        }),
        kernel: field(
          z
            .strictObject({
              image: field(z.string().regex(localImage, 'a kernel is images/NAME'), {
                description: 'images/NAME of a Linux kernel (bzImage).',
                effect: 'restart',
              }),
              initrd: field(z.string().regex(localImage, 'an initrd is images/NAME').optional(), {
                description: 'images/NAME of the initrd.',
                effect: 'restart',
              }),
              args: field(
                z
                  .string()
                  .max(2048)
                  .regex(/^[ -~]*$/, 'a kernel command line has printable ASCII characters only')
                  .optional(),
                { description: "The kernel's command line, in printable ASCII.", effect: 'restart' },
              ),
            })
            .optional(),
          {
            description:
              'A kernel that QEMU boots instead of the first disk. Its files are copied when the VM is prepared. To replace them, use other names.',
            effect: 'restart',
          },
        ),
      })
      .optional(),
    { description: 'BIOS or UEFI, secure boot, TPM, or a kernel to boot directly.', effect: 'restart' },
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
        memoryOverhead: field(quantityOrAuto('16Mi').prefault('auto'), {
          description:
            'Memory for QEMU and the runner, beyond the guest’s. The node reserves both, and the kernel stops a VM that uses more. auto computes it from the machine.',
          effect: 'restart',
        }),
        cpuLimit: field(z.number().min(0.1).max(mostVcpus).nullable().default(null), {
          description: 'CPUs of the node that the VM may use, such as 1.5, with the work of QEMU. Default: no limit.',
          effect: 'restart',
        }),
      })
      .optional(),
    { description: 'Memory and CPUs of the node that the VM may use.', effect: 'restart' },
  ),
  console: field(
    z
      .strictObject({
        serial: field(z.literal(true).default(true), {
          description: 'The serial console, which every VM has. The runner writes it to its log.',
          effect: 'live',
        }),
        vnc: field(z.boolean().default(false), {
          description:
            "true gives the VM a display, with VNC on the UNIX socket run/vnc.sock in the VM's own directory on its node. There is no TCP port and no password: the rights of the socket protect it.",
          effect: 'restart',
        }),
      })
      .optional(),
    { description: 'Serial and graphical console.', effect: 'restart' },
  ),
  watchdog: field(
    z
      .strictObject({
        action: field(z.enum(['reset', 'poweroff', 'shutdown']).default('reset'), {
          description:
            'Action when the guest stops feeding the watchdog. With reset, the guest reboots at once. With poweroff, it is switched off like in a power cut, and this counts as a crash. With shutdown, the power button is pressed.',
          effect: 'restart',
        }),
      })
      .optional(),
    {
      description: 'A watchdog of the model i6300esb. It does nothing until the guest starts it. Needs the driver i6300esb in the guest.',
      effect: 'restart',
    },
  ),
  terminationGracePeriod: field(duration('1s', '1h').optional(), {
    description: 'How long a shutdown may take. Then the guest is powered off by force. Default 110s.',
    effect: 'restart',
  }),
  deletionPolicy: field(z.enum(['Retain', 'Delete']).optional(), {
    description: 'Disks of a removed VM: Retain (default) keeps them, Delete destroys their data.',
    effect: 'live',
  }),
} as const

import { z } from 'zod'
import { partNamePattern } from '../../names.ts'
import { field } from '../about.ts'
import { port } from '../values.ts'

/** The name of the SSH port among the ports of a network. */
export const sshPortName = 'ssh'

const userPort = z.strictObject({
  name: field(z.string().regex(partNamePattern, 'a port name is 1 to 20 characters of a-z 0-9 -'), {
    description: 'Name of the port.',
    effect: 'restart',
  }),
  guest: field(port(), {
    description: 'Port of the guest. Other VMs reach it under the name of the VM on the overlay network of the VMs.',
    effect: 'restart',
  }),
  published: field(port().optional(), {
    description: 'Port of the node that leads to it. It belongs to one VM in the cluster. Default: not published.',
    effect: 'restart',
  }),
  protocol: field(z.enum(['tcp', 'udp']).default('tcp'), { description: 'tcp or udp.', effect: 'restart' }),
})

export const userNetwork = z.strictObject({
  ssh: field(z.union([z.enum(['auto', 'off']), port()], 'not auto, off or a port from 1 to 65535').default('off'), {
    description:
      'Port of the node that leads to port 22 of the guest. auto is 10022 plus a number from the name of the VM, or the next free port; the VM keeps it. off publishes nothing.',
    effect: 'restart',
    form: 'auto, off or a port',
  }),
  ports: field(z.array(userPort).max(32).default([]), { description: 'Ports of the guest that are forwarded.', effect: 'restart' }),
})

import { z } from 'zod'
import { httpPath } from '../../http-path.ts'
import { field } from '../about.ts'
import { port } from '../values.ts'

const probedPort = (what: string) => field(port(), { description: what, effect: 'live' })
export const readiness = z.union(
  [
    z.strictObject({
      ping: field(z.literal(true), { description: 'Ready once another node reaches the VM with a ping.', effect: 'live' }),
    }),
    z.strictObject({ tcp: probedPort('Ready once a connection to this TCP port is accepted.') }),
    z.strictObject({
      http: field(
        z.strictObject({
          port: field(port(), { description: 'TCP port of the guest.', effect: 'live' }),
          path: field(z.string().max(1024).regex(httpPath, 'a path begins with / and has no spaces').default('/'), {
            description: 'Path and query to request.',
            effect: 'live',
          }),
        }),
        { description: 'Ready once a GET request is answered with status 200 to 399. Redirects are not followed.', effect: 'live' },
      ),
    }),
    z.strictObject({ ssh: probedPort('Ready once an SSH server sends its banner on this TCP port.') }),
    z.strictObject({
      guestAgent: field(z.literal(true), {
        description: 'Ready once qemu-guest-agent in the guest answers the node of the VM.',
        effect: 'live',
      }),
    }),
    z.strictObject({
      exec: field(
        z.strictObject({
          command: field(z.array(z.string().min(1).max(1024)).min(1).max(32), {
            description: 'Path of a program in the guest, and its arguments. It runs without a shell, as the user of the agent (root).',
            effect: 'live',
          }),
        }),
        { description: 'Ready once a program that qemu-guest-agent runs in the guest ends with exit code 0, within 2 s.', effect: 'live' },
      ),
    }),
  ],
  'readiness is one of ping: true, tcp: PORT, http: {port, path}, ssh: PORT, guestAgent: true and exec: {command}',
)

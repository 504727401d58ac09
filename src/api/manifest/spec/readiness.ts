import { z } from 'zod'
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
          port: field(port(), { description: 'TCP port of the guest.' }),
          path: field(z.string().max(1024).regex(/^\//, 'a path begins with /').default('/'), { description: 'Path to request.' }),
        }),
        { description: 'Ready once an HTTP request succeeds.', effect: 'live', notYet: true },
      ),
    }),
    z.strictObject({ ssh: field(port(), { description: 'Ready once an SSH server answers.', effect: 'live', notYet: true }) }),
    z.strictObject({
      guestAgent: field(z.literal(true), { description: "Ready once the guest's agent answers.", effect: 'live', notYet: true }),
    }),
  ],
  'readiness is one of ping: true and tcp: PORT',
)

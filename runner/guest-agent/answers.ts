import * as z from 'zod/mini'
import { cleanText } from '../../src/api/wire/common.ts'
import type { GuestInterface } from '../../src/api/wire/guest-agent.ts'

/** Answers of qemu-ga (qga/qapi-schema.json). Everything in them is a claim of the guest. */
export const answer = z.object({ return: z.unknown() })
export const refusal = z.object({ error: z.object({ desc: cleanText(4_096) }) })

export const infoAnswer = z.object({ version: cleanText(64) })
export const execAnswer = z.object({ pid: z.int() })
export const execStatusAnswer = z.object({ exited: z.boolean(), exitcode: z.optional(z.int()), signal: z.optional(z.int()) })

const interfaceAnswer = z.object({
  name: cleanText(64),
  'hardware-address': z.optional(cleanText(64)),
  'ip-addresses': z.optional(
    z.array(z.object({ 'ip-address': cleanText(64), prefix: z.int().check(z.minimum(0), z.maximum(128)) })).check(z.maxLength(256)),
  ),
})
const interfacesAnswer = z.array(interfaceAnswer).check(z.maxLength(256))

/** Limits of what the runner passes on (wire/guest-agent.ts). */
const mostInterfaces = 16
const mostAddresses = 8

/** Undefined if the answer has another form. Leaves out the loopback interface, and what is beyond the limits. */
export function interfacesOf(value: unknown): GuestInterface[] | undefined {
  const result = interfacesAnswer.safeParse(value)
  if (!result.success) return undefined
  const real = result.data.filter((one) => one.name !== 'lo' && one['hardware-address'] !== '00:00:00:00:00:00')
  return real.slice(0, mostInterfaces).map((one) => ({
    name: one.name,
    mac: one['hardware-address'] ?? '',
    addresses: (one['ip-addresses'] ?? []).slice(0, mostAddresses).map((ip) => `${ip['ip-address']}/${ip.prefix}`),
  }))
}

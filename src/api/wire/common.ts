import en from 'zod/v4/locales/en.js'
import * as z from 'zod/mini'
import { interfaceNamePattern, partNamePattern, uidPattern, vmNamePattern } from '../names.ts'
import { printable } from '../printable.ts'

// zod/mini keeps runner, agent and broker small. It comes without messages: they would all be "Invalid input".
z.config(en())

/** Building blocks of the wire contracts. Contracts are permissive about unknown keys (a newer peer may add some) and strict about known ones. */
export const uidField = z.string().check(z.regex(uidPattern))
export const vmNameField = z.string().check(z.regex(vmNamePattern))
export const partNameField = z.string().check(z.regex(partNamePattern))
export const interfaceField = z.string().check(z.regex(interfaceNamePattern))
export const macField = z.string().check(z.regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/))
export const ipv4Field = z.ipv4()
export const sha256Field = z.string().check(z.regex(/^[0-9a-f]{64}$/))
/** Text that a peer made, without the characters that a terminal would obey. A longer one is refused. */
export const cleanText = (maxLength: number) => z.string().check(z.maxLength(maxLength), z.overwrite(printable))
/** Text shown to people; cut by the sender. */
export const textField = cleanText(2048)
/** A container's id, or the beginning of it, which Docker makes its hostname. A runner's claim about itself. */
export const containerField = cleanText(64)
export const reasonField = z.string().check(z.regex(/^[A-Z][A-Za-z0-9]{0,63}$/))

/** One network interface of a VM as the broker is to make it. */
export const nicGrant = z.object({
  /** The manifest's network name. */
  name: partNameField,
  bridge: interfaceField,
  mac: macField,
  /** Bytes; null takes the bridge's. */
  mtu: z.nullable(z.int().check(z.minimum(576), z.maximum(65_521))),
})
export type NicGrant = z.output<typeof nicGrant>

export const acceleratorChoice = z.enum(['auto', 'kvm', 'tcg'])
export const acceleratorInUse = z.enum(['kvm', 'tcg'])
export type AcceleratorChoice = z.output<typeof acceleratorChoice>
export type AcceleratorInUse = z.output<typeof acceleratorInUse>

/** What one VM may have, as sent by the agent to the broker. */
export const grant = z.object({
  version: z.literal(1),
  uid: uidField,
  vm: vmNameField,
  accelerator: acceleratorInUse,
  nics: z.array(nicGrant).check(z.maxLength(8)),
  /**
   * Granted before, under other names: a runner that was started with them may still live, and proves itself with their TAPs. Absent where there
   * are none; release 0.1 does not know it.
   */
  formerNics: z.optional(z.array(nicGrant).check(z.maxLength(8))),
})
export type Grant = z.output<typeof grant>

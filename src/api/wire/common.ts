import en from 'zod/v4/locales/en.js'
import * as z from 'zod/mini'
import { macField } from '../mac.ts'
import { directModes } from '../direct-modes.ts'
import { localImage } from '../manifest/spec/local-files.ts'
import { interfaceNamePattern, partNamePattern, uidField, vmNameField } from '../names.ts'
import { printable } from '../printable.ts'

// zod/mini keeps runner, agent and broker small. It comes without messages: they would all be "Invalid input".
z.config(en())

/**
 * Building blocks of the wire contracts. Contracts ignore unknown keys, because a newer peer may add some, and are strict about known ones.
 */
export const partNameField = z.string().check(z.regex(partNamePattern))
export const interfaceField = z.string().check(z.regex(interfaceNamePattern))
/** Bytes of an IP packet. */
export const mtuField = z.int().check(z.minimum(576), z.maximum(65_521))
export const ipv4Field = z.ipv4()
export const sha256Field = z.string().check(z.regex(/^[0-9a-f]{64}$/))
/** Names an order or an answer (unchanged.ts). */
export const markField = z.string().check(z.regex(/^[0-9a-f]{32}$/))
/** A string of a peer, without the characters that control a terminal. A longer one is rejected. */
export const cleanText = (maxLength: number) => z.string().check(z.maxLength(maxLength), z.overwrite(printable))
/** Text for users; the sender truncates it. */
export const textField = cleanText(2048)
/** A container's id, or its beginning, which Docker uses as the host name. A runner reports it about itself, so it proves nothing. */
export const containerField = cleanText(64)
/** A file `images/NAME` below the state root. */
export const bootFileField = z.string().check(z.regex(localImage))
export const reasonField = z.string().check(z.regex(/^[A-Z][A-Za-z0-9]{0,63}$/))

export const vlanField = z.int().check(z.minimum(1), z.maximum(4_094))

/** Settings of a NIC beyond its bridge or device. An absent key means what release 0.1 did. */
export const nicSettings = z.object({
  vlan: z.optional(vlanField),
  isolated: z.optional(z.literal(true)),
  antiSpoof: z.optional(z.literal('off')),
  /** Only a direct NIC has one. */
  mode: z.optional(z.enum(directModes)),
})
export type NicSettings = z.output<typeof nicSettings>

/** A bridge port with settings that release 0.1 does not have. An absent key means what release 0.1 did. */
const portGrant = z.object({
  bridge: interfaceField,
  vlan: z.optional(vlanField),
  isolated: z.optional(z.literal(true)),
  antiSpoof: z.optional(z.literal('off')),
})

/** A macvtap on a device of the host. */
export const directGrant = z.object({ device: interfaceField, mode: z.enum(directModes) })

/**
 * One network interface of a VM that the broker creates, with exactly one of `bridge`, `port` and `direct`. An agent or broker of release 0.1
 * rejects a NIC without `bridge`, so it never ignores the others.
 */
export const nicGrant = z
  .object({
    /** The name of the network in the manifest. */
    name: partNameField,
    /** A plain port of this bridge. */
    bridge: z.optional(interfaceField),
    port: z.optional(portGrant),
    direct: z.optional(directGrant),
    mac: macField,
    /** Bytes; null uses the MTU of the bridge or device. */
    mtu: z.nullable(mtuField),
  })
  .check(
    z.refine(({ bridge, port, direct }) => [bridge, port, direct].filter((one) => one !== undefined).length === 1, {
      error: 'a NIC needs one of bridge, port and direct',
    }),
  )
export type NicGrant = z.output<typeof nicGrant>

export const acceleratorChoice = z.enum(['auto', 'kvm', 'tcg'])
export const acceleratorInUse = z.enum(['kvm', 'tcg'])
export type AcceleratorChoice = z.output<typeof acceleratorChoice>
export type AcceleratorInUse = z.output<typeof acceleratorInUse>

/** A kernel that QEMU boots directly. The files are `images/NAME`; boot-files.ts says which content they have. */
const bootKernel = z.object({
  image: bootFileField,
  initrd: z.optional(bootFileField),
  args: z.optional(z.string().check(z.maxLength(2048))),
})

/** How the guest starts. Absent for BIOS without TPM and kernel, as in release 0.1. */
export const firmware = z.object({
  mode: z.enum(['bios', 'uefi']),
  secureBoot: z.optional(z.literal(true)),
  tpm: z.optional(z.literal(true)),
  kernel: z.optional(bootKernel),
})
export type Firmware = z.output<typeof firmware>

/** The devices that one VM may use. The agent sends it to the broker. */
export const grant = z.object({
  version: z.literal(1),
  uid: uidField,
  vm: vmNameField,
  accelerator: acceleratorInUse,
  nics: z.array(nicGrant).check(z.maxLength(8)),
  /**
   * The VM has a NIC behind NAT (ADR 0031). The broker gives the lease only while its filter for that network works. Absent otherwise. The
   * agent sends it only to a broker whose facts have `userNetwork`, since an older one would ignore it.
   */
  userNetwork: z.optional(z.literal(true)),
  /**
   * NICs that were granted earlier under other names. A runner that was started with them may still run, and proves its identity with their
   * TAPs. Absent if there are none, and from release 0.1.
   */
  formerNics: z.optional(z.array(nicGrant).check(z.maxLength(8))),
})
export type Grant = z.output<typeof grant>

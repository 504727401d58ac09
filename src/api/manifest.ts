import { z } from 'zod'
import { hashOf } from './hash.ts'
import { parseMac } from './mac.ts'
import { interfaceNamePattern, partNamePattern, vmNamePattern } from './names.ts'
import { notYetFields, notYetLists, notYetValues } from './not-yet.ts'
import { parseQuantity } from './quantity.ts'

export const apiVersion = 'swarmvirt.dev/v1alpha1'
export const kind = 'VirtualMachine'

/** A quantity in the manifest (`2Gi`), bytes in the program. */
function quantity(least: number, leastText: string, description: string) {
  const read = z.string().transform((text, context) => {
    const bytes = parseQuantity(text)
    if (bytes === undefined) {
      context.addIssue({ code: 'custom', message: `"${text}" is not a quantity of bytes; write for example 512Mi or 20Gi` })
      return z.NEVER
    }
    if (bytes < least) {
      context.addIssue({ code: 'custom', message: `${text} is less than the least possible, ${leastText}` })
      return z.NEVER
    }
    return bytes
  })
  return read.meta({ description, unit: 'bytes, written like 512Mi, 2Gi or 20G', least: leastText })
}

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'a sha256 is 64 lower-case hex digits')

/** `images/NAME` below the state root, or http(s) with a sha256; nothing absolute and nothing with `..`. */
const localImage = /^images\/(?!\.)[A-Za-z0-9._+-]{1,200}$/
const image = z
  .strictObject({
    source: z
      .string()
      .max(2048)
      .refine((source) => localImage.test(source) || isHttpUrl(source), {
        message: 'an image source is images/NAME (a file in the images directory of the state root) or an http(s):// URL',
      })
      .describe("images/NAME, a file in the images directory of the node's state root, or an http:// or https:// URL, which needs sha256."),
    sha256: sha256
      .optional()
      .describe('SHA-256 of the image file. Needed for a URL; for images/NAME, the file must match where this is given.'),
  })
  .refine((value) => !isHttpUrl(value.source) || value.sha256 !== undefined, {
    path: ['sha256'],
    message: 'an image from the network needs its sha256',
  })
  .describe('What the disk holds when it is first made: a qcow2 or raw image, copied and never written to.')

function isHttpUrl(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && (url.protocol === 'http:' || url.protocol === 'https:') && url.username === '' && url.password === ''
}

const disk = z.strictObject({
  name: z.string().regex(partNamePattern, 'a disk name is 1 to 20 characters of a-z 0-9 -').describe('Names the disk file on the node.'),
  size: quantity(1024 ** 2, '1Mi', 'Size the guest sees.'),
  image,
})

const mac = z.union([
  z.literal('auto'),
  z
    .string()
    .meta({ form: '52:54:00:12:34:56' })
    .transform((text, context) => {
      const parsed = parseMac(text)
      if (parsed === undefined) {
        context.addIssue({ code: 'custom', message: `"${text}" is not a unicast MAC address; write auto or for example 52:54:00:12:34:56` })
        return z.NEVER
      }
      return parsed
    }),
])

const network = z.strictObject({
  name: z
    .string()
    .regex(partNamePattern, 'a network name is 1 to 20 characters of a-z 0-9 -')
    .describe('Names the NIC; with mac: auto, its MAC follows from it.'),
  bridge: z
    .string()
    .regex(interfaceNamePattern, 'a bridge name is 1 to 15 characters')
    .describe('Bridge of the host that the NIC is put on, such as br0. The node must have it and its broker must allow it.'),
  mac: mac
    .prefault('auto')
    .describe('MAC address of the NIC. auto is made from the names of cluster, VM and network, and stays the same on every node.'),
})

const readiness = z.union(
  [
    z.strictObject({ ping: z.literal(true).describe('Ready once another node reaches the VM with a ping.') }),
    z.strictObject({ tcp: z.int().min(1).max(65_535).describe('Ready once a connection to this TCP port is accepted.') }),
  ],
  'readiness is one of ping: true and tcp: PORT',
)

const spec = z.strictObject({
  runStrategy: z
    .enum(['Always', 'Halted'])
    .default('Always')
    .describe('Always keeps the VM running. Halted shuts it down and keeps its disks.'),
  cpu: z
    .strictObject({ cores: z.int().min(1).max(256).default(1).describe('Virtual CPUs of the guest.') })
    .prefault({})
    .describe('Processors.'),
  memory: quantity(32 * 1024 ** 2, '32Mi', 'Memory of the guest. QEMU needs some more on the node.'),
  accelerator: z
    .enum(['auto', 'kvm', 'tcg'])
    .default('auto')
    .describe('kvm runs on nodes with working KVM only, tcg is software emulation and slow, auto takes what the node has.'),
  disks: z
    .array(disk)
    .length(1, 'exactly one disk is supported so far')
    .describe('Disks, kept on the node the VM was placed on. The first one boots.'),
  networks: z.array(network).length(1, 'exactly one network is supported so far').describe('Network interfaces.'),
  cloudInit: z
    .strictObject({
      userData: z
        .string()
        .max(256 * 1024)
        .optional()
        .describe('cloud-init user data, such as a #cloud-config. It travels as a Swarm secret.'),
      sshAuthorizedKeys: z
        .array(
          z
            .string()
            .min(1)
            .max(16_384)
            .regex(/^[^\r\n]+$/, 'one key a line'),
        )
        .max(64)
        .default([])
        .describe("Public keys for the guest's default user, one OpenSSH line each."),
    })
    .prefault({})
    .describe('What cloud-init in the guest is given at its first boot.'),
  readiness: readiness.optional().describe('When the guest itself counts as ready, beyond being reachable: one of ping and tcp.'),
})

export const virtualMachineSchema = z
  .strictObject({
    apiVersion: z.literal(apiVersion).describe('Version of this schema.'),
    kind: z.literal(kind).describe('What the document declares.'),
    metadata: z
      .strictObject({
        name: z
          .string()
          .regex(vmNamePattern, 'a VM name is 1 to 50 characters of a-z 0-9 -, and starts and ends with a letter or digit')
          .describe(
            'Name of the VM, at most 50 characters of a-z 0-9 -. Its service is vm-NAME; a VM that is given another name is another VM.',
          ),
        labels: z.record(z.string(), z.string()).default({}).describe("Your own labels, shown with the VM's status."),
        annotations: z.record(z.string(), z.string()).default({}).describe('Notes for other tools.'),
      })
      .describe('Who the VM is.'),
    spec: spec.describe('What the VM is to be.'),
  })
  .describe('A virtual machine that the cluster keeps running as declared.')

/** A manifest with every default filled in; sizes in bytes, MACs in lower case with colons or `auto`. */
export type VirtualMachine = z.output<typeof virtualMachineSchema>

export type ManifestPath = readonly (string | number)[]

export interface ManifestIssue {
  /** `VM010` wrong value, `VM011` missing field, `VM012` unknown field, `VM020` not supported yet. */
  readonly code: string
  /** Of the offending key or value; for a missing key, of the key itself. */
  readonly path: ManifestPath
  readonly message: string
  readonly help?: string
}

export type ParsedManifest =
  | { readonly ok: true; readonly vm: VirtualMachine; readonly generation: string }
  | { readonly ok: false; readonly name: string | undefined; readonly issues: readonly ManifestIssue[] }

/** Reads one YAML document's plain value. Strict: an unknown key is an issue, since a typo must never silently default. */
export function parseVirtualMachine(document: unknown): ParsedManifest {
  const early = notYet(document, [])
  const result = virtualMachineSchema.safeParse(document)
  if (result.success && early.length === 0) {
    return { ok: true, vm: result.data, generation: generationOf(document) }
  }
  const refused = new Set(early.map((issue) => JSON.stringify(issue.path)))
  const others = result.success ? [] : result.error.issues.flatMap((issue) => describe(issue, document))
  const issues = [...early, ...others.filter((issue) => !refused.has(JSON.stringify(issue.path)) && !explained(issue, early))]
  return { ok: false, name: nameOf(document), issues }
}

/** Hash of the spec as the user wrote it, before defaults, so that a default of a later version changes no generation. */
function generationOf(document: unknown): string {
  return hashOf((document as { spec: unknown }).spec).slice(0, 16)
}

/** The name of a document that may be invalid otherwise, if it can be trusted to be one. */
function nameOf(document: unknown): string | undefined {
  const name = at(document, ['metadata', 'name'])
  return typeof name === 'string' && vmNamePattern.test(name) ? name : undefined
}

function at(value: unknown, path: ManifestPath): unknown {
  return path.reduce<unknown>(
    (inner, key) => (inner !== null && typeof inner === 'object' ? (inner as Record<string | number, unknown>)[key] : undefined),
    value,
  )
}

function pattern(path: ManifestPath): string {
  return path.map((key) => (typeof key === 'number' ? '*' : key)).join('.')
}

/** Walks at most the depth of the schema: what lies deeper under a refused field is not looked at. */
function notYet(value: unknown, path: ManifestPath): ManifestIssue[] {
  const name = pattern(path)
  if (notYetFields.has(name)) return [{ code: 'VM020', path, message: `${name.replaceAll('.*', '[]')} is not supported yet` }]
  if (typeof value === 'string' && notYetValues.get(name)?.includes(value)) {
    return [{ code: 'VM020', path, message: `${name}: ${value} is not supported yet` }]
  }
  if (Array.isArray(value)) {
    const many = notYetLists.has(name) && value.length > 1
    const issue = { code: 'VM020', path, message: `more than one entry in ${name} is not supported yet` }
    return [...(many ? [issue] : []), ...value.flatMap((inner, index) => notYet(inner, [...path, index]))]
  }
  if (value === null || typeof value !== 'object' || path.length > 5) return []
  return Object.entries(value).flatMap(([key, inner]) => notYet(inner, [...path, key]))
}

/** A union or a missing-key complaint about a value that holds a refused field says nothing new. */
function explained(issue: ManifestIssue, early: readonly ManifestIssue[]): boolean {
  return early.some((one) => {
    const parent = one.path.slice(0, issue.path.length)
    const sibling = one.path.slice(0, -1)
    return JSON.stringify(parent) === JSON.stringify(issue.path) || JSON.stringify(sibling) === JSON.stringify(issue.path.slice(0, -1))
  })
}

function describe(issue: z.core.$ZodIssue, document: unknown): ManifestIssue[] {
  const path = issue.path.filter((key) => typeof key !== 'symbol')
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ code: 'VM012', path: [...path, key], message: `unknown field "${key}"` }))
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const keys = issue.errors.flat().find((inner) => inner.code === 'unrecognized_keys')
    if (keys && issue.errors.every((branch) => branch.length > 0)) return [{ code: 'VM010', path, message: issue.message }]
  }
  if (at(document, path) === undefined && path.length > 0) {
    return [{ code: 'VM011', path, message: `field "${pattern(path)}" is missing` }]
  }
  return [{ code: 'VM010', path, message: issue.message }]
}

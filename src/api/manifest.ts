import type { z } from 'zod'
import { hashOf } from './hash.ts'
import type { About } from './manifest/about.ts'
import { classedMachineSchema, virtualMachineClassSchema, virtualMachineSchema } from './manifest/document.ts'
import { classAbout, type FieldPattern, machineAbout, patternOf } from './manifest/fields.ts'
import { at, type ManifestIssue, type ManifestPath } from './manifest/issue.ts'
import { describeIssue } from './manifest/messages.ts'
import { notYetIn } from './manifest/not-yet.ts'
import { brokenRules } from './manifest/rules.ts'
import { type VmName, vmNameOf, vmNamePattern } from './names.ts'

export { apiVersion, classKind, kind, listKind } from './manifest/document.ts'
export { at } from './manifest/issue.ts'
export type { ManifestIssue, ManifestPath } from './manifest/issue.ts'

type Whole = z.output<typeof virtualMachineSchema>
type WholeDisk = Whole['spec']['disks'][number]
type WholeNetwork = Whole['spec']['networks'][number]
/** The supported part of the schema; everything else is rejected before a manifest gets this type. */
type StoredDisk = WholeDisk & { readonly size: number; readonly cdrom?: undefined }
type CdromDrive = WholeDisk & { readonly size?: undefined; readonly cdrom: NonNullable<WholeDisk['cdrom']> }
type Disk = StoredDisk | CdromDrive
/** Exactly one kind. */
type Network =
  | (WholeNetwork & { readonly bridge: string; readonly user?: undefined; readonly direct?: undefined })
  | (WholeNetwork & { readonly bridge?: undefined; readonly user: UserNetwork; readonly direct?: undefined })
  | (WholeNetwork & { readonly bridge?: undefined; readonly user?: undefined; readonly direct: DirectNetwork })
export type UserNetwork = NonNullable<WholeNetwork['user']>
type DirectNetwork = NonNullable<WholeNetwork['direct']>
type Spec = Omit<Whole['spec'], 'disks' | 'networks'> & {
  readonly disks: readonly Disk[]
  readonly networks: readonly Network[]
}

/** A manifest with every default filled in; sizes in bytes, durations in milliseconds, MACs in lower case with colons or `auto`. */
export type VirtualMachine = Omit<Whole, 'spec'> & {
  readonly spec: Spec
  /** Paths whose values come from the class: `spec.memory`, `spec.cpu.cores`. */
  readonly fromClass?: readonly string[]
}

/** A class as written, before it is merged with the VMs that use it. */
export interface VirtualMachineClass {
  readonly name: string
  readonly spec: Readonly<Record<string, unknown>>
}

/** The disks with a file on the node: all but CD-ROM drives. */
export function storedDisks({ disks }: Pick<VirtualMachine['spec'], 'disks'>): readonly StoredDisk[] {
  return disks.filter((disk) => disk.cdrom === undefined)
}

export function cdromDrives({ disks }: Pick<VirtualMachine['spec'], 'disks'>): readonly CdromDrive[] {
  return disks.filter((disk) => disk.cdrom !== undefined)
}

export type ParsedManifest =
  | { readonly ok: true; readonly vm: VirtualMachine; readonly generation: string }
  | { readonly ok: false; readonly name: VmName | undefined; readonly issues: readonly ManifestIssue[] }

/**
 * Reads the plain value of one YAML document. Strict: an unknown key is an issue, because a typo must never silently default. `under` is the
 * class that the document names; it gives the fields that the document leaves out.
 */
export function parseVirtualMachine(document: unknown, under?: VirtualMachineClass): ParsedManifest {
  const whole = under === undefined ? document : { ...(document as object), spec: laidUnder(under.spec, at(document, ['spec'])) }
  const result = virtualMachineSchema.safeParse(whole, ownWords)
  const issues = issuesOf(whole, result, machineAbout(), brokenRules(whole))
  if (!result.success || issues.length > 0) return { ok: false, name: nameOf(document), issues }
  const vm = result.data as VirtualMachine
  const fromClass = under === undefined ? {} : { fromClass: givenBy(under.spec, at(document, ['spec'])) }
  return { ok: true, vm: { ...vm, ...fromClass }, generation: generationOf(document, under) }
}

/** The class name in a document; undefined if there is no valid one. */
export function classOf(document: unknown): string | undefined {
  const name = at(document, ['spec', 'class'])
  return typeof name === 'string' && vmNamePattern.test(name) ? name : undefined
}

/** The errors of a VM with a class that do not depend on the class. */
export function judgeClassed(document: unknown): readonly ManifestIssue[] {
  return issuesOf(document, classedMachineSchema.safeParse(document, ownWords), machineAbout(), brokenRules(document))
}

export type ParsedClass =
  | { readonly ok: true; readonly class: VirtualMachineClass }
  | { readonly ok: false; readonly name: string | undefined; readonly issues: readonly ManifestIssue[] }

export function parseVirtualMachineClass(document: unknown): ParsedClass {
  const result = virtualMachineClassSchema.safeParse(document, ownWords)
  const issues = issuesOf(document, result, classAbout(), [])
  if (!result.success || issues.length > 0) return { ok: false, name: nameOf(document), issues }
  return { ok: true, class: { name: result.data.metadata.name, spec: at(document, ['spec']) as VirtualMachineClass['spec'] } }
}

/** The VM's own fields win; `cpu` is merged field by field. */
function laidUnder(under: VirtualMachineClass['spec'], own: unknown): unknown {
  if (own === null || typeof own !== 'object') return own
  const [below, above] = [under['cpu'], at(own, ['cpu'])]
  const cpu = isObject(below) && isObject(above) ? { cpu: { ...below, ...above } } : {}
  return { ...under, ...own, ...cpu }
}

/** The paths whose values came from the class. */
function givenBy(under: VirtualMachineClass['spec'], own: unknown): string[] {
  return Object.entries(under).flatMap(([key, value]) => {
    if (at(own, [key]) === undefined) return [`spec.${key}`]
    if (key !== 'cpu' || !isObject(value)) return []
    return Object.keys(value).flatMap((inner) => (at(own, [key, inner]) === undefined ? [`spec.${key}.${inner}`] : []))
  })
}

function isObject(value: unknown): value is object {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

/**
 * Hash of the spec as written, before defaults, so that a new default changes no generation. Includes the class, because an edit of the
 * class is an edit of its VMs.
 */
function generationOf(document: unknown, under: VirtualMachineClass | undefined): string {
  const written = at(document, ['spec'])
  return hashOf(under === undefined ? written : [written, under.spec]).slice(0, 16)
}

/** The name of a document that may be otherwise invalid, if the name itself is valid. */
export function nameOf(document: unknown): VmName | undefined {
  const name = at(document, ['metadata', 'name'])
  return typeof name === 'string' ? vmNameOf(name) : undefined
}

function issuesOf(
  document: unknown,
  result: z.ZodSafeParseResult<unknown>,
  fields: ReadonlyMap<FieldPattern, About>,
  rules: readonly ManifestIssue[],
): ManifestIssue[] {
  const early = notYetIn(fields, document)
  const parsed = result.success ? [] : result.error.issues.flatMap((issue) => describe(issue, document, fields))
  const own = parsed.filter((issue) => !explained(issue, early))
  // A rule about a field that is already invalid would only repeat the error.
  const ruled = rules.filter((issue) => !explained(issue, early) && !own.some((one) => within(issue.path, one.path)))
  return [...early, ...own, ...ruled]
}

/** Drops errors about a value that contains, or is inside, a rejected field, and about a key that is missing beside one. */
function explained(issue: ManifestIssue, early: readonly ManifestIssue[]): boolean {
  const beside = (one: ManifestIssue): boolean =>
    issue.code === 'VM011' && one.path.length === issue.path.length && within(one.path, issue.path.slice(0, -1))
  return early.some((one) => within(one.path, issue.path) || within(issue.path, one.path) || beside(one))
}

function within(path: ManifestPath, outer: ManifestPath): boolean {
  return outer.every((step, index) => path[index] === step)
}

/** The library's own messages are empty, so that none of them is ever shown. */
const ownWords = { error: () => '' }

function describe(issue: z.core.$ZodIssue, document: unknown, fields: ReadonlyMap<FieldPattern, About>): ManifestIssue[] {
  const path = issue.path.filter((key) => typeof key !== 'symbol')
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownField([...path, key]))
  const value = at(document, path)
  if (value === undefined && path.length > 0) return [{ code: 'VM011', path, message: `field "${patternOf(path)}" is missing` }]
  return [{ code: 'VM010', path, ...describeIssue(issue, fields, path, value) }]
}

function unknownField(path: ManifestPath): ManifestIssue {
  const key = String(path.at(-1))
  if (key !== '<<') return { code: 'VM012', path, message: `unknown field "${key}"` }
  const help = 'write the fields out; an alias for a whole value (cpu: *small) or a VirtualMachineClass shares them'
  return { code: 'VM012', path, message: 'merge keys ("<<") are not part of YAML 1.2', help }
}

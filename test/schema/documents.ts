import fc from 'fast-check'
import { schema } from './editor-schema.ts'

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** The part of draft-7 that is in use. Documents are generated from the schema file itself. */
interface Schema {
  readonly $ref?: string
  readonly not?: Schema
  readonly const?: Json
  readonly enum?: readonly Json[]
  readonly type?: string
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly maxProperties?: number
  readonly anyOf?: readonly Schema[]
  readonly allOf?: readonly { readonly then: Schema }[]
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: Schema | boolean
  readonly if?: Schema
  readonly then?: Schema
  readonly else?: Schema
}

const root = schema as Schema & { readonly definitions: Readonly<Record<string, Schema>> }

/** Documents of every kind with the shape that the schema gives; what only values decide may still be wrong. */
export function documents(): fc.Arbitrary<Json> {
  return fc.oneof(...Object.values(root.definitions).map((one) => valueOf(one)))
}

function valueOf(one: Schema): fc.Arbitrary<Json> {
  if (one.$ref !== undefined) return valueOf(root.definitions[one.$ref.replace('#/definitions/', '')] ?? {})
  if (one.const !== undefined) return fc.constant(one.const)
  if (one.enum !== undefined) return fc.constantFrom(...one.enum)
  if (one.anyOf !== undefined) return fc.oneof(...one.anyOf.map(valueOf))
  // The entries of a List: each branch has its own shape.
  if (one.allOf !== undefined) return fc.oneof(...one.allOf.map((branch) => valueOf(branch.then)))
  switch (one.type) {
    case 'object':
      return objectOf(one)
    case 'array':
      return fc.array(valueOf(one.items ?? {}), { minLength: one.minItems ?? 0, maxLength: Math.min(one.maxItems ?? 3, 3) })
    case 'integer':
      return integerOf(one)
    case 'number':
      return fc.double({ min: one.minimum ?? -10, max: one.maximum ?? 10, noNaN: true })
    case 'null':
      return fc.constant(null)
    case 'boolean':
      return fc.boolean()
    case 'string':
      return textOf(one.pattern)
    default:
      return fc.constant({})
  }
}

/** Mostly small ones, because the product of some is limited. */
function integerOf({ minimum: min = -10, maximum: max = 10 }: Schema): fc.Arbitrary<number> {
  return fc.oneof({ weight: 3, arbitrary: fc.integer({ min, max: Math.min(max, min + 3) }) }, fc.integer({ min, max }))
}

function objectOf(one: Schema): fc.Arbitrary<Json> {
  const excluded = Object.entries(one.then?.properties ?? {}).flatMap(([key, inner]) => (inner.not === undefined ? [] : key))
  if (excluded.length > 0) {
    const { if: condition, then: _then, else: otherwise, ...rest } = one
    const requiredBy = (branch: Schema | undefined): string[] => [...(one.required ?? []), ...(branch?.required ?? [])]
    const matching = { ...without(rest, excluded), required: requiredBy(condition) }
    // The other branch can have a condition of its own.
    const others = without({ ...rest, ...otherwise, required: requiredBy(otherwise) }, condition?.required ?? [])
    return fc.oneof(objectOf(matching), { weight: 3, arbitrary: objectOf(others) })
  }
  const built = Object.entries(one.properties ?? {}).filter(([, inner]) => inner.not === undefined)
  if (built.length === 0)
    return fc.dictionary(words, typeof one.additionalProperties === 'object' ? valueOf(one.additionalProperties) : words)
  const fields = Object.fromEntries(built.map(([key, inner]) => [key, valueOf(inner)]))
  if (one.maxProperties === 1) return fc.oneof(...Object.entries(fields).map(([key, value]) => value.map((inner) => ({ [key]: inner }))))
  // A required condition is always met: otherwise half of the documents would be invalid from the start.
  const required = [...(one.required ?? []), ...(one.then?.required ?? []), ...(one.else?.required ?? [])]
  return fc.record(fields, { requiredKeys: required.filter((key) => key in fields) }) as fc.Arbitrary<Json>
}

function without(one: Schema, keys: readonly string[]): Schema {
  return { ...one, properties: Object.fromEntries(Object.entries(one.properties ?? {}).filter(([key]) => !keys.includes(key))) }
}

const sizes = fc.constantFrom('512Mi', '2Gi', '20G', '1.5Gi')
const words = fc.stringMatching(/^[a-z]{1,8}$/)
const blob = 'AAAAC3NzaC1lZDI1NTE5AAAAIGqM6Q0i7Kt5i0v8v0R3k7v7m0bq0o6v8Qw0t6wWm3xk'
/** A matching string is hardly ever a key inside. */
const publicKeys = fc.constantFrom(`ssh-ed25519 ${blob}`, `no-pty,command="a b" ssh-ed25519 ${blob} me@host`)
/** Strings cannot be generated from patterns with a look-ahead. */
const images = fc.constantFrom('images/a.qcow2', 'images/debian-13.qcow2', 'https://x.example/a.qcow2', 'http://[::1]:8080/b')

/** One of them has a look-ahead too. */
const durations = fc.constantFrom('30s', '2m', '1h', '1m30s', '1500ms')

function textOf(pattern: string | undefined): fc.Arbitrary<string> {
  if (pattern === undefined) return words
  if (pattern.includes('ssh-ed25519')) return publicKeys
  if (pattern.includes('isos')) return fc.constantFrom('isos/a.iso', 'isos/virtio-win.iso')
  if (pattern.includes('(?=')) return durations
  if (/^\^images[^|]*$/.test(pattern)) return fc.constantFrom('images/vmlinuz', 'images/initrd')
  if (pattern.includes('(?!')) return images
  const matching = fc.stringMatching(new RegExp(pattern, 'u'))
  // Few of the quantities that match are whole numbers of bytes and enough.
  return pattern.includes('[KMGT]') ? fc.oneof({ weight: 9, arbitrary: sizes }, matching) : matching
}

/** A document with one thing changed at one place: gone, of another type, out of range, written otherwise, twice, or a key too many. */
export function mutated(document: Json): fc.Arbitrary<Json> {
  const paths = pathsIn(document, [])
  return fc
    .tuple(
      fc.constantFrom(...paths),
      fc.oneof(
        values.map((value) => () => value),
        texts,
        fc.constantFrom(gone, twice),
        keys,
      ),
    )
    .map(([path, change]) => changedAt(document, path, change))
}

type Path = readonly (string | number)[]
type Change = (value: Json) => Json | undefined

const gone: Change = () => undefined
const twice: Change = (value) => (Array.isArray(value) ? [...value, ...value] : [value, value])
/** Some are valid where they land, which shows where the schema is stricter than the reader. */
const values: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json>(null, true, 1.5, 1e15, '', '0', 'x', '1Mi', '99999999999999T', 'oci://x/y', [], {}, [[]]),
  fc.constantFrom<Json>('auto', '52-54-00-AB-CD-EF', 'a'.repeat(64), 'Small_1', 'web-1', 'br0.20', 'Always', 'OnRestart', '10.0.0.1'),
  fc.integer({ min: -1, max: 300 }),
  fc.integer({ min: 0, max: 66_000 }),
)
const texts: fc.Arbitrary<Change> = fc
  .constantFrom('!', ' ', '-', 'X', 'Mi', '/../x')
  .map((more) => (value: Json) => (typeof value === 'string' ? value + more : more))
const keys: fc.Arbitrary<Change> = fc.tuple(fc.constantFrom(...namesIn(schema)), fc.oneof(values, fc.constant<Json>({ mode: 'uefi' }))).map(
  ([key, inner]) =>
    (value: Json) =>
      isObject(value) ? { ...value, [key]: inner } : { [key]: inner },
)

/** Every name of a field anywhere, also of those that are not supported yet, and some that nobody knows. */
function namesIn(one: unknown): readonly string[] {
  const found = new Set(['cpus', 'toString', 'constructor'])
  JSON.stringify(one, (key, value: unknown) => {
    if (key === 'properties') for (const name of Object.keys(value as object)) found.add(name)
    return value
  })
  return [...found]
}

function pathsIn(value: Json, path: Path): Path[] {
  if (value === null || typeof value !== 'object') return [path]
  return [path, ...Object.entries(value).flatMap(([key, inner]) => pathsIn(inner, [...path, Array.isArray(value) ? Number(key) : key]))]
}

function changedAt(value: Json, [step, ...rest]: Path, change: Change): Json {
  if (step === undefined) return change(value) ?? null
  if (Array.isArray(value))
    return value.map((inner, index) =>
      index === step ? (rest.length === 0 ? (change(inner) ?? null) : changedAt(inner, rest, change)) : inner,
    )
  if (!isObject(value)) return value
  const changed = rest.length === 0 ? change(value[step] ?? null) : changedAt(value[step] ?? null, rest, change)
  const { [step]: _, ...others } = value
  return changed === undefined ? others : { ...others, [step]: changed }
}

function isObject(value: Json): value is { [key: string]: Json } {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

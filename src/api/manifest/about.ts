import type { z } from 'zod'

/** What an edit of a field does to a VM that runs. Of several edited fields the strongest counts, in this order. */
export const editEffects = ['live', 'restart', 'first-boot', 'recreate', 'destroys-data'] as const
export type EditEffect = (typeof editEffects)[number]

export const effectTexts: Readonly<Record<EditEffect, string>> = {
  live: 'live, takes hold at once and the VM runs on',
  restart: 'restart, takes hold when the VM is restarted',
  'first-boot': 'first-boot, reaches the guest with a restart; cloud-init applies most of it only at the first boot of an instance',
  recreate: 'recreate, makes another VM',
  'destroys-data': 'destroys-data, refused unless an annotation allows it',
}

/** What is said of a field beside its type; `explain`, the JSON Schema and the documentation are made from it. */
export interface About {
  readonly description: string
  /** Of a field that holds others: what an edit of those does that have no word of their own. */
  readonly effect?: EditEffect
  /** Of a mapping whose keys are free: what an edit of these keys does. */
  readonly keyEffects?: Readonly<Record<string, EditEffect>>
  /** When it must be written, where more than the field itself decides that: `yes`, or `for a URL`. */
  readonly needed?: string
  /** For people: `bytes, written like 512Mi`. */
  readonly unit?: string
  /** The least value, where it is no number of JSON's. */
  readonly least?: string
  readonly most?: string
  /** An example of how it is written. */
  readonly form?: string
  /** No code stands behind it yet: refused as such, never ignored. */
  readonly notYet?: true
  /** Values of an enum, or beginnings of a text, that no code stands behind yet. */
  readonly notYetValues?: readonly string[]
  /** The list takes one entry so far. */
  readonly oneSoFar?: true
}

/** Says it of a schema. Given last, since wrapping (`optional`, `default`) makes another schema. */
export function field<Schema extends z.ZodType>(schema: Schema, about: About): Schema {
  return schema.meta({ ...schema.meta(), ...about })
}

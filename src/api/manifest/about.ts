import type { z } from 'zod'

/** The effect of editing a field of a running VM. With several edited fields the strongest effect counts, in this order. */
export const editEffects = ['live', 'restart', 'first-boot', 'recreate', 'destroys-data'] as const
export type EditEffect = (typeof editEffects)[number]

export const effectTexts: Readonly<Record<EditEffect, string>> = {
  live: 'live, applies at once while the VM keeps running',
  restart: 'restart, applies when the VM is restarted',
  'first-boot': 'first-boot, reaches the guest with a restart; cloud-init applies most of it only at the first boot of an instance',
  recreate: 'recreate, creates another VM',
  'destroys-data': 'destroys-data, refused unless an annotation allows it',
}

/** The documentation of a field; `explain`, the JSON Schema and docs/manifest.md are generated from it. */
export interface About {
  readonly description: string
  /** The effect of an edit; fields inside without their own effect inherit it. */
  readonly effect?: EditEffect
  /** For a map with free keys: the effect of editing these keys. */
  readonly keyEffects?: Readonly<Record<string, EditEffect>>
  /** When the field is required, if that does not follow from the schema: `yes`, or `for a URL`. */
  readonly needed?: string
  /** Shown to users: `bytes, such as 512Mi`. */
  readonly unit?: string
  /** The minimum, if it is not a JSON number. */
  readonly least?: string
  readonly most?: string
  /** An example of how it is written. */
  readonly form?: string
  /** Not supported yet: rejected with that message, never ignored. */
  readonly notYet?: true
  /** Enum values, or prefixes of a string, that are not supported yet. */
  readonly notYetValues?: readonly string[]
}

/** Adds the documentation to a schema. Call it last, because `optional` and `default` create a new schema. */
export function field<Schema extends z.ZodType>(schema: Schema, about: About): Schema {
  return schema.meta({ ...schema.meta(), ...about })
}

import { z } from 'zod'
import type { About } from './about.ts'

/** A field in JSON Schema (draft-7), with the manifest's own additions. */
export interface FieldSchema extends Partial<About> {
  readonly type?: string
  readonly default?: unknown
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly pattern?: string
  /** The message for a string that does not match the pattern; editors show it. */
  readonly patternErrorMessage?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly properties?: Readonly<Record<string, FieldSchema>>
  readonly required?: readonly string[]
  readonly items?: FieldSchema
  readonly anyOf?: readonly FieldSchema[]
  readonly additionalProperties?: FieldSchema | boolean
}

/** The schema of what a user writes: before defaults, with sizes and durations as strings. */
export function fieldSchemaOf(schema: z.ZodType): FieldSchema {
  return z.toJSONSchema(schema, {
    target: 'draft-7',
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      const message = messageOf(zodSchema)
      if (message !== undefined && jsonSchema.pattern !== undefined) jsonSchema['patternErrorMessage'] = message
    },
  }) as FieldSchema
}

/** The message of a string's pattern. */
function messageOf(schema: z.core.$ZodType): string | undefined {
  const found = schema._zod.def.checks
    ?.map((check) => check._zod.def as z.core.$ZodCheckStringFormatDef)
    .find((def) => def.format === 'regex')
  // zod turns a message that is a string into a function of the issue.
  const said = (found?.error as ((issue: unknown) => unknown) | undefined)?.({})
  return typeof said === 'string' ? said : undefined
}

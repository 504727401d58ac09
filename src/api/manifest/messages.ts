import type { z } from 'zod'
import { closest } from '../closest.ts'
import type { About } from './about.ts'
import { type FieldPattern, patternOf } from './fields.ts'
import type { ManifestPath } from './issue.ts'

export interface IssueText {
  readonly message: string
  readonly help?: string
}

/** A field with an error: its documentation in the schema, and its value. */
interface Wrong {
  readonly name: string
  readonly about: About | undefined
  /** Names of the fields below it. */
  readonly below: readonly string[]
  readonly value: unknown
}

/** Describes an error of the schema. Uses the message of our schema if there is one, and never a message of the library. */
export function describeIssue(
  issue: z.core.$ZodIssue,
  fields: ReadonlyMap<FieldPattern, About>,
  path: ManifestPath,
  value: unknown,
): IssueText {
  const pattern = patternOf(path)
  const shown = pattern.replaceAll('.*', '[]')
  const below = [...fields.keys()].filter((key) => key.startsWith(`${pattern}.`) && !key.slice(pattern.length + 1).includes('.'))
  const wrong = {
    name: shown === '' ? 'the document' : shown,
    about: fields.get(pattern),
    below: below.filter((key) => fields.get(key)?.notYet !== true).map((key) => key.slice(pattern.length + 1)),
    value,
  }
  if (value === null) return { message: `${wrong.name} has no value`, help: 'write one, or remove the field' }
  if (issue.message === '') return described(issue, wrong)
  // The message for a pattern is also used for a value that is not a string.
  return issue.code === 'invalid_type' ? wrongType(issue, wrong) : { message: issue.message, ...helpIn(issue) }
}

function helpIn(issue: z.core.$ZodIssue): Pick<IssueText, 'help'> {
  const help: unknown = issue.code === 'custom' ? issue.params?.['help'] : undefined
  return typeof help === 'string' ? { help } : {}
}

function described(issue: z.core.$ZodIssue, wrong: Wrong): IssueText {
  switch (issue.code) {
    case 'invalid_type':
      return wrongType(issue, wrong)
    case 'invalid_value':
      return noSuchValue(issue.values, wrong)
    case 'too_small':
      return { message: `${amount(issue.origin, wrong)}; the minimum is ${String(issue.minimum)}` }
    case 'too_big':
      return { message: `${amount(issue.origin, wrong)}; the maximum is ${String(issue.maximum)}` }
    case 'invalid_key':
      return { message: `a key of ${wrong.name} is empty or has more than 253 characters` }
    case 'invalid_union':
      return { message: `${shownValue(wrong.value)} is not a valid value of ${wrong.name}` }
    case 'invalid_format':
    case 'not_multiple_of':
    case 'invalid_element':
    case 'unrecognized_keys':
    case 'custom':
      return { message: `${shownValue(wrong.value)} is not a valid value of ${wrong.name}` }
    default:
      return issue satisfies never
  }
}

function amount(origin: string, { name, value }: Wrong): string {
  if (origin === 'array') return `${name} has ${Array.isArray(value) ? value.length : 0} entries`
  if (origin === 'string') return `${name} has ${typeof value === 'string' ? value.length : 0} characters`
  return `${name} is ${shownValue(value)}`
}

function wrongType(issue: z.core.$ZodIssueInvalidType, wrong: Wrong): IssueText {
  const { name, about, below, value } = wrong
  switch (issue.expected) {
    case 'string':
      return noString(wrong)
    case 'number':
    case 'int':
      if (typeof value === 'number') return { message: `${name} is ${value}, which is not an integer` }
      return { message: `${name} is an integer, not ${kindOf(value)}`, ...unquoted(value, /^\d+$/) }
    case 'boolean':
      return { message: `${name} is true or false, not ${kindOf(value)}`, ...unquoted(value, /^(?:true|false)$/) }
    case 'array':
      return { message: `${name} is a list, not ${kindOf(value)}`, help: 'begin each entry with "- ", or put the list into [ ]' }
    default: {
      const [first] = below
      if (first === undefined) return { message: `${name} is a mapping, not ${kindOf(value)}` }
      const single = typeof value !== 'object' && below.length === 1 && about?.notYet !== true
      const help = single ? `write { ${first}: ${shownValue(value).slice(0, 40)} }` : `its fields are ${below.join(', ')}`
      return { message: `${name} is a mapping of fields, not ${kindOf(value)}`, help }
    }
  }
}

function noString({ name, about, value }: Wrong): IssueText {
  if (typeof value === 'number' && about?.unit?.startsWith('bytes') === true) {
    return { message: `${value} has no unit`, help: `write ${value}Mi or ${value}Gi; "${value}" in quotes is bytes` }
  }
  if (typeof value === 'number' && about?.unit?.startsWith('time') === true)
    return { message: `${value} has no unit`, help: `write ${value}s` }
  const quoted = typeof value === 'number' || typeof value === 'boolean' ? { help: `put it in quotes: "${String(value)}"` } : {}
  return { message: `${name} is a string, not ${kindOf(value)}`, ...quoted }
}

function unquoted(value: unknown, pattern: RegExp): Pick<IssueText, 'help'> {
  return typeof value === 'string' && pattern.test(value) ? { help: `write ${value} without quotes` } : {}
}

function noSuchValue(all: readonly unknown[], { name, about, value }: Wrong): IssueText {
  const values = all.filter((one) => about?.notYetValues?.includes(String(one)) !== true).map(String)
  const best = typeof value === 'string' ? closest(value, values) : undefined
  const help = best === undefined ? {} : { help: `did you mean "${best}"?` }
  return { message: `${shownValue(value)} is not a valid value of ${name}; write ${values.join(' or ')}`, ...help }
}

function shownValue(value: unknown): string {
  if (typeof value === 'string') return `"${value.slice(0, 60)}"`
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : kindOf(value)
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  switch (typeof value) {
    case 'object':
      return 'a mapping'
    case 'number':
      return `the number ${value}`
    case 'boolean':
      return String(value)
    default:
      return 'a string'
  }
}

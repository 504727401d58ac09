import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'

/** The JSON Schema in the repository, and a validator without zod. */
export const schemaFile = join(import.meta.dirname, '../../manifests/schema/swarmvirt.schema.json')
export const schema = JSON.parse(readFileSync(schemaFile, 'utf8')) as object

/** Keywords of editors, which say nothing of what is valid. */
const editorKeywords = ['x-swarmvirt-edit', 'patternErrorMessage', 'deprecationMessage', 'doNotSuggest']

function compiled() {
  // Strict: a keyword that is misspelt, and would hold nothing, is an error. The pattern beside it judges what the format names.
  const ajv = new Ajv({ allErrors: true, strictTypes: false, strictRequired: false, formats: { ipv4: true } })
  ajv.addVocabulary(editorKeywords)
  return ajv.compile(schema)
}

const validate = compiled()

/** The errors of a document, one per line. */
export function schemaErrors(document: unknown): readonly string[] {
  return validate(document) ? [] : (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ''}`)
}

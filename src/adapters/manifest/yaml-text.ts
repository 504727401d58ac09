import { stringify } from 'yaml'

/** A plain value as YAML, with no anchors and no line folded. */
export function yamlText(value: unknown): string {
  return stringify(value, { aliasDuplicateObjects: false, lineWidth: 0 })
}

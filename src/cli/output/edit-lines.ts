import type { Edit } from '../../api/manifest/edits.ts'

const longestValue = 60

/** Path, values and effect, as cells of a table. */
export function editLine({ path, from, to, effect, className }: Edit): readonly string[] {
  const by = className === undefined ? '' : ` (class ${className})`
  return [path, `${values(from, to)}${by}`, effect]
}

function values(from: string | undefined, to: string | undefined): string {
  if (from === undefined && to === undefined) return 'changed'
  if (from === undefined) return `${short(to)} added`
  return to === undefined ? `${short(from)} removed` : `${short(from)} → ${short(to)}`
}

function short(text = ''): string {
  if (text === '') return '""'
  return text.length > longestValue ? `${text.slice(0, longestValue - 1)}…` : text
}

// Writes the files that are generated from the manifest's schema: the JSON Schema for editors and the tables of docs/manifest.md. With --check it
// only compares, and exits 1 on a difference.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { editorSchema } from '../src/cli/offline/editor-schema.ts'
import { fieldTables } from './field-tables.ts'
import { programNamed } from './program.ts'

const root = dirname(import.meta.dirname)

interface Made {
  readonly file: string
  readonly make: (now: string) => string
}

const made: readonly Made[] = [
  { file: 'manifests/schema/swarmvirt.schema.json', make: () => `${JSON.stringify(editorSchema(), null, 2)}\n` },
  { file: 'docs/manifest.md', make: withTables },
]

/** Inserts each table between its markers, `<!-- fields: NAME -->` and `<!-- end -->`. */
function withTables(text: string): string {
  return Object.entries(fieldTables()).reduce((now, [name, table]) => {
    const [before, rest] = cut(now, `<!-- fields: ${name} -->\n`)
    const [, after] = cut(rest, '<!-- end -->')
    return `${before}<!-- fields: ${name} -->\n\n${table}\n\n<!-- end -->${after}`
  }, text)
}

function cut(text: string, marker: string): readonly [before: string, after: string] {
  const at = text.indexOf(marker)
  if (at < 0) throw new Error(`docs/manifest.md has no ${marker.trim()}`)
  return [text.slice(0, at), text.slice(at + marker.length)]
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

function main(checkOnly: boolean): void {
  for (const { file, make } of made) {
    const path = join(root, file)
    const now = readIfThere(path)
    const wanted = make(now)
    if (wanted === now) continue
    if (checkOnly) {
      process.stdout.write(`${file} is out of date; run "npm run schema"\n`)
      process.exitCode = 1
      continue
    }
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, wanted)
    process.stdout.write(`wrote ${file}\n`)
  }
}

const program = programNamed('npm run schema --', 'Writes the files that are generated from the manifest schema.')
program.option('--check', 'only compare, and exit 1 when something differs')
main(program.parse().opts<{ check?: true }>().check === true)

// Reads mutations of manifests and prints what came of it as JSON: `node manifest-fuzz.child.ts FIRST_SEED RUNS`.
import { manifestReader } from '../../src/adapters/manifest/manifest-yaml.ts'
import type { ReadDocument, SourceIssue } from '../../src/api/manifest/source-documents.ts'
import { mutation } from './manifest-mutations.ts'

interface Timed {
  readonly ms: number
  readonly seed: number
}

const read = manifestReader()
const before = inherited()
const suspiciousMs = 20

/** Everything that a polluted prototype would change. */
function inherited(): string {
  return JSON.stringify(
    [Object.prototype, Array.prototype, Function.prototype, String.prototype].map((one) => Object.getOwnPropertyNames(one)),
  )
}

function timed(bytes: Uint8Array): { readonly ms: number; readonly documents: readonly ReadDocument[] } {
  const started = performance.now()
  const documents = read('directory', 'fuzz.yaml', bytes)
  return { ms: performance.now() - started, documents }
}

/** The machine is shared: what looks slow is measured again, and its median counts. */
function duration(bytes: Uint8Array, first: number): number {
  if (first < suspiciousMs) return first
  const all = [first, ...Array.from({ length: 4 }, () => timed(bytes).ms)].toSorted((a, b) => a - b)
  return all[2] ?? first
}

function wrongPlace(issue: SourceIssue, lines: number): boolean {
  const whole = Number.isInteger(issue.line) && Number.isInteger(issue.column)
  const inside = issue.line >= 1 && issue.line <= lines && issue.column >= 1
  return !whole || !inside || !/^VM\d{3}$/.test(issue.code) || issue.message === '' || issue.message.length > 400
}

function wrongWith(documents: readonly ReadDocument[], bytes: Uint8Array): string | undefined {
  const lines = new TextDecoder().decode(bytes).split('\n').length
  for (const document of documents) {
    if (document.origin.line < 1 || document.origin.line > lines) return `a document at line ${document.origin.line}`
    if (document.ok) continue
    const issue = document.issues.find((one) => wrongPlace(one, lines))
    if (issue !== undefined) return JSON.stringify({ ...issue, rendered: '' }).slice(0, 400)
    const escaped = document.issues.find((one) => one.message.startsWith('it cannot be parsed'))
    if (escaped !== undefined) return escaped.message
    if (document.issues.length === 0 || document.issues.some((one) => /[\p{Cc}--\n]/v.test(one.rendered)))
      return 'no issue, or one with control characters'
  }
  return inherited() === before ? undefined : 'a prototype was changed'
}

function main(first: number, runs: number): void {
  const codes: Record<string, number> = {}
  const wrong: string[] = []
  let slowest: Timed[] = []
  let accepted = 0
  for (let seed = first; seed < first + runs; seed += 1) {
    const bytes = mutation(seed)
    const { ms, documents } = timed(bytes)
    const complaint = wrongWith(documents, bytes)
    if (complaint !== undefined && wrong.length < 20) wrong.push(`seed ${seed}: ${complaint}`)
    if (documents.length > 0 && documents.every((one) => one.ok)) accepted += 1
    const found = new Set(documents.flatMap((one) => (one.ok ? [] : one.issues.map((issue) => issue.code))))
    for (const code of found) codes[code] = (codes[code] ?? 0) + 1
    if (ms > (slowest[4]?.ms ?? 0)) slowest = [...slowest, { ms: duration(bytes, ms), seed }].toSorted((a, b) => b.ms - a.ms).slice(0, 5)
  }
  process.stdout.write(JSON.stringify({ runs, accepted, codes, wrong, slowest }))
}

main(Number(process.argv[2]), Number(process.argv[3]))

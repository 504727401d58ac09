// Checks types, lint with the layer rules, format, dead code, generated files and prose in parallel. Prints only failures, and exits 1 for them.
import { execFile } from 'node:child_process'
import { programNamed } from './program.ts'

interface Checked {
  readonly name: string
  readonly ok: boolean
  readonly seconds: number
  readonly output: string
}

const checks: readonly (readonly [name: string, program: string, ...args: string[]])[] = [
  ['types', 'tsc', '--noEmit', '-p', '.'],
  ['lint', 'oxlint'],
  ['format', 'biome', 'format', '--max-diagnostics=5', '.'],
  ['dead code', 'knip', '--no-progress'],
  ['schema', 'node', 'scripts/schema.ts', '--check'],
  ['prose', 'node', 'scripts/prose.ts'],
]

function run([name, program, ...args]: (typeof checks)[number]): Promise<Checked> {
  const started = performance.now()
  return new Promise((resolve) => {
    execFile(program, args, { maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      resolve({ name, ok: error === null, seconds: (performance.now() - started) / 1000, output: `${stdout}${stderr}` })
    })
  })
}

async function main(): Promise<void> {
  const results = await Promise.all(checks.map(run))
  for (const result of results) {
    if (!result.ok) process.stdout.write(`${result.output.slice(0, 20_000)}\n`)
  }
  for (const result of results) {
    process.stdout.write(`${result.ok ? 'ok    ' : 'FAILED'} ${result.name} (${result.seconds.toFixed(1)} s)\n`)
  }
  process.exitCode = results.every((result) => result.ok) ? 0 : 1
}

programNamed('npm run check', 'Checks types, lint, format, dead code, generated files and prose.').parse()
void main()

import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..', '..', '..')

/** A bug that somebody could make, as a patch of `src` or `runner`, and which invariants may notice it. */
export interface Planted {
  readonly name: string
  readonly what: string
  /** Empty where any will do. */
  readonly caughtBy: readonly string[]
  /** Tried alone, where few others would come upon it; undefined where any seed may. */
  readonly scenario: string | undefined
  /** A sweep of that scenario, where seeds would hardly ever come upon it. */
  readonly sweep: string | undefined
  readonly file: string
}

export interface Caught {
  readonly invariant?: string
  readonly seeds: number
  readonly scenario?: string
  readonly message?: string
}

export function plantedBugs(): Planted[] {
  const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.patch'))
  return files.toSorted().map((name) => readPlanted(join(import.meta.dirname, name)))
}

function readPlanted(file: string): Planted {
  const text = readFileSync(file, 'utf8')
  const said = (key: string): string => new RegExp(`^${key}: (.*)$`, 'm').exec(text)?.[1] ?? ''
  const caughtBy = said('Caught by')
    .split(', ')
    .filter((one) => one !== 'any')
  return {
    name: basename(file, '.patch'),
    what: said('What'),
    caughtBy,
    scenario: said('Scenario') || undefined,
    sweep: said('Sweep') || undefined,
    file,
  }
}

/** Plants a bug in a copy of the sources and simulates until it is noticed. Throws where the patch does not apply any more. */
export async function catchBug(planted: Planted, seeds: number): Promise<Caught> {
  const copy = mkdtempSync(join(tmpdir(), 'swarmvirt-planted-'))
  try {
    copySources(copy)
    await run('git', ['apply', '--check', planted.file], { cwd: copy })
    await run('git', ['apply', planted.file], { cwd: copy })
    return await simulateIn(copy, seeds, planted)
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

export function copySources(copy: string): void {
  for (const part of ['src', 'runner', join('test', 'simulation'), join('test', 'support'), join('scripts', 'program.ts'), 'package.json'])
    cpSync(join(root, part), join(copy, part), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
}

export async function applies({ file }: Planted, copy: string): Promise<boolean> {
  try {
    await run('git', ['apply', '--check', file], { cwd: copy })
    return true
  } catch {
    return false
  }
}

/** A bug may also make a run end never or at once. */
const longestMs = 300_000

async function simulateIn(copy: string, seeds: number, { scenario, sweep }: Planted): Promise<Caught> {
  const main = join(copy, 'test', 'simulation', 'main.ts')
  const args = [
    '--until-failure',
    ...(sweep === undefined ? ['--seeds', String(seeds)] : ['--sweep', sweep]),
    ...(scenario === undefined ? [] : ['--scenario', scenario]),
  ]
  const { stdout } = await run(process.execPath, [main, ...args], { cwd: copy, timeout: longestMs })
  return JSON.parse(stdout) as Caught
}

/** Noticed in time, and by an invariant that means it. */
export function isCaught({ caughtBy }: Planted, { invariant }: Caught): boolean {
  return invariant !== undefined && (caughtBy.length === 0 || caughtBy.includes(invariant))
}

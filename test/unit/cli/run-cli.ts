import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { join } from 'node:path'

const main = join(import.meta.dirname, '../../../src/cli/main.ts')

export interface Ran {
  readonly exit: number | null
  readonly out: string
  readonly err: string
}

/** Starts the CLI as a program of its own. */
export function spawnCli(args: readonly string[], env: Record<string, string> = {}): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, [main, ...args], { env: { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', ...env } })
}

/** Runs the CLI as a program of its own, with no more of the environment than `env` and PATH. */
export function runCli(
  args: readonly string[],
  options: { readonly input?: string; readonly env?: Record<string, string> } = {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawnCli(args, options.env)
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
    child.once('error', reject)
    child.once('close', (exit) => resolve({ exit, out, err }))
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.input ?? '')
  })
}

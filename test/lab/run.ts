/** Child processes as argument arrays; nothing here goes through a shell. */
import { type SpawnOptions, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

export type RunResult = { readonly code: number; readonly stdout: string; readonly stderr: string }
export type RunOptions = {
  readonly input?: string
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** Runs to the end; a code other than 0 is a result, not an error. A process ended by a signal has code 128. */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [command, ...args] = argv
  if (command === undefined) throw new Error('nothing to run')
  const spawnOptions: SpawnOptions = {
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs, killSignal: 'SIGKILL' }),
  }
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, spawnOptions)
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk))
    child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk))
    // A child that ends without reading its input is judged by its exit code, not by the broken pipe.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(options.input ?? '')
    child.on('error', reject)
    child.on('close', (code) => {
      resolve({ code: code ?? 128, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() })
    })
  })
}

/** Runs to the end and gives what was printed. @throws with the program's own words when it fails. */
export async function must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await run(argv, options)
  if (result.code !== 0) {
    const words = (result.stderr.trim() || result.stdout.trim()).split('\n').slice(-15).join('\n') || 'it said nothing'
    throw new Error(`${argv.slice(0, 12).join(' ')}: exit ${result.code}\n${words}`)
  }
  return result.stdout
}

/** Runs on this terminal. */
export function runAttached(argv: readonly string[], options: SpawnOptions = {}): Promise<number> {
  const [command, ...args] = argv
  if (command === undefined) throw new Error('nothing to run')
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', ...options })
    child.on('error', reject)
    child.on('close', (code) => resolve(code ?? 128))
  })
}

/** Asks until the probe gives something. @throws after `timeoutMs` with what was waited for and the last failure. Most probes start a program: pauses leave the processor to the guests. */
export async function until<T>(what: string, timeoutMs: number, probe: () => Promise<T | undefined>, pauseMs = 150): Promise<T> {
  const end = performance.now() + timeoutMs
  let last = ''
  for (;;) {
    try {
      const answer = await probe()
      if (answer !== undefined) return answer
    } catch (error) {
      last = error instanceof Error ? `: ${error.message}` : ''
    }
    if (performance.now() > end) throw new Error(`waited ${timeoutMs} ms for ${what}${last}`)
    await sleep(pauseMs)
  }
}

/** One line for the person who waits. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

import { spawn } from 'node:child_process'

/** Runs a program to its end and gives its standard output; throws with its standard error when it fails. Never a shell. */
export async function command(program: string, args: readonly string[], options: { input?: string; cwd?: string } = {}): Promise<Buffer> {
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  // A program that ends without reading its input is judged by its exit code, not by our broken pipe.
  child.stdin.on('error', () => undefined)
  child.stdin.end(options.input ?? '')
  const code = await new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exit, signal) => resolve(signal ?? exit))
  })
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${Buffer.concat(err).toString().slice(-2000)}`)
  return Buffer.concat(out)
}

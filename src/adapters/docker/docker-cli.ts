import { spawn } from 'node:child_process'
import { PortError } from '../../ports/errors.ts'
import type { DockerCli } from '../../ports/docker-cli.ts'

/** Runs the operator's own `docker`, which handles contexts, TLS and ssh. `globals` are Docker's global flags (`--context x`). */
export function dockerCli(program: string, globals: readonly string[]): DockerCli {
  return {
    run: (args, input) =>
      new Promise((resolve, reject) => {
        const child = spawn(program, [...globals, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
        const out: Buffer[] = []
        const err: Buffer[] = []
        child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
        child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
        child.once('error', (error) => reject(new PortError('Unavailable', `${program} could not be started: ${error.message}`)))
        child.once('close', (code) => {
          const stderr = Buffer.concat(err).toString('utf8').trim()
          if (code === 0) resolve(Buffer.concat(out).toString('utf8'))
          else reject(new PortError('Invalid', `docker ${args.slice(0, 2).join(' ')}: ${stderr || `exit code ${code}`}`))
        })
        // If docker exits early it closes its input. Its exit code has the reason.
        child.stdin.on('error', () => child.stdin.destroy())
        child.stdin.end(input ?? '')
      }),
  }
}

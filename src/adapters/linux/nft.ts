import { execFile } from 'node:child_process'
import { HostError } from '../../ports/host-network.ts'

const program = 'nft'
/** A call takes milliseconds. A call that hangs must not delay a VM's start for long. */
const timeoutMs = 10_000
/** Rules of 1,024 TAPs take less than 1 MiB. */
const maxOutputBytes = 16 * 1024 * 1024
/** The kernel accepts 128 KiB in one argument. `nft -f -` would reopen its standard input, which fails for a socket. */
export const maxScriptLength = 100_000
const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }

/** Runs the program `nft`, which needs NET_ADMIN. Rejects with HostError `Io`. */
export function nft(args: readonly string[]): Promise<string> {
  const options = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: maxOutputBytes, env } as const
  return new Promise((resolve, reject) => {
    execFile(program, [...args], options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      reject(new HostError('Io', explain(error, stderr), { cause: error }))
    })
  })
}

function explain(error: Error & { code?: unknown; killed?: boolean }, stderr: string): string {
  if (error.code === 'ENOENT') return `the program ${program} is missing; the broker's image needs the package nftables`
  if (error.killed === true) return `${program} did not end within ${timeoutMs / 1000} s`
  return `${program}: ${stderr.split('\n')[0] || error.message}`.slice(0, 500)
}

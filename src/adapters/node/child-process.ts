import { type ChildProcess as NodeChild, spawn } from 'node:child_process'
import type { Duplex } from 'node:stream'
import type { Channel, ChildProcess, ChildProcesses, ProcessEnd, SpawnOptions } from '../../ports/child-process.ts'
import { PortError } from '../../ports/errors.ts'

export const childProcesses: ChildProcesses = { spawn: spawnChild }

async function spawnChild(file: string, args: readonly string[], options: SpawnOptions): Promise<ChildProcess> {
  const pipes = Array.from({ length: options.channels }, () => 'pipe' as const)
  const [program = file, ...rest] = limited([file, ...args], options.maxFileBytes)
  const child = spawn(program, rest, {
    stdio: ['ignore', 'pipe', 'pipe', ...pipes, ...options.fds],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    // A signal to our process group must not end a guest.
    detached: true,
  })
  const ended = endOf(child)
  // Node creates a UNIX socket pair for `pipe`, so one descriptor works in both directions.
  const channels = pipes.map((_, index) => channelOf(child.stdio[3 + index] as Duplex))
  child.stdout?.on('data', options.onOutput)
  child.stderr?.on('data', options.onOutput)
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (error) => reject(new PortError('Invalid', `${file} could not be started: ${error.message}`)))
  })
  return { pid: child.pid ?? 0, channels, ended, kill: (signal) => void child.kill(signal) }
}

/** Only the soft limit, which the runner raises when a disk grows. Both programs exec the next one, so the process is the requested one. Without a handler, SIGXFSZ would end it. */
function limited(argv: readonly string[], maxFileBytes: number | undefined): readonly string[] {
  if (maxFileBytes === undefined) return argv
  return ['env', '--ignore-signal=XFSZ', 'prlimit', `--fsize=${maxFileBytes}:`, '--', ...argv]
}

function endOf(child: NodeChild): Promise<ProcessEnd> {
  return new Promise((resolve) => {
    child.once('close', (code, signal) =>
      resolve(code === null ? { kind: 'killed', signal: signal ?? 'unknown' } : { kind: 'exited', code }),
    )
  })
}

function channelOf(stream: Duplex): Channel {
  const closed = new Promise<void>((resolve) => stream.once('close', resolve))
  // A child that exits with unread bytes causes ECONNRESET. `close` reports the end of the channel.
  stream.on('error', () => stream.destroy())
  return {
    write: (bytes) => void (stream.writable && stream.write(bytes)),
    onData: (listener) => void stream.on('data', listener),
    onClose: (listener) => void closed.then(listener),
  }
}

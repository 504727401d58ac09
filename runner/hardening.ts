import { readFile } from 'node:fs/promises'
import type { RunnerStatus } from '../src/api/wire/runner-control.ts'

export type Hardening = RunnerStatus['hardening']

/** What the kernel says this process may do (proc_pid_status(5)): what Swarm really gave, not what was asked for. */
export async function readHardening(path = '/proc/self/status'): Promise<Hardening> {
  return parseHardening(await readFile(path, 'utf8'))
}

export function parseHardening(status: string): Hardening {
  const fields = new Map(status.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]))
  const field = (name: string): string => fields.get(name) ?? ''
  return {
    // Real, effective, saved and file system uid; they are the same here.
    uid: Number.parseInt(field('Uid'), 10) || 0,
    capEff: field('CapEff'),
    capBnd: field('CapBnd'),
    noNewPrivs: field('NoNewPrivs') === '1',
    seccomp: Number.parseInt(field('Seccomp'), 10) || 0,
  }
}

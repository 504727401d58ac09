import { readFile } from 'node:fs/promises'
import type { RunnerStatus } from '../src/api/wire/runner-control.ts'

export type Hardening = RunnerStatus['hardening']

/** Reads the process's capabilities and restrictions from the kernel (proc_pid_status(5)): what Swarm granted, not what was requested. */
export async function readHardening(path = '/proc/self/status'): Promise<Hardening> {
  return parseHardening(await readFile(path, 'utf8'))
}

export function parseHardening(status: string): Hardening {
  const fields = new Map(status.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]))
  const field = (name: string): string => fields.get(name) ?? ''
  return {
    // Real, effective, saved and file system uid. The runner has the same value for all four.
    uid: Number.parseInt(field('Uid'), 10) || 0,
    capEff: field('CapEff'),
    capBnd: field('CapBnd'),
    noNewPrivs: field('NoNewPrivs') === '1',
    seccomp: Number.parseInt(field('Seccomp'), 10) || 0,
  }
}

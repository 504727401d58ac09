import type { Agent } from '../../../src/ports/agents.ts'
import { PortError } from '../../../src/ports/errors.ts'
import type { Log } from '../../../src/ports/log.ts'

/** Only reports messages that mean that a program of ours may be broken. */
export function watchfulLog(onError: (message: string) => void): Log {
  return {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: (fields, message) => onError(`${message}: ${JSON.stringify(fields)}`),
  }
}

const refused = (): Promise<never> => Promise.reject(new PortError('Unavailable', 'connect ECONNREFUSED'))

/** That of a node which nobody has. */
export const noAgent: Agent = {
  facts: refused,
  instances: refused,
  prepare: refused,
  progress: refused,
  revoke: refused,
  deleteDisks: refused,
  vm: refused,
  control: refused,
  probe: refused,
  unchanged: refused,
}

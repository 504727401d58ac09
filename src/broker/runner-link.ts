import type { BrokerToRunner } from '../api/wire/broker-runner.ts'
import type { ConnectionId } from './lease.ts'

/** A runner that has sent its hello. */
export interface RunnerLink {
  readonly id: ConnectionId
  /** The runner's container ID, if it sent one. */
  readonly container?: string
  /** It keeps the tokens of direct NICs. */
  readonly keepsTokens?: boolean
  send(message: BrokerToRunner, fds?: readonly number[]): void
  flushed(): Promise<void>
}

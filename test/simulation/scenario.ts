import type { SpecChanges } from './cluster.ts'
import type { World } from './world.ts'

/** An act of a person or the world, at a time after the start. */
export type Act = (world: World) => void

/** VMs that cannot become as declared, and the reason that their status must give. */
type Blocked = Readonly<Record<string, string>>

/** A small script. The state that is declared at its end is the state that must be reached. */
export interface Scenario {
  readonly name: string
  /** Declared from the beginning. */
  readonly vms: Readonly<Record<string, SpecChanges>>
  readonly acts: readonly (readonly [number, Act])[]
  readonly nodes?: readonly string[]
  readonly sources?: readonly string[]
  readonly controllers?: number
  /** Before anything else: what others have in this Swarm. */
  readonly prepare?: Act
  readonly blocked?: Blocked
  /** VMs that may become as declared or not, by what the faults leave of them, and the reason that their status gives then. */
  readonly mayBeBlocked?: Blocked
  /** A further check at the end; returns the problem. */
  readonly expect?: (world: World) => string | undefined
  /** Beyond the usual patience: a removal's grace, a look that is due every few seconds only. */
  readonly extraMs?: number
}

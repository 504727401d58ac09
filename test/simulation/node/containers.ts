import type { Log } from '../../../src/ports/log.ts'
import type { SeededRandom } from '../seeded-random.ts'
import type { VirtualTime } from '../virtual-time.ts'
import type { Container } from './container.ts'
import type { Lan } from './lan.ts'

/** What every container is given, and whom it tells. */
export interface ContainersPorts {
  readonly time: VirtualTime
  readonly random: SeededRandom
  readonly stateRoot: string
  readonly lan: Lan
  readonly log: Log
  /** Milliseconds from the power button until a guest is off. */
  readonly lingerMs: () => number
  readonly trace: (line: string) => void
  /** It is about to start a QEMU. */
  readonly onSpawn: (container: Container) => void
  /** Its guest runs and loses its power. */
  readonly onPowerCut: (container: Container) => void
  /** Its QEMU has the disks open. */
  readonly onHold: (container: Container) => void
  readonly onGuestUp: (container: Container) => void
  readonly onGuestDown: (container: Container) => void
  /** Something of its guest passes its TAP. */
  readonly onSpeech: (container: Container, mac: string, ip: string) => void
}

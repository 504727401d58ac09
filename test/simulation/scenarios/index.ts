import type { Scenario } from '../scenario.ts'
import { edits, lives } from './declared.ts'
import { deletion } from './deletion.ts'
import { hands } from './hands.ts'
import { lan } from './lan.ts'
import { macs } from './macs.ts'
import { nodes } from './nodes.ts'
import { repeatedHands } from './repeated-hands.ts'
import { room } from './room.ts'
import { runners } from './runners.ts'
import { sources } from './sources.ts'
import { suspension } from './suspension.ts'

export const scenarios: readonly Scenario[] = [
  ...lives,
  ...edits,
  ...nodes,
  ...runners,
  ...hands,
  ...sources,
  ...suspension,
  ...lan,
  ...macs,
  ...deletion,
  ...room,
  ...repeatedHands,
]
